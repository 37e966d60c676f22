// SPDX-License-Identifier: GPL-2.0
/*
 * The static inline functions of the kernel's headers that src/mm and src/fs
 * need, one line each. src/helpers.rs declares them for Rust.
 */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>

#include "helpers.h"

unsigned long mmap_pool_totalram_pages(void)
{
	return totalram_pages();
}

bool mmap_pool_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

struct folio *mmap_pool_folio_alloc(gfp_t gfp, unsigned int order)
{
	return folio_alloc(gfp, order);
}

void mmap_pool_folio_get(struct folio *folio)
{
	folio_get(folio);
}

void mmap_pool_folio_put(struct folio *folio)
{
	folio_put(folio);
}

unsigned long mmap_pool_folio_nr_pages(const struct folio *folio)
{
	return folio_nr_pages(folio);
}

struct page *mmap_pool_folio_file_page(struct folio *folio, pgoff_t index)
{
	return folio_file_page(folio, index);
}

void mmap_pool_folio_mark_uptodate(struct folio *folio)
{
	__folio_mark_uptodate(folio);
}

void mmap_pool_flush_dcache_folio(struct folio *folio)
{
	flush_dcache_folio(folio);
}

gfp_t mmap_pool_mapping_gfp_mask(struct address_space *mapping)
{
	return mapping_gfp_mask(mapping);
}

void mmap_pool_mapping_set_unevictable(struct address_space *mapping)
{
	mapping_set_unevictable(mapping);
}

struct folio *mmap_pool_filemap_get_folio(struct address_space *mapping,
					  pgoff_t index)
{
	return filemap_get_folio(mapping, index);
}

struct folio *mmap_pool_filemap_lock_folio(struct address_space *mapping,
					   pgoff_t index)
{
	return filemap_lock_folio(mapping, index);
}

void mmap_pool_filemap_invalidate_lock(struct address_space *mapping)
{
	filemap_invalidate_lock(mapping);
}

void mmap_pool_filemap_invalidate_unlock(struct address_space *mapping)
{
	filemap_invalidate_unlock(mapping);
}

void mmap_pool_filemap_invalidate_lock_shared(struct address_space *mapping)
{
	filemap_invalidate_lock_shared(mapping);
}

void mmap_pool_filemap_invalidate_unlock_shared(struct address_space *mapping)
{
	filemap_invalidate_unlock_shared(mapping);
}

int mmap_pool_mapping_deny_writable(struct address_space *mapping)
{
	return mapping_deny_writable(mapping);
}

void mmap_pool_mapping_allow_writable(struct address_space *mapping)
{
	mapping_allow_writable(mapping);
}

loff_t mmap_pool_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

void mmap_pool_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

void mmap_pool_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

void mmap_pool_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

struct inode *mmap_pool_d_inode(const struct dentry *dentry)
{
	return d_inode(dentry);
}

void mmap_pool_file_accessed(struct file *file)
{
	file_accessed(file);
}

/* What do_dentry_open() does for files that are opened by name. */
void mmap_pool_file_set_seekable(struct file *file)
{
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
}

/* Not one line: struct pseudo_fs_context is unknown to the bindings. */
int mmap_pool_init_pseudo(struct fs_context *fc, unsigned long magic,
			  const struct super_operations *ops)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, magic);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = ops;
	/* A pool may hold code, as memfd may. */
	fc->s_iflags &= ~SB_I_NOEXEC;
	return 0;
}
