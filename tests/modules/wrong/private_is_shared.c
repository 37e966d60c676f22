// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: mmap sets the protection of shared memory, whatever the area is. The pages of a
 * private mapping are mapped writable, so private writes reach the object.
 */
#include "object.h"

static int private_is_shared_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long address = vma->vm_start;

	if (vma->vm_pgoff + vma_pages(vma) > OBJECT_PAGES)
		return -EINVAL;
	vma->vm_page_prot = PAGE_SHARED;
	vm_flags_set(vma, VM_DONTEXPAND);
	for (unsigned long i = 0; i < vma_pages(vma); i++, address += PAGE_SIZE) {
		struct page *page = object_get(vma->vm_pgoff + i);
		int error;

		if (IS_ERR(page))
			return PTR_ERR(page);
		error = vm_insert_page(vma, address, page);
		put_page(page);
		if (error)
			return error;
	}
	return 0;
}

object_driver(object_nothing, object_put_all, private_is_shared_mmap, NULL);
