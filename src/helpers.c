// SPDX-License-Identifier: GPL-2.0
/*
 * Static inline functions of the kernel's headers, for src/mm and src/fs.
 * src/helpers.rs declares them for Rust.
 */

#include <linux/backing-dev.h>
#include <linux/blkdev.h>
#include <linux/cpuset.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/pseudo_fs.h>
#include <linux/rcupdate_wait.h>
#include <linux/rmap.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include <linux/topology.h>
#include <linux/uio.h>
#include <linux/unroll.h>
#include <linux/userfaultfd_k.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>
#include <linux/writeback.h>

#include "helpers.h"

/*
 * For LLVM, clang and rustc compile for different processors, because they
 * name the same features in different ways. It inlines nothing then, unless it
 * must. As in rust/helpers/helpers.c of the kernel.
 */
#ifdef MMAP_POOL_BITCODE
#pragma clang attribute push([[clang::always_inline]], apply_to = function)
#endif

unsigned long mmap_pool_totalram_pages(void)
{
	return totalram_pages();
}

bool mmap_pool_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

void mmap_pool_cond_resched(void)
{
	cond_resched();
}

bool mmap_pool_has_mempolicy(void)
{
#ifdef CONFIG_NUMA
	return current->mempolicy;
#else
	return false;
#endif
}

#ifdef CONFIG_NUMA
/* The bindings do not have the members of struct mempolicy. */
unsigned short mmap_pool_mempolicy_mode(const struct mempolicy *policy)
{
	return policy->mode;
}

const nodemask_t *mmap_pool_mempolicy_nodes(const struct mempolicy *policy)
{
	return &policy->nodes;
}

int mmap_pool_mempolicy_home_node(const struct mempolicy *policy)
{
	return policy->home_node;
}
#endif

bool mmap_pool_node_isset(int nid, const nodemask_t *nodes)
{
	return node_isset(nid, *nodes);
}

bool mmap_pool_node_allowed(int nid)
{
	return node_isset(nid, cpuset_current_mems_allowed);
}

int mmap_pool_numa_mem_id(void)
{
	return numa_mem_id();
}

/* A macro if the kernel supports a single node only. */
unsigned int mmap_pool_nr_node_ids(void)
{
	return nr_node_ids;
}

bool mmap_pool_node_has_memory(int nid)
{
	return node_state(nid, N_MEMORY);
}

gfp_t mmap_pool_gfp_light(gfp_t gfp)
{
	return (gfp | __GFP_NOWARN | __GFP_NOMEMALLOC) & ~__GFP_RECLAIM;
}

gfp_t mmap_pool_gfp_this_node(gfp_t gfp)
{
	return gfp | __GFP_THISNODE;
}

/* 0 if the kernel has no huge pages. */
unsigned int mmap_pool_pmd_order(void)
{
	return IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ? PMD_ORDER : 0;
}

struct folio *mmap_pool_folio_alloc(gfp_t gfp, unsigned int order)
{
	return folio_alloc(gfp, order);
}

