// SPDX-License-Identifier: GPL-2.0
/*
 * Static inline functions of the kernel's headers, for src/mm and src/fs.
 * src/helpers.rs declares them for Rust.
 */

#include <linux/cpuset.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include <linux/topology.h>
#include <linux/uio.h>
#include <linux/unroll.h>
#include <linux/userfaultfd_k.h>

#include "helpers.h"

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

#if defined(CONFIG_USERFAULTFD) && defined(MMAP_POOL_UFFD_OPS)
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

/*
 * Likewise, and marks the folio as used. A single function, because every fault
 * calls it. A fault past the end fails, so it does not use the folio.
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
void mmap_pool_file_set_seekable(struct file *file)
{
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
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
