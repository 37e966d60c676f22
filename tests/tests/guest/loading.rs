// SPDX-License-Identifier: MIT OR GPL-2.0

//! Loading and unloading the module.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mmap_pool::{Errno, Mapping, MappingBuilder, Pool};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::machine::pages_of_mib;
use mmap_pool_tests::module::{self, fresh_module, LoadError};
use mmap_pool_tests::observe::{nr_free_pages, put_word, totals, vmstat, word};
use mmap_pool_tests::subject::{page_size, size};
use rustix::fs::{open, Mode, OFlags};

// What delete_module(2) has for a module in use, when asked not to wait. EBUSY is for modules that
// are not live.
const IN_USE: Errno = Errno::WOULDBLOCK;

#[test]
fn unloading_is_refused_while_a_descriptor_is_open() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    assert_eq!(module::try_unload(), Err(IN_USE));
    pool.write_all_at(b"still here", 0).unwrap();
}

#[test]
fn unloading_is_refused_while_a_mapping_exists() {
    let _module = fresh_module();
    // The descriptor is closed at once.
    let mapping = MappingBuilder::shared()
        .map(&Pool::open().unwrap())
        .unwrap();
    assert_eq!(module::try_unload(), Err(IN_USE));
    put_word(&mapping, page_size(), "still").unwrap();
    assert_eq!(module::try_unload(), Err(IN_USE));
    assert_eq!(word(&mapping, page_size()).unwrap(), "still");
}

#[test]
fn unloading_is_refused_while_a_private_copy_is_mapped() {
    let _module = fresh_module();
    let mapping = MappingBuilder::private()
        .map(&Pool::open().unwrap())
        .unwrap();
    put_word(&mapping, 0, "mine").unwrap();
    assert_eq!(module::try_unload(), Err(IN_USE));
}

#[test]
fn unloading_is_refused_while_another_process_has_inherited_a_mapping() {
    let _module = fresh_module();
    let mapping = MappingBuilder::shared()
        .map(&Pool::open().unwrap())
        .unwrap();
    let mut child = Child::fork(|link| {
        link.say("ready")?;
        link.hear()?;
        word(&mapping, 0)
    })
    .unwrap();
    child.link.hear().unwrap();
    drop(mapping);
    assert_eq!(module::try_unload(), Err(IN_USE));
    child.link.say("go").unwrap();
    assert_eq!(child.finish().unwrap(), "0");
}

#[test]
fn a_second_load_is_eexist_and_harms_nothing() {
    let _module = fresh_module();
    let pool = Pool::open().unwrap();
    pool.write_all_at(b"here", 0).unwrap();
    assert_eq!(module::load("size_mb=2"), Err(LoadError(Errno::EXIST)));
    assert_eq!(pool.info().unwrap().size_bytes, size() as u64);
    let mut bytes = [0; 4];
    pool.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"here");
}

#[test]
fn the_node_comes_and_goes_with_the_module() {
    let without = module::without_module().unwrap();
    assert!(!module::has_node());
    assert_eq!(Pool::open().unwrap_err().errno(), Errno::NOENT);
    module::load("").unwrap();
    assert!(module::has_node());
    module::unload().unwrap();
    assert!(!module::has_node());
    drop(without);
}

#[test]
fn a_bad_size_is_einval_and_leaves_nothing_behind() {
    let without = module::without_module().unwrap();
    let bad = [
        "0",
        "-1",
        "abc",
        "",
        "1x",
        "1.5",
        "99999999",
        "18446744073709551615",
        "1e3",
    ];
    for size in bad {
        let parameters = format!("size_mb={size}");
        assert_eq!(
            module::load(&parameters),
            Err(LoadError(Errno::INVAL)),
            "{parameters}"
        );
        assert!(
            !module::is_loaded().unwrap(),
            "{parameters} left the module behind"
        );
        assert!(!module::has_node(), "{parameters} left the device behind");
    }
    module::load("size_mb=1").unwrap();
    assert_eq!(
        Pool::open().unwrap().info().unwrap().size_bytes,
        size() as u64
    );
    drop(without);
}

#[test]
fn a_new_load_shows_nothing_of_the_one_before() {
    let secret = vec![0x5e; size()];
    for _ in 0..5 {
        let module = fresh_module();
        let pool = Pool::open().unwrap();
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let mut bytes = vec![0xff; size()];
        mapping.read_at(&mut bytes, 0).unwrap();
        assert!(
            bytes.iter().all(|&byte| byte == 0),
            "a page was not zero when first seen"
        );
        mapping.write_at(&secret, 0).unwrap();
        drop((mapping, pool));
        module.unload().unwrap();
    }
}

#[test]
fn unloading_gives_every_page_back() {
    let without = module::without_module().unwrap();
    let before = page_counters();
    for number in 0..20 {
        let during = use_all_pages(16);
        assert!(
            during[0].1 >= before[0].1 + i64::try_from(pages_of_mib(16)).unwrap(),
            "the counters do not see the pool"
        );
        assert_eq!(page_counters(), before, "cycle {number}");
    }
    drop(without);
}

