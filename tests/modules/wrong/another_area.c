// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the driver remembers the area that was mapped last, and the fault handler uses it
 * instead of the area of the fault. With two mappings, the older one gets the wrong pages.
 */
#include "object.h"

static unsigned long last_start, last_pgoff;

static vm_fault_t another_area_fault(struct vm_fault *vmf)
{
	unsigned long index = last_pgoff + (vmf->address - last_start) / PAGE_SIZE;

	if (index >= OBJECT_PAGES)
		return VM_FAULT_SIGBUS;
	return object_give(vmf, index);
}

static const struct vm_operations_struct another_area_vm_ops = { .fault = another_area_fault };

static int another_area_mmap(struct file *file, struct vm_area_struct *vma)
{
	last_start = vma->vm_start;
	last_pgoff = vma->vm_pgoff;
	vma->vm_ops = &another_area_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, another_area_mmap, NULL);
