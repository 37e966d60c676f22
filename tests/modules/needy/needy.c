// SPDX-License-Identifier: GPL-2.0
/*
 * A module that needs a symbol which no kernel exports, so that the build can be
 * seen to say which.
 */
#include <linux/module.h>

void mmap_pool_nobody_exports_this(void);

static int __init needy_init(void)
{
	mmap_pool_nobody_exports_this();
	return 0;
}

static void __exit needy_exit(void)
{
}

module_init(needy_init);
module_exit(needy_exit);
MODULE_DESCRIPTION("Needs what is not there");
MODULE_LICENSE("GPL");
