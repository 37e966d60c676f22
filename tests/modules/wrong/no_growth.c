// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: mmap stores the length of the area, and the fault handler refuses what is past it.
 * mremap() makes an area longer without asking the driver, so a touch of the new part is
 * SIGBUS.
 */
#include "object.h"

static vm_fault_t no_growth_fault(struct vm_fault *vmf)
{
	if (vmf->address - vmf->vma->vm_start >= (unsigned long)vmf->vma->vm_private_data)
		return VM_FAULT_SIGBUS;
	return object_fault(vmf);
}

static const struct vm_operations_struct no_growth_vm_ops = { .fault = no_growth_fault };

static int no_growth_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_private_data = (void *)(vma->vm_end - vma->vm_start);
	vma->vm_ops = &no_growth_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, no_growth_mmap, NULL);
