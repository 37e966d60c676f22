// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the fault handler takes no reference for the mapping. When the mapping ends, its
 * reference is dropped, so the page is freed while the driver still uses it: it soon holds
 * something else.
 *
 * Pages that were freed in this way are lost to the driver, so this one frees none at the end.
 */
#include "object.h"

static vm_fault_t no_reference_fault(struct vm_fault *vmf)
{
	struct page *page;

	if (vmf->pgoff >= OBJECT_PAGES)
		return VM_FAULT_SIGBUS;
	page = object_page(vmf->pgoff);
	if (IS_ERR(page))
		return vmf_error(PTR_ERR(page));
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct no_reference_vm_ops = { .fault = no_reference_fault };

static int no_reference_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &no_reference_vm_ops;
	return 0;
}

static void no_reference_exit(void)
{
}

object_driver(object_nothing, no_reference_exit, no_reference_mmap, NULL);
