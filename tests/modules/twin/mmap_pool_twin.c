// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmap_pool_twin: the pool of mmap_pool.ko once more, in C, for the benchmark
 * to tell what Rust costs.
 *
 * It does the same work in the same order and calls the same functions of the
 * kernel. What costs nothing on the paths that are measured is left out: the default
 * pool, the eager strategy, seals but for their checks, holes, shrinking of pools and of
 * the reserve, revocation.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpuset.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/topology.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <linux/mmap_pool.h>

struct pool {
	u32 strategy;
	u32 seals;
	bool is_revoked;
	atomic64_t nr_fault_hits;
	atomic64_t nr_fault_misses;
	atomic64_t nr_fault_refusals;
	atomic64_t nr_batched_pages;
	atomic64_t nr_huge_faults;
	atomic64_t nr_allocated_pages;
};

static struct file_system_type pool_fs_type;
static struct vfsmount *pool_mnt;
static int pool_mnt_count;
static const struct file_operations pool_fops;

static atomic64_t nr_pools;
static atomic64_t nr_resident_pages;
static u64 nr_limit_pages;
static atomic64_t nr_refused_pages;

static struct pool *pool_of(const struct inode *inode)
{
	return inode->i_private;
}

/* Counts pages that are about to enter a pool. */
static int charge(unsigned long nr_pages)
{
	u64 limit = READ_ONCE(nr_limit_pages);
	s64 before = atomic64_read(&nr_resident_pages);

	do {
		if (before + nr_pages > limit) {
			if (nr_pages == 1)
				atomic64_inc(&nr_refused_pages);
			return -ENOSPC;
		}
	} while (!atomic64_try_cmpxchg_relaxed(&nr_resident_pages, &before, before + nr_pages));
	return 0;
}

static void uncharge(unsigned long nr_pages)
{
	atomic64_sub(nr_pages, &nr_resident_pages);
}

/*
 * The reserve: folios that were zeroed in advance.
 */

static ulong reserve_mb = 16;
module_param(reserve_mb, ulong, 0444);
MODULE_PARM_DESC(reserve_mb, "MiB to keep zeroed in advance");

struct shelf {
	unsigned int order;
	size_t nr_folios;
	size_t capacity;
	struct folio **folios;
};

/* The folios of one node. */
struct stock {
	int node;
	/* Of all that follows. */
	spinlock_t lock;
	/* The largest folios come first. */
	struct shelf shelves[3];
	u64 nr_hits;
};

static struct stock *stocks;
static unsigned int nr_stocks;
static atomic64_t nr_reserve_misses;

static void fill_stock(struct stock *stock)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_HIGHMEM | __GFP_ZERO | __GFP_NOWARN |
			  __GFP_NOMEMALLOC | __GFP_THISNODE;

	for (int i = ARRAY_SIZE(stock->shelves) - 1; i >= 0; i--) {
		struct shelf *shelf = &stock->shelves[i];

		while (READ_ONCE(shelf->nr_folios) < shelf->capacity) {
			struct folio *folio = __folio_alloc_node(gfp & ~__GFP_RECLAIM,
								 shelf->order, stock->node);

			if (!folio)
				return;
			__folio_mark_uptodate(folio);
			/* Nobody else adds folios. */
			scoped_guard(spinlock, &stock->lock)
				shelf->folios[shelf->nr_folios++] = folio;
			cond_resched();
		}
	}
}

static void fill_reserve(struct work_struct *work)
{
	for (unsigned int i = 0; i < nr_stocks; i++)
		fill_stock(&stocks[i]);
}

static DECLARE_WORK(fill_work, fill_reserve);

/* The stock where the running task gets its memory from. */
static struct stock *preferred_stock(void)
{
	int node = numa_mem_id();

#ifdef CONFIG_NUMA
	if (current->mempolicy)
		return NULL;
#endif
	if (!node_isset(node, cpuset_current_mems_allowed))
		return NULL;
	for (unsigned int i = 0; i < nr_stocks; i++)
		if (stocks[i].node == node)
			return &stocks[i];
	return NULL;
}

static struct folio *take_from(struct stock *stock, unsigned int order, bool *is_due)
{
	guard(spinlock)(&stock->lock);
	*is_due = false;
	for (int i = 0; i < ARRAY_SIZE(stock->shelves); i++) {
		struct shelf *shelf = &stock->shelves[i];

		if (shelf->order != order)
			continue;
		if (!shelf->nr_folios) {
			*is_due = shelf->capacity;
			return NULL;
		}
		shelf->nr_folios--;
		*is_due = shelf->nr_folios == shelf->capacity / 2;
		stock->nr_hits += 1UL << order;
		return shelf->folios[shelf->nr_folios];
	}
	return NULL;
}

