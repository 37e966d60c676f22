/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MMAP_POOL_HELPERS_H
#define _MMAP_POOL_HELPERS_H

#include <linux/types.h>

struct address_space;
struct folio;
struct fs_context;
struct inode;
struct page;
struct super_operations;

unsigned long mmap_pool_totalram_pages(void);

struct folio *mmap_pool_folio_alloc(gfp_t gfp, unsigned int order);
void mmap_pool_folio_get(struct folio *folio);
void mmap_pool_folio_put(struct folio *folio);
struct page *mmap_pool_folio_file_page(struct folio *folio, pgoff_t index);
void mmap_pool_folio_mark_uptodate(struct folio *folio);
void mmap_pool_flush_dcache_folio(struct folio *folio);

gfp_t mmap_pool_mapping_gfp_mask(struct address_space *mapping);
void mmap_pool_mapping_set_unevictable(struct address_space *mapping);
struct folio *mmap_pool_filemap_get_folio(struct address_space *mapping,
					  pgoff_t index);
struct folio *mmap_pool_filemap_lock_folio(struct address_space *mapping,
					   pgoff_t index);

loff_t mmap_pool_i_size_read(const struct inode *inode);
void mmap_pool_i_size_write(struct inode *inode, loff_t size);
void mmap_pool_inode_lock(struct inode *inode);
void mmap_pool_inode_unlock(struct inode *inode);

int mmap_pool_init_pseudo(struct fs_context *fc, unsigned long magic,
			  const struct super_operations *ops);

#endif /* _MMAP_POOL_HELPERS_H */
