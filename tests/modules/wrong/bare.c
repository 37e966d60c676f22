// SPDX-License-Identifier: GPL-2.0
/*
 * A correct driver with mmap alone: no read, no write, no llseek.
 */
#define OBJECT_WITHOUT_CALLS
#include "object.h"

object_driver(object_nothing, object_put_all, object_mmap, NULL);
