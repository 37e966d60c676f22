// SPDX-License-Identifier: MIT OR GPL-2.0

//! What may back a pool, and what a pool allows.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use mmap_pool::{Errno, Error, MappingBuilder, Pool, Protection, Seals};
use rustix::fs::{fallocate, seek, FallocateFlags, SeekFrom};

use crate::on_each;
use crate::store::{backed, builder, map, page, page_size, Store, DEVICE};

on_each! {
    two_pools_on_one_object_are_ebusy;
    a_descriptor_without_the_right_is_eacces;
    a_read_only_pool_reads;
    flags_that_do_not_fit_are_einval;
    the_size_is_fixed;
    a_seal_against_writing_writes_back;
    a_revoked_pool_has_written_back;
    the_module_stays_loaded;
    holes_are_found_where_the_object_has_them;
    storage_can_be_allocated;
    files_and_proc_describe_it;
}

fn errno(result: Result<Pool, Error>) -> Option<Errno> {
    result.err().map(|error| error.errno())
}

fn two_pools_on_one_object_are_ebusy(store: &Store) {
    let object = store.object(4 * page_size());
    let pool = backed(&object);
    assert_eq!(errno(builder(&object).create()), Some(Errno::BUSY));
    let again = File::options().read(true).open(store.path()).unwrap();
    let second = builder(&again).read_only().create();
    assert_eq!(errno(second), Some(Errno::BUSY));
    drop(pool);
    drop(backed(&object));
}

fn a_descriptor_without_the_right_is_eacces(store: &Store) {
    store.object(4 * page_size());
    let read = File::open(store.path()).unwrap();
    let write = File::options().write(true).open(store.path()).unwrap();
    assert_eq!(errno(builder(&read).create()), Some(Errno::ACCESS));
    assert_eq!(errno(builder(&write).create()), Some(Errno::ACCESS));
    let write_only = builder(&write).read_only().create();
    assert_eq!(errno(write_only), Some(Errno::ACCESS));
}

