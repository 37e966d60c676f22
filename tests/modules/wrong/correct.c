// SPDX-License-Identifier: GPL-2.0
/*
 * A correct driver: the fault handler finds the page by its offset in the object, takes a
 * reference for the mapping, and refuses what is past the end.
 */
#include "object.h"

static vm_fault_t correct_fault(struct vm_fault *vmf)
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

static const struct vm_operations_struct correct_vm_ops = { .fault = correct_fault };

static int correct_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &correct_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, correct_mmap, NULL);
