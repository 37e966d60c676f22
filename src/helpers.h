/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MMAP_POOL_HELPERS_H
#define _MMAP_POOL_HELPERS_H

#include <linux/mm_types.h>
#include <linux/nodemask_types.h>
#include <linux/types.h>
#include <linux/workqueue_types.h>

struct address_space;
struct cred;
struct dentry;
struct file;
struct file_lease;
struct file_system_type;
struct folio;
struct fs_context;
struct inode;
struct iov_iter;
struct kiocb;
struct mempolicy;
struct page;
struct readahead_control;
struct rw_semaphore;
struct shrinker;
struct super_block;
struct super_operations;
struct vfsmount;
struct vm_fault;
struct work_struct;
struct workqueue_struct;

typedef void (*mmap_pool_complete_t)(struct kiocb *kiocb, long ret);

unsigned long mmap_pool_totalram_pages(void);
bool mmap_pool_fatal_signal_pending(void);

void mmap_pool_cond_resched(void);
bool mmap_pool_has_mempolicy(void);
unsigned short mmap_pool_mempolicy_mode(const struct mempolicy *policy);
const nodemask_t *mmap_pool_mempolicy_nodes(const struct mempolicy *policy);
int mmap_pool_mempolicy_home_node(const struct mempolicy *policy);
bool mmap_pool_node_isset(int nid, const nodemask_t *nodes);
bool mmap_pool_node_allowed(int nid);
int mmap_pool_numa_mem_id(void);
unsigned int mmap_pool_nr_node_ids(void);
bool mmap_pool_node_has_memory(int nid);
gfp_t mmap_pool_gfp_light(gfp_t gfp);
gfp_t mmap_pool_gfp_this_node(gfp_t gfp);
unsigned int mmap_pool_pmd_order(void);

struct folio *mmap_pool_folio_alloc(gfp_t gfp, unsigned int order);
struct folio *mmap_pool_folio_alloc_nodes(gfp_t gfp, unsigned int order,
					  int nid, nodemask_t *nodes);
void mmap_pool_folio_get(struct folio *folio);
void mmap_pool_folio_put(struct folio *folio);
unsigned long mmap_pool_folio_nr_pages(const struct folio *folio);
bool mmap_pool_folio_is_broken(struct folio *folio);
bool mmap_pool_folio_set_aside_if_broken(struct folio *folio);
void mmap_pool_folio_set_next(struct folio *folio, struct folio *next);
struct folio *mmap_pool_folio_next(const struct folio *folio);
size_t mmap_pool_folio_whole_size(struct folio *folio);
pgoff_t mmap_pool_folio_next_index(const struct folio *folio);
bool mmap_pool_folio_ends_in_file(const struct folio *folio);
struct page *mmap_pool_folio_mapping_page(struct folio *folio,
					  const struct address_space *mapping,
					  pgoff_t index);
bool mmap_pool_vmf_may_map_huge(const struct vm_fault *vmf);
void mmap_pool_vmf_update_time(const struct vm_fault *vmf);
vm_fault_t mmap_pool_vmf_insert_huge(struct vm_fault *vmf, struct folio *folio);
#ifdef CONFIG_USERFAULTFD
extern const struct vm_uffd_ops mmap_pool_uffd_ops;
#endif
void mmap_pool_folio_mark_uptodate(struct folio *folio);
void mmap_pool_folio_set_uptodate(struct folio *folio);
void mmap_pool_folio_clear_uptodate(struct folio *folio);
bool mmap_pool_folio_test_uptodate(const struct folio *folio);

gfp_t mmap_pool_mapping_gfp_mask(struct address_space *mapping);
void mmap_pool_mapping_set_unevictable(struct address_space *mapping);
void mmap_pool_mapping_set_max_order(struct address_space *mapping,
				     unsigned int order);
unsigned int mmap_pool_mapping_max_order(const struct address_space *mapping);
void mmap_pool_mapping_set_release_always(struct address_space *mapping);
struct folio *mmap_pool_filemap_get_folio(struct address_space *mapping,
					  pgoff_t index);
struct folio *
mmap_pool_filemap_lock_folio_killable(struct address_space *mapping,
				      pgoff_t index);
struct folio *mmap_pool_filemap_lock_folio(struct address_space *mapping,
					   pgoff_t index);
struct folio *mmap_pool_filemap_use_folio(struct address_space *mapping,
					  pgoff_t index);
unsigned long mmap_pool_mapping_nr_pages_before(struct address_space *mapping,
						pgoff_t index,
						unsigned long max);