struct folio *mmap_pool_folio_alloc_nodes(gfp_t gfp, unsigned int order,
					  int nid, nodemask_t *nodes)
{
	return __folio_alloc(gfp, order, nid, nodes);
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

bool mmap_pool_folio_is_broken(struct folio *folio)
{
	return folio_contain_hwpoisoned_page(folio);
}

/*
 * Checks each page, because memory_failure() marks the page only. Marks the
 * first page too, so that folio_contain_hwpoisoned_page() sees it.
 */
bool mmap_pool_folio_set_aside_if_broken(struct folio *folio)
{
	const struct page *end = folio_page(folio, folio_nr_pages(folio));
	unsigned long flags = 0;

	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		return false;
	/* A huge page has 512 pages. Unrolled, a page costs 1.5 instructions. */
	unrolled_count(8)
	for (const struct page *page = &folio->page; page != end; page++)
		/* memory_failure() may set the flag at any time. */
		flags |= data_race(page->flags.f);
	if (likely(!(flags & __PG_HWPOISON)))
		return false;
	SetPageHWPoison(&folio->page);
	return true;
}

/* A folio that is on no list of the kernel may use its lru member. */
void mmap_pool_folio_set_next(struct folio *folio, struct folio *next)
{
	folio->lru.next = (struct list_head *)next;
}

struct folio *mmap_pool_folio_next(const struct folio *folio)
{
	return (struct folio *)folio->lru.next;
}

/* 0 if the folio has a hardware memory error. */
size_t mmap_pool_folio_whole_size(struct folio *folio)
{
	return folio_contain_hwpoisoned_page(folio) ? 0 : folio_size(folio);
}

pgoff_t mmap_pool_folio_next_index(const struct folio *folio)
{
	return folio_next_index(folio);
}

/* Rounds the size up, as __folio_split() does. */
bool mmap_pool_folio_ends_in_file(const struct folio *folio)
{
	loff_t size = i_size_read(folio->mapping->host);

	return folio_next_index(folio) <= DIV_ROUND_UP(size, PAGE_SIZE);
}

/* NULL if the folio does not hold that page of the page cache. */
struct page *mmap_pool_folio_mapping_page(struct folio *folio,
					  const struct address_space *mapping,
					  pgoff_t index)
{
	if (folio->mapping != mapping || !folio_contains(folio, index))
		return NULL;
	return folio_file_page(folio, index);
}

/*
 * Whether a PMD entry may resolve the fault. Private writes, and writes to a VMA
 * whose pages are all mapped without write access at first (soft-dirty,
 * userfaultfd), are handled page by page.
 */
bool mmap_pool_vmf_may_map_huge(const struct vm_fault *vmf)
{
	const struct vm_area_struct *vma = vmf->vma;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		return false;
	if (vmf->flags & FAULT_FLAG_WRITE &&
	    !pte_write(pfn_pte(0, vma->vm_page_prot)))
		return false;
	return pmd_none(pmdp_get_lockless(vmf->pmd)) &&
	       thp_vma_suitable_order(vmf->vma, vmf->address, PMD_ORDER);
}

/*
 * Maps the folio, which is locked, if it is huge. The caller has checked that
 * the VMA allows the access, so the entry need not be made writable here. For a
 * write vmf_insert_folio_pmd() would warn about a page table that another task
 * has inserted meanwhile, for example with MADV_GUARD_INSTALL.
 */
vm_fault_t mmap_pool_vmf_insert_huge(struct vm_fault *vmf, struct folio *folio)
{
	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ||
	    folio_order(folio) != PMD_ORDER ||
	    /* As do_set_pmd() in mm/memory.c. */
	    folio_test_has_hwpoisoned(folio))
		return VM_FAULT_FALLBACK;
	return vmf_insert_folio_pmd(vmf, folio, false);
}

/* As fault_dirty_shared_page() in mm/memory.c. */
void mmap_pool_vmf_update_time(const struct vm_fault *vmf)
{
	if (vmf->flags & FAULT_FLAG_WRITE)
		file_update_time(vmf->vma->vm_file);
}

#ifdef CONFIG_USERFAULTFD
/*
 * The core handles the faults of protected pages. Those of pages that are
 * missing or not mapped (MISSING, MINOR) are up to the fault handler of the
 * driver, and handle_userfault() is not exported.
 */
static bool can_userfault(struct vm_area_struct *vma, vm_flags_t vm_flags)
{
	return !(vm_flags & (VM_UFFD_MISSING | VM_UFFD_MINOR));
}

/*
 * UFFDIO_COPY and UFFDIO_ZEROPAGE call this without a check for NULL, whatever
 * the mapping is registered for. They fail with ENOMEM.
 */
static struct folio *alloc_no_folio(struct vm_area_struct *vma, unsigned long addr)
{
	return NULL;
}

