// SPDX-License-Identifier: MIT OR GPL-2.0

//! Ioctls with hostile arguments.

use std::fs::File;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use mmap_pool::{uapi, Errno, Info, MappingBuilder, OpenOptions, Pool, Protection, Stat};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::observe::totals;
use mmap_pool_tests::subject::{page_size, size};

/// Every ioctl number: the constants with the type byte of the device.
fn numbers() -> Vec<u32> {
    let constants = uapi::CONSTANTS.iter();
    constants
        .filter_map(|&(_, value)| u32::try_from(value).ok())
        .filter(|number| (number >> 8) & 0xff == u32::from(uapi::IOC_MAGIC))
        .collect()
}

/// The ioctls that read an argument.
fn setters() -> Vec<u32> {
    of_direction(1)
}

/// The ioctls that write an answer.
fn getters() -> Vec<u32> {
    of_direction(2)
}

fn of_direction(direction: u32) -> Vec<u32> {
    let mut numbers = numbers();
    numbers.retain(|number| number >> 30 == direction);
    assert!(!numbers.is_empty());
    numbers
}

/// The ioctls of the node alone. They concern all pools.
const OF_THE_NODE: [u32; 2] = [uapi::CREATE, uapi::STAT];

/// The ioctls of pools with a backing object. `tests/guest_backed/` has such pools.
const OF_BACKED: [u32; 2] = [uapi::DIRTY, uapi::BACKING];

/// Sizes and offsets that no file has.
const BEYOND_ANY_FILE: [u64; 4] = [1 << 63, (1 << 63) + 4096, u64::MAX - 4095, u64::MAX];

#[test]
fn unknown_ioctls_are_enotty_and_change_nothing() {
    on_both_kinds(refuses_unknown_numbers);
}

fn refuses_unknown_numbers(pool: &Pool) {
    let known = numbers();
    let mut buffer = [0xa5_u8; 1 << 14];
    for nr in 0..=0xff_u32 {
        for direction in 0..4_u32 {
            for size in [0, 1, 8, 16, 32, 63, 64, 65, 80, 88, 0x3fff_u32] {
                let magic = u32::from(uapi::IOC_MAGIC);
                let number = (direction << 30) | (size << 16) | (magic << 8) | nr;
                if known.contains(&number) {
                    continue;
                }
                let answer = ioctl(pool, number, buffer.as_mut_ptr());
                assert_eq!(answer, Err(Errno::NOTTY), "{number:#x}");
            }
        }
    }
    // Those of a terminal, of a block device, and none at all.
    for number in [0x5401, 0x1260, 0, u32::MAX] {
        assert_eq!(
            ioctl(pool, number, buffer.as_mut_ptr()),
            Err(Errno::NOTTY),
            "{number:#x}"
        );
    }
    assert!(
        buffer.iter().all(|&byte| byte == 0xa5),
        "a refused ioctl wrote to its argument"
    );
}

#[test]
fn a_bad_pointer_is_efault_and_changes_nothing() {
    on_both_kinds(|pool| {
        let zero = File::open("/dev/zero").unwrap();
        let map = |protection| {
            let builder = MappingBuilder::private()
                .protection(protection)
                .len(page_size());
            // SAFETY: /dev/zero is memory.
            unsafe { builder.map_file(&zero) }.unwrap()
        };
        let (closed, readable) = (map(Protection::NONE), map(Protection::READ));
        let addresses = [
            0,
            1,
            page_size(),
            closed.as_ptr().addr(),
            // The kernel's half, the end of the address space, and the hole between the halves.
            0xffff_8880_0000_0000,
            usize::MAX - 8,
            1 << 55,
        ];
        for number in setters().into_iter().chain(getters()) {
            for address in addresses {
                let answer = ioctl(pool, number, ptr::without_provenance_mut(address));
                let refused = refused(pool, number, Errno::FAULT);
                assert_eq!(answer, Err(refused), "{number:#x} {address:#x}");
            }
        }
        for number in getters() {
            let answer = ioctl(pool, number, readable.as_ptr());
            let refused = refused(pool, number, Errno::FAULT);
            assert_eq!(answer, Err(refused), "{number:#x}");
        }
    });
}

