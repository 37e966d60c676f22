// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: mmap computes where the mapping ends in 32 bits. An offset of 4 GiB becomes 0 and
 * passes the check; the fault handler makes the same mistake.
 */
#include "object.h"

static vm_fault_t cut_offset_fault(struct vm_fault *vmf)
{
	u32 offset = vmf->pgoff << PAGE_SHIFT;

	if (offset >= OBJECT_SIZE)
		return VM_FAULT_SIGBUS;
	return object_give(vmf, offset >> PAGE_SHIFT);
}

static const struct vm_operations_struct cut_offset_vm_ops = { .fault = cut_offset_fault };

static int cut_offset_mmap(struct file *file, struct vm_area_struct *vma)
{
	u32 end = (vma->vm_pgoff + vma_pages(vma)) << PAGE_SHIFT;

	if (end > OBJECT_SIZE)
		return -EINVAL;
	vma->vm_ops = &cut_offset_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, cut_offset_mmap, NULL);
