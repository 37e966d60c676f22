// SPDX-License-Identifier: GPL-2.0
/*
 * Lesson 8 in C: a page cache in front of a disk.
 *
 * It is a file system of one file, the whole disk. So all that the wrappers do in Rust is done by
 * the kernel: get_tree_bdev() opens the disk and claims it, and mpage_readahead() and
 * mpage_writepages() read and write it. They ask where a block of the file is on the disk
 * (cache_get_block()), and here the answer is the same number.
 *
 * The driver in Rust can have a file of another file system behind it, too. Then there are no
 * blocks to ask for, but a file to read and write.
 */
#include <linux/blkdev.h>
#include <linux/buffer_head.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/mpage.h>
#include <linux/slab.h>
#include <linux/splice.h>

/* Returns a descriptor of a file that is a cache of this disk. The argument is a descriptor. */
#define BACK _IO('L', 4)

static int cache_get_block(struct inode *inode, sector_t block, struct buffer_head *bh, int create)
{
	map_bh(bh, inode->i_sb, block);
	return 0;
}

static int cache_read_folio(struct file *file, struct folio *folio)
{
	return mpage_read_folio(folio, cache_get_block);
}

static void cache_readahead(struct readahead_control *rac)
{
	mpage_readahead(rac, cache_get_block);
}

static int cache_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	return mpage_writepages(mapping, wbc, cache_get_block);
}

static int cache_write_begin(const struct kiocb *iocb, struct address_space *mapping, loff_t pos,
			     unsigned int len, struct folio **foliop, void **fsdata)
{
	return block_write_begin(mapping, pos, len, foliop, cache_get_block);
}

static const struct address_space_operations cache_aops = {
	.read_folio = cache_read_folio,
	.readahead = cache_readahead,
	.writepages = cache_writepages,
	.dirty_folio = block_dirty_folio,
	.invalidate_folio = block_invalidate_folio,
	.write_begin = cache_write_begin,
	.write_end = generic_write_end,
	.migrate_folio = buffer_migrate_folio,
	.direct_IO = noop_direct_IO,
};

/* The size is that of the disk. */
static int cache_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	return attr->ia_valid & ATTR_SIZE ? -EPERM : simple_setattr(idmap, dentry, attr);
}

static const struct inode_operations cache_iops = { .setattr = cache_setattr };

/* O_DIRECT would pass by the page cache, and so by the mappings. */
static ssize_t cache_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	iocb->ki_flags &= ~IOCB_DIRECT;
	return generic_file_read_iter(iocb, to);
}

static ssize_t cache_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	loff_t len = i_size_read(file_inode(iocb->ki_filp));
	loff_t pos = iocb->ki_flags & IOCB_APPEND ? len : iocb->ki_pos;

	iocb->ki_flags &= ~IOCB_DIRECT;
	if (!iov_iter_count(from))
		return 0;
	if (pos >= len)
		return -ENOSPC;
	iov_iter_truncate(from, len - pos);
	return generic_file_write_iter(iocb, from);
}

/* Faults: filemap_fault() reads a page in, filemap_page_mkwrite() makes it dirty. */
static const struct file_operations cache_fops = {
	.mmap_prepare = generic_file_mmap_prepare,
	.read_iter = cache_read_iter,
	.write_iter = cache_write_iter,
	.llseek = generic_file_llseek,
	.fsync = simple_fsync,
	.splice_read = filemap_splice_read,
	.splice_write = iter_file_splice_write,
};

static const struct super_operations cache_super_ops = { .statfs = simple_statfs };

static int cache_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return -ENOMEM;
	sb->s_op = &cache_super_ops;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	inode->i_ino = 1;
	inode_init_owner(&nop_mnt_idmap, inode, NULL, S_IFREG | 0600);
	simple_inode_init_ts(inode);
	i_size_write(inode, bdev_nr_bytes(sb->s_bdev));
	inode->i_op = &cache_iops;
	inode->i_fop = &cache_fops;
	inode->i_mapping->a_ops = &cache_aops;
	/* An inode that is not hashed is never written back. */
	insert_inode_hash(inode);
	sb->s_root = d_make_root(inode);
	return sb->s_root ? 0 : -ENOMEM;
}

static int cache_get_tree(struct fs_context *fc)
{
	return get_tree_bdev(fc, cache_fill_super);
}

static const struct fs_context_operations cache_context_ops = { .get_tree = cache_get_tree };

static int cache_init_fs_context(struct fs_context *fc)
{
	fc->ops = &cache_context_ops;
	return 0;
}

static struct file_system_type cache_fs_type = {
	.owner = THIS_MODULE,
	.name = "lesson8_c",
	.fs_flags = FS_REQUIRES_DEV,
	.init_fs_context = cache_init_fs_context,
	.kill_sb = kill_block_super,
};

static long node_ioctl(struct file *node, unsigned int cmd, unsigned long number)
{
	char *buf __free(kfree) = kmalloc(PATH_MAX, GFP_KERNEL);
	CLASS(fd, disk)(number);
	struct vfsmount *mnt;
	struct path path;
	char *name;
	int fd;

	if (cmd != BACK)
		return -ENOTTY;
	if (fd_empty(disk))
		return -EBADF;
	if (!S_ISBLK(file_inode(fd_file(disk))->i_mode))
		return -EINVAL;
	if (~fd_file(disk)->f_mode & (FMODE_READ | FMODE_WRITE))
		return -EACCES;
	name = buf ? file_path(fd_file(disk), buf, PATH_MAX) : ERR_PTR(-ENOMEM);
	if (IS_ERR(name))
		return PTR_ERR(name);
	mnt = vfs_kern_mount(&cache_fs_type, 0, name, NULL);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	path = (struct path) { .mnt = mnt, .dentry = mnt->mnt_root };
	fd = FD_ADD(O_CLOEXEC, dentry_open(&path, O_RDWR | O_LARGEFILE, current_cred()));
	/* The file has the mount now. Its last close writes back, and gives the disk back. */
	mntput(mnt);
	return fd;
}

static const struct file_operations node_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = node_ioctl,
};

static struct miscdevice node = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &node_fops,
	.mode = 0600,
};

module_misc_device(node);
MODULE_DESCRIPTION("Lesson 8 in C: a backing file");
MODULE_LICENSE("GPL");