/* A zeroed folio. */
static struct folio *reserve_folio(gfp_t gfp, unsigned int order)
{
	struct stock *stock = preferred_stock();
	struct folio *folio;
	bool is_due;

	if (stock) {
		folio = take_from(stock, order, &is_due);
		if (is_due)
			queue_work(system_dfl_wq, &fill_work);
		if (folio)
			return folio;
	}
	if (order)
		gfp = (gfp | __GFP_NOWARN | __GFP_NOMEMALLOC) & ~__GFP_RECLAIM;
	folio = folio_alloc(gfp | __GFP_ZERO, order);
	if (folio) {
		__folio_mark_uptodate(folio);
		atomic64_add(1UL << order, &nr_reserve_misses);
	}
	return folio;
}

static unsigned int max_order(u32 strategy)
{
	unsigned int huge = IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ? PMD_ORDER : 0;

	switch (strategy) {
	case MMAP_POOL_STRATEGY_PAGE:
		return 0;
	case MMAP_POOL_STRATEGY_AROUND:
		return min(huge, (unsigned int)ilog2(SZ_64K / PAGE_SIZE));
	default:
		return huge;
	}
}

static void free_reserve(void)
{
	cancel_work_sync(&fill_work);
	for (unsigned int i = 0; i < nr_stocks; i++)
		for (int j = 0; j < ARRAY_SIZE(stocks[i].shelves); j++) {
			struct shelf *shelf = &stocks[i].shelves[j];

			while (shelf->nr_folios)
				folio_put(shelf->folios[--shelf->nr_folios]);
			kvfree(shelf->folios);
		}
	kfree(stocks);
}

static int make_reserve(void)
{
	/* Half of it for huge folios, a quarter for windows, a quarter for single pages. */
	static const struct {
		u32 strategy;
		unsigned int part;
	} parts[] = {
		{ MMAP_POOL_STRATEGY_HUGE, 2 },
		{ MMAP_POOL_STRATEGY_AROUND, 4 },
		{ MMAP_POOL_STRATEGY_PAGE, 4 },
	};
	int node;

	stocks = kzalloc_objs(*stocks, num_node_state(N_MEMORY));
	if (!stocks)
		return -ENOMEM;
	for_each_node_state(node, N_MEMORY) {
		struct stock *stock = &stocks[nr_stocks++];

		stock->node = node;
		spin_lock_init(&stock->lock);
		for (int i = 0; i < ARRAY_SIZE(parts); i++) {
			struct shelf *shelf = &stock->shelves[i];

			shelf->order = max_order(parts[i].strategy);
			shelf->capacity = (reserve_mb << 20) / num_node_state(N_MEMORY) /
					  parts[i].part >> (PAGE_SHIFT + shelf->order);
			shelf->folios = kvmalloc_objs(*shelf->folios, shelf->capacity);
			if (!shelf->folios) {
				free_reserve();
				return -ENOMEM;
			}
		}
	}
	queue_work(system_dfl_wq, &fill_work);
	return 0;
}

/*
 * Which folio belongs where.
 */

/* Where pages may be, in pages. */
struct bounds {
	const struct inode *inode;
	/* Not the inode's size but these, if a write may make it larger. */
	bool is_fixed;
	pgoff_t end;
	pgoff_t large_end;
};

static pgoff_t nr_pages_of(const struct inode *inode)
{
	return DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE);
}

static pgoff_t end_of(const struct bounds *bounds)
{
	return bounds->is_fixed ? bounds->end : nr_pages_of(bounds->inode);
}

static pgoff_t large_end_of(const struct bounds *bounds)
{
	return bounds->is_fixed ? bounds->large_end : nr_pages_of(bounds->inode);
}

static struct bounds bounds_up_to(const struct inode *inode, loff_t len)
{
	return (struct bounds) {
		.inode = inode,
		.is_fixed = true,
		.end = ULONG_MAX,
		.large_end = DIV_ROUND_UP_ULL(max(len, i_size_read(inode)), PAGE_SIZE),
	};
}

static bool is_within(const struct bounds *bounds, pgoff_t start, unsigned int order)
{
	return start + (1UL << order) <= (order ? large_end_of(bounds) : end_of(bounds));
}

