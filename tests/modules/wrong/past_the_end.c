// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the check of the fault handler is off by one, so the page after the last one can be
 * mapped.
 */
#include "object.h"

static vm_fault_t past_the_end_fault(struct vm_fault *vmf)
{
	if (vmf->pgoff > OBJECT_PAGES)
		return VM_FAULT_SIGBUS;
	return object_give(vmf, vmf->pgoff);
}

static const struct vm_operations_struct past_the_end_vm_ops = { .fault = past_the_end_fault };

static int past_the_end_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &past_the_end_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, past_the_end_mmap, NULL);
