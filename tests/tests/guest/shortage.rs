// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pools when memory is short, and the memory that they take.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use mmap_pool::{Mapping, MappingBuilder, Pool, Strategy};
use mmap_pool_tests::cgroup::Cgroup;
use mmap_pool_tests::child::{in_child, Child};
use mmap_pool_tests::machine::{pages_of_mib, WINDOW};
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::observe::{full_reserve, put_word, symbol, totals, word};
use mmap_pool_tests::subject::{anonymous, page_size};
use mmap_pool_tests::Failure;
use rustix::mm::{madvise, Advice, MapFlags};

use crate::strategies::{huge_pages, pool, HUGE};

const MIB: usize = 1 << 20;

#[test]
fn by_default_all_pools_may_hold_half_of_the_machines_memory() {
    let total_mib = memory_kib("MemTotal") >> 10;
    for (parameters, limit_kib) in [
        ("size_mb=1".into(), total_mib << 9),
        // The default pool may always be filled.
        (format!("size_mb={total_mib}"), total_mib << 10),
        ("limit_mb=3".into(), 3 << 10),
        ("size_mb=4 limit_mb=3".into(), 3 << 10),
    ] {
        let module = FreshModule::load(&parameters).unwrap();
        let stat = Pool::open().unwrap().stat().unwrap();
        assert_eq!(stat.nr_limit_pages, limit_kib / 4, "{parameters}");
        module.unload().unwrap();
    }
}

/// Of two who add the same page, one is late. While the other has taken the last room and has not added its
/// page yet, nothing is refused.
#[test]
fn at_the_limit_those_who_want_the_same_pages_get_them() {
    const NR_ROUNDS: usize = 100;

    let _module = FreshModule::load("size_mb=1 limit_mb=2 reserve_mb=0").unwrap();
    for strategy in [Strategy::Page, Strategy::Auto, Strategy::Huge] {
        let pool = pool(strategy, HUGE);
        for round in 0..NR_ROUNDS {
            let start = Barrier::new(2);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        start.wait();
                        pool.prefault(0, HUGE as u64)
                            .unwrap_or_else(|error| panic!("{strategy:?}, {round}: {error}"));
                    });
                }
            });
            pool.punch(0, HUGE as u64).unwrap();
        }
    }
    assert_eq!(totals().unwrap().nr_refused_pages, 0);
}

/// A process that the OOM killer spares is alone in a cgroup at its limit. So memory is short, and
/// the kernel can reclaim nothing.
#[test]
fn without_memory_a_call_is_enomem_and_an_access_waits_until_there_is_some() {
    let _module = FreshModule::load("size_mb=8 reserve_mb=0").unwrap();
    let cgroup = Cgroup::new("nobody-to-kill").unwrap();
    cgroup.limit(4 * MIB as u64).unwrap();
    let pool = Pool::open().unwrap();
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    let mut child = Child::fork(|link| {
        fs::write("/proc/self/oom_score_adj", "-1000")?;
        cgroup.enter()?;
        let refused = pool.prefault(0, 8 * MIB as u64).unwrap_err();
        pool.punch(0, 8 * MIB as u64)?;
        link.say(&symbol(refused.errno()))?;
        link.hear()?;
        for page in 0..mapping.len() / page_size() {
            put_word(&mapping, page * page_size(), "there")?;
        }
        Ok("done".into())
    })
    .unwrap();
    assert_eq!(child.link.hear().unwrap(), "ENOMEM");
    let before = cgroup.nr_ooms().unwrap();
    child.link.say("touch").unwrap();
    let has_ended = AtomicBool::new(false);
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            // The second time shows that it was tried again.
            while cgroup.nr_ooms().unwrap() < before + 2 && !has_ended.load(Relaxed) {
                thread::yield_now();
            }
            cgroup.limit(64 * MIB as u64).unwrap();
        });
        let answer = child.finish();
        has_ended.store(true, Relaxed);
        answer
    });
    assert_eq!(answer.unwrap(), "done");
    assert_eq!(
        word(&mapping, mapping.len() - page_size()).unwrap(),
        "there"
    );
    assert_eq!(cgroup.nr_killed().unwrap(), 0);
}

