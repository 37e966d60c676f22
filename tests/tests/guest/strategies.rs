// SPDX-License-Identifier: MIT OR GPL-2.0

//! Strategies: when a pool gets its pages, and of what size. The reserve, which supplies them.

use std::ffi::c_int;
use std::fs;
use std::os::fd::OwnedFd;
use std::ptr;

use mmap_pool::{Errno, Mapping, MappingBuilder, Pool, Strategy};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::{self, fresh_module, FreshModule, LoadError};
use mmap_pool_tests::observe::{checked, full_reserve, put_word, totals, verdict, vmstat, word};
use mmap_pool_tests::signal::{touch, Access};
use mmap_pool_tests::subject::page_size;
use rustix::fs::{fallocate, ftruncate, memfd_create, FallocateFlags, MemfdFlags};
use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};

use mmap_pool_tests::machine::{pages_of_mib, WINDOW};

/// Bytes of a huge page, and pages of one.
pub(crate) use mmap_pool_tests::machine::HUGE;

pub(crate) fn huge_pages() -> u64 {
    (HUGE / page_size()) as u64
}

/// The strategies that allocate pages when they are touched.
pub(crate) const LAZY: [Strategy; 4] = [
    Strategy::Auto,
    Strategy::Page,
    Strategy::Around,
    Strategy::Huge,
];

#[test]
fn a_pool_has_the_strategy_it_was_created_with_and_auto_is_the_default() {
    let _module = fresh_module();
    let strategy = |pool: Pool| pool.info().unwrap().strategy();
    assert_eq!(
        strategy(Pool::create().create().unwrap()),
        Some(Strategy::Auto)
    );
    assert_eq!(strategy(Pool::open().unwrap()), Some(Strategy::Auto));
    for expected in Strategy::ALL {
        let pool = Pool::create().strategy(expected).create().unwrap();
        assert_eq!(strategy(pool), Some(expected));
    }
}

#[test]
fn the_parameter_sets_the_strategy_of_the_default_pool() {
    for expected in Strategy::ALL {
        let parameters = format!("size_mb=1 strategy={}", expected as u32);
        let module = FreshModule::load(&parameters).unwrap();
        let info = Pool::open().unwrap().info().unwrap();
        assert_eq!(info.strategy(), Some(expected));
        module.unload().unwrap();
    }
}

#[test]
fn an_unknown_strategy_does_not_load() {
    let without = module::without_module().unwrap();
    let next = Strategy::ALL.len().to_string();
    for strategy in [&*next, "-1", "huge", "", "4294967295"] {
        let parameters = format!("strategy={strategy}");
        let refused = Err(LoadError(Errno::INVAL));
        assert_eq!(module::load(&parameters), refused, "{parameters}");
    }
    drop(without);
}

#[test]
fn pages_come_from_the_reserve_in_the_pieces_of_the_strategy() {
    for (strategy, nr_pages) in [
        (Strategy::Auto, 1),
        (Strategy::Page, 1),
        (Strategy::Around, (WINDOW / page_size()) as u64),
        (Strategy::Huge, huge_pages()),
    ] {
        let module = FreshModule::load("size_mb=1 reserve_mb=8").unwrap();
        let before = full_reserve(8).unwrap();
        let pool = pool(strategy, HUGE);
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        put_word(&mapping, 5 * page_size(), "here").unwrap();
        assert_eq!(pool.info().unwrap().nr_resident_pages, nr_pages);
        let after = totals().unwrap();
        assert_eq!(after.nr_reserve_hits, before.nr_reserve_hits + nr_pages);
        assert_eq!(after.nr_reserve_misses, before.nr_reserve_misses);
        drop((mapping, pool));
        module.unload().unwrap();
    }
}

/// Sequential, each page through a mapping, by `write`, by `fallocate` and by `PREFAULT`.
#[test]
fn a_run_grows_by_as_much_as_it_has_up_to_huge_pages() {
    type Touch = fn(&Pool, &Mapping, usize);
    let touches: [(&str, Touch); 4] = [
        ("fault", |_, mapping, offset| {
            put_word(mapping, offset, "here").unwrap();
        }),
        ("write", |pool, _, offset| {
            pool.write_all_at(b"here", offset as u64).unwrap();
        }),
        ("fallocate", |pool, _, offset| {
            fallocate(pool, FallocateFlags::empty(), offset as u64, 1).unwrap();
        }),
        ("PREFAULT", |pool, _, offset| {
            pool.prefault(offset as u64, 1).unwrap();
        }),
    ];
    let _module = fresh_module();
    for (name, touch) in touches {
        let pool = pool(Strategy::Auto, 4 * HUGE);
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        for page in 0..4 * HUGE / page_size() {
            touch(&pool, &mapping, page * page_size());
            let expected = match page + 1 {
                nr_pages if nr_pages <= HUGE / page_size() => nr_pages.next_power_of_two(),
                nr_pages => nr_pages.next_multiple_of(HUGE / page_size()),
            };
            let nr_resident = pool.info().unwrap().nr_resident_pages;
            assert_eq!(nr_resident, expected as u64, "{name}: page {page}");
        }
    }
}

