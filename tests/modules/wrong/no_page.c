// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the fault handler says that it has mapped the page (VM_FAULT_NOPAGE), but it has not.
 * The task faults again, forever. Only a signal ends it.
 */
#include "object.h"

static vm_fault_t no_page_fault(struct vm_fault *vmf)
{
	struct page *page;

	if (vmf->pgoff >= OBJECT_PAGES)
		return VM_FAULT_SIGBUS;
	page = object_get(vmf->pgoff);
	if (IS_ERR(page))
		return vmf_error(PTR_ERR(page));
	put_page(page);
	return VM_FAULT_NOPAGE;
}

static const struct vm_operations_struct no_page_vm_ops = { .fault = no_page_fault };

static int no_page_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &no_page_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, no_page_mmap, NULL);
