// SPDX-License-Identifier: MIT OR GPL-2.0

//! In the guest: a short run of each mode, what was found before, and writes to pages that move.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use mmap_pool::{Pool, Strategy};
use mmap_pool_fuzz::cast::UnsignedCast;
use mmap_pool_fuzz::disturb::{self, Hand};
use mmap_pool_fuzz::generate::Theme;
use mmap_pool_fuzz::model::Kind;
use mmap_pool_fuzz::sys::{self, remote, Buffer};
use mmap_pool_fuzz::{oracle, race, world, HUGE, PAGE};

/// Every file of the corpus: its name and what it says.
macro_rules! corpus {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("../corpus/", stringify!($name), ".ops"));
            let sequence = text.parse().unwrap();
            for kind in Kind::ALL {
                let outcome = world::run(kind, &sequence, None, None).unwrap();
                assert_eq!(outcome.difference, None);
                assert!(outcome.nr_ops > 0);
            }
        }
    )*};
}

corpus! {
    a_free_place_without_room_beside_it
    a_failed_write_past_the_end_leaves_the_size
    a_private_mapping_ends_with_the_pool
    a_refused_zero_range_zeroes_nothing
    a_revoked_pool_may_be_mapped_beside_itself
    a_write_seal_holds_through_every_descriptor
    moving_pages_keeps_private_copies
    part_of_a_huge_page_leaves_an_eager_pool
    punching_spares_copies_of_another_process
    punching_within_pages_zeroes_them
    shrinking_frees_what_is_past_the_end
}

#[test]
fn every_answer_is_the_predicted_one() {
    let plan = oracle::Plan {
        seed: 1,
        nr_ops: 12_000,
        limit: None,
        length: 200,
        theme: Theme::Calls,
        kinds: Kind::ALL.to_vec(),
    };
    let report = oracle::carry_out(&plan, None, |_| {}).unwrap();
    if let Some(found) = report.found {
        panic!("a difference:\n{found}");
    }
    assert!(report.nr_ops >= plan.nr_ops);
}

#[test]
fn whatever_the_kernel_does_every_answer_is_the_predicted_one() {
    let plan = oracle::Plan {
        seed: 3,
        nr_ops: 12_000,
        limit: None,
        length: 1000,
        theme: Theme::Bytes,
        kinds: Kind::ALL.to_vec(),
    };
    let hand = Hand::start(plan.seed, &disturb::all_acts()).unwrap();
    let report = oracle::carry_out(&plan, Some(&hand), |_| {}).unwrap();
    println!("{hand}");
    if let Some(found) = report.found {
        panic!("a difference:\n{found}");
    }
    assert!(report.nr_ops >= plan.nr_ops);
    assert!(hand.nr_moved_pages() > 0, "no page has moved");
}

#[test]
fn all_at_once_leaves_nothing_behind() {
    let plan = race::Plan {
        seed: 1,
        nr_ops: 12_000,
        limit: None,
    };
    assert!(race::carry_out(&plan, None, |_| {}).unwrap() >= plan.nr_ops);
}

/// One thread writes a number and reads it back, over and over. Another has the kernel move the page
/// meanwhile, until it has done so `wanted` times. Returns how many numbers were lost.
fn lost_writes(fd: i32, wanted: u64, move_it: impl Fn() -> u64) -> u64 {
    /// Ends the writer, also when something fails here.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }

    sys::run_anywhere();
    let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as u32;
    assert_eq!(sys::mmap(0, PAGE, 3, flags, fd, 0), 0);
    let is_over = AtomicBool::new(false);
    let lost = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut nr_lost = 0;
            for number in 1_u64.. {
                if is_over.load(Relaxed) {
                    break;
                }
                let mut bytes = number.to_le_bytes();
                assert_eq!(sys::write(fd, Buffer::Own(&mut bytes), Some(8)), 8);
                let mut found = [0; 8];
                assert_eq!(sys::read(fd, Buffer::Own(&mut found), Some(8)), 8);
                nr_lost += u64::from(found != bytes);
                // A page that is always in use does not move.
                (0..20).for_each(|_| std::hint::spin_loop());
            }
            nr_lost
        });
        let end = End(&is_over);
        let mut nr_moved = 0;
        while nr_moved < wanted {
            // It has to be mapped to be moved.
            assert_eq!(sys::load(0, &mut [0]), (1, None));
            nr_moved += move_it();
        }
        drop(end);
        writer.join().unwrap()
    });
    assert_eq!(sys::munmap(0, PAGE), 0);
    lost
}

/// Calls `lost_writes` for pools of each kind and for a memfd; nothing may be lost.
fn nothing_is_lost(wanted: u64, move_it: impl Fn() -> u64) {
    let size = HUGE * PAGE;
    let mut lost = Vec::new();
    for strategy in Strategy::ALL {
        let pool = Pool::create().size_bytes(size).strategy(strategy);
        let pool = pool.create().unwrap();
        // Large folios take long to move, and a write is lost the more easily.
        let is_large = matches!(strategy, Strategy::Huge | Strategy::Eager);
        let wanted = if is_large { wanted / 4 } else { wanted };
        let nr_lost = lost_writes(pool.as_file().as_raw_fd(), wanted, &move_it);
        println!("{strategy:?}: {nr_lost} lost");
        lost.push((format!("{strategy:?}"), nr_lost));
    }
    let memfd = i32::try_from(sys::memfd()).unwrap();
    assert_eq!(sys::ftruncate(memfd, size.to_signed()), 0);
    lost.push(("memfd".into(), lost_writes(memfd, wanted, &move_it)));
    assert_eq!(sys::close(memfd), 0);
    println!("{lost:?}");
    assert!(lost.iter().all(|(_, lost)| *lost == 0), "{lost:?}");
}

#[test]
fn no_write_is_lost_when_its_page_moves_to_another_node() {
    let pid = i32::try_from(std::process::id()).unwrap();
    let mut node = [-1];
    if remote::move_pages(pid, &[0], Some(&[1]), &mut node) == -i64::from(libc::ENODEV) {
        return println!("not run: this kernel has one memory node");
    }
    nothing_is_lost(128, || {
        // To and fro: a call costs more than a move.
        let targets = [0, 1].repeat(8);
        let mut nodes = [-1; 16];
        // A page that is being written may stay, and then those after it stay, too.
        assert!(remote::move_pages(pid, &[0; 16], Some(&targets), &mut nodes) >= 0);
        let moved = nodes
            .windows(2)
            .filter(|nodes| nodes == &[0, 1] || nodes == &[1, 0]);
        moved.count() as u64
    });
}

#[test]
fn no_write_is_lost_when_its_page_goes_offline() {
    const MADV_SOFT_OFFLINE: i32 = 101;
    nothing_is_lost(200, || {
        u64::from(sys::madvise(0, PAGE, MADV_SOFT_OFFLINE) == 0)
    });
}
