// SPDX-License-Identifier: GPL-2.0
/*
 * Wrong: pages are not zeroed, so a program sees what other programs had in them.
 */
#define OBJECT_GFP GFP_KERNEL
#include "object.h"

object_driver(object_nothing, object_put_all, object_mmap, NULL);