#[test]
fn a_reserved_field_that_is_not_zero_is_einval_and_changes_nothing() {
    on_both_kinds(|pool| {
        let create = uapi::Create {
            size_bytes: 4096,
            ..uapi::Create::default()
        };
        for bit in [1, 2, 4, 8, 16, 1 << 31] {
            let refused = refused(pool, uapi::CREATE, Errno::INVAL);
            for bad in [
                uapi::Create {
                    flags: bit,
                    ..create
                },
                uapi::Create {
                    backing_fd: bit,
                    ..create
                },
                uapi::Create {
                    reserved: bit,
                    ..create
                },
            ] {
                assert_eq!(set(pool, uapi::CREATE, bad), Err(refused), "{bad:?}");
            }
            let seal = uapi::Seal {
                seals: uapi::SEAL_SHRINK,
                reserved: bit,
            };
            assert_eq!(set(pool, uapi::SEAL, seal), Err(Errno::INVAL));
        }
        for reserved in [1, 1 << 63] {
            let resize = uapi::Resize {
                size_bytes: 2 * size() as u64,
                reserved,
            };
            assert_eq!(set(pool, uapi::RESIZE, resize), Err(Errno::INVAL));
        }
    });
}

#[test]
fn a_pool_in_memory_knows_no_ioctl_of_backed_pools() {
    on_both_kinds(|pool| {
        for number in OF_BACKED {
            let mut argument = [0_u64; 8];
            let answer = ioctl(pool, number, argument.as_mut_ptr().cast());
            assert_eq!(answer, Err(Errno::NOTTY), "{number:#x}");
            assert_eq!(argument, [0; 8]);
        }
    });
}

#[test]
fn unknown_seals_are_einval_and_add_none() {
    on_both_kinds(|pool| {
        for seals in [0x10, 0x80, 1 << 31, u32::MAX, uapi::SEAL_GROW | 0x20] {
            let seal = uapi::Seal { seals, reserved: 0 };
            assert_eq!(set(pool, uapi::SEAL, seal), Err(Errno::INVAL), "{seals:#x}");
        }
    });
}

#[test]
fn an_unknown_strategy_is_einval_and_creates_nothing() {
    on_both_kinds(|pool| {
        let next = u32::try_from(uapi::Strategy::ALL.len()).unwrap();
        for strategy in [next, 1 << 31, u32::MAX] {
            let create = uapi::Create {
                size_bytes: 4096,
                strategy,
                ..uapi::Create::default()
            };
            let refused = refused(pool, uapi::CREATE, Errno::INVAL);
            assert_eq!(set(pool, uapi::CREATE, create), Err(refused));
        }
    });
}

#[test]
fn a_name_without_an_end_is_einval_and_creates_nothing() {
    on_both_kinds(|pool| {
        let create = uapi::Create {
            size_bytes: 4096,
            name: [b'n'; uapi::NAME_LEN],
            ..uapi::Create::default()
        };
        let refused = refused(pool, uapi::CREATE, Errno::INVAL);
        assert_eq!(set(pool, uapi::CREATE, create), Err(refused));
    });
}

#[test]
fn a_size_that_no_file_has_is_einval_and_changes_nothing() {
    on_both_kinds(|pool| {
        for size_bytes in BEYOND_ANY_FILE {
            let create = uapi::Create {
                size_bytes,
                ..uapi::Create::default()
            };
            let refused = refused(pool, uapi::CREATE, Errno::INVAL);
            assert_eq!(set(pool, uapi::CREATE, create), Err(refused));
            let resize = uapi::Resize {
                size_bytes,
                reserved: 0,
            };
            assert_eq!(set(pool, uapi::RESIZE, resize), Err(Errno::INVAL));
        }
    });
}

