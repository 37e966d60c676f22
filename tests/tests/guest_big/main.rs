// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pools that are much larger than memory, on eight processors, and places near the end of the largest file.
//!
//! needs: `smp=8 timeout=600`

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering::Relaxed;

use mmap_pool::{Mapping, MappingBuilder, Pool, Strategy};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::machine::{huge_pages, page_size, WINDOW};
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::observe::{put_word, verdict, word, word_in_file};
use mmap_pool_tests::others::stay_on;
use mmap_pool_tests::subject::make_hole;
use mmap_pool_tests::Failure;
use rustix::fs::{fallocate, ftruncate, memfd_create, seek, FallocateFlags, MemfdFlags, SeekFrom};
use rustix::io::pwrite;

const NR_PROCESSORS: usize = 8;
/// Bytes of each of four pools, 64 GiB together.
const LEN: usize = 16 << 30;

/// A strategy, how many places of its pool are touched, and the most pages that a touch allocates.
fn strategies() -> [(Strategy, usize, usize); 4] {
    [
        (Strategy::Page, 256, 1),
        // There are no pages before a place.
        (Strategy::Auto, 256, 1),
        (Strategy::Around, 256, WINDOW / page_size()),
        (Strategy::Huge, 16, huge_pages()),
    ]
}

/// Offsets far from each other. The last one is in the last page.
fn places(nr_places: usize) -> impl Iterator<Item = usize> {
    let step = LEN / nr_places;
    let last = nr_places - 1;
    (0..last)
        .map(move |number| number * step)
        .chain([LEN - page_size()])
}

#[test]
fn eight_processors_count_in_64_gib() {
    let _module = fresh_module();
    let pools = strategies().map(|(strategy, ..)| {
        let pool = Pool::create().strategy(strategy).size_bytes(LEN as u64);
        pool.create().unwrap()
    });
    let children = [(); NR_PROCESSORS].map(|()| {
        Child::fork(|link| {
            stay_on(link.hear()?.parse()?)?;
            for (pool, (_, nr_places, _)) in pools.iter().zip(strategies()) {
                let mapping = MappingBuilder::shared().map(pool)?;
                for place in places(nr_places) {
                    mapping.atomic_u32(place)?.fetch_add(1, Relaxed);
                }
            }
            Ok("counted".into())
        })
        .unwrap()
    });
    let mut children = children;
    for (processor, child) in children.iter_mut().enumerate() {
        child.link.say(&processor.to_string()).unwrap();
    }
    for child in children {
        assert_eq!(child.finish().unwrap(), "counted");
    }
    for (pool, (strategy, nr_places, most_pages)) in pools.iter().zip(strategies()) {
        let mapping = MappingBuilder::shared().map(pool).unwrap();
        let nr_right = places(nr_places)
            .filter(|&place| mapping.atomic_u32(place).unwrap().load(Relaxed) == 8)
            .count();
        assert_eq!(nr_right, nr_places, "{strategy:?}");
        let resident = pool.info().unwrap().nr_resident_pages;
        let expected = nr_places as u64..=(nr_places * most_pages) as u64;
        assert!(expected.contains(&resident), "{strategy:?}: {resident}");
        pool.punch(0, LEN as u64).unwrap();
        assert_eq!(pool.info().unwrap().nr_resident_pages, 0, "{strategy:?}");
    }
}

#[test]
fn the_largest_file_is_memory_to_its_last_page() {
    const EXPECTED: &str = "resize ok; written ok; mapped there, read() here; data from the last page to the end; \
                            1 resident, fallocate ok, 5; write past any end EINVAL; punch ok, 0 resident, mapped 0";

    let _module = fresh_module();
    let memfd: OwnedFd = memfd_create("oracle", MemfdFlags::CLOEXEC).unwrap();
    assert_eq!(near_the_end(&memfd.into()).unwrap(), EXPECTED, "memfd");
    for (strategy, ..) in strategies() {
        let pool = Pool::create().strategy(strategy).create().unwrap();
        let file = pool.as_file().try_clone().unwrap();
        let answer = near_the_end(&file).unwrap();
        if strategy == Strategy::Page {
            assert_eq!(answer, EXPECTED, "{strategy:?}");
        }
        // The others allocate more pages at once.
        let without_numbers = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "");
        assert_eq!(
            without_numbers(&answer),
            without_numbers(EXPECTED),
            "{strategy:?}"
        );
    }
}

/// Makes an empty file as large as a file can be that is mapped to its end, and uses the last page.
fn near_the_end(file: &File) -> Result<String, Failure> {
    let page = page_size() as u64;
    let end = (1 << 63) - page;
    let last = end - page;
    let resident = || Ok::<_, Failure>(file.metadata()?.blocks() * 512 / page);
    let resized = verdict(&ftruncate(file, end));
    let written = verdict(&pwrite(file, b"there\0\0\0", last));
    let mapping = map(file, last)?;
    let seen = word(&mapping, 0)?;
    put_word(&mapping, 0, "here")?;
    let read = word_in_file(file, usize::try_from(last)?)?;
    let data = seek(file, SeekFrom::Data(0))?;
    let hole = seek(file, SeekFrom::Hole(data))?;
    let data = match (data == last, hole == end) {
        (true, true) => "from the last page to the end".into(),
        _ => format!("from {data} to {hole}"),
    };
    let before = resident()?;
    let allocated = fallocate(file, FallocateFlags::empty(), end - 8 * page, 4 * page);
    let after = resident()?;
    let past = verdict(&pwrite(file, b"past", (1 << 63) - 1));
    let punched = verdict(&make_hole(file, 0, end));
    Ok(format!(
        "resize {resized}; written {written}; mapped {seen}, read() {read}; data {data}; \
         {before} resident, fallocate {}, {after}; write past any end {past}; \
         punch {punched}, {} resident, mapped {}",
        verdict(&allocated),
        resident()?,
        word(&mapping, 0)?
    ))
}

fn map(file: &impl AsFd, offset: u64) -> Result<Mapping, Failure> {
    let builder = MappingBuilder::shared().offset(offset).len(page_size());
    // SAFETY: Pools and memfds are memory.
    Ok(unsafe { builder.map_file(file) }?)
}
