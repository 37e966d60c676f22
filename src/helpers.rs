// SPDX-License-Identifier: GPL-2.0

//! Declarations of the functions in `helpers.c`, in the order of `helpers.h`.

#![allow(
    improper_ctypes,
    reason = "in some configurations C structures have members without a size"
)]

use kernel::{
    bindings::{
        address_space, dentry, file, folio, fs_context, gfp_t, inode, loff_t, page,
        super_operations,
    },
    ffi::{c_int, c_uint, c_ulong},
};

extern "C" {
    pub(crate) fn mmap_pool_totalram_pages() -> c_ulong;
    pub(crate) fn mmap_pool_fatal_signal_pending() -> bool;

    pub(crate) fn mmap_pool_folio_alloc(gfp: gfp_t, order: c_uint) -> *mut folio;
    pub(crate) fn mmap_pool_folio_get(folio: *mut folio);
    pub(crate) fn mmap_pool_folio_put(folio: *mut folio);
    pub(crate) fn mmap_pool_folio_nr_pages(folio: *const folio) -> c_ulong;
    pub(crate) fn mmap_pool_folio_file_page(folio: *mut folio, index: c_ulong) -> *mut page;
    pub(crate) fn mmap_pool_folio_mark_uptodate(folio: *mut folio);
    pub(crate) fn mmap_pool_flush_dcache_folio(folio: *mut folio);

    pub(crate) fn mmap_pool_mapping_gfp_mask(mapping: *mut address_space) -> gfp_t;
    pub(crate) fn mmap_pool_mapping_set_unevictable(mapping: *mut address_space);
    pub(crate) fn mmap_pool_filemap_get_folio(
        mapping: *mut address_space,
        index: c_ulong,
    ) -> *mut folio;
    pub(crate) fn mmap_pool_filemap_lock_folio(
        mapping: *mut address_space,
        index: c_ulong,
    ) -> *mut folio;

    pub(crate) fn mmap_pool_filemap_invalidate_lock(mapping: *mut address_space);
    pub(crate) fn mmap_pool_filemap_invalidate_unlock(mapping: *mut address_space);
    pub(crate) fn mmap_pool_filemap_invalidate_lock_shared(mapping: *mut address_space);
    pub(crate) fn mmap_pool_filemap_invalidate_unlock_shared(mapping: *mut address_space);
    pub(crate) fn mmap_pool_mapping_deny_writable(mapping: *mut address_space) -> c_int;
    pub(crate) fn mmap_pool_mapping_allow_writable(mapping: *mut address_space);

    pub(crate) fn mmap_pool_i_size_read(inode: *const inode) -> loff_t;
    pub(crate) fn mmap_pool_i_size_write(inode: *mut inode, size: loff_t);
    pub(crate) fn mmap_pool_inode_lock(inode: *mut inode);
    pub(crate) fn mmap_pool_inode_unlock(inode: *mut inode);
    pub(crate) fn mmap_pool_d_inode(dentry: *const dentry) -> *mut inode;
    pub(crate) fn mmap_pool_file_accessed(file: *mut file);
    pub(crate) fn mmap_pool_file_set_seekable(file: *mut file);

    pub(crate) fn mmap_pool_init_pseudo(
        fc: *mut fs_context,
        magic: c_ulong,
        ops: *const super_operations,
    ) -> c_int;
}
