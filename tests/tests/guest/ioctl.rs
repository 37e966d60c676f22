// SPDX-License-Identifier: MIT OR GPL-2.0

//! Hostile ioctls.

use std::os::fd::AsRawFd;
use std::ptr;

use mmap_pool::{uapi, Errno, Info, MappingBuilder, Pool, Protection};
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::subject::PAGE;

#[test]
fn unknown_ioctls_are_enotty_and_change_nothing() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let pool = Pool::open().unwrap();
    let before = pool.info().unwrap();
    let mut buffer = [0xa5_u8; 1 << 14];
    for nr in 0..=0xff_u32 {
        for direction in 0..4_u32 {
            for size in [0, 1, 8, 63, 64, 65, 0x3fff_u32] {
                let magic = u32::from(uapi::IOC_MAGIC);
                let number = (direction << 30) | (size << 16) | (magic << 8) | nr;
                if number == uapi::INFO {
                    continue;
                }
                let answer = ioctl(&pool, number, buffer.as_mut_ptr());
                assert_eq!(answer, Err(Errno::NOTTY), "{number:#x}");
            }
        }
    }
    // Those of a terminal, of a block device, and none at all.
    for number in [0x5401, 0x1260, 0, u32::MAX] {
        assert_eq!(
            ioctl(&pool, number, buffer.as_mut_ptr()),
            Err(Errno::NOTTY),
            "{number:#x}"
        );
    }
    assert!(
        buffer.iter().all(|&byte| byte == 0xa5),
        "a refused ioctl wrote to its argument"
    );
    assert_eq!(pool.info().unwrap(), before);
    drop(pool);
    module.unload().unwrap();
}

#[test]
fn a_bad_pointer_is_efault_and_changes_nothing() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let pool = Pool::open().unwrap();
    let before = pool.info().unwrap();
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let map = |protection| {
        MappingBuilder::private()
            .protection(protection)
            .len(PAGE)
            .map(&zero)
            .unwrap()
    };
    let (closed, readable) = (map(Protection::NONE), map(Protection::READ));
    let addresses = [
        0,
        1,
        PAGE,
        closed.as_ptr().addr(),
        readable.as_ptr().addr(),
        // The kernel's half, the end of the address space, and the hole between the halves.
        0xffff_8880_0000_0000,
        usize::MAX - 8,
        1 << 55,
    ];
    for address in addresses {
        let answer = ioctl(&pool, uapi::INFO, ptr::without_provenance_mut(address));
        assert_eq!(answer, Err(Errno::FAULT), "{address:#x}");
    }
    assert_eq!(pool.info().unwrap(), before);
    drop(pool);
    module.unload().unwrap();
}

#[test]
fn an_argument_that_is_half_there_is_efault() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let pool = Pool::open().unwrap();
    // A page of the pool, and a page past its end.
    let end = pool.info().unwrap().size_bytes - PAGE as u64;
    let mapping = MappingBuilder::shared()
        .offset(end)
        .len(2 * PAGE)
        .map(&pool)
        .unwrap();
    let start = mapping.as_ptr().wrapping_add(PAGE - size_of::<Info>() / 2);
    assert_eq!(ioctl(&pool, uapi::INFO, start), Err(Errno::FAULT));
    drop((mapping, pool));
    module.unload().unwrap();
}

#[test]
fn info_can_be_written_into_an_untouched_page_of_the_pool() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let pool = Pool::open().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    assert_eq!(ioctl(&pool, uapi::INFO, mapping.as_ptr()), Ok(()));
    let mut size = [0; 8];
    pool.read_exact_at(&mut size, 0).unwrap();
    assert_eq!(u64::from_ne_bytes(size), mapping.len() as u64);
    drop((mapping, pool));
    module.unload().unwrap();
}

#[test]
fn info_needs_no_alignment() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let pool = Pool::open().unwrap();
    let mut buffer = [0xa5_u8; size_of::<Info>() + 2];
    assert_eq!(ioctl(&pool, uapi::INFO, buffer[1..].as_mut_ptr()), Ok(()));
    assert_eq!(buffer[1..9], pool.info().unwrap().size_bytes.to_ne_bytes());
    assert_eq!((buffer[0], buffer[buffer.len() - 1]), (0xa5, 0xa5));
    drop(pool);
    module.unload().unwrap();
}

fn ioctl(pool: &Pool, number: u32, argument: *mut u8) -> Result<(), Errno> {
    // SAFETY: Whatever the driver makes of it may be written to `argument`: memory of the caller's
    // own, as large as any ioctl's argument can be or as the one that is asked for, or none.
    match unsafe { libc::ioctl(pool.as_raw_fd(), number.into(), argument) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap()),
        _ => Ok(()),
    }
}