fn a_read_only_pool_reads(store: &Store) {
    let object = store.object(4 * page_size());
    object
        .write_all_at(&page(1, 1), page_size() as u64)
        .unwrap();
    object.sync_all().unwrap();
    let read = File::open(store.path()).unwrap();
    let pool = builder(&read).read_only().create().unwrap();
    assert!(pool.seals().unwrap().contains(Seals::WRITE));
    let mapping = MappingBuilder::shared()
        .len(4 * page_size())
        .protection(Protection::READ)
        .map(&pool)
        .unwrap();
    let mut bytes = vec![0; page_size()];
    mapping.read_at(&mut bytes, page_size()).unwrap();
    assert_eq!(bytes, page(1, 1));
    let writable = MappingBuilder::shared()
        .len(page_size())
        .map(&pool)
        .unwrap_err();
    assert_eq!(writable.errno(), Errno::ACCESS);
    // The owner can open it again for writing, but cannot write.
    let path = format!("/proc/self/fd/{}", pool.as_raw_fd());
    if let Ok(file) = File::options().read(true).write(true).open(path) {
        let error = file.write_at(b"no", 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        let pool = Pool::try_from(OwnedFd::from(file)).unwrap();
        let error = MappingBuilder::shared()
            .len(page_size())
            .map(&pool)
            .unwrap_err();
        assert_eq!(error.errno(), Errno::PERM);
    }
    drop(mapping);
    drop(pool);
    assert_eq!(store.stored(page_size(), page_size()), page(1, 1));
}

fn flags_that_do_not_fit_are_einval(store: &Store) {
    let object = store.object(4 * page_size());
    let with_size = builder(&object).size_bytes(page_size() as u64).create();
    assert_eq!(errno(with_size), Some(Errno::INVAL));
    let contrary = builder(&object).read_only().preallocate().create();
    assert_eq!(errno(contrary), Some(Errno::INVAL));
    for without in [
        Pool::create().preallocate(),
        Pool::create().track_writes(),
        Pool::create().read_only(),
    ] {
        assert_eq!(errno(without.create()), Some(Errno::INVAL));
    }
}

fn the_size_is_fixed(store: &Store) {
    let object = store.object(4 * page_size());
    let pool = backed(&object);
    let len = pool.info().unwrap().size_bytes;
    assert_eq!(pool.resize(len), Ok(()));
    for other in [0, len - 1, len + 1, u64::MAX] {
        assert_eq!(pool.resize(other).unwrap_err().errno(), Errno::PERM);
    }
    let error = pool.as_file().set_len(0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    pool.as_file().set_len(len).unwrap();
    assert_eq!(
        pool.seals().unwrap(),
        Seals::SHRINK | Seals::GROW,
        "the seals say so"
    );
}

fn a_seal_against_writing_writes_back(store: &Store) {
    let object = store.object(8 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 8 * page_size());
    mapping.write_at(&page(3, 2), 3 * page_size()).unwrap();
    assert_eq!(pool.seal(Seals::WRITE).unwrap_err().errno(), Errno::BUSY);
    drop(mapping);
    pool.seal(Seals::WRITE).unwrap();
    assert_eq!(pool.backing().unwrap().nr_dirty_pages, 0);
    assert_eq!(store.stored(3 * page_size(), page_size()), page(3, 2));
    let error = pool.write_at(b"no", 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    pool.seal(Seals::SEAL).unwrap();
    assert_eq!(pool.seal(Seals::SEAL).unwrap_err().errno(), Errno::PERM);
}

fn a_revoked_pool_has_written_back(store: &Store) {
    let object = store.object(8 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 8 * page_size());
    mapping.write_at(&page(5, 3), 5 * page_size()).unwrap();
    pool.revoke().unwrap();
    assert!(pool.info().unwrap().is_revoked());
    assert_eq!(store.stored(5 * page_size(), page_size()), page(5, 3));
    let error = pool.read_at(&mut [0; 8], 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    let error = pool.write_at(&[0; 8], 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    let error = MappingBuilder::shared()
        .len(page_size())
        .map(&pool)
        .unwrap_err();
    assert_eq!(error.errno(), Errno::NODEV);
    assert_eq!(pool.revoke().unwrap_err().errno(), Errno::NODEV);
    // A system call on the mapping is told that the page is gone.
    let pipe = rustix::pipe::pipe().unwrap();
    // SAFETY: The kernel checks the address.
    let written = unsafe { libc::write(pipe.1.as_raw_fd(), mapping.as_ptr().cast(), 8) };
    assert_eq!(written, -1);
}

fn the_module_stays_loaded(store: &Store) {
    let object = store.object(8 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 8 * page_size());
    drop(pool);
    let references = || fs::read_to_string("/sys/module/mmap_pool/refcnt").unwrap();
    assert_ne!(references(), "0\n");
    mapping.write_at(&page(0, 4), 0).unwrap();
    drop(mapping);
    assert_eq!(references(), "0\n");
    assert_eq!(store.stored(0, page_size()), page(0, 4));
}

fn holes_are_found_where_the_object_has_them(store: &Store) {
    let object = store.object(64 * page_size());
    let pool = backed(&object);
    pool.write_all_at(&page(20, 5), 20 * page_size() as u64)
        .unwrap();
    let data = seek(pool.as_fd(), SeekFrom::Data(page_size() as u64));
    let hole = seek(pool.as_fd(), SeekFrom::Hole(20 * page_size() as u64));
    let len = pool.info().unwrap().size_bytes;
    let expected = if store.has_files() {
        (20 * page_size() as u64, 21 * page_size() as u64)
    } else {
        (page_size() as u64, len)
    };
    assert_eq!((data.unwrap(), hole.unwrap()), expected);
    assert_eq!(seek(pool.as_fd(), SeekFrom::Data(len)), Err(Errno::NXIO));
}

fn storage_can_be_allocated(store: &Store) {
    let object = store.object(64 * page_size());
    let blocks = |file: &File| file.metadata().unwrap().blocks();
    let pool = builder(&object).preallocate().create().unwrap();
    let all = pool.info().unwrap().size_bytes / 512;
    assert_eq!(blocks(pool.as_file()), all);
    drop(pool);
    let object = store.object(64 * page_size());
    let pool = backed(&object);
    let before = blocks(pool.as_file());
    let (offset, len) = (8 * page_size() as u64, 8 * page_size() as u64);
    fallocate(pool.as_fd(), FallocateFlags::KEEP_SIZE, offset, len).unwrap();
    if store.has_files() {
        assert_eq!(blocks(pool.as_file()), before + len / 512);
    }
    let past = fallocate(pool.as_fd(), FallocateFlags::empty(), all * 512, len);
    assert_eq!(past, Err(Errno::PERM));
}

fn files_and_proc_describe_it(store: &Store) {
    let object = store.object(8 * page_size());
    let pool = backed(&object);
    let mapping = map(&pool, 8 * page_size());
    mapping.write_at(&page(0, 6), 0).unwrap();
    let fdinfo = fs::read_to_string(format!("/proc/self/fdinfo/{}", pool.as_raw_fd())).unwrap();
    assert!(fdinfo.contains("pool-name:\tbacked\n"), "{fdinfo}");
    assert!(!fdinfo.contains("pool-dirty-pages:\t0\n"), "{fdinfo}");
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(maps.contains("/mmap_pool:backed"), "{maps}");
    pool.sync().unwrap();
    let fdinfo = fs::read_to_string(format!("/proc/self/fdinfo/{}", pool.as_raw_fd())).unwrap();
    assert!(fdinfo.contains("pool-dirty-pages:\t0\n"), "{fdinfo}");
    let metadata = pool.as_file().metadata().unwrap();
    assert!(metadata.is_file());
    assert_eq!(metadata.len(), pool.info().unwrap().size_bytes);
}

#[test]
fn other_objects_are_refused() {
    Store::ext4(|store| {
        let object = store.object(page_size());
        let device = File::options().read(true).write(true).open(DEVICE);
        // Mounted.
        assert_eq!(errno(builder(&device.unwrap()).create()), Some(Errno::BUSY));
        let folder = File::open("/").unwrap();
        let folder = builder(&folder).read_only().create();
        assert_eq!(errno(folder), Some(Errno::INVAL));
        let null = File::options().read(true).write(true).open("/dev/null");
        assert_eq!(errno(builder(&null.unwrap()).create()), Some(Errno::INVAL));
        let (pipe, _) = rustix::pipe::pipe().unwrap();
        let pipe = builder(&pipe).read_only().create();
        assert_eq!(errno(pipe), Some(Errno::INVAL));
        let memory = rustix::fs::memfd_create("m", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        assert_eq!(errno(builder(&memory).create()), Some(Errno::OPNOTSUPP));
        let pool = Pool::create()
            .size_bytes(page_size() as u64)
            .create()
            .unwrap();
        assert_eq!(errno(builder(&pool).create()), Some(Errno::OPNOTSUPP));
        let file = backed(&object);
        assert_eq!(errno(builder(&file).create()), Some(Errno::OPNOTSUPP));
        drop(file);
        object.set_len(0).unwrap();
        assert_eq!(errno(builder(&object).create()), Some(Errno::INVAL));
    });
}