#[test]
fn the_largest_size_of_a_file_is_one_of_a_pool_too() {
    let _module = fresh_module();
    let largest = i64::MAX.unsigned_abs();
    let pool = Pool::create().size_bytes(largest).create().unwrap();
    assert_eq!(pool.info().unwrap().size_bytes, largest);
    // Its last byte can be written, and nothing after that.
    pool.write_all_at(b"!", largest - 1).unwrap();
    assert_eq!(pool.info().unwrap().nr_resident_pages, 1);
    pool.resize(0).unwrap();
    pool.resize(largest).unwrap();
    assert_eq!(pool.info().unwrap().nr_resident_pages, 0);
}

#[test]
fn the_default_pool_has_whole_pages_and_at_most_the_machines_memory() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let before = State::of(&pool);
    for size in [
        0,
        1,
        4095,
        size() as u64 + 1,
        1 << 50,
        i64::MAX.unsigned_abs(),
    ] {
        let error = pool.resize(size).unwrap_err();
        assert_eq!(error.errno(), Errno::INVAL, "{size}");
    }
    assert_eq!(State::of(&pool), before);
}

#[test]
fn a_range_that_cannot_be_is_einval_and_changes_nothing() {
    on_both_kinds(|pool| {
        let page = page_size() as u64;
        let mut ranges = vec![
            (0, 0),
            (page, 0),
            (u64::MAX, 0),
            (u64::MAX, 1),
            (1, u64::MAX),
        ];
        for beyond in BEYOND_ANY_FILE {
            ranges.extend([(beyond, page), (page, beyond), (beyond, beyond)]);
        }
        ranges.push((i64::MAX.unsigned_abs(), 2));
        for (offset, len) in ranges {
            for result in [pool.punch(offset, len), pool.prefault(offset, len)] {
                let errno = result.map_err(|error| error.errno());
                assert_eq!(errno, Err(Errno::INVAL), "{offset:#x} {len:#x}");
            }
        }
        // Past the end there is nothing to allocate, and nothing that punching would change.
        let end = size() as u64;
        for (offset, len) in [(end, 1), (end - page, page + 1), (1 << 62, page)] {
            let errno = pool.prefault(offset, len).map_err(|error| error.errno());
            assert_eq!(errno, Err(Errno::INVAL), "{offset:#x} {len:#x}");
        }
        for (offset, len) in [
            (end, page),
            (1 << 62, page),
            (end, i64::MAX.unsigned_abs() - end),
        ] {
            pool.punch(offset, len).unwrap();
        }
    });
}

#[test]
fn ranges_need_no_alignment() {
    let _module = fresh_module();
    for pool in both_kinds() {
        pool.write_all_at(&vec![7; 4 * page_size()], 0).unwrap();
        pool.punch(100, 2 * page_size() as u64).unwrap();
        let mut bytes = vec![0xff; 4 * page_size()];
        pool.read_exact_at(&mut bytes, 0).unwrap();
        let mut expected = vec![7; 4 * page_size()];
        expected[100..100 + 2 * page_size()].fill(0);
        assert_eq!(bytes, expected);
        // The page in the middle is gone, those that lost a part are not.
        assert_eq!(pool.info().unwrap().nr_resident_pages, 3);

        pool.prefault(10 * page_size() as u64 - 1, 2).unwrap();
        assert_eq!(pool.info().unwrap().nr_resident_pages, 5);
    }
}

