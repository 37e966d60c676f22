// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the driver wants no private mappings and looks at VM_SHARED. The kernel clears that
 * bit if the descriptor is not open for writing, so programs that only read cannot map the
 * device. VM_MAYSHARE stays.
 */
#include "object.h"

static vm_fault_t vm_shared_fault(struct vm_fault *vmf)
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

static const struct vm_operations_struct vm_shared_vm_ops = { .fault = vm_shared_fault };

static int vm_shared_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vma->vm_ops = &vm_shared_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, vm_shared_mmap, NULL);