/* Allocates the folio that is to hold the page, and returns it locked. */
static struct folio *add_folio(struct inode *inode, pgoff_t pgoff, unsigned int order,
			       const struct bounds *bounds)
{
	struct address_space *mapping = inode->i_mapping;
	unsigned long nr_pages = 1UL << order;
	pgoff_t start = round_down(pgoff, nr_pages);
	unsigned long found = start;
	struct folio *folio;
	int ret;

	if (!is_within(bounds, start, order))
		return ERR_PTR(-ENXIO);
	if (order && xa_find(&mapping->i_pages, &found, start + nr_pages - 1, XA_PRESENT))
		return ERR_PTR(-EEXIST);
	ret = charge(nr_pages);
	if (ret)
		return ERR_PTR(ret);
	folio = reserve_folio(mapping_gfp_mask(mapping), order);
	if (!folio) {
		uncharge(nr_pages);
		return ERR_PTR(-ENOMEM);
	}

	filemap_invalidate_lock_shared(mapping);
	ret = -ENXIO;
	if (is_within(bounds, start, order))
		ret = filemap_add_folio(mapping, folio, start, mapping_gfp_mask(mapping));
	if (!ret) {
		folio_mark_dirty(folio);
		atomic64_add(nr_pages, &pool_of(inode)->nr_allocated_pages);
	}
	filemap_invalidate_unlock_shared(mapping);
	if (!ret)
		return folio;
	folio_put(folio);
	uncharge(nr_pages);
	return ERR_PTR(ret);
}

/* The folio that holds the page, locked. NULL if there is none. */
static struct folio *found_folio(struct inode *inode, pgoff_t pgoff, const struct bounds *bounds)
{
	struct folio *folio = filemap_lock_folio(inode->i_mapping, pgoff);

	if (IS_ERR(folio))
		return NULL;
	if (pgoff < end_of(bounds))
		return folio;
	folio_unlock(folio);
	folio_put(folio);
	return ERR_PTR(-ENXIO);
}

