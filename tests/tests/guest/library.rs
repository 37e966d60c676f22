// SPDX-License-Identifier: MIT OR GPL-2.0

//! The library `mmap-pool` on real pools.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::atomic::Ordering;

use mmap_pool::{
    Advice, Errno, Error, MappingBuilder, OpenOptions, Operation, Pool, Protection, Seals,
};
use mmap_pool_tests::machine::pages_of_mib;
use mmap_pool_tests::module::{self, fresh_module, FreshModule};
use mmap_pool_tests::subject::{page_size, size};

#[test]
fn a_missing_device_is_explained() {
    let _without = module::without_module().unwrap();
    assert_eq!(
        Pool::open().unwrap_err().to_string(),
        "cannot open /dev/mmap_pool: no such file or directory (os error 2); \
         is the module loaded?"
    );
}

#[test]
fn a_pool_reads_writes_and_seeks_as_a_file_does() {
    let _module = fresh_module();
    let mut pool = Pool::open().unwrap();
    pool.write_all(b"hello").unwrap();
    assert_eq!(pool.stream_position().unwrap(), 5);
    pool.rewind().unwrap();
    let mut bytes = [0; 5];
    pool.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");

    let mut all = Vec::new();
    pool.rewind().unwrap();
    assert_eq!(pool.read_to_end(&mut all).unwrap(), size());
    assert_eq!(pool.seek(SeekFrom::End(0)).unwrap(), size() as u64);
    pool.sync_all().unwrap();
}

#[test]
fn the_end_of_an_empty_pool_is_its_end_too() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let end = size() as u64;
    let write = |offset| {
        pool.write_at(&[1; 200], offset)
            .map_err(|error| error.kind())
    };
    assert_eq!(write(end - 100), Ok(100));
    assert_eq!(write(end), Err(ErrorKind::StorageFull));
    assert_eq!(write(1 << 62), Err(ErrorKind::StorageFull));
    let error = pool.read_exact_at(&mut [0; 200], end - 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(pool.info().unwrap().nr_resident_pages, 1);
}

#[test]
fn a_mapping_without_a_length_reaches_to_the_end_of_the_pool() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    assert_eq!(MappingBuilder::shared().map(&pool).unwrap().len(), size());
    let offset = size() - 3 * page_size();
    let builder = MappingBuilder::private().offset(offset as u64);
    assert_eq!(builder.map(&pool).unwrap().len(), 3 * page_size());
    assert_eq!(
        MappingBuilder::shared()
            .offset(size() as u64)
            .map(&pool)
            .unwrap_err(),
        Error::System {
            operation: Operation::Map,
            errno: Errno::INVAL
        }
    );
}

#[test]
fn a_read_only_pool_can_be_read_and_mapped_for_reading() {
    let _module = fresh_module();
    Pool::open().unwrap().write_all_at(b"hello", 0).unwrap();
    let pool = OpenOptions::new().write(false).open().unwrap();
    let error = MappingBuilder::shared().map(&pool).unwrap_err();
    assert_eq!(error.errno(), Errno::ACCESS);
    let mut mapping = MappingBuilder::shared()
        .protection(Protection::READ)
        .map(&pool)
        .unwrap();
    let mut bytes = [0; 5];
    mapping.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"hello");

    let error = mapping.protect(Protection::READ_WRITE).unwrap_err();
    assert_eq!(error.errno(), Errno::ACCESS);
    assert_eq!(mapping.protection(), Protection::READ);
}

#[test]
fn atomics_count_across_mappings() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let [one, other] = [(), ()].map(|()| MappingBuilder::shared().map(&pool).unwrap());
    one.atomic_u64(page_size())
        .unwrap()
        .fetch_add(40, Ordering::Relaxed);
    other
        .atomic_u64(page_size())
        .unwrap()
        .fetch_add(2, Ordering::Relaxed);
    assert_eq!(
        one.atomic_u64(page_size()).unwrap().load(Ordering::Relaxed),
        42
    );
}

#[test]
fn any_descriptor_of_the_pool_becomes_a_pool_and_no_other_does() {
    let _module = fresh_module();
    let file = File::from(Pool::open().unwrap());
    assert_eq!(
        Pool::try_from(file).unwrap().info().unwrap().size_bytes,
        size() as u64
    );
    for path in ["/dev/null", "/dev/zero", "/proc/self/exe", "/tmp"] {
        let error = Pool::try_from(File::open(path).unwrap()).unwrap_err();
        assert_eq!(error, Error::NotAPool { path: None }, "{path}");
    }
}

#[test]
fn a_created_pool_is_empty_and_of_the_size_asked_for() {
    let _module = fresh_module();
    let pool = Pool::create().size_bytes(10_001).create().unwrap();
    let info = pool.info().unwrap();
    assert_eq!((info.size_bytes, info.nr_resident_pages), (10_001, 0));
    assert!(!info.is_default() && !info.is_revoked());
    assert_eq!(pool.seals().unwrap(), Seals::NONE);
    assert_eq!(pool.as_file().metadata().unwrap().len(), 10_001);
    // Longer than its size would be past its last page.
    assert_eq!(MappingBuilder::shared().map(&pool).unwrap().len(), 10_001);
}

