// SPDX-License-Identifier: GPL-2.0
/*
 * A correct driver with mmap alone: no read, no write, no llseek.
 */
#define OBJECT_WITHOUT_CALLS
#include "object.h"

static vm_fault_t bare_fault(struct vm_fault *vmf)
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

static const struct vm_operations_struct bare_vm_ops = { .fault = bare_fault };

static int bare_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &bare_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, bare_mmap, NULL);
