// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the driver maps ordinary memory with remap_pfn_range(), and allows private mappings
 * of it. Such pages have no references and no names: the kernel refuses to pin them, and to
 * give a private copy up, because no fault handler could map the page again.
 */
#include "object.h"

/* The frames must follow each other, so the pages are made of one block. */
static int private_pfn_init(void)
{
	struct page *block = alloc_pages(GFP_KERNEL | __GFP_ZERO, get_order(OBJECT_SIZE));

	if (!block)
		return -ENOMEM;
	split_page(block, get_order(OBJECT_SIZE));
	for (size_t i = 0; i < OBJECT_PAGES; i++)
		object_pages[i] = block + i;
	return 0;
}

static int private_pfn_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff + vma_pages(vma) > OBJECT_PAGES)
		return -EINVAL;
	return remap_pfn_range(vma, vma->vm_start,
			       page_to_pfn(object_pages[0]) + vma->vm_pgoff,
			       vma->vm_end - vma->vm_start, vma->vm_page_prot);
}

object_driver(private_pfn_init, object_put_all, private_pfn_mmap, NULL);