const struct vm_uffd_ops mmap_pool_uffd_ops = {
	.can_userfault = can_userfault,
	.alloc_folio = alloc_no_folio,
};
#endif

void mmap_pool_folio_mark_uptodate(struct folio *folio)
{
	__folio_mark_uptodate(folio);
}

/* For a folio that is in a page cache. */
void mmap_pool_folio_set_uptodate(struct folio *folio)
{
	folio_mark_uptodate(folio);
}

void mmap_pool_folio_clear_uptodate(struct folio *folio)
{
	folio_clear_uptodate(folio);
}

bool mmap_pool_folio_test_uptodate(const struct folio *folio)
{
	return folio_test_uptodate(folio);
}

gfp_t mmap_pool_mapping_gfp_mask(struct address_space *mapping)
{
	return mapping_gfp_mask(mapping);
}

void mmap_pool_mapping_set_unevictable(struct address_space *mapping)
{
	mapping_set_unevictable(mapping);
}

void mmap_pool_mapping_set_max_order(struct address_space *mapping,
				     unsigned int order)
{
	mapping_set_folio_order_range(mapping, 0, order);
}

unsigned int mmap_pool_mapping_max_order(const struct address_space *mapping)
{
	return mapping_max_folio_order(mapping);
}

void mmap_pool_mapping_set_release_always(struct address_space *mapping)
{
	mapping_set_release_always(mapping);
}

/* NULL instead of an error: checking for an error is a call in Rust. */
struct folio *mmap_pool_filemap_get_folio(struct address_space *mapping,
					  pgoff_t index)
{
	struct folio *folio = filemap_get_folio(mapping, index);

	return IS_ERR(folio) ? NULL : folio;
}

/* Likewise. */
struct folio *mmap_pool_filemap_lock_folio(struct address_space *mapping,
					   pgoff_t index)
{
	struct folio *folio = filemap_lock_folio(mapping, index);

	return IS_ERR(folio) ? NULL : folio;
}

/* Likewise, or ERR_PTR(-EINTR) if the task is being killed. */
struct folio *
mmap_pool_filemap_lock_folio_killable(struct address_space *mapping,
				      pgoff_t index)
{
	for (;;) {
		struct folio *folio = filemap_get_folio(mapping, index);

		if (IS_ERR(folio))
			return NULL;
		if (folio_lock_killable(folio)) {
			folio_put(folio);
			return ERR_PTR(-EINTR);
		}
		if (folio->mapping == mapping && folio_contains(folio, index))
			return folio;
		folio_unlock(folio);
		folio_put(folio);
	}
}

/*
 * As mmap_pool_filemap_lock_folio(), and marks the folio as used. A single function,
 * because every fault calls it. A fault past the end fails, so it does not use the
 * folio.
 */
struct folio *mmap_pool_filemap_use_folio(struct address_space *mapping,
					  pgoff_t index)
{
	struct folio *folio = filemap_lock_folio(mapping, index);

	if (IS_ERR(folio))
		return NULL;
	if (unlikely(!folio_test_uptodate(folio)) &&
	    index < DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE))
		folio_mark_uptodate(folio);
	return folio;
}

/*
 * How many pages right before @index the page cache holds, at most @max. A step
 * is a folio. Like filemap_get_entry(), without a reference to the folios.
 */
