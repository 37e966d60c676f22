// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the device is read-only and mmap refuses writable mappings. But VM_MAYWRITE stays, so
 * mprotect() makes a read-only mapping writable.
 */
#define OBJECT_WITHOUT_WRITE
#include "object.h"

static vm_fault_t maywrite_fault(struct vm_fault *vmf)
{
	struct page *page;

	if (vmf->pgoff >= OBJECT_PAGES)
		return VM_FAULT_SIGBUS;
	page = object_page(vmf->pgoff);
	if (IS_ERR(page))
		return vmf_error(PTR_ERR(page));
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct maywrite_vm_ops = { .fault = maywrite_fault };

static int maywrite_mmap(struct file *file, struct vm_area_struct *vma)
{
	if ((vma->vm_flags & (VM_SHARED | VM_WRITE)) == (VM_SHARED | VM_WRITE))
		return -EPERM;
	vma->vm_ops = &maywrite_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, maywrite_mmap, NULL);
