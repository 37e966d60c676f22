// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the driver maps its memory by frame numbers, which takes no references, and frees the
 * memory as soon as a descriptor is closed. A mapping outlives its descriptor.
 *
 * The pages are kept until the module is unloaded, so that this mistake does not harm the
 * kernel.
 */
#include "object.h"

static LIST_HEAD(freed);

/* What a driver that is wrong in earnest frees here. */
static int frees_on_close_flush(struct file *file, fl_owner_t id)
{
	guard(mutex)(&object_lock);
	for (size_t i = 0; i < OBJECT_PAGES; i++) {
		if (object_pages[i])
			list_add(&object_pages[i]->lru, &freed);
		object_pages[i] = NULL;
	}
	return 0;
}

static vm_fault_t frees_on_close_fault(struct vm_fault *vmf)
{
	struct page *page;

	if (vmf->pgoff >= OBJECT_PAGES)
		return VM_FAULT_SIGBUS;
	page = object_get(vmf->pgoff);
	if (IS_ERR(page))
		return vmf_error(PTR_ERR(page));
	put_page(page);
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(page));
}

static const struct vm_operations_struct frees_on_close_vm_ops = { .fault = frees_on_close_fault };

static int frees_on_close_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &frees_on_close_vm_ops;
	return 0;
}

static void frees_on_close_exit(void)
{
	struct page *page, *next;

	object_put_all();
	list_for_each_entry_safe(page, next, &freed, lru)
		put_page(page);
}

object_driver(object_nothing, frees_on_close_exit, frees_on_close_mmap, frees_on_close_flush);