unsigned long mmap_pool_mapping_nr_pages_before(struct address_space *mapping,
						pgoff_t index,
						unsigned long max)
{
	XA_STATE(xas, &mapping->i_pages, 0);
	pgoff_t start = index;

	rcu_read_lock();
	while (start && index - start < max) {
		void *entry;

		xas_set(&xas, start - 1);
		entry = xas_load(&xas);
		if (xas_retry(&xas, entry))
			continue;
		if (!entry)
			break;
		start = round_down(start - 1, 1UL << xas_get_order(&xas));
	}
	rcu_read_unlock();
	return min(index - start, max);
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
	/*
	 * A task that creates a writable mapping from now on sees earlier stores.
	 * Pairs with mapping_map_writable(), which orders the accesses after it.
	 */
	smp_mb__before_atomic();
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

struct inode *mmap_pool_d_inode(const struct dentry *dentry)
{
	return d_inode(dentry);
}

void mmap_pool_iov_iter_truncate(struct iov_iter *iter, u64 count)
{
	iov_iter_truncate(iter, count);
}

struct shrinker *mmap_pool_shrinker_alloc(const char *name)
{
	return shrinker_alloc(SHRINKER_NUMA_AWARE, "%s", name);
}

void mmap_pool_fsnotify_modify(struct file *file)
{
	fsnotify_modify(file);
}

void mmap_pool_fsnotify_resize(struct file *file)
{
	fsnotify_change(file->f_path.dentry, ATTR_SIZE);
}

void mmap_pool_file_accessed(struct file *file)
{
	file_accessed(file);
}

/* As do_dentry_open() does for files that are opened by name. */
void mmap_pool_file_set_up(struct file *file)
{
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	file_ra_state_init(&file->f_ra, file->f_mapping);
}

int mmap_pool_setlease(struct file *file, int arg, struct file_lease **lease,
		       void **priv)
{
	return generic_setlease(file, arg, lease, priv);
}

/* More than a line: the bindings do not have struct pseudo_fs_context. */
int mmap_pool_init_pseudo(struct fs_context *fc, unsigned long magic,
			  const struct super_operations *ops)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, magic);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = ops;
	/* A pool may contain code, as a memfd may. */
	fc->s_iflags &= ~SB_I_NOEXEC;
	/* There are no xattrs for a write to remove. */
	fc->sb_flags |= SB_NOSEC;
	return 0;
}

const struct cred *mmap_pool_current_cred(void)
{
	return current_cred();
}

/* More than a line: the bindings have none of the constants. */
int mmap_pool_check_backing(const struct file *file, bool writable)
{
	const struct inode *inode = file_inode(file);
	fmode_t mode = FMODE_READ | (writable ? FMODE_WRITE : 0);

	if ((file->f_mode & mode) != mode)
		return -EACCES;
	if (S_ISBLK(inode->i_mode))
		return 0;
	if (!S_ISREG(inode->i_mode))
		return -EINVAL;
	if (!(inode->i_sb->s_type->fs_flags & FS_REQUIRES_DEV) ||
	    inode->i_sb->s_magic == FUSE_SUPER_MAGIC)
		return -EOPNOTSUPP;
	if (IS_APPEND(inode) && writable)
		return -EACCES;
	if (IS_IMMUTABLE(inode) && writable)
		return -EPERM;
	if (IS_SWAPFILE(inode))
		return -ETXTBSY;
	return 0;
}

/* Another device may have the number of one that was removed. */
struct file *mmap_pool_bdev_open(const struct file *file, bool writable,
				 const void *holder)
{
	blk_mode_t mode = BLK_OPEN_READ | (writable ? BLK_OPEN_WRITE : 0);
	struct file *again = bdev_file_open_by_dev(file_inode(file)->i_rdev, mode,
						   (void *)holder, NULL);

	if (!IS_ERR(again) && again->f_mapping != file->f_mapping) {
		bdev_fput(again);
		again = ERR_PTR(-ENXIO);
	}
	return again;
}

/* A watcher fills it before it is read: see FAN_PRE_ACCESS. */
bool mmap_pool_file_is_filled_on_access(const struct file *file)
{
	return FMODE_FSNOTIFY_HSM(file->f_mode);
}

void mmap_pool_file_set_unwatched(struct file *file)
{
	file_set_fsnotify_mode(file, FMODE_NONOTIFY);
}

/* At once, so that the object can be opened again when this returns. */
void mmap_pool_close_backing(struct file *file)
{
	if (S_ISBLK(file_inode(file)->i_mode))
		bdev_fput(file);
	else
		__fput_sync(file);
}