/* The order that the strategy wants. AUTO continues a run of pages with as many. */
static unsigned int order_at(struct inode *inode, pgoff_t pgoff)
{
	unsigned int order = mapping_max_folio_order(inode->i_mapping);
	XA_STATE(xas, &inode->i_mapping->i_pages, 0);
	pgoff_t start = pgoff;

	if (pool_of(inode)->strategy != MMAP_POOL_STRATEGY_AUTO)
		return order;
	if (!pgoff)
		return 0;
	order = min_t(unsigned int, order, __ffs(pgoff));
	rcu_read_lock();
	while (order && start && pgoff - start < 1UL << order) {
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
	return pgoff == start ? 0 : min_t(unsigned int, order, ilog2(pgoff - start));
}

/* The folio that holds the page, allocated if there is none, locked. */
static struct folio *locked_folio(struct inode *inode, pgoff_t pgoff, const struct bounds *bounds,
				  bool *is_new)
{
	struct folio *folio;

	for (;;) {
		*is_new = false;
		folio = found_folio(inode, pgoff, bounds);
		if (folio)
			return folio;
		*is_new = true;
		for (int order = order_at(inode, pgoff); order >= 0; order--) {
			folio = add_folio(inode, pgoff, order, bounds);
			if (!IS_ERR(folio))
				return folio;
		}
		if (PTR_ERR(folio) != -EEXIST)
			return folio;
	}
}

static void count_fault(struct pool *pool, const struct folio *folio, bool is_new)
{
	unsigned long nr_pages = folio_nr_pages(folio);

	if (is_new) {
		atomic64_inc(&pool->nr_fault_misses);
		atomic64_add(nr_pages - 1, &pool->nr_batched_pages);
	} else {
		atomic64_inc(&pool->nr_fault_hits);
	}
	if (nr_pages > 1 && nr_pages == 1UL << max_order(MMAP_POOL_STRATEGY_HUGE))
		atomic64_inc(&pool->nr_huge_faults);
}

static vm_fault_t pool_fault(struct vm_fault *vmf)
{
	struct inode *inode = vmf->vma->vm_file->f_mapping->host;
	const struct bounds bounds = { .inode = inode };
	struct pool *pool = pool_of(inode);
	struct folio *folio;
	bool is_new;

	folio = locked_folio(inode, vmf->pgoff, &bounds, &is_new);
	if (IS_ERR(folio)) {
		atomic64_inc(&pool->nr_fault_refusals);
		return vmf_error(PTR_ERR(folio));
	}
	count_fault(pool, folio, is_new);
	vmf->page = folio_file_page(folio, vmf->pgoff);
	return VM_FAULT_LOCKED;
}

static vm_fault_t pool_huge_fault(struct vm_fault *vmf, unsigned int order)
{
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	const struct vm_area_struct *vma = vmf->vma;
	struct inode *inode = vma->vm_file->f_mapping->host;
	const struct bounds bounds = { .inode = inode };
	struct pool *pool = pool_of(inode);
	vm_fault_t ret = VM_FAULT_FALLBACK;
	struct folio *folio;
	bool is_new;

	if (order != PMD_ORDER || max_order(pool->strategy) != PMD_ORDER ||
	    !pmd_none(pmdp_get_lockless(vmf->pmd)) ||
	    (vmf->flags & FAULT_FLAG_WRITE && !pte_write(pfn_pte(0, vma->vm_page_prot))) ||
	    !thp_vma_suitable_order(vmf->vma, vmf->address, PMD_ORDER))
		return VM_FAULT_FALLBACK;
	folio = found_folio(inode, vmf->pgoff, &bounds);
	is_new = !folio;
	if (is_new) {
		if (order_at(inode, vmf->pgoff) < PMD_ORDER)
			return VM_FAULT_FALLBACK;
		folio = add_folio(inode, vmf->pgoff, PMD_ORDER, &bounds);
	}
	if (IS_ERR(folio))
		return VM_FAULT_FALLBACK;
	if (folio_order(folio) == PMD_ORDER && !folio_test_has_hwpoisoned(folio) &&
	    folio_pos(folio) + folio_size(folio) <= i_size_read(inode)) {
		count_fault(pool, folio, is_new);
		ret = vmf_insert_folio_pmd(vmf, folio, false);
	}
	folio_unlock(folio);
	folio_put(folio);
	if (vmf->flags & FAULT_FLAG_WRITE && ret != VM_FAULT_FALLBACK)
		file_update_time(vma->vm_file);
	return ret;
#else
	return VM_FAULT_FALLBACK;
#endif
}

static const struct vm_operations_struct pool_vm_ops = {
	.fault = pool_fault,
	.huge_fault = pool_huge_fault,
	.map_pages = filemap_map_pages,
};

static int pool_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct pool *pool = pool_of(file->f_mapping->host);

	if (READ_ONCE(pool->is_revoked))
		return -ENODEV;
	if (READ_ONCE(pool->seals) & MMAP_POOL_SEAL_WRITE && vma->vm_flags & VM_SHARED)
		return -EPERM;
	file_accessed(file);
	vma->vm_ops = &pool_vm_ops;
	return 0;
}

static ssize_t pool_read_iter(struct kiocb *kiocb, struct iov_iter *iov)
{
	struct inode *inode = kiocb->ki_filp->f_mapping->host;
	ssize_t done = 0;

	if (READ_ONCE(pool_of(inode)->is_revoked))
		return -ENODEV;
	while (iov_iter_count(iov)) {
		loff_t pos = kiocb->ki_pos + done;
		loff_t size = i_size_read(inode);
		struct folio *folio;
		size_t offset, len, copied;

		if (pos >= size)
			break;
		len = min_t(u64, iov_iter_count(iov), size - pos);
		folio = filemap_get_folio(inode->i_mapping, pos >> PAGE_SHIFT);
		if (IS_ERR(folio)) {
			len = min(len, PAGE_SIZE - offset_in_page(pos));
			copied = iov_iter_zero(len, iov);
		} else {
			if (folio_contain_hwpoisoned_page(folio)) {
				folio_put(folio);
				if (!done)
					return -EIO;
				break;
			}
			offset = offset_in_folio(folio, pos);
			len = min(len, folio_size(folio) - offset);
			copied = copy_page_to_iter(&folio->page, offset, len, iov);
			folio_put(folio);
		}
		done += copied;
		if (copied < len) {
			if (!done)
				return -EFAULT;
			break;
		}
	}
	kiocb->ki_pos += done;
	file_accessed(kiocb->ki_filp);
	return done;
}