/// A huge pool of `len` bytes on a machine that has huge pages, its mapping, and a cgroup for who touches
/// it.
fn huge_pool_and_cgroup_of_8_mib(len: usize) -> (FreshModule, Cgroup, Pool, Mapping) {
    fs::write("/proc/sys/vm/compact_memory", "1").unwrap();
    let module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let cgroup = Cgroup::new("refused").unwrap();
    cgroup.limit(8 * MIB as u64).unwrap();
    let pool = pool(Strategy::Huge, len);
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    (module, cgroup, pool, mapping)
}

/// Pages with the word `kept` that reclaim takes at once, as long as they are not written again.
fn reclaimable(len: usize) -> Result<Mapping, Failure> {
    let free = anonymous(len, MapFlags::PRIVATE)?;
    for offset in (0..len).step_by(page_size()) {
        put_word(&free, offset, "kept")?;
    }
    advise(&free, Advice::LinuxFree)?;
    Ok(free)
}

#[test]
fn extra_pages_take_nothing_from_the_cgroup_of_the_task() {
    let (_module, cgroup, pool, mapping) = huge_pool_and_cgroup_of_8_mib(HUGE);
    let kept = in_child(|| {
        cgroup.enter()?;
        let free = reclaimable(6 * MIB)?;
        put_word(&mapping, 0, "there")?;
        let mut nr_kept = 0;
        for offset in (0..free.len()).step_by(page_size()) {
            nr_kept += usize::from(word(&free, offset)? == "kept");
        }
        Ok(nr_kept.to_string())
    })
    .unwrap();
    let nr_resident = pool.info().unwrap().nr_resident_pages;
    assert_eq!(kept, (6 * MIB / page_size()).to_string());
    assert_eq!(nr_resident, 1);
}

/// For a large folio, the kernel reclaims nothing of the cgroup.
#[test]
fn a_folio_that_the_cgroup_refuses_is_not_tried_again_for_each_page() {
    let (_module, cgroup, pool, mapping) = huge_pool_and_cgroup_of_8_mib(17 * HUGE);
    in_child(|| {
        cgroup.enter()?;
        let _free = reclaimable(7 * MIB)?;
        for offset in (0..16 * HUGE).step_by(HUGE) {
            put_word(&mapping, offset, "there")?;
        }
        Ok(String::new())
    })
    .unwrap();
    let stat = totals().unwrap();
    let nr_zeroed = stat.nr_reserve_hits + stat.nr_reserve_misses;
    let nr_refused = nr_zeroed - pool.info().unwrap().nr_resident_pages;
    // A single one, or else each of 15 touches would zero at least as much.
    assert_eq!(nr_refused, huge_pages());

    // As many single pages as were refused.
    pool.prefault(0, HUGE as u64).unwrap();
    let before = pool.info().unwrap().nr_resident_pages;
    put_word(&mapping, 16 * HUGE, "there").unwrap();
    let after = pool.info().unwrap().nr_resident_pages;
    assert_eq!(after - before, huge_pages());
}

#[test]
fn the_reserve_is_filled_again_when_half_of_it_is_gone() {
    // Half of the reserve is for huge pages: 2 of them. A quarter is for single pages. With what is too
    // little for the orders in between they are 514.
    for (strategy, nr_pages) in [(Strategy::Page, 257), (Strategy::Huge, huge_pages())] {
        let module = FreshModule::load("size_mb=1 reserve_mb=8").unwrap();
        full_reserve(8).unwrap();
        let pool = pool(strategy, HUGE);
        pool.prefault(0, nr_pages * page_size() as u64).unwrap();
        let stat = full_reserve(8).unwrap();
        assert_eq!(stat.nr_reserve_hits, nr_pages);
        assert_eq!(stat.nr_reserve_misses, 0);
        drop(pool);
        module.unload().unwrap();
    }
}

#[test]
fn a_walk_finds_every_order_in_the_reserve() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=8").unwrap();
    full_reserve(8).unwrap();
    let pool = pool(Strategy::Auto, 2 * HUGE);
    pool.prefault(0, 2 * HUGE as u64).unwrap();
    let stat = totals().unwrap();
    let taken = (stat.nr_reserve_hits, stat.nr_reserve_misses);
    assert_eq!(taken, (2 * huge_pages(), 0));
}

/// At first there is room for a single window.
#[test]
fn the_reserve_makes_room_for_what_is_missed() {
    let len = 8 * WINDOW;

    let _module = FreshModule::load("size_mb=1 reserve_mb=8 reserve_max_mb=8").unwrap();
    full_reserve(8).unwrap();
    assert!(misses_nothing_after(1000, Strategy::Around, len));
    // The room was moved, and is not more than before.
    let stat = totals().unwrap();
    assert!(stat.nr_reserve_pages <= pages_of_mib(8), "{stat:?}");
}