#[test]
fn loading_and_unloading_costs_no_memory() {
    const NR_WARM_UP: usize = 80;
    const NR_CYCLES: usize = 80;

    let without = module::without_module().unwrap();
    // The slabs and tables that the first times leave behind are no leak.
    for _ in 0..NR_WARM_UP {
        use_all_pages(1);
    }
    std::fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    let free: Vec<_> = (0..NR_CYCLES)
        .map(|_| {
            use_all_pages(1);
            nr_free_pages().unwrap()
        })
        .collect();
    // A leak is a whole page each time; a guest that does nothing loses up to 0.4 meanwhile.
    let lost = -slope(&free);
    assert!(lost < 0.75, "{lost} pages lost per cycle; free: {free:?}");
    drop(without);
}

#[test]
fn opening_races_unloading_and_either_wins() {
    race_unloading(|| MappingBuilder::shared().map(&Pool::open()?));
}

/// The node is closed first, so the created pool holds the last reference to the module.
#[test]
fn closing_a_created_pool_races_unloading_and_either_wins() {
    race_unloading(|| {
        let pool = Pool::create().size_bytes(page_size() as u64).create()?;
        MappingBuilder::shared().map(&pool)
    });
}

#[test]
fn any_path_to_a_created_pool_keeps_the_module() {
    let without = module::without_module().unwrap();
    module::load("size_mb=1").unwrap();
    let pool = Pool::create()
        .size_bytes(page_size() as u64)
        .create()
        .unwrap();
    let link = format!("/proc/self/fd/{}", pool.as_file().as_raw_fd());
    let path = open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    drop(pool);
    assert_eq!(module::try_unload(), Err(IN_USE));
    assert_eq!(totals().unwrap().nr_pools, 2);
    drop(path);
    assert_eq!(totals().unwrap().nr_pools, 1);
    module::unload().unwrap();
    drop(without);
}

/// How long a race goes on if it has gone both ways often enough.
const RACE: Duration = Duration::from_secs(10);

/// Loads and unloads the module while a child uses it. `map` must often succeed, and often find no
/// module.
fn race_unloading(map: impl Fn() -> Result<Mapping, mmap_pool::Error>) {
    let without = module::without_module().unwrap();
    let mut child = Child::fork(|link| {
        let (mut nr_opened, mut nr_missed) = (0, 0);
        link.say("begins")?;
        let begin = Instant::now();
        // Loading is slow on some kernels.
        let nr_enough = || if begin.elapsed() < RACE { 200 } else { 20 };
        while nr_opened.min(nr_missed) < nr_enough() {
            match map() {
                Ok(mapping) => {
                    put_word(&mapping, 0, "there")?;
                    nr_opened += 1;
                }
                // No node, one without a driver, or one whose driver is on its way.
                Err(error)
                    if [Errno::NOENT, Errno::NXIO, Errno::NODEV].contains(&error.errno()) =>
                {
                    nr_missed += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        link.say("done")?;
        link.hear()
    })
    .unwrap();
    child.link.hear().unwrap();
    let done = std::thread::spawn(move || {
        let said = child.link.hear();
        (child, said)
    });
    while !done.is_finished() {
        module::load("size_mb=1").unwrap();
        while module::try_unload().is_err() {
            std::thread::yield_now();
        }
    }
    let (mut child, said) = done.join().unwrap();
    assert_eq!(said.unwrap(), "done");
    child.link.say("end").unwrap();
    child.finish().unwrap();
    drop(without);
}

/// Loads the module, writes every page of its pool, shared, and one privately, and unloads the
/// module. Returns the counters from before that.
fn use_all_pages(size_mib: usize) -> [(&'static str, i64); 8] {
    module::load(&format!("size_mb={size_mib}")).unwrap();
    let pool = Pool::open().unwrap();
    let shared = MappingBuilder::shared().populate().map(&pool).unwrap();
    let private = MappingBuilder::private().map(&pool).unwrap();
    for page in 0..shared.len() / page_size() {
        put_word(&shared, page * page_size(), "dirty").unwrap();
    }
    put_word(&private, 0, "mine").unwrap();
    assert_eq!(
        pool.info().unwrap().nr_resident_pages,
        pages_of_mib(size_mib as u64)
    );
    let during = page_counters();
    drop((shared, private, pool));
    module::unload().unwrap();
    during
}

/// The counters that include the pages of pools.
fn page_counters() -> [(&'static str, i64); 8] {
    let all = vmstat().unwrap();
    [
        "nr_file_pages",
        "nr_unevictable",
        "nr_mlock",
        "nr_shmem",
        "nr_dirty",
        "nr_writeback",
        "nr_inactive_file",
        "nr_active_file",
    ]
    .map(|name| (name, all[name]))
}

/// The median of the slopes between any two values: single outliers do not move it.
#[expect(clippy::cast_precision_loss, reason = "page counts are far below 2^52")]
fn slope(values: &[i64]) -> f64 {
    let mut slopes = Vec::new();
    for (x, first) in values.iter().enumerate() {
        for (distance, second) in values[x + 1..].iter().enumerate() {
            slopes.push((second - first) as f64 / (distance + 1) as f64);
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes[slopes.len() / 2]
}
