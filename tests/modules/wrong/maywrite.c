// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: the device is read-only and mmap refuses writable mappings. But VM_MAYWRITE stays, so
 * mprotect() makes a read-only mapping writable.
 */
#define OBJECT_WITHOUT_WRITE
#include "object.h"

static int maywrite_mmap(struct file *file, struct vm_area_struct *vma)
{
	if ((vma->vm_flags & (VM_SHARED | VM_WRITE)) == (VM_SHARED | VM_WRITE))
		return -EPERM;
	vma->vm_ops = &object_vm_ops;
	return 0;
}

object_driver(object_nothing, object_put_all, maywrite_mmap, NULL);
