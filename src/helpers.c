// SPDX-License-Identifier: GPL-2.0
/*
 * The static inline functions of the kernel's headers that src/mm and src/fs
 * need, one line each. src/helpers.rs declares them for Rust.
 */

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>

#include "helpers.h"

unsigned long mmap_pool_totalram_pages(void)
{
	return totalram_pages();
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

/* Not one line: struct pseudo_fs_context is unknown to the bindings. */
int mmap_pool_init_pseudo(struct fs_context *fc, unsigned long magic,
			  const struct super_operations *ops)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, magic);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = ops;
	return 0;
}