void mmap_pool_filemap_invalidate_lock(struct address_space *mapping);
void mmap_pool_filemap_invalidate_unlock(struct address_space *mapping);
void mmap_pool_filemap_invalidate_lock_shared(struct address_space *mapping);
void mmap_pool_filemap_invalidate_unlock_shared(struct address_space *mapping);
int mmap_pool_mapping_deny_writable(struct address_space *mapping);
void mmap_pool_mapping_allow_writable(struct address_space *mapping);

loff_t mmap_pool_i_size_read(const struct inode *inode);
void mmap_pool_i_size_write(struct inode *inode, loff_t size);
struct inode *mmap_pool_d_inode(const struct dentry *dentry);
void mmap_pool_iov_iter_truncate(struct iov_iter *iter, u64 count);
struct shrinker *mmap_pool_shrinker_alloc(const char *name);
void mmap_pool_fsnotify_modify(struct file *file);
void mmap_pool_fsnotify_resize(struct file *file);
void mmap_pool_file_accessed(struct file *file);
void mmap_pool_file_set_up(struct file *file);
int mmap_pool_setlease(struct file *file, int arg, struct file_lease **lease,
		       void **priv);

int mmap_pool_init_pseudo(struct fs_context *fc, unsigned long magic,
			  const struct super_operations *ops);

const struct cred *mmap_pool_current_cred(void);
int mmap_pool_check_backing(const struct file *file, bool writable);
struct file *mmap_pool_bdev_open(const struct file *file, bool writable,
				 const void *holder);
bool mmap_pool_file_is_filled_on_access(const struct file *file);
void mmap_pool_file_set_unwatched(struct file *file);
void mmap_pool_close_backing(struct file *file);
bool mmap_pool_file_has_nowait(const struct file *file);
void mmap_pool_follow_backing(struct super_block *sb,
			      struct address_space *mapping,
			      const struct file *backing);
void *mmap_pool_mempool_create(size_t size);
void mmap_pool_mempool_destroy(void *pool);
void *mmap_pool_io_alloc_read(size_t size);
void *mmap_pool_io_alloc_write(void *pool, size_t size, bool waits, bool *pooled);
void mmap_pool_io_free(void *pool, void *io, bool pooled);
struct workqueue_struct *mmap_pool_alloc_workqueue(int max_active);
void mmap_pool_init_rwsem(struct rw_semaphore *sem);
bool mmap_pool_increment_below(u64 *count, u64 end);
void mmap_pool_wait_and_increment(u64 *count, u64 end);
void mmap_pool_wait_for_zero(const u64 *count);
void mmap_pool_decrement_and_wake(u64 *count);
void mmap_pool_init_work(struct work_struct *work, work_func_t func);
void mmap_pool_queue_work(struct workqueue_struct *queue,
			  struct work_struct *work);
const struct cred *mmap_pool_begin_io(const struct file *file,
				      unsigned int *flags);
void mmap_pool_end_io(const struct cred *cred, unsigned int flags);
ssize_t mmap_pool_read_as_opener(struct file *file, struct kiocb *kiocb,
				 struct iov_iter *iter);
int mmap_pool_fallocate_as_opener(struct file *file, int mode, loff_t offset,
				  loff_t len);
void mmap_pool_init_kiocb(struct kiocb *kiocb, struct file *file, loff_t pos,
			  bool direct, mmap_pool_complete_t complete);
void mmap_pool_folio_zero(struct folio *folio, size_t start, size_t length);
void mmap_pool_mapping_set_error(struct address_space *mapping, int error);
void mmap_pool_insert_inode_hash(struct inode *inode);
void mmap_pool_mapping_set_large_folios(struct address_space *mapping);
struct folio *mmap_pool_readahead_folio(struct readahead_control *ractl);
loff_t mmap_pool_folio_pos(const struct folio *folio);
size_t mmap_pool_folio_size(const struct folio *folio);
void mmap_pool_folio_start_writeback(struct folio *folio);
struct folio *mmap_pool_filemap_write_folio(struct address_space *mapping,
					    loff_t pos, size_t len);
vm_fault_t mmap_pool_page_mkwrite(struct vm_fault *vmf);
int mmap_pool_folio_wait_for_read(struct folio *folio);
struct folio *mmap_pool_page_folio(struct page *page);
unsigned long mmap_pool_folio_index(const struct folio *folio);
bool mmap_pool_folio_protect(struct folio *folio);
size_t mmap_pool_count_tagged(struct address_space *mapping, bool writeback);
ssize_t mmap_pool_write_sync(struct kiocb *kiocb, ssize_t count);
struct vfsmount *mmap_pool_mount_with(struct file_system_type *type, void *info,
				      bool *taken);
int mmap_pool_set_up_bdi(struct super_block *sb);
int mmap_pool_freeze_super(struct super_block *sb, enum freeze_holder who,
			   const void *owner);

#endif /* _MMAP_POOL_HELPERS_H */
