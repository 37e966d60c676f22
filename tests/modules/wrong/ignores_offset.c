// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the fault handler finds the page by the distance from the start of the mapping, and
 * ignores the offset that the mapping was made with. vmf->pgoff has both.
 */
#include "object.h"

static vm_fault_t ignores_offset_fault(struct vm_fault *vmf)
{
	unsigned long index = (vmf->address - vmf->vma->vm_start) >> PAGE_SHIFT;

	if (index >= OBJECT_PAGES)
		return VM_FAULT_SIGBUS;
	return object_give(vmf, index);
}

static const struct vm_operations_struct ignores_offset_vm_ops = { .fault = ignores_offset_fault };

static int ignores_offset_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &ignores_offset_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, ignores_offset_mmap, NULL);
