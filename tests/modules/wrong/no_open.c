// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: .close drops a count of the mappings, but no .open raises it. The kernel calls .open
 * when fork or a split copies an area. So the count is 0 too early, and the driver stops
 * serving faults.
 */
#include "object.h"

static atomic_t nr_mappings;

static vm_fault_t no_open_fault(struct vm_fault *vmf)
{
	if (atomic_read(&nr_mappings) <= 0)
		return VM_FAULT_SIGBUS;
	return object_fault(vmf);
}

static void no_open_close(struct vm_area_struct *vma)
{
	atomic_dec(&nr_mappings);
}

static const struct vm_operations_struct no_open_vm_ops = {
	.fault = no_open_fault,
	.close = no_open_close,
};

static int no_open_mmap(struct file *file, struct vm_area_struct *vma)
{
	atomic_set(&nr_mappings, max(atomic_read(&nr_mappings), 0) + 1);
	vma->vm_ops = &no_open_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, no_open_mmap, NULL);
