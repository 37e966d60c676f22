// SPDX-License-Identifier: GPL-2.0
/*
 * Lesson 5 in C: 1 MiB in the page cache of an inode, which can be mapped, read and written.
 *
 * It is shorter than the driver in Rust, because here all of the handler is the kernel's own:
 * generic_file_mmap() installs filemap_fault(), filemap_map_pages() and filemap_page_mkwrite(),
 * and ram_aops fills a new folio with zeros. This is what ramfs does. The price is one more fault
 * for the first store to a page, because of page_mkwrite.
 *
 * What the types of the wrappers say in Rust is said by nothing here: that the file's f_mapping is
 * the one of the inode, that the inode lives as long as the file, and that the mount is the last to
 * go.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/ramfs.h>
#include <linux/splice.h>

#define LEN_BYTES 0x100000

static struct vfsmount *memory_mount;
static struct inode *memory_inode;

static int memory_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, 0x4c657363) ? 0 : -ENOMEM;
}

static struct file_system_type memory_fs_type = {
	.name = "lesson5_c",
	.init_fs_context = memory_init_fs_context,
	.kill_sb = kill_anon_super,
};

/* All opens of all nodes see the page cache of the one inode. An open file keeps the module. */
static int memory_open(struct inode *node, struct file *file)
{
	file->f_mapping = memory_inode->i_mapping;
	return 0;
}

/* The end is fixed: a write past it fails as on a full disk. */
static ssize_t memory_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	loff_t pos = iocb->ki_flags & IOCB_APPEND ? LEN_BYTES : iocb->ki_pos;

	if (!iov_iter_count(from))
		return 0;
	if (pos >= LEN_BYTES)
		return -ENOSPC;
	iov_iter_truncate(from, LEN_BYTES - pos);
	return generic_file_write_iter(iocb, from);
}

static const struct file_operations memory_fops = {
	.owner = THIS_MODULE,
	.open = memory_open,
	.mmap = generic_file_mmap,
	.read_iter = generic_file_read_iter,
	.write_iter = memory_write_iter,
	.llseek = generic_file_llseek,
	.fsync = noop_fsync,
	.splice_read = filemap_splice_read,
	.splice_write = iter_file_splice_write,
};

static struct miscdevice memory_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &memory_fops,
	.mode = 0600,
};

static int __init memory_init(void)
{
	int ret;

	memory_mount = kern_mount(&memory_fs_type);
	if (IS_ERR(memory_mount))
		return PTR_ERR(memory_mount);
	memory_inode = alloc_anon_inode(memory_mount->mnt_sb);
	if (IS_ERR(memory_inode)) {
		kern_unmount(memory_mount);
		return PTR_ERR(memory_inode);
	}
	memory_inode->i_mapping->a_ops = &ram_aops;
	/* The folios are the only copy of the bytes, so they must not be dropped. */
	mapping_set_unevictable(memory_inode->i_mapping);
	i_size_write(memory_inode, LEN_BYTES);
	ret = misc_register(&memory_device);
	if (ret) {
		iput(memory_inode);
		kern_unmount(memory_mount);
	}
	return ret;
}

static void __exit memory_exit(void)
{
	misc_deregister(&memory_device);
	iput(memory_inode);
	kern_unmount(memory_mount);
}

module_init(memory_init);
module_exit(memory_exit);
MODULE_DESCRIPTION("Lesson 5 in C: the page cache");
MODULE_LICENSE("GPL");