/* The folio stays locked while the kernel copies, or migration loses the bytes. */
static int pool_write_begin(const struct kiocb *kiocb, struct address_space *mapping,
			    loff_t pos, unsigned int len, struct folio **foliop,
			    void **fsdata)
{
	struct inode *inode = mapping->host;
	const struct bounds bounds = bounds_up_to(inode, pos + len);
	struct folio *folio;
	bool is_new;

	if (READ_ONCE(pool_of(inode)->is_revoked))
		return -ENODEV;
	folio = locked_folio(inode, pos >> PAGE_SHIFT, &bounds, &is_new);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (folio_contain_hwpoisoned_page(folio)) {
		folio_unlock(folio);
		folio_put(folio);
		return -EIO;
	}
	*foliop = folio;
	return 0;
}

static int pool_write_end(const struct kiocb *kiocb, struct address_space *mapping,
			  loff_t pos, unsigned int len, unsigned int copied,
			  struct folio *folio, void *fsdata)
{
	folio_unlock(folio);
	folio_put(folio);
	if (copied && pos + copied > i_size_read(mapping->host))
		i_size_write(mapping->host, pos + copied);
	return copied;
}

static ssize_t pool_write_iter(struct kiocb *kiocb, struct iov_iter *iov)
{
	struct inode *inode = kiocb->ki_filp->f_mapping->host;
	struct pool *pool = pool_of(inode);
	ssize_t wanted, ret;

	ret = inode_lock_killable(inode);
	if (ret)
		return ret;
	ret = generic_write_checks(kiocb, iov);
	if (ret <= 0)
		goto out;
	ret = file_modified(kiocb->ki_filp);
	if (ret)
		goto out;
	ret = -ENODEV;
	if (READ_ONCE(pool->is_revoked))
		goto out;
	ret = -EPERM;
	if (READ_ONCE(pool->seals) & MMAP_POOL_SEAL_WRITE)
		goto out;
	if (READ_ONCE(pool->seals) & MMAP_POOL_SEAL_GROW) {
		if (kiocb->ki_pos >= i_size_read(inode))
			goto out;
		iov_iter_truncate(iov, i_size_read(inode) - kiocb->ki_pos);
	}
	wanted = iov_iter_count(iov);
	ret = generic_perform_write(kiocb, iov);
	if (ret != wanted) {
		filemap_invalidate_lock(inode->i_mapping);
		truncate_setsize(inode, i_size_read(inode));
		filemap_invalidate_unlock(inode->i_mapping);
	}
out:
	inode_unlock(inode);
	return ret;
}

static long pool_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file->f_mapping->host;
	const struct bounds bounds = bounds_up_to(inode, offset + len);
	pgoff_t pgoff = offset >> PAGE_SHIFT;
	pgoff_t end = DIV_ROUND_UP_ULL(offset + len, PAGE_SIZE);
	struct folio *folio;
	bool is_new;

	if (mode)
		return -EOPNOTSUPP;
	guard(rwsem_write)(&inode->i_rwsem);
	while (pgoff < end) {
		if (fatal_signal_pending(current))
			return -EINTR;
		folio = locked_folio(inode, pgoff, &bounds, &is_new);
		if (IS_ERR(folio))
			return PTR_ERR(folio);
		pgoff = folio_next_index(folio);
		folio_unlock(folio);
		folio_put(folio);
	}
	i_size_write(inode, max(i_size_read(inode), offset + len));
	return file_modified(file);
}

static void pool_free_folio(struct folio *folio)
{
	uncharge(folio_nr_pages(folio));
}

static const struct address_space_operations pool_aops = {
	.dirty_folio = noop_dirty_folio,
	.write_begin = pool_write_begin,
	.write_end = pool_write_end,
	.free_folio = pool_free_folio,
	.migrate_folio = filemap_migrate_folio,
};

static struct inode *new_inode_of_pool(const struct mmap_pool_create *create)
{
	struct pool *pool = kzalloc_obj(*pool);
	struct inode *inode;
	int ret;

	if (!pool)
		return ERR_PTR(-ENOMEM);
	pool->strategy = create->strategy;
	ret = simple_pin_fs(&pool_fs_type, &pool_mnt, &pool_mnt_count);
	if (ret) {
		kfree(pool);
		return ERR_PTR(ret);
	}
	inode = alloc_anon_inode(pool_mnt->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&pool_mnt, &pool_mnt_count);
		kfree(pool);
		return inode;
	}
	inode->i_private = pool;
	inode->i_fop = &pool_fops;
	inode->i_mode |= S_IFREG;
	inode->i_flags &= ~(S_PRIVATE | S_ANON_INODE);
	clear_nlink(inode);
	i_size_write(inode, create->size_bytes);
	inode->i_mapping->a_ops = &pool_aops;
	mapping_set_unevictable(inode->i_mapping);
	mapping_set_folio_order_range(inode->i_mapping, 0, max_order(pool->strategy));
	atomic64_inc(&nr_pools);
	return inode;
}