bool mmap_pool_file_has_nowait(const struct file *file)
{
	return file->f_mode & FMODE_NOWAIT;
}

void mmap_pool_follow_backing(struct super_block *sb,
			      struct address_space *mapping,
			      const struct file *backing)
{
	const struct backing_dev_info *bdi = inode_to_bdi(backing->f_mapping->host);

	sb->s_bdi->ra_pages = bdi->ra_pages;
	sb->s_bdi->io_pages = bdi->io_pages;
	if (mapping_stable_writes(backing->f_mapping))
		mapping_set_stable_writes(mapping);
	/* A task may hold a lock of the object while it reclaims memory. */
	mapping_set_writeback_may_deadlock_on_reclaim(mapping);
}

void *mmap_pool_mempool_create(size_t size)
{
	return mempool_create_kmalloc_pool(2, size);
}

void mmap_pool_mempool_destroy(void *pool)
{
	mempool_destroy(pool);
}

void *mmap_pool_io_alloc_read(size_t size)
{
	return kmalloc(size, GFP_NOFS | __GFP_NOWARN);
}

/*
 * If there is no memory for @size bytes, an element of @pool. If there is none, waits for
 * one, or returns NULL.
 */
void *mmap_pool_io_alloc_write(void *pool, size_t size, bool waits, bool *pooled)
{
	void *io = kmalloc(size, GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN);

	*pooled = !io;
	return io ?: mempool_alloc(pool, waits ? GFP_NOFS : GFP_NOWAIT);
}

void mmap_pool_io_free(void *pool, void *io, bool pooled)
{
	if (pooled)
		mempool_free(io, pool);
	else
		kfree(io);
}

struct workqueue_struct *mmap_pool_alloc_workqueue(int max_active)
{
	return alloc_workqueue("mmap_pool", WQ_MEM_RECLAIM | WQ_UNBOUND,
			       max_active);
}

void mmap_pool_init_rwsem(struct rw_semaphore *sem)
{
	init_rwsem(sem);
}

/* Adds one to @count, if it is below @end. */
bool mmap_pool_increment_below(u64 *count, u64 end)
{
	s64 old = atomic64_read((atomic64_t *)count);

	do {
		if (old >= end)
			return false;
	} while (!atomic64_try_cmpxchg((atomic64_t *)count, &old, old + 1));
	return true;
}

/* Waits until @count is below @end, and adds one. */
void mmap_pool_wait_and_increment(u64 *count, u64 end)
{
	wait_var_event(count, mmap_pool_increment_below(count, end));
}

void mmap_pool_wait_for_zero(const u64 *count)
{
	wait_var_event((void *)count,
		       !atomic64_read_acquire((const atomic64_t *)count));
}

/* The last use of @count: the waiter may free it. The address is only compared. */
void mmap_pool_decrement_and_wake(u64 *count)
{
	atomic64_dec_return((atomic64_t *)count);
	wake_up_var(count);
}

void mmap_pool_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

void mmap_pool_queue_work(struct workqueue_struct *queue,
			  struct work_struct *work)
{
	queue_work(queue, work);
}

/*
 * I/O on a backing object must not wait for writeback of pools, as in
 * drivers/block/loop.c. It has the rights of the task that opened @file.
 */
const struct cred *mmap_pool_begin_io(const struct file *file,
				      unsigned int *flags)
{
	*flags = current->flags & PF_LOCAL_THROTTLE;
	current->flags |= PF_LOCAL_THROTTLE;
	*flags |= memalloc_noio_save();
	return override_creds(file->f_cred);
}

void mmap_pool_end_io(const struct cred *cred, unsigned int flags)
{
	revert_creds(cred);
	memalloc_noio_restore(flags & ~PF_LOCAL_THROTTLE);
	if (!(flags & PF_LOCAL_THROTTLE))
		current->flags &= ~PF_LOCAL_THROTTLE;
}