/// There is room for 2 huge pages at first, and for 16 at most.
#[test]
fn the_reserve_grows_with_demand_and_shrinks_when_memory_is_short() {
    const LEN: usize = 12 * HUGE;
    const PARAMETERS: &str = "size_mb=1 reserve_mb=8 reserve_max_mb=";

    let module = FreshModule::load(&format!("{PARAMETERS}32")).unwrap();
    full_reserve(8).unwrap();
    assert!(misses_nothing_after(1000, Strategy::Huge, LEN));
    // How much is enough depends on how fast the worker fills it beside the pool.
    let grown = totals().unwrap();
    let expected = pages_of_mib(9) + 1..=pages_of_mib(32);
    assert!(expected.contains(&grown.nr_reserve_pages), "{grown:?}");
    // Asks every shrinker, as reclaim would.
    fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    let pool = pool(Strategy::Page, page_size());
    pool.prefault(0, page_size() as u64).unwrap();
    // The page was missed, so single pages have a little more room than at first.
    let least = reserve_at_rest();
    let expected = pages_of_mib(8)..pages_of_mib(9);
    assert!(expected.contains(&least), "{least} pages");
    drop(pool);
    module.unload().unwrap();

    let _module = FreshModule::load(&format!("{PARAMETERS}8")).unwrap();
    full_reserve(8).unwrap();
    assert!(!misses_nothing_after(10, Strategy::Huge, LEN));
}

/// Fills a pool up to `nr_rounds` times, until all of its pages come from the reserve. Returns whether
/// they did.
fn misses_nothing_after(nr_rounds: u32, strategy: Strategy, len: usize) -> bool {
    (0..nr_rounds).any(|_| {
        let before = totals().unwrap().nr_reserve_misses;
        let pool = pool(strategy, len);
        pool.prefault(0, len as u64).unwrap();
        let is_enough = totals().unwrap().nr_reserve_misses == before;
        drop(pool);
        // The worker fills the reserve about as fast as this takes pages.
        reserve_at_rest();
        is_enough
    })
}

/// Waits until the worker neither fills nor empties the reserve, and returns its pages.
fn reserve_at_rest() -> u64 {
    let mut nr_pages = None;
    loop {
        let now = totals().unwrap().nr_reserve_pages;
        if nr_pages.replace(now) == Some(now) {
            return now;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The kernel must not zero memory by itself: `init_on_alloc=0`.
#[test]
fn a_page_is_zero_although_its_memory_was_used_before() {
    leave_bytes_in_memory();
    for reserve_mib in [0, 32] {
        let module = FreshModule::load(&format!("size_mb=1 reserve_mb={reserve_mib}")).unwrap();
        full_reserve(reserve_mib).unwrap();
        for strategy in Strategy::ALL {
            let len = 4 * HUGE;
            let pool = pool(strategy, len);
            let mapping = MappingBuilder::shared().map(&pool).unwrap();
            let mut bytes = vec![0xff; len];
            mapping.read_at(&mut bytes, 0).unwrap();
            let nr_used = bytes.iter().filter(|&&byte| byte != 0).count();
            assert_eq!(nr_used, 0, "reserve of {reserve_mib} MiB, {strategy:?}");
            bytes.fill(0x5e);
            mapping.write_at(&bytes, 0).unwrap();
        }
        module.unload().unwrap();
    }
}

/// Uses half of the memory that is free, and frees it.
fn leave_bytes_in_memory() {
    let len = usize::try_from(memory_kib("MemAvailable") << 9).unwrap();
    in_child(|| {
        let memory = anonymous(len, MapFlags::PRIVATE)?;
        advise(&memory, Advice::LinuxHugepage)?;
        let bytes = vec![0x5e; HUGE];
        for offset in (0..len - HUGE).step_by(HUGE) {
            memory.write_at(&bytes, offset)?;
        }
        Ok(String::new())
    })
    .unwrap();
}

fn advise(memory: &Mapping, advice: Advice) -> Result<(), Failure> {
    // SAFETY: The bytes may change, which those of a mapping always may.
    Ok(unsafe { madvise(memory.as_ptr().cast(), memory.len(), advice) }?)
}

/// A number of `/proc/meminfo`.
fn memory_kib(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.unwrap().parse().unwrap()
}
