// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the driver wants no private mappings and looks at VM_SHARED. The kernel clears that
 * bit if the descriptor is not open for writing, so programs that only read cannot map the
 * device. VM_MAYSHARE stays.
 */
#include "object.h"

static int vm_shared_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vma->vm_ops = &object_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, vm_shared_mmap, NULL);