/* Security modules are asked about the one who opened @file, not about the task. */
ssize_t mmap_pool_read_as_opener(struct file *file, struct kiocb *kiocb,
				 struct iov_iter *iter)
{
	const struct cred *cred = override_creds(file->f_cred);
	ssize_t ret = vfs_iocb_iter_read(file, kiocb, iter);

	revert_creds(cred);
	return ret;
}

int mmap_pool_fallocate_as_opener(struct file *file, int mode, loff_t offset,
				  loff_t len)
{
	const struct cred *cred = override_creds(file->f_cred);
	int ret = vfs_fallocate(file, mode, offset, len);

	revert_creds(cred);
	return ret;
}

/* With a completion, the I/O does not wait. */
void mmap_pool_init_kiocb(struct kiocb *kiocb, struct file *file, loff_t pos,
			  bool direct, mmap_pool_complete_t complete)
{
	*kiocb = (struct kiocb) {
		.ki_filp = file,
		.ki_pos = pos,
		.ki_complete = complete,
		.ki_flags = (direct ? IOCB_DIRECT : 0) |
			    (complete ? IOCB_NOWAIT : 0),
	};
}

void mmap_pool_folio_zero(struct folio *folio, size_t start, size_t length)
{
	folio_zero_range(folio, start, length);
}

void mmap_pool_mapping_set_error(struct address_space *mapping, int error)
{
	mapping_set_error(mapping, error);
}

void mmap_pool_insert_inode_hash(struct inode *inode)
{
	insert_inode_hash(inode);
}

void mmap_pool_mapping_set_large_folios(struct address_space *mapping)
{
	mapping_set_large_folios(mapping);
}

struct folio *mmap_pool_readahead_folio(struct readahead_control *ractl)
{
	return readahead_folio(ractl);
}

loff_t mmap_pool_folio_pos(const struct folio *folio)
{
	return folio_pos(folio);
}

size_t mmap_pool_folio_size(const struct folio *folio)
{
	return folio_size(folio);
}

void mmap_pool_folio_start_writeback(struct folio *folio)
{
	folio_start_writeback(folio);
}

/* As folio_wait_stable(), but the task can be killed. */
static int wait_stable_killable(struct address_space *mapping,
				struct folio *folio)
{
	if (!mapping_stable_writes(mapping))
		return 0;
	return folio_wait_writeback_killable(folio);
}

/*
 * A locked folio to write @len bytes from @pos to, new if need be. A task that waits
 * for the folio can be killed.
 */
struct folio *mmap_pool_filemap_write_folio(struct address_space *mapping,
					    loff_t pos, size_t len)
{
	const fgf_t fgp = FGP_LOCK | FGP_WRITE;
	pgoff_t index = pos >> PAGE_SHIFT;
	gfp_t gfp = mapping_gfp_mask(mapping);
	struct folio *folio;
	int err;

	for (;;) {
		folio = __filemap_get_folio(mapping, index, fgp | FGP_NOWAIT,
					    gfp);
		if (folio == ERR_PTR(-ENOENT))
			folio = __filemap_get_folio(mapping, index,
						    fgp | FGP_CREAT | fgf_set_order(len),
						    gfp);
		if (folio != ERR_PTR(-EAGAIN))
			break;
		folio = filemap_get_folio(mapping, index);
		if (IS_ERR(folio))
			continue;
		err = folio_wait_locked_killable(folio);
		folio_put(folio);
		if (err)
			return ERR_PTR(err);
	}
	if (IS_ERR(folio))
		return folio;
	err = wait_stable_killable(mapping, folio);
	if (!err)
		return folio;
	folio_unlock(folio);
	folio_put(folio);
	return ERR_PTR(err);
}

/*
 * As filemap_page_mkwrite(), but a task that waits for the folio can be killed. Whoever
 * writes the folio back a second time holds its lock, and waits for the end of the first
 * time: see folio_prepare_writeback(). The end may wait for the object, and so for a task
 * that holds a lock of the object and stores to the folio.
 */