#[test]
fn pages_that_continue_no_run_stay_single() {
    let _module = fresh_module();
    let pool = pool(Strategy::Auto, 4 * HUGE);
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let mut nr_touched = 0;
    // Downward, with a stride, and such that each touched page is aligned to as much as possible.
    let downward = (0..64).rev().map(|page| page * page_size());
    let strided = (66..HUGE / page_size())
        .step_by(2)
        .map(|page| page * page_size());
    let aligned = (1..4).map(|number| number * HUGE);
    for offset in downward.chain(strided).chain(aligned) {
        put_word(&mapping, offset, "here").unwrap();
        nr_touched += 1;
        assert_eq!(pool.info().unwrap().nr_resident_pages, nr_touched);
    }
}

/// What follows page 31, of which all pages before are resident.
#[test]
fn a_run_ends_before_what_is_there_and_before_the_end() {
    let _module = fresh_module();
    let run = |len: usize| {
        let pool = pool(Strategy::Auto, len);
        pool.prefault(0, 32 * page_size() as u64).unwrap();
        assert_eq!(pool.info().unwrap().nr_resident_pages, 32);
        pool
    };
    let beyond = |pool: &Pool| {
        pool.prefault(32 * page_size() as u64, 1).unwrap();
        pool.info().unwrap().nr_resident_pages - 32
    };
    assert_eq!(beyond(&run(64 * page_size())), 32);
    assert_eq!(beyond(&run(63 * page_size())), 16);
    assert_eq!(beyond(&run(33 * page_size())), 1);
    let before_a_page = run(64 * page_size());
    before_a_page.prefault(41 * page_size() as u64, 1).unwrap();
    assert_eq!(beyond(&before_a_page), 1 + 8);
}

#[test]
fn an_empty_reserve_is_no_error() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=8").unwrap();
    full_reserve(8).unwrap();
    let pool = pool(Strategy::Huge, 16 * HUGE);
    pool.prefault(0, 16 * HUGE as u64).unwrap();
    let stat = totals().unwrap();
    assert_eq!(stat.nr_resident_pages, 16 * huge_pages());
    assert!(stat.nr_reserve_hits >= 2 * huge_pages(), "{stat:?}");
    let nr_taken = stat.nr_reserve_hits + stat.nr_reserve_misses;
    assert_eq!(nr_taken, 16 * huge_pages());
}

#[test]
fn no_reserve_is_none() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let pool = pool(Strategy::Around, 64 * page_size());
    pool.prefault(0, 64 * page_size() as u64).unwrap();
    let stat = totals().unwrap();
    let reserve = (
        stat.nr_reserve_pages,
        stat.nr_reserve_hits,
        stat.nr_reserve_misses,
    );
    assert_eq!(reserve, (0, 0, 64));
}

#[test]
fn the_reserve_is_given_back_when_memory_is_short_and_fills_again() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=8").unwrap();
    full_reserve(8).unwrap();
    // Asks every shrinker, as reclaim would.
    fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    let pool = Pool::open().unwrap();
    assert_eq!(totals().unwrap().nr_reserve_pages, 0);
    pool.prefault(0, page_size() as u64).unwrap();
    full_reserve(8).unwrap();
}

#[test]
fn running_out_of_memory_takes_the_reserve_and_nothing_of_a_pool() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=8").unwrap();
    let pool = Pool::open().unwrap();
    // A page that is taken leaves the reserve short until half of the others are gone, too.
    full_reserve(8).unwrap();
    pool.write_all_at(b"kept", 5 * page_size() as u64).unwrap();
    let nr_kills = vmstat().unwrap()["oom_kill"];
    let child = Child::fork(|_| {
        // Before anybody else.
        fs::write("/proc/self/oom_score_adj", "1000")?;
        loop {
            // SAFETY: A new mapping, at a place that the kernel chooses. Nothing uses it.
            unsafe {
                mmap_anonymous(
                    ptr::null_mut(),
                    8 << 20,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE | MapFlags::POPULATE,
                )?
            };
        }
    })
    .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.terminating_signal(), Some(libc::SIGKILL));
    assert_eq!(vmstat().unwrap()["oom_kill"], nr_kills + 1);

    // What was given back stays away until a page is taken.
    assert_eq!(totals().unwrap().nr_reserve_pages, 0);
    assert_eq!(pool.info().unwrap().nr_resident_pages, 1);
    let mut bytes = [0; 4];
    pool.read_exact_at(&mut bytes, 5 * page_size() as u64)
        .unwrap();
    assert_eq!(&bytes, b"kept");
    // It is empty, so this page comes from elsewhere: none is taken while the worker fills it.
    pool.prefault(0, page_size() as u64).unwrap();
    full_reserve(8).unwrap();
}

