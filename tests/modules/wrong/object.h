/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The common part of the drivers in this folder: 1 MiB of memory, a page at a time,
 * zeroed. A driver adds its mmap, which is where the mistakes are.
 *
 *	object_get(pgoff)		the page at this offset, allocated on first use, and a
 *					reference to it
 *	object_look(pgoff)		the same, to read it only
 *	object_put_all()		frees all pages
 *	object_nothing()		does nothing
 *	object_give(vmf, pgoff)		resolves a fault with that page
 *	object_fault, object_vm_ops, object_mmap
 *					what is correct, for drivers whose mistake is elsewhere
 *	object_driver(init, exit, mmap, flush)
 *					/dev/NAME, with NAME the name of the module
 */
#ifndef _OBJECT_H
#define _OBJECT_H

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/splice.h>
#include <linux/uio.h>

#define OBJECT_PAGES 256UL
#define OBJECT_SIZE (OBJECT_PAGES << PAGE_SHIFT)

/* How pages are allocated. A mistake may leave out __GFP_ZERO. */
#ifndef OBJECT_GFP
#define OBJECT_GFP (GFP_KERNEL | __GFP_ZERO)
#endif

static DEFINE_MUTEX(object_lock);
/* Each page has one reference from here. The last entry is for drivers that forget the end. */
static struct page *object_pages[OBJECT_PAGES + 1];
/*
 * Pages here that a wrong driver has freed too early. It reads what the next owner writes there.
 * For everything else they are replaced, because the next owner must not be harmed.
 */
static DECLARE_BITMAP(object_lost, OBJECT_PAGES + 1);

static struct page *object_get(unsigned long pgoff)
{
	guard(mutex)(&object_lock);
	if (pgoff >= ARRAY_SIZE(object_pages))
		return ERR_PTR(-EINVAL);
	if (test_and_clear_bit(pgoff, object_lost))
		object_pages[pgoff] = NULL;
	if (!object_pages[pgoff]) {
		struct page *page = alloc_page(OBJECT_GFP);

		if (!page)
			return ERR_PTR(-ENOMEM);
		object_pages[pgoff] = page;
	}
	get_page(object_pages[pgoff]);
	return object_pages[pgoff];
}

static struct page *__maybe_unused object_look(unsigned long pgoff)
{
	scoped_guard(mutex, &object_lock) {
		if (pgoff < ARRAY_SIZE(object_pages) && test_bit(pgoff, object_lost)) {
			struct page *copy = alloc_page(GFP_KERNEL);

			if (copy)
				copy_highpage(copy, object_pages[pgoff]);
			return copy ?: ERR_PTR(-ENOMEM);
		}
	}
	return object_get(pgoff);
}

static void __maybe_unused object_put_all(void)
{
	guard(mutex)(&object_lock);
	for (size_t i = 0; i < ARRAY_SIZE(object_pages); i++) {
		if (object_pages[i] && !test_bit(i, object_lost))
			put_page(object_pages[i]);
		object_pages[i] = NULL;
	}
}

static ssize_t __maybe_unused object_read(struct kiocb *iocb, struct iov_iter *to)
{
	ssize_t done = 0;

	while (iov_iter_count(to) && iocb->ki_pos < OBJECT_SIZE) {
		size_t offset = offset_in_page(iocb->ki_pos);
		struct page *page = object_look(iocb->ki_pos >> PAGE_SHIFT);
		size_t copied;

		if (IS_ERR(page))
			return done ?: PTR_ERR(page);
		copied = copy_page_to_iter(page, offset, PAGE_SIZE - offset, to);
		put_page(page);
		if (!copied)
			return done ?: -EFAULT;
		iocb->ki_pos += copied;
		done += copied;
	}
	return done;
}

static ssize_t __maybe_unused object_write(struct kiocb *iocb, struct iov_iter *from)
{
	ssize_t done = 0;

	if (!iov_iter_count(from))
		return 0;
	while (iov_iter_count(from) && iocb->ki_pos < OBJECT_SIZE) {
		size_t offset = offset_in_page(iocb->ki_pos);
		struct page *page = object_get(iocb->ki_pos >> PAGE_SHIFT);
		size_t copied;

		if (IS_ERR(page))
			return done ?: PTR_ERR(page);
		copied = copy_page_from_iter(page, offset, PAGE_SIZE - offset, from);
		put_page(page);
		if (!copied)
			return done ?: -EFAULT;
		iocb->ki_pos += copied;
		done += copied;
	}
	return done ?: -ENOSPC;
}

static loff_t __maybe_unused object_llseek(struct file *file, loff_t offset, int whence)
{
	return generic_file_llseek_size(file, offset, whence, MAX_LFS_FILESIZE, OBJECT_SIZE);
}

static int __maybe_unused object_nothing(void)
{
	return 0;
}

/* Resolves a fault with the page at this offset. The reference becomes the mapping's. */
static vm_fault_t __maybe_unused object_give(struct vm_fault *vmf, unsigned long pgoff)
{
	struct page *page = object_get(pgoff);

	if (IS_ERR(page))
		return vmf_error(PTR_ERR(page));
	vmf->page = page;
	return 0;
}

/* The correct fault handler: the page is found by its offset in the object. */
static vm_fault_t __maybe_unused object_fault(struct vm_fault *vmf)
{
	if (vmf->pgoff >= OBJECT_PAGES)
		return VM_FAULT_SIGBUS;
	return object_give(vmf, vmf->pgoff);
}

static const struct vm_operations_struct __maybe_unused object_vm_ops = { .fault = object_fault };

static int __maybe_unused object_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &object_vm_ops;
	return 0;
}

/* What object_driver() defines. */
static struct miscdevice object_device;
static int (*const object_do_init)(void);
static void (*const object_do_exit)(void);

static int __init object_init(void)
{
	return object_do_init() ?: misc_register(&object_device);
}

static void __exit object_exit(void)
{
	misc_deregister(&object_device);
	object_do_exit();
}

#if defined(OBJECT_WITHOUT_CALLS)
#define OBJECT_CALLS
#elif defined(OBJECT_WITHOUT_WRITE)
#define OBJECT_CALLS .llseek = object_llseek, .read_iter = object_read,
#else
#define OBJECT_CALLS .llseek = object_llseek, .read_iter = object_read, \
	.write_iter = object_write, .splice_read = copy_splice_read, \
	.splice_write = iter_file_splice_write,
#endif

#define object_driver(do_init, do_exit, do_mmap, do_flush)				\
	static const struct file_operations object_fops = {				\
		.owner = THIS_MODULE,							\
		.mmap = do_mmap,							\
		.flush = do_flush,							\
		OBJECT_CALLS								\
	};										\
	static struct miscdevice object_device = {					\
		.minor = MISC_DYNAMIC_MINOR,						\
		.name = KBUILD_MODNAME,							\
		.fops = &object_fops,							\
		.mode = 0600,								\
	};										\
	static int (*const object_do_init)(void) = do_init;				\
	static void (*const object_do_exit)(void) = do_exit;				\
	module_init(object_init);							\
	module_exit(object_exit);							\
	MODULE_DESCRIPTION("A driver for the tests of mmap-conformance");		\
	MODULE_LICENSE("GPL")

#endif