vm_fault_t mmap_pool_page_mkwrite(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct address_space *mapping = file->f_mapping;
	struct folio *folio = page_folio(vmf->page);
	/* Nothing is mapped. A task that is being killed does not touch it again. */
	vm_fault_t ret = VM_FAULT_NOPAGE;

	sb_start_pagefault(mapping->host->i_sb);
	file_update_time(file);
	if (folio_lock_killable(folio))
		goto out;
	if (folio->mapping != mapping)
		goto unlock;
	/* While the file system is being frozen, writeback has to see the folio. */
	folio_mark_dirty(folio);
	if (wait_stable_killable(mapping, folio))
		goto unlock;
	ret = VM_FAULT_LOCKED;
	goto out;
unlock:
	folio_unlock(folio);
out:
	sb_end_pagefault(mapping->host->i_sb);
	return ret;
}

/* Waits for the end of a read of @folio. The task can be killed. */
int mmap_pool_folio_wait_for_read(struct folio *folio)
{
	int err = folio_wait_locked_killable(folio);

	if (err)
		return err;
	return folio_test_uptodate(folio) ? 0 : -EIO;
}

struct folio *mmap_pool_page_folio(struct page *page)
{
	return page_folio(page);
}

unsigned long mmap_pool_folio_index(const struct folio *folio)
{
	return folio->index;
}

/*
 * Called with the folio locked. The next store to a mapping of it faults. Returns
 * whether stores that need no mapping may come: into a pinned page.
 */
bool mmap_pool_folio_protect(struct folio *folio)
{
	if (folio_mkclean(folio))
		filemap_dirty_folio(folio->mapping, folio);
	/* As in the other users of folio_maybe_dma_pinned(). */
	smp_mb();
	return folio_maybe_dma_pinned(folio);
}

size_t mmap_pool_count_tagged(struct address_space *mapping, bool writeback)
{
	xa_mark_t mark = writeback ? PAGECACHE_TAG_WRITEBACK : PAGECACHE_TAG_DIRTY;
	XA_STATE(xas, &mapping->i_pages, 0);
	struct folio *folio;
	size_t count = 0;

	rcu_read_lock();
	xas_for_each_marked(&xas, folio, ULONG_MAX, mark) {
		if (xas_retry(&xas, folio) || xa_is_value(folio))
			continue;
		count += 1UL << xas_get_order(&xas);
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
	return count;
}

ssize_t mmap_pool_write_sync(struct kiocb *kiocb, ssize_t count)
{
	return generic_write_sync(kiocb, count);
}

/*
 * The caller alone owns the mount, so the last reference unmounts it. The
 * super block gets @info; *@taken says whether it did.
 */
struct vfsmount *mmap_pool_mount_with(struct file_system_type *type, void *info,
				      bool *taken)
{
	struct fs_context *fc = fs_context_for_mount(type, SB_KERNMOUNT);
	struct vfsmount *mnt;

	*taken = false;
	if (IS_ERR(fc))
		return ERR_CAST(fc);
	fc->s_fs_info = info;
	mnt = fc_mount(fc);
	*taken = !fc->s_fs_info;
	fc->s_fs_info = NULL;
	put_fs_context(fc);
	return mnt;
}

/* sync() looks at the super block at the same time. */
int mmap_pool_set_up_bdi(struct super_block *sb)
{
	int ret;

	down_write(&sb->s_umount);
	ret = super_setup_bdi(sb);
	up_write(&sb->s_umount);
	return ret;
}

/*
 * Suspending freezes the super block before that of the backing object. Users freeze
 * the object's: a super block that nobody can name any more cannot be thawed.
 */
int mmap_pool_freeze_super(struct super_block *sb, enum freeze_holder who,
			   const void *owner)
{
	if (who & FREEZE_HOLDER_USERSPACE)
		return -EOPNOTSUPP;
	return freeze_super(sb, who, owner);
}

#ifdef MMAP_POOL_BITCODE
#pragma clang attribute pop
#endif