#[test]
fn a_bad_reserve_is_einval() {
    let without = module::without_module().unwrap();
    for parameters in [
        "reserve_mb=-1",
        "reserve_mb=x",
        "reserve_mb=",
        "reserve_mb=99999999",
        "reserve_max_mb=-1",
        "reserve_max_mb=99999999",
        // Less than the default of `reserve_mb`.
        "reserve_max_mb=15",
        "reserve_mb=8 reserve_max_mb=7",
    ] {
        let refused = Err(LoadError(Errno::INVAL));
        assert_eq!(module::load(parameters), refused, "{parameters}");
    }
    drop(without);
}

#[test]
fn the_limit_is_used_to_the_last_page() {
    let _module = FreshModule::load("size_mb=1 limit_mb=3").unwrap();
    for strategy in LAZY {
        let pool = pool(strategy, 2 * HUGE);
        let before = totals().unwrap();
        let error = pool.prefault(0, 2 * HUGE as u64).unwrap_err();
        assert_eq!(error.errno(), Errno::NOSPC, "{strategy:?}");
        let after = totals().unwrap();
        assert_eq!(after.nr_resident_pages, pages_of_mib(3), "{strategy:?}");
        assert_eq!(after.nr_refused_pages, before.nr_refused_pages + 1);
        drop(pool);
        let left = Pool::open().unwrap().stat().unwrap().nr_resident_pages;
        assert_eq!(left, 0, "{strategy:?}");
    }
}

#[test]
fn an_eager_pool_beyond_the_limit_is_enospc_and_takes_nothing() {
    let _module = FreshModule::load("size_mb=1 limit_mb=3").unwrap();
    let eager = || Pool::create().strategy(Strategy::Eager);
    let too_large = eager().size_bytes(2 * HUGE as u64).create();
    assert_eq!(too_large.unwrap_err().errno(), Errno::NOSPC);
    assert_eq!(totals().unwrap().nr_resident_pages, 0);

    let pool = eager().size_bytes(HUGE as u64).create().unwrap();
    assert_eq!(
        pool.resize(2 * HUGE as u64).unwrap_err().errno(),
        Errno::NOSPC
    );
    let allocated = fallocate(&pool, FallocateFlags::empty(), 0, 2 * HUGE as u64);
    assert_eq!(allocated, Err(Errno::NOSPC));
    let past_the_end = pool.write_at(b"no", 2 * HUGE as u64).unwrap_err();
    assert_eq!(Errno::from_io_error(&past_the_end), Some(Errno::NOSPC));
    let info = pool.info().unwrap();
    let now = (info.size_bytes, info.nr_resident_pages);
    assert_eq!(now, (HUGE as u64, huge_pages()));

    pool.resize((HUGE + HUGE / 2) as u64).unwrap();
    assert_eq!(totals().unwrap().nr_resident_pages, pages_of_mib(3));
    drop(pool);
    assert_eq!(totals().unwrap().nr_resident_pages, 0);
}

#[test]
fn an_eager_pool_has_all_its_pages_from_the_start_and_however_it_grows() {
    let _module = fresh_module();
    let pool = pool(Strategy::Eager, 5 * page_size());
    let resident = || pool.info().unwrap().nr_resident_pages;
    assert_eq!(resident(), 5);
    pool.resize(7 * page_size() as u64).unwrap();
    assert_eq!(resident(), 7);
    pool.write_all_at(b"beyond a hole", 20 * page_size() as u64)
        .unwrap();
    assert_eq!(resident(), 21);
    fallocate(&pool, FallocateFlags::empty(), 40 * page_size() as u64, 1).unwrap();
    assert_eq!(resident(), 41);
}

#[test]
fn an_eager_default_pool_has_all_its_pages_when_the_module_is_loaded() {
    let _module = FreshModule::load("size_mb=3 strategy=3").unwrap();
    assert_eq!(totals().unwrap().nr_resident_pages, pages_of_mib(3));
}