static long pool_create(void __user *arg)
{
	struct mmap_pool_create create;
	struct inode *inode;
	struct file *file;

	if (copy_from_user(&create, arg, sizeof(create)))
		return -EFAULT;
	if (create.flags || create.strategy > MMAP_POOL_STRATEGY_PAGE ||
	    create.strategy == MMAP_POOL_STRATEGY_EAGER || create.size_bytes > MAX_LFS_FILESIZE)
		return -EINVAL;
	inode = new_inode_of_pool(&create);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	file = alloc_file_pseudo(inode, pool_mnt, "mmap_pool_twin", O_RDWR | O_LARGEFILE,
				 &pool_fops);
	if (IS_ERR(file)) {
		struct vfsmount *mnt = mntget(pool_mnt);

		/* The mount outlives the inode. */
		iput(inode);
		mntput(mnt);
		return PTR_ERR(file);
	}
	__module_get(THIS_MODULE);
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	return FD_ADD(O_CLOEXEC, file);
}

static long twin_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mmap_pool_info info = { .abi_version = MMAP_POOL_ABI_VERSION };
	struct mmap_pool_stat stat = {
		.nr_pools = atomic64_read(&nr_pools),
		.nr_resident_pages = atomic64_read(&nr_resident_pages),
		.nr_limit_pages = nr_limit_pages,
		.nr_refused_pages = atomic64_read(&nr_refused_pages),
		.nr_reserve_misses = atomic64_read(&nr_reserve_misses),
	};

	for (unsigned int i = 0; i < nr_stocks; i++) {
		guard(spinlock)(&stocks[i].lock);
		for (int j = 0; j < ARRAY_SIZE(stocks[i].shelves); j++)
			stat.nr_reserve_pages += stocks[i].shelves[j].nr_folios
						 << stocks[i].shelves[j].order;
		stat.nr_reserve_hits += stocks[i].nr_hits;
	}
	switch (cmd) {
	case MMAP_POOL_INFO:
		return copy_to_user((void __user *)arg, &info, sizeof(info)) ? -EFAULT : 0;
	case MMAP_POOL_STAT:
		return copy_to_user((void __user *)arg, &stat, sizeof(stat)) ? -EFAULT : 0;
	case MMAP_POOL_CREATE:
		return pool_create((void __user *)arg);
	default:
		return -ENOTTY;
	}
}

/* Of files of pools: the library asks what they are. */
static const struct file_operations pool_fops = {
	.owner = THIS_MODULE,
	.open = generic_file_open,
	.llseek = generic_file_llseek,
	.read_iter = pool_read_iter,
	.write_iter = pool_write_iter,
	.mmap = pool_mmap,
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	.get_unmapped_area = thp_get_unmapped_area,
#endif
	.fsync = noop_fsync,
	.fallocate = pool_fallocate,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.unlocked_ioctl = twin_ioctl,
};

static const struct file_operations twin_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = twin_ioctl,
};

static struct miscdevice twin_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mmap_pool_twin",
	.fops = &twin_fops,
};

static void pool_evict_inode(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!inode->i_private)
		return;
	atomic64_dec(&nr_pools);
	kfree(inode->i_private);
	simple_release_fs(&pool_mnt, &pool_mnt_count);
}

static const struct super_operations pool_super_ops = {
	.statfs = simple_statfs,
	.evict_inode = pool_evict_inode,
};

static int pool_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, 0x4d50546e /* MPTn */);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &pool_super_ops;
	fc->sb_flags |= SB_NOSEC;
	return 0;
}

static struct file_system_type pool_fs_type = {
	.owner = THIS_MODULE,
	.name = "mmap_pool_twin",
	.init_fs_context = pool_init_fs_context,
	.kill_sb = kill_anon_super,
};

static int __init twin_init(void)
{
	int ret;

	nr_limit_pages = totalram_pages();
	ret = make_reserve();
	if (ret)
		return ret;
	ret = misc_register(&twin_misc);
	if (ret)
		free_reserve();
	return ret;
}

static void __exit twin_exit(void)
{
	misc_deregister(&twin_misc);
	free_reserve();
}

module_init(twin_init);
module_exit(twin_exit);
MODULE_DESCRIPTION("The pool of mmap_pool.ko in C, for its benchmark");
MODULE_LICENSE("GPL");
