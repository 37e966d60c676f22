// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the fault handler takes no reference for the mapping. When the mapping ends, its
 * reference is dropped, so the page is freed while the driver still uses it: it soon holds
 * something else.
 *
 * In earnest this ends the machine, because the next mapping drops a reference of the page's new
 * owner. So this driver takes the reference, and drops its own when the mapping has ended.
 */
#include "object.h"

static DECLARE_BITMAP(mapped, OBJECT_PAGES);

static vm_fault_t no_reference_fault(struct vm_fault *vmf)
{
	vm_fault_t result = object_fault(vmf);

	guard(mutex)(&object_lock);
	if (!result)
		set_bit(vmf->pgoff, mapped);
	return result;
}

/* The pages of the area are no longer mapped there. */
static void no_reference_close(struct vm_area_struct *vma)
{
	size_t i;

	guard(mutex)(&object_lock);
	for_each_set_bit(i, mapped, OBJECT_PAGES) {
		/* Whether nobody else maps the page, or uses it. */
		if (page_count(object_pages[i]) == 1) {
			clear_bit(i, mapped);
			set_bit(i, object_lost);
			put_page(object_pages[i]);
		}
	}
}

static const struct vm_operations_struct no_reference_vm_ops = {
	.fault = no_reference_fault,
	.close = no_reference_close,
};

static int no_reference_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &no_reference_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, no_reference_mmap, NULL);