#[test]
fn nothing_of_one_pool_is_seen_in_the_next() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=8").unwrap();
    for strategy in Strategy::ALL.into_iter().cycle().take(12) {
        let pool = pool(strategy, 4 * HUGE);
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let mut bytes = vec![0xff; 4 * HUGE];
        mapping.read_at(&mut bytes, 0).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0), "{strategy:?}");
        bytes.fill(0x5e);
        mapping.write_at(&bytes, 0).unwrap();
    }
}

#[test]
fn mappings_take_the_same_advice_with_every_strategy() {
    let _module = fresh_module();
    let memfd = memfd_create("advised", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&memfd, HUGE as u64).unwrap();
    let answers = "\
        GUARD_INSTALL ok SIGSEGV SEGV_MAPERR at +0x1000, GUARD_REMOVE ok, \
        DONTNEED ok, FREE EINVAL, COLD ok, PAGEOUT ok, WILLNEED ok; kept; \
        INVALIDATE ok; locked: INVALIDATE EBUSY, \
        DONTNEED EINVAL, DONTNEED_LOCKED ok, PAGEOUT EINVAL, GUARD_INSTALL EINVAL; kept";
    assert_eq!(advised(&memfd), format!("{answers}; REMOVE ok, 0"));
    for strategy in Strategy::ALL {
        let removed = match strategy {
            // Its pages stay.
            Strategy::Eager => "REMOVE EPERM, kept",
            _ => "REMOVE ok, 0",
        };
        let pool = OwnedFd::from(pool(strategy, HUGE));
        assert_eq!(
            advised(&pool),
            format!("{answers}; {removed}"),
            "{strategy:?}"
        );
    }
}

/// The answers of a mapping to advice about its second page.
fn advised(file: &OwnedFd) -> String {
    // SAFETY: A pool or memfd, which is memory.
    let mapping = unsafe { MappingBuilder::shared().len(HUGE).map_file(file) }.unwrap();
    put_word(&mapping, page_size(), "kept").unwrap();
    let page = || mapping.as_ptr().wrapping_add(page_size()).cast();
    let say = |name: &str, advice| {
        // SAFETY: The page belongs to the mapping, and its bytes may change.
        let answer = checked(unsafe { libc::madvise(page(), page_size(), advice) });
        format!("{name} {}", verdict(&answer))
    };
    let invalidate = || {
        // SAFETY: A plain request.
        let answer = checked(unsafe { libc::msync(page(), page_size(), libc::MS_INVALIDATE) });
        format!("INVALIDATE {}", verdict(&answer))
    };
    let now = || word(&mapping, page_size()).unwrap();
    let guarded = say("GUARD_INSTALL", MADV_GUARD_INSTALL);
    let touched = touch(mapping.as_ptr(), page_size(), Access::Read).unwrap();
    let advised = [
        ("GUARD_REMOVE", MADV_GUARD_REMOVE),
        ("DONTNEED", libc::MADV_DONTNEED),
        ("FREE", libc::MADV_FREE),
        ("COLD", libc::MADV_COLD),
        ("PAGEOUT", libc::MADV_PAGEOUT),
        ("WILLNEED", libc::MADV_WILLNEED),
    ]
    .map(|(name, advice)| say(name, advice));
    let (kept, invalidated) = (now(), invalidate());
    // SAFETY: The page belongs to the mapping.
    checked(unsafe { libc::mlock(page(), page_size()) }).unwrap();
    let locked = [
        invalidate(),
        say("DONTNEED", libc::MADV_DONTNEED),
        say("DONTNEED_LOCKED", MADV_DONTNEED_LOCKED),
        say("PAGEOUT", libc::MADV_PAGEOUT),
        say("GUARD_INSTALL", MADV_GUARD_INSTALL),
    ];
    // SAFETY: As above.
    checked(unsafe { libc::munlock(page(), page_size()) }).unwrap();
    let kept_locked = now();
    let removed = say("REMOVE", libc::MADV_REMOVE);
    format!(
        "{guarded} {touched}, {}; {kept}; {invalidated}; locked: {}; {kept_locked}; {removed}, {}",
        advised.join(", "),
        locked.join(", "),
        now()
    )
}

const MADV_DONTNEED_LOCKED: c_int = 24;
pub(crate) const MADV_GUARD_INSTALL: c_int = 102;
pub(crate) const MADV_GUARD_REMOVE: c_int = 103;

pub(crate) fn pool(strategy: Strategy, size_bytes: usize) -> Pool {
    let pool = Pool::create().strategy(strategy);
    pool.size_bytes(size_bytes as u64).create().unwrap()
}
