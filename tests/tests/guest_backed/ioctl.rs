// SPDX-License-Identifier: MIT OR GPL-2.0

//! Ioctls of backed pools with hostile arguments.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use mmap_pool::{uapi, Errno, MappingBuilder, Pool};

use crate::on_each;
use crate::store::{backed, builder, map, page_size, Store};

on_each! {
    bad_pointers_are_efault_and_take_nothing;
    an_argument_that_is_half_there_is_efault;
    the_answer_can_lie_in_the_pool_itself;
    reserved_fields_are_einval;
    ioctls_of_other_pools_are_enotty;
    bad_descriptors_are_refused;
    answers_are_whole;
    what_was_written_is_told_to_readers_only;
}

const NR_PAGES: usize = 200;

fn tracked(store: &Store) -> Pool {
    let object = store.object(NR_PAGES * page_size());
    builder(&object).track_writes().create().unwrap()
}

/// A question for the first pages, whose answer goes to `words_address`.
fn question(words_address: u64) -> uapi::Dirty {
    uapi::Dirty {
        offset_bytes: 0,
        len_bytes: (NR_PAGES * page_size()) as u64,
        words_address,
        reserved: 0,
    }
}

fn bad_pointers_are_efault_and_take_nothing(store: &Store) {
    let pool = tracked(store);
    pool.write_all_at(b"new", page_size() as u64).unwrap();
    for address in [
        0,
        1,
        page_size(),
        0xffff_8880_0000_0000,
        usize::MAX - 8,
        1 << 55,
    ] {
        let bad = ptr::without_provenance_mut::<u8>(address);
        for number in [
            uapi::INFO,
            uapi::BACKING,
            uapi::DIRTY,
            uapi::RESIZE,
            uapi::SEAL,
        ] {
            let answer = ioctl(&pool, number, bad);
            assert_eq!(answer, Err(Errno::FAULT), "{number:#x} {address:#x}");
        }
        let answer = set(&pool, uapi::DIRTY, question(address as u64));
        assert_eq!(answer, Err(Errno::FAULT), "{address:#x}");
    }
    let written = pool
        .take_written(0, (NR_PAGES * page_size()) as u64)
        .unwrap();
    assert_eq!(written, [1]);
}

fn an_argument_that_is_half_there_is_efault(store: &Store) {
    let pool = tracked(store);
    // A page of the pool, and a page past its end.
    let end = pool.info().unwrap().size_bytes - page_size() as u64;
    let mapping = MappingBuilder::shared()
        .offset(end)
        .len(2 * page_size())
        .map(&pool)
        .unwrap();
    for number in [
        uapi::INFO,
        uapi::BACKING,
        uapi::DIRTY,
        uapi::RESIZE,
        uapi::SEAL,
    ] {
        let len = usize::try_from((number >> 16) & 0x3fff).unwrap();
        let start = mapping.as_ptr().wrapping_add(page_size() - len / 2);
        assert_eq!(
            ioctl(&pool, number, start),
            Err(Errno::FAULT),
            "{number:#x}"
        );
    }
}

/// Each word of the answer is a store to the pool, which is told as well.
fn the_answer_can_lie_in_the_pool_itself(store: &Store) {
    let pool = tracked(store);
    let mapping = map(&pool, NR_PAGES * page_size());
    mapping.write_at(b"new", page_size()).unwrap();
    let address = mapping.as_ptr().wrapping_add(100 * page_size());
    let dirty = question(address.expose_provenance() as u64);
    assert_eq!(set(&pool, uapi::DIRTY, dirty), Ok(()));
    let words = [0, 1, 2, 3].map(|word| {
        let mut bytes = [0; 8];
        mapping
            .read_at(&mut bytes, 100 * page_size() + 8 * word)
            .unwrap();
        u64::from_ne_bytes(bytes)
    });
    assert_eq!(words, [1 << 1, 1 << (100 - 64), 0, 0]);
    let written = pool
        .take_written(0, (NR_PAGES * page_size()) as u64)
        .unwrap();
    assert_eq!(written, [100]);
}