#[test]
fn a_descriptor_that_cannot_write_is_ebadf_and_changes_nothing() {
    on_both_kinds(|pool| {
        let path = format!("/proc/self/fd/{}", pool.as_raw_fd());
        let read_only = OpenOptions::new().write(false).open_path(path).unwrap();
        for result in [
            read_only.resize(2 * size() as u64),
            read_only.punch(0, 4096),
            read_only.prefault(0, 4096),
            read_only.seal(mmap_pool::Seals::GROW),
        ] {
            assert_eq!(result.unwrap_err().errno(), Errno::BADF);
        }
        let create = set(&read_only, uapi::CREATE, uapi::Create::default());
        assert_eq!(create, Err(refused(pool, uapi::CREATE, Errno::BADF)));
        // An argument is looked at before the rights are.
        let answer = ioctl(&read_only, uapi::RESIZE, ptr::null_mut());
        assert_eq!(answer, Err(Errno::FAULT));
    });
}

#[test]
fn what_concerns_all_pools_is_asked_of_the_node() {
    on_both_kinds(|pool| {
        let is_node = pool.info().unwrap().is_default();
        let mut stat = [0_u8; 256];
        let answer = ioctl(pool, uapi::STAT, stat.as_mut_ptr());
        assert_eq!(answer.is_ok(), is_node);
        let created = Pool::create().create_through(pool);
        assert_eq!(created.is_ok(), is_node);
        assert_eq!(stat != [0; 256], is_node);
    });
}

#[test]
fn files_of_others_know_none_of_the_ioctls() {
    let _module = fresh_module();
    let mut buffer = [0_u8; 1 << 14];
    let (from, to) = rustix::pipe::pipe().unwrap();
    let memfd = rustix::fs::memfd_create("other", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let others = [
        File::open("/dev/null").unwrap().into(),
        File::open("/proc/self/exe").unwrap().into(),
        from,
        to,
        memfd,
    ];
    for other in &others {
        for number in numbers() {
            let answer = ioctl(other, number, buffer.as_mut_ptr());
            assert_eq!(answer, Err(Errno::NOTTY), "{number:#x}");
        }
    }
    for other in others {
        let error = Pool::try_from(other).unwrap_err();
        assert_eq!(error.errno(), Errno::NOTTY);
    }
}

#[test]
fn an_argument_that_is_half_there_is_efault() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    // A page of the pool, and a page past its end.
    let end = pool.info().unwrap().size_bytes - page_size() as u64;
    let mapping = MappingBuilder::shared()
        .offset(end)
        .len(2 * page_size())
        .map(&pool)
        .unwrap();
    for number in setters().into_iter().chain(getters()) {
        let start = mapping
            .as_ptr()
            .wrapping_add(page_size() - argument_len(number) / 2);
        let refused = refused(&pool, number, Errno::FAULT);
        assert_eq!(ioctl(&pool, number, start), Err(refused), "{number:#x}");
    }
}

#[test]
fn an_argument_can_lie_in_the_page_that_it_takes_away() {
    let _module = fresh_module();
    for pool in both_kinds() {
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let argument = uapi::Range {
            offset_bytes: 0,
            len_bytes: size() as u64,
        };
        mapping
            .write_at(&argument.offset_bytes.to_ne_bytes(), 0)
            .unwrap();
        mapping
            .write_at(&argument.len_bytes.to_ne_bytes(), 8)
            .unwrap();
        assert_eq!(ioctl(&pool, uapi::PUNCH, mapping.as_ptr()), Ok(0));
        assert_eq!(pool.info().unwrap().nr_resident_pages, 0);
    }
}

#[test]
fn info_can_be_written_into_an_untouched_page_of_the_pool() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    assert_eq!(ioctl(&pool, uapi::INFO, mapping.as_ptr()), Ok(0));
    let mut size = [0; 8];
    pool.read_exact_at(&mut size, 0).unwrap();
    assert_eq!(u64::from_ne_bytes(size), mapping.len() as u64);
}

#[test]
fn info_needs_no_alignment() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    let mut buffer = [0xa5_u8; size_of::<uapi::Info>() + 2];
    assert_eq!(ioctl(&pool, uapi::INFO, buffer[1..].as_mut_ptr()), Ok(0));
    assert_eq!(buffer[1..9], pool.info().unwrap().size_bytes.to_ne_bytes());
    assert_eq!((buffer[0], buffer[buffer.len() - 1]), (0xa5, 0xa5));
}

