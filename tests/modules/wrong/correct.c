// SPDX-License-Identifier: GPL-2.0
/*
 * A correct driver: its fault handler, in object.h, finds the page by its offset in the object,
 * takes a reference for the mapping, and refuses what is past the end.
 */
#include "object.h"

object_driver(object_nothing, object_put_all, object_mmap, NULL);