fn reserved_fields_are_einval(store: &Store) {
    let pool = tracked(store);
    let mut words = [0_u64; 4];
    let address = words.as_mut_ptr().expose_provenance() as u64;
    for bit in [1, 1 << 63] {
        let dirty = uapi::Dirty {
            reserved: bit,
            ..question(address)
        };
        assert_eq!(set(&pool, uapi::DIRTY, dirty), Err(Errno::INVAL));
        let resize = uapi::Resize {
            size_bytes: pool.info().unwrap().size_bytes,
            reserved: bit,
        };
        assert_eq!(set(&pool, uapi::RESIZE, resize), Err(Errno::INVAL));
    }
    for reserved in [1, 1 << 31] {
        let seals = uapi::SEAL_SEAL;
        let seal = uapi::Seal { seals, reserved };
        assert_eq!(set(&pool, uapi::SEAL, seal), Err(Errno::INVAL));
    }
    let seal = uapi::Seal {
        seals: 0x100,
        reserved: 0,
    };
    assert_eq!(set(&pool, uapi::SEAL, seal), Err(Errno::INVAL));
    drop(pool);

    let object = store.object(page_size());
    let node = Pool::open().unwrap();
    let create = |create| set(&node, uapi::CREATE, create);
    let good = uapi::Create {
        flags: uapi::CREATE_BACKED,
        backing_fd: u32::try_from(object.as_raw_fd()).unwrap(),
        ..uapi::Create::default()
    };
    for bad in [
        uapi::Create {
            flags: uapi::CREATE_BACKED | 0x10,
            ..good
        },
        uapi::Create {
            size_bytes: page_size() as u64,
            ..good
        },
        uapi::Create {
            strategy: uapi::Strategy::Huge as u32,
            ..good
        },
        uapi::Create {
            reserved: 1,
            ..good
        },
        uapi::Create {
            name: [b'n'; uapi::NAME_LEN],
            ..good
        },
    ] {
        assert_eq!(create(bad), Err(Errno::INVAL), "{bad:?}");
    }
    assert_eq!(create(good), Ok(()));
}

fn ioctls_of_other_pools_are_enotty(store: &Store) {
    let pool = tracked(store);
    let mut argument = [0_u64; 16];
    for number in [uapi::CREATE, uapi::STAT, uapi::PREFAULT, 0, 0x5401] {
        let answer = ioctl(&pool, number, argument.as_mut_ptr().cast());
        assert_eq!(answer, Err(Errno::NOTTY), "{number:#x}");
    }
    assert_eq!(argument, [0; 16]);
}

fn bad_descriptors_are_refused(store: &Store) {
    let object = store.object(page_size());
    let node = Pool::open().unwrap();
    for backing_fd in [12_345, 1 << 31, u32::MAX] {
        let create = uapi::Create {
            flags: uapi::CREATE_BACKED,
            backing_fd,
            ..uapi::Create::default()
        };
        assert_eq!(set(&node, uapi::CREATE, create), Err(Errno::BADF));
    }
    let path_only = rustix::fs::open(
        store.path(),
        rustix::fs::OFlags::PATH,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let error = builder(&path_only).create().unwrap_err();
    assert_eq!(error.errno(), Errno::BADF);
    drop(backed(&object));
}

fn answers_are_whole(store: &Store) {
    let pool = tracked(store);
    pool.write_all_at(b"new", 0).unwrap();
    pool.sync().unwrap();
    for number in [uapi::INFO, uapi::BACKING] {
        let len = usize::try_from((number >> 16) & 0x3fff).unwrap();
        let [ones, zeros] = [0xff_u8, 0].map(|fill| {
            let mut answer = [fill; 256];
            assert_eq!(ioctl(&pool, number, answer.as_mut_ptr()), Ok(0));
            assert!(answer[len..].iter().all(|&byte| byte == fill));
            answer
        });
        assert_eq!(ones[..len], zeros[..len], "{number:#x}");
    }
    // The words of the answer are those of the range, and no more.
    let mut words = [u64::MAX; 6];
    let address = words.as_mut_ptr().expose_provenance() as u64;
    assert_eq!(set(&pool, uapi::DIRTY, question(address)), Ok(()));
    assert_eq!(words, [1, 0, 0, 0, u64::MAX, u64::MAX]);
}

fn what_was_written_is_told_to_readers_only(store: &Store) {
    let pool = tracked(store);
    let path = format!("/proc/self/fd/{}", pool.as_raw_fd());
    let write_only = File::options().write(true).open(path).unwrap();
    let mut words = [0_u64; 4];
    let address = words.as_mut_ptr().expose_provenance() as u64;
    let answer = set(&write_only, uapi::DIRTY, question(address));
    assert_eq!(answer, Err(Errno::BADF));
}

/// Passes `argument`, and closes a descriptor that the call returns.
fn set<T>(file: &impl AsFd, number: u32, mut argument: T) -> Result<(), Errno> {
    assert_eq!(
        (number >> 16) & 0x3fff,
        u32::try_from(size_of::<T>()).unwrap()
    );
    let result = ioctl(file, number, (&raw mut argument).cast())?;
    if number == uapi::CREATE {
        // SAFETY: The new descriptor is known here alone.
        drop(unsafe { OwnedFd::from_raw_fd(result) });
    }
    Ok(())
}

fn ioctl(file: &impl AsFd, number: u32, argument: *mut u8) -> Result<i32, Errno> {
    // SAFETY: The driver may write to `argument`, and to the address in it: memory of the caller's
    // own that is as large as the answer, or none.
    match unsafe { libc::ioctl(file.as_fd().as_raw_fd(), number.into(), argument) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap()),
        result => Ok(result),
    }
}
