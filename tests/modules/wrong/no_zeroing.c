// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: pages are not zeroed, so a program sees what other programs had in them.
 */
#define OBJECT_GFP GFP_KERNEL
#include "object.h"

static vm_fault_t no_zeroing_fault(struct vm_fault *vmf)
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

static const struct vm_operations_struct no_zeroing_vm_ops = { .fault = no_zeroing_fault };

static int no_zeroing_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &no_zeroing_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, no_zeroing_mmap, NULL);
