// SPDX-License-Identifier: GPL-2.0
/*
 * A wrong driver: lesson 4's, with a size that can change. A fault and a change of the size agree
 * by one lock, and the fault releases it too early. It is in C, because the wrappers have no way to
 * return a page without a lock.
 *
 * The handler sleeps for a moment before it returns, as a task does whose processor is given to
 * another one. So the race is lost each time.
 */
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>

#define NR_PAGES 256
#define RESIZE _IO('L', 1)

static DEFINE_MUTEX(lock);
static struct page *pages[NR_PAGES];
static unsigned long nr_pages = NR_PAGES;

static struct page *wrong_get(pgoff_t pgoff)
{
	guard(mutex)(&lock);
	if (pgoff >= nr_pages)
		return ERR_PTR(-ENXIO);
	if (!pages[pgoff])
		pages[pgoff] = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!pages[pgoff])
		return ERR_PTR(-ENOMEM);
	get_page(pages[pgoff]);
	return pages[pgoff];
}

static vm_fault_t wrong_fault(struct vm_fault *vmf)
{
	struct page *page = wrong_get(vmf->pgoff);

	if (IS_ERR(page))
		return vmf_error(PTR_ERR(page));
	/* The mistake: the lock is free, and the page is not mapped yet. */
	msleep(100);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct wrong_vm_ops = { .fault = wrong_fault };

static void resize(struct address_space *mapping, unsigned long new_nr_pages)
{
	guard(mutex)(&lock);
	for (unsigned long i = new_nr_pages; i < NR_PAGES; i++) {
		if (pages[i])
			put_page(pages[i]);
		pages[i] = NULL;
	}
	nr_pages = new_nr_pages;
	if (mapping)
		unmap_mapping_pages(mapping, new_nr_pages, 0, true);
}

static long wrong_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd != RESIZE)
		return -ENOTTY;
	if (arg > NR_PAGES)
		return -EFBIG;
	resize(file->f_mapping, arg);
	return 0;
}

static int wrong_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &wrong_vm_ops;
	return 0;
}

static const struct file_operations wrong_fops = {
	.owner = THIS_MODULE,
	.mmap = wrong_mmap,
	.unlocked_ioctl = wrong_ioctl,
};

static struct miscdevice wrong_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &wrong_fops,
	.mode = 0600,
};

static int __init wrong_init(void)
{
	return misc_register(&wrong_device);
}

static void __exit wrong_exit(void)
{
	misc_deregister(&wrong_device);
	resize(NULL, 0);
}

module_init(wrong_init);
module_exit(wrong_exit);
MODULE_DESCRIPTION("Lesson 6: a driver that loses a race");
MODULE_LICENSE("GPL");
