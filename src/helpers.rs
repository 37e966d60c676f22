// SPDX-License-Identifier: GPL-2.0

//! Declarations of the functions in `helpers.c`, in the order of `helpers.h`.

#![allow(
    improper_ctypes,
    reason = "in some configurations C structures have members without a size"
)]

use kernel::{
    bindings::{
        address_space,
        cred,
        dentry,
        file,
        file_lease,
        file_system_type,
        folio,
        freeze_holder,
        fs_context,
        gfp_t,
        inode,
        iov_iter,
        kiocb,
        loff_t,
        mempolicy,
        nodemask_t,
        page,
        readahead_control,
        rw_semaphore,
        shrinker,
        super_block,
        super_operations,
        vfsmount,
        vm_fault,
        vm_fault_t,
        work_func_t,
        work_struct,
        workqueue_struct, //
    },
    ffi::{
        c_char,
        c_int,
        c_long,
        c_uint,
        c_ulong,
        c_ushort,
        c_void, //
    }, //
};

/// C: `mmap_pool_complete_t`, `src/helpers.h`.
#[allow(non_camel_case_types)]
pub(crate) type mmap_pool_complete_t = Option<unsafe extern "C" fn(kiocb: *mut kiocb, ret: c_long)>;

extern "C" {
    pub(crate) fn mmap_pool_totalram_pages() -> c_ulong;
    pub(crate) fn mmap_pool_fatal_signal_pending() -> bool;

    pub(crate) fn mmap_pool_cond_resched();
    pub(crate) fn mmap_pool_has_mempolicy() -> bool;
    #[cfg(CONFIG_NUMA)]
    pub(crate) fn mmap_pool_mempolicy_mode(policy: *const mempolicy) -> c_ushort;
    #[cfg(CONFIG_NUMA)]
    pub(crate) fn mmap_pool_mempolicy_nodes(policy: *const mempolicy) -> *const nodemask_t;
    #[cfg(CONFIG_NUMA)]
    pub(crate) fn mmap_pool_mempolicy_home_node(policy: *const mempolicy) -> c_int;
    pub(crate) fn mmap_pool_node_isset(nid: c_int, nodes: *const nodemask_t) -> bool;
    pub(crate) fn mmap_pool_node_allowed(nid: c_int) -> bool;
    pub(crate) fn mmap_pool_numa_mem_id() -> c_int;
    pub(crate) fn mmap_pool_nr_node_ids() -> c_uint;
    pub(crate) fn mmap_pool_node_has_memory(nid: c_int) -> bool;
    pub(crate) fn mmap_pool_gfp_light(gfp: gfp_t) -> gfp_t;
    pub(crate) fn mmap_pool_gfp_this_node(gfp: gfp_t) -> gfp_t;
    pub(crate) fn mmap_pool_pmd_order() -> c_uint;

    pub(crate) fn mmap_pool_folio_alloc(gfp: gfp_t, order: c_uint) -> *mut folio;
    pub(crate) fn mmap_pool_folio_alloc_nodes(
        gfp: gfp_t,
        order: c_uint,
        nid: c_int,
        nodes: *mut nodemask_t,
    ) -> *mut folio;
    pub(crate) fn mmap_pool_folio_get(folio: *mut folio);
    pub(crate) fn mmap_pool_folio_put(folio: *mut folio);
    pub(crate) fn mmap_pool_folio_nr_pages(folio: *const folio) -> c_ulong;
    pub(crate) fn mmap_pool_folio_is_broken(folio: *mut folio) -> bool;
    pub(crate) fn mmap_pool_folio_set_aside_if_broken(folio: *mut folio) -> bool;
    pub(crate) fn mmap_pool_folio_set_next(folio: *mut folio, next: *mut folio);
    pub(crate) fn mmap_pool_folio_next(folio: *const folio) -> *mut folio;
    pub(crate) fn mmap_pool_folio_whole_size(folio: *mut folio) -> usize;
    pub(crate) fn mmap_pool_folio_next_index(folio: *const folio) -> c_ulong;
    pub(crate) fn mmap_pool_folio_ends_in_file(folio: *const folio) -> bool;
    pub(crate) fn mmap_pool_folio_mapping_page(
        folio: *mut folio,
        mapping: *const address_space,
        index: c_ulong,
    ) -> *mut page;
    pub(crate) fn mmap_pool_vmf_may_map_huge(vmf: *const vm_fault) -> bool;
    pub(crate) fn mmap_pool_vmf_update_time(vmf: *const vm_fault);
    pub(crate) fn mmap_pool_vmf_insert_huge(vmf: *mut vm_fault, folio: *mut folio) -> vm_fault_t;
    #[cfg(CONFIG_USERFAULTFD)]
    pub(crate) static mmap_pool_uffd_ops: kernel::bindings::vm_uffd_ops;
    pub(crate) fn mmap_pool_folio_mark_uptodate(folio: *mut folio);
    pub(crate) fn mmap_pool_folio_set_uptodate(folio: *mut folio);
    pub(crate) fn mmap_pool_folio_clear_uptodate(folio: *mut folio);
    pub(crate) fn mmap_pool_folio_test_uptodate(folio: *const folio) -> bool;

    pub(crate) fn mmap_pool_mapping_gfp_mask(mapping: *mut address_space) -> gfp_t;
    pub(crate) fn mmap_pool_mapping_set_unevictable(mapping: *mut address_space);
    pub(crate) fn mmap_pool_mapping_set_max_order(mapping: *mut address_space, order: c_uint);
    pub(crate) fn mmap_pool_mapping_max_order(mapping: *const address_space) -> c_uint;
    pub(crate) fn mmap_pool_mapping_set_release_always(mapping: *mut address_space);
    pub(crate) fn mmap_pool_filemap_get_folio(
        mapping: *mut address_space,
        index: c_ulong,
    ) -> *mut folio;
    pub(crate) fn mmap_pool_filemap_lock_folio_killable(
        mapping: *mut address_space,
        index: c_ulong,
    ) -> *mut folio;
    pub(crate) fn mmap_pool_filemap_lock_folio(
        mapping: *mut address_space,
        index: c_ulong,
    ) -> *mut folio;
    pub(crate) fn mmap_pool_filemap_use_folio(
        mapping: *mut address_space,
        index: c_ulong,
    ) -> *mut folio;
    pub(crate) fn mmap_pool_mapping_nr_pages_before(
        mapping: *mut address_space,
        index: c_ulong,
        max: c_ulong,
    ) -> c_ulong;
    pub(crate) fn mmap_pool_filemap_invalidate_lock(mapping: *mut address_space);
    pub(crate) fn mmap_pool_filemap_invalidate_unlock(mapping: *mut address_space);
    pub(crate) fn mmap_pool_filemap_invalidate_lock_shared(mapping: *mut address_space);
    pub(crate) fn mmap_pool_filemap_invalidate_unlock_shared(mapping: *mut address_space);
    pub(crate) fn mmap_pool_mapping_deny_writable(mapping: *mut address_space) -> c_int;
    pub(crate) fn mmap_pool_mapping_allow_writable(mapping: *mut address_space);

    pub(crate) fn mmap_pool_i_size_read(inode: *const inode) -> loff_t;
    pub(crate) fn mmap_pool_i_size_write(inode: *mut inode, size: loff_t);
    pub(crate) fn mmap_pool_d_inode(dentry: *const dentry) -> *mut inode;
    pub(crate) fn mmap_pool_iov_iter_truncate(iter: *mut iov_iter, count: u64);
    pub(crate) fn mmap_pool_shrinker_alloc(name: *const c_char) -> *mut shrinker;
    pub(crate) fn mmap_pool_fsnotify_modify(file: *mut file);
    pub(crate) fn mmap_pool_fsnotify_resize(file: *mut file);
    pub(crate) fn mmap_pool_file_accessed(file: *mut file);
    pub(crate) fn mmap_pool_file_set_up(file: *mut file);
    pub(crate) fn mmap_pool_setlease(
        file: *mut file,
        arg: c_int,
        lease: *mut *mut file_lease,
        private: *mut *mut c_void,
    ) -> c_int;

    pub(crate) fn mmap_pool_init_pseudo(
        fc: *mut fs_context,
        magic: c_ulong,
        ops: *const super_operations,
    ) -> c_int;

    pub(crate) fn mmap_pool_current_cred() -> *const cred;
    pub(crate) fn mmap_pool_check_backing(file: *const file, writable: bool) -> c_int;
    pub(crate) fn mmap_pool_bdev_open(
        file: *const file,
        writable: bool,
        holder: *const c_void,
    ) -> *mut file;
    pub(crate) fn mmap_pool_file_is_filled_on_access(file: *const file) -> bool;
    pub(crate) fn mmap_pool_file_set_unwatched(file: *mut file);
    pub(crate) fn mmap_pool_close_backing(file: *mut file);
    pub(crate) fn mmap_pool_file_has_nowait(file: *const file) -> bool;
    pub(crate) fn mmap_pool_follow_backing(
        sb: *mut super_block,
        mapping: *mut address_space,
        backing: *const file,
    );
    pub(crate) fn mmap_pool_mempool_create(size: usize) -> *mut c_void;
    pub(crate) fn mmap_pool_mempool_destroy(pool: *mut c_void);
    pub(crate) fn mmap_pool_io_alloc_read(size: usize) -> *mut c_void;
    pub(crate) fn mmap_pool_io_alloc_write(
        pool: *mut c_void,
        size: usize,
        waits: bool,
        pooled: *mut bool,
    ) -> *mut c_void;
    pub(crate) fn mmap_pool_io_free(pool: *mut c_void, io: *mut c_void, pooled: bool);
    pub(crate) fn mmap_pool_alloc_workqueue(max_active: c_int) -> *mut workqueue_struct;
    pub(crate) fn mmap_pool_init_rwsem(sem: *mut rw_semaphore);
    pub(crate) fn mmap_pool_increment_below(count: *mut u64, end: u64) -> bool;
    pub(crate) fn mmap_pool_wait_and_increment(count: *mut u64, end: u64);
    pub(crate) fn mmap_pool_wait_for_zero(count: *const u64);
    pub(crate) fn mmap_pool_decrement_and_wake(count: *mut u64);
    pub(crate) fn mmap_pool_init_work(work: *mut work_struct, func: work_func_t);
    pub(crate) fn mmap_pool_queue_work(queue: *mut workqueue_struct, work: *mut work_struct);
    pub(crate) fn mmap_pool_begin_io(file: *const file, flags: *mut c_uint) -> *const cred;
    pub(crate) fn mmap_pool_end_io(cred: *const cred, flags: c_uint);
    pub(crate) fn mmap_pool_read_as_opener(
        file: *mut file,
        kiocb: *mut kiocb,
        iter: *mut iov_iter,
    ) -> isize;
    pub(crate) fn mmap_pool_fallocate_as_opener(
        file: *mut file,
        mode: c_int,
        offset: loff_t,
        len: loff_t,
    ) -> c_int;
    pub(crate) fn mmap_pool_init_kiocb(
        kiocb: *mut kiocb,
        file: *mut file,
        pos: loff_t,
        direct: bool,
        complete: mmap_pool_complete_t,
    );
    pub(crate) fn mmap_pool_folio_zero(folio: *mut folio, start: usize, length: usize);
    pub(crate) fn mmap_pool_mapping_set_error(mapping: *mut address_space, error: c_int);
    pub(crate) fn mmap_pool_insert_inode_hash(inode: *mut inode);
    pub(crate) fn mmap_pool_mapping_set_large_folios(mapping: *mut address_space);
    pub(crate) fn mmap_pool_readahead_folio(ractl: *mut readahead_control) -> *mut folio;
    pub(crate) fn mmap_pool_folio_pos(folio: *const folio) -> loff_t;
    pub(crate) fn mmap_pool_folio_size(folio: *const folio) -> usize;
    pub(crate) fn mmap_pool_folio_start_writeback(folio: *mut folio);
    pub(crate) fn mmap_pool_filemap_write_folio(
        mapping: *mut address_space,
        pos: loff_t,
        len: usize,
    ) -> *mut folio;
    pub(crate) fn mmap_pool_page_mkwrite(vmf: *mut vm_fault) -> vm_fault_t;
    pub(crate) fn mmap_pool_folio_wait_for_read(folio: *mut folio) -> c_int;
    pub(crate) fn mmap_pool_page_folio(page: *mut page) -> *mut folio;
    pub(crate) fn mmap_pool_folio_index(folio: *const folio) -> c_ulong;
    pub(crate) fn mmap_pool_folio_protect(folio: *mut folio) -> bool;
    pub(crate) fn mmap_pool_count_tagged(mapping: *mut address_space, writeback: bool) -> usize;
    pub(crate) fn mmap_pool_write_sync(kiocb: *mut kiocb, count: isize) -> isize;
    pub(crate) fn mmap_pool_mount_with(
        fs_type: *mut file_system_type,
        info: *mut c_void,
        taken: *mut bool,
    ) -> *mut vfsmount;
    pub(crate) fn mmap_pool_set_up_bdi(sb: *mut super_block) -> c_int;
    pub(crate) fn mmap_pool_freeze_super(
        sb: *mut super_block,
        who: freeze_holder,
        owner: *const c_void,
    ) -> c_int;
}
