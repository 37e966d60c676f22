// SPDX-License-Identifier: MIT OR GPL-2.0

//! The counters of pages that leave a pool while they are pinned.

use std::io::Read;
use std::os::fd::AsRawFd;

use mmap_pool::{Mapping, MappingBuilder, Pool, Stat, Strategy};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::observe::{checked, put_word};
use mmap_pool_tests::subject::page_size;
use rustix::pipe::pipe;

use mmap_pool_tests::machine::{pages_of_mib, HUGE};

#[test]
fn a_punched_page_that_is_pinned_is_counted_no_more() {
    let _module = FreshModule::load("size_mb=1 limit_mb=3").unwrap();
    let pool = pool(Strategy::Page, 4 * HUGE);
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    put_word(&mapping, 0, "pinned").unwrap();
    let pipe = pin(&mapping);
    pool.punch(0, page_size() as u64).unwrap();
    assert_eq!(stat().nr_resident_pages, 0);
    // The limit grants as much as without the pin.
    pool.prefault(0, 3 << 20).unwrap();
    assert_eq!(stat().nr_resident_pages, pages_of_mib(3));
    let mut bytes = [0; 6];
    std::fs::File::from(pipe).read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"pinned");
}

#[test]
fn part_of_a_pinned_huge_page_stays_when_punched_and_all_of_it_goes() {
    let _module = fresh_module();
    let pool = pool(Strategy::Huge, HUGE);
    let mapping = MappingBuilder::shared().map(&pool).unwrap();
    put_word(&mapping, 0, "pinned").unwrap();
    let nr_pages = stat().nr_resident_pages;
    assert_eq!(nr_pages, (HUGE / page_size()) as u64);
    let pipe = pin(&mapping);
    pool.punch(0, page_size() as u64).unwrap();
    assert_eq!(stat().nr_resident_pages, nr_pages);
    // All of it leaves whole, and is counted no more.
    pool.punch(0, HUGE as u64).unwrap();
    assert_eq!(stat().nr_resident_pages, 0);
    let mut bytes = [0xff; 6];
    std::fs::File::from(pipe).read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [0; 6]);
}

/// Has the kernel hold the mapping's first page: returns the pipe that it is in.
fn pin(mapping: &Mapping) -> std::os::fd::OwnedFd {
    let (from, to) = pipe().unwrap();
    let vector = libc::iovec {
        iov_base: mapping.as_ptr().cast(),
        iov_len: 6,
    };
    // SAFETY: The page belongs to the mapping, and the vector is read.
    let spliced = checked(unsafe { libc::vmsplice(to.as_raw_fd(), &raw const vector, 1, 0) });
    assert_eq!(spliced, Ok(6));
    from
}

fn stat() -> Stat {
    Pool::open().unwrap().stat().unwrap()
}

fn pool(strategy: Strategy, size_bytes: usize) -> Pool {
    let pool = Pool::create().strategy(strategy);
    pool.size_bytes(size_bytes as u64).create().unwrap()
}