#[test]
fn answers_are_whole_and_what_is_reserved_in_them_is_zero() {
    // Without a reserve nothing changes by itself.
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let pools = both_kinds();
    for pool in &pools {
        for (number, reserved) in [
            (uapi::INFO, offset_of!(uapi::Info, reserved)),
            (uapi::STAT, offset_of!(uapi::Stat, reserved)),
        ] {
            if number == uapi::STAT && !pool.info().unwrap().is_default() {
                continue;
            }
            let len = argument_len(number);
            // Bytes that the kernel leaves alone differ between the two.
            let [ones, zeros] = [0xff_u8, 0].map(|fill| {
                let mut answer = [fill; 256];
                assert_eq!(ioctl(pool, number, answer.as_mut_ptr()), Ok(0));
                assert!(answer[len..].iter().all(|&byte| byte == fill));
                answer
            });
            assert_eq!(ones[..len], zeros[..len], "{number:#x}");
            assert!(
                ones[reserved..len].iter().all(|&byte| byte == 0),
                "{number:#x}"
            );
        }
    }
}

/// The errno of a bad call of `number` on `pool`.
fn refused(pool: &Pool, number: u32, errno: Errno) -> Errno {
    let is_of_node = OF_THE_NODE.contains(&number);
    if OF_BACKED.contains(&number) || is_of_node && !pool.info().unwrap().is_default() {
        Errno::NOTTY
    } else {
        errno
    }
}

/// The state that an error must not change.
#[derive(Debug, PartialEq, Eq)]
struct State {
    info: Info,
    stat: Stat,
    bytes: Vec<u8>,
    nr_descriptors: usize,
}

impl State {
    fn of(pool: &Pool) -> Self {
        let mut bytes = vec![0xff; size()];
        pool.read_exact_at(&mut bytes, 0).unwrap();
        let mut stat = totals().unwrap();
        // The reserve fills itself whenever there is time.
        stat.nr_reserve_pages = 0;
        Self {
            info: pool.info().unwrap(),
            stat,
            bytes,
            nr_descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }
}

/// The default pool, and a created one of the same size.
fn both_kinds() -> [Pool; 2] {
    let created = Pool::create().name("hostile").size_bytes(size() as u64);
    [Pool::open().unwrap(), created.create().unwrap()]
}

/// Runs `attempt` on both kinds of pools, each with some pages. The pages must stay as they are.
fn on_both_kinds(attempt: impl Fn(&Pool)) {
    let _module = fresh_module();
    let pools = both_kinds();
    for pool in &pools {
        pool.write_all_at(&vec![0x5a; 2 * page_size()], page_size() as u64)
            .unwrap();
    }
    for pool in &pools {
        let before = State::of(pool);
        attempt(pool);
        assert_eq!(State::of(pool), before);
    }
}

fn argument_len(number: u32) -> usize {
    usize::try_from((number >> 16) & 0x3fff).unwrap()
}

/// Passes `argument`, and closes a descriptor that the call returns.
fn set<T>(pool: &Pool, number: u32, mut argument: T) -> Result<(), Errno> {
    assert_eq!(argument_len(number), size_of::<T>());
    let result = ioctl(pool, number, (&raw mut argument).cast())?;
    if number == uapi::CREATE {
        // SAFETY: The new descriptor is known here alone.
        drop(unsafe { OwnedFd::from_raw_fd(result) });
    }
    Ok(())
}

fn ioctl(file: &impl AsRawFd, number: u32, argument: *mut u8) -> Result<i32, Errno> {
    // SAFETY: Whatever the driver makes of it may be written to `argument`: memory of the caller's
    // own, as large as any ioctl's argument can be or as the one that is asked for, or none.
    match unsafe { libc::ioctl(file.as_raw_fd(), number.into(), argument) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap()),
        result => Ok(result),
    }
}
