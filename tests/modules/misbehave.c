// SPDX-License-Identifier: GPL-2.0
/*
 * A module that harms its kernel in the way that its parameter names, so that
 * the test harness can be seen to notice.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bug.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/panic.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *how = "";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "oops, warn, panic, reboot, hang, shutdown, sleep, taint, page, memory, use, or stale");

/* Nobody completes it: who waits is unkillable. */
static DECLARE_COMPLETION(never);

static int wait_for_never(struct notifier_block *self, unsigned long action, void *data)
{
	wait_for_completion(&never);
	return NOTIFY_DONE;
}

static struct notifier_block at_shutdown = { .notifier_call = wait_for_never };

/* Whether what one page held is seen in another that nobody has asked to be zeroed. */
static bool sees_stale_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	bool is_stale;

	if (!page)
		return false;
	memset(page_address(page), 0xa5, PAGE_SIZE);
	__free_page(page);
	page = alloc_page(GFP_KERNEL);
	if (!page)
		return false;
	is_stale = *((u8 *)page_address(page) + PAGE_SIZE / 2) == 0xa5;
	__free_page(page);
	return is_stale;
}

static int __init misbehave_init(void)
{
	if (!strcmp(how, "oops")) {
		/* Address 0 in two steps, so that no compiler knows better. */
		int *nowhere = NULL;

		OPTIMIZER_HIDE_VAR(nowhere);
		WRITE_ONCE(*nowhere, 1);
	} else if (!strcmp(how, "warn")) {
		WARN(1, "on purpose\n");
	} else if (!strcmp(how, "panic")) {
		panic("on purpose");
	} else if (!strcmp(how, "reboot")) {
		emergency_restart();
	} else if (!strcmp(how, "hang")) {
		wait_for_completion(&never);
	} else if (!strcmp(how, "shutdown")) {
		return register_reboot_notifier(&at_shutdown);
	} else if (!strcmp(how, "sleep")) {
		DEFINE_SPINLOCK(lock);

		spin_lock(&lock);
		msleep(20);
		spin_unlock(&lock);
	} else if (!strcmp(how, "taint")) {
		add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	} else if (!strcmp(how, "page")) {
		struct page *lost = alloc_page(GFP_KERNEL);

		if (!lost)
			return -ENOMEM;
	} else if (!strcmp(how, "memory")) {
		/* More than the allocator still knows the addresses of. */
		for (int i = 0; i < 1000; i++) {
			void *lost = kmalloc(100, GFP_KERNEL);

			if (!lost)
				return -ENOMEM;
			OPTIMIZER_HIDE_VAR(lost);
		}
	} else if (!strcmp(how, "use")) {
		/* Never closed: its module stays in use. */
		struct file *file = filp_open("/dev/mmap_pool", O_RDWR, 0);

		if (IS_ERR(file))
			return PTR_ERR(file);
	} else if (!strcmp(how, "stale")) {
		bool is_stale = false;

		/* Another task may take the page in between. */
		for (int i = 0; i < 100 && !is_stale; i++)
			is_stale = sees_stale_page();
		if (!is_stale)
			return -ENODATA;
	} else {
		pr_err("what is '%s'?\n", how);
		return -EINVAL;
	}
	return 0;
}

static void __exit misbehave_exit(void)
{
}

module_init(misbehave_init);
module_exit(misbehave_exit);
MODULE_DESCRIPTION("Harms its kernel on purpose");
MODULE_LICENSE("GPL");