#[test]
fn a_node_can_create_many_pools_and_they_are_apart() {
    let _module = fresh_module();
    let node = Pool::open().unwrap();
    let [first, second] = [(), ()].map(|()| {
        let pool = Pool::create().size_bytes(page_size() as u64);
        pool.create_through(&node).unwrap()
    });
    first.write_all_at(b"first", 0).unwrap();
    let mut bytes = [0xff; 5];
    second.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [0; 5]);
}

#[test]
fn a_created_pool_grows_by_writing_and_by_resizing() {
    let _module = fresh_module();
    let pool = Pool::create().create().unwrap();
    pool.write_all_at(b"hello", 100).unwrap();
    assert_eq!(pool.info().unwrap().size_bytes, 105);
    pool.resize(3 * page_size() as u64).unwrap();
    pool.prefault(0, 3 * page_size() as u64).unwrap();
    assert_eq!(pool.info().unwrap().nr_resident_pages, 3);
    pool.punch(0, page_size() as u64).unwrap();
    assert_eq!(pool.info().unwrap().nr_resident_pages, 2);
    pool.resize(0).unwrap();
    assert_eq!(pool.info().unwrap().nr_resident_pages, 0);
}

#[test]
fn a_mapping_may_begin_anywhere_and_follow_a_new_size() {
    let _module = fresh_module();
    let pool = Pool::create()
        .size_bytes(page_size() as u64)
        .create()
        .unwrap();
    let begin = page_size() - 3;
    let mut mapping = MappingBuilder::shared()
        .offset(begin as u64)
        .map(&pool)
        .unwrap();
    assert_eq!(mapping.len(), 3);
    pool.resize(size() as u64).unwrap();
    mapping.remap(size() - begin).unwrap();
    mapping.write_at(b"across", 0).unwrap();
    mapping.write_at(b"last", size() - begin - 4).unwrap();
    let mut bytes = [0; 6];
    pool.read_exact_at(&mut bytes, begin as u64).unwrap();
    assert_eq!(&bytes, b"across");
    pool.read_exact_at(&mut bytes, size() as u64 - 6).unwrap();
    assert_eq!(&bytes, b"\0\0last");
    mapping.remap(3).unwrap();
    assert!(mapping.write_at(b"no", 3).is_err());
}

#[test]
fn parts_of_a_mapping_can_be_filled_advised_and_flushed() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    mapping
        .advise_range(Advice::PopulateWrite, 4 * page_size(), 2 * page_size())
        .unwrap();
    assert_eq!(pool.info().unwrap().nr_resident_pages, 2);
    mapping
        .fill(5 * page_size() + 1, 2 * page_size(), 0xee)
        .unwrap();
    assert_eq!(pool.info().unwrap().nr_resident_pages, 4);
    mapping
        .flush_range(5 * page_size() + 1, 2 * page_size())
        .unwrap();
    let mut bytes = vec![0; 2 * page_size() + 2];
    pool.read_exact_at(&mut bytes, 5 * page_size() as u64)
        .unwrap();
    assert_eq!((bytes[0], bytes[2 * page_size() + 1]), (0, 0));
    assert!(bytes[1..=2 * page_size()].iter().all(|&byte| byte == 0xee));

    let half = mapping.atomic_u16(8 * page_size()).unwrap();
    half.store(0x0102, Ordering::Relaxed);
    assert_eq!(half.fetch_sub(0x0103, Ordering::Relaxed), 0x0102);
    assert_eq!(half.load(Ordering::Relaxed), 0xffff);
}

#[test]
fn seals_add_up_and_are_told() {
    let _module = fresh_module();
    let pool = Pool::create()
        .size_bytes(page_size() as u64)
        .create()
        .unwrap();
    pool.seal(Seals::SHRINK).unwrap();
    pool.seal(Seals::GROW | Seals::SEAL).unwrap();
    assert_eq!(pool.seals().unwrap().to_string(), "seal shrink grow");
    assert_eq!(
        pool.seal(Seals::WRITE).unwrap_err(),
        Error::System {
            operation: Operation::Seal,
            errno: Errno::PERM
        }
    );
}

#[test]
fn a_revoked_pool_says_so() {
    let _module = fresh_module();
    let pool = Pool::create()
        .size_bytes(page_size() as u64)
        .create()
        .unwrap();
    pool.revoke().unwrap();
    assert!(pool.info().unwrap().is_revoked());
    assert_eq!(pool.revoke().unwrap_err().errno(), Errno::NODEV);
    let error = pool.write_at(b"no", 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
}

#[test]
fn stat_counts_pools_and_pages_of_all_of_them() {
    let _module = FreshModule::load("size_mb=1 limit_mb=2 reserve_mb=0").unwrap();
    let default = Pool::open().unwrap();
    let counts = || {
        let stat = default.stat().unwrap();
        assert_eq!(
            (stat.nr_limit_pages, stat.nr_refused_pages),
            (pages_of_mib(2), 0)
        );
        assert_eq!((stat.nr_reserve_pages, stat.nr_reserve_hits), (0, 0));
        (
            stat.nr_pools,
            stat.nr_resident_pages,
            stat.nr_reserve_misses,
        )
    };
    assert_eq!(counts(), (1, 0, 0));
    let created = Pool::create().size_bytes(size() as u64).create().unwrap();
    created.prefault(0, 4 * page_size() as u64).unwrap();
    default.prefault(0, 4 * page_size() as u64).unwrap();
    assert_eq!(counts(), (2, 8, 8));
    drop(created);
    default.punch(0, size() as u64).unwrap();
    assert_eq!(counts(), (1, 0, 8));
}
