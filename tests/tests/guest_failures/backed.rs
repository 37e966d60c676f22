// SPDX-License-Identifier: MIT OR GPL-2.0

//! Backed pools, with a failure in each possible place: no byte is lost.

use std::fs::File;
use std::os::unix::fs::FileExt;

use mmap_pool::{Advice, Errno, Mapping, MappingBuilder, Pool};
use mmap_pool_tests::failures::{NoMemory, Switch};
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::observe::{put_word, word, word_in_file};
use mmap_pool_tests::subject::{page_size, SCRATCH};

use super::{again, Done, REFUSED};

/// Pages that are written before the operations.
const DIRTY: std::ops::Range<usize> = 8..24;
/// Each operation gets a page after these that is not in memory.
const FIRST_ABSENT: usize = 32;
const NR_PAGES: usize = 1024;
/// No page is read ahead as far as this.
const STEP: usize = 16;

/// A backed pool on the disk. Each page of the disk begins with the word `old`.
struct World {
    pool: Pool,
    mapping: Mapping,
}

fn disk() -> File {
    let options = &mut File::options();
    options.read(true).write(true).open(SCRATCH).unwrap()
}

impl World {
    fn new() -> Self {
        let disk = disk();
        let mut old = vec![0; page_size()];
        old[..3].copy_from_slice(b"old");
        disk.write_all_at(&old.repeat(NR_PAGES), 0).unwrap();
        disk.sync_all().unwrap();
        let pool = Pool::create().backing(&disk).create().unwrap();
        let mapping = MappingBuilder::shared()
            .len(NR_PAGES * page_size())
            .map(&pool)
            .unwrap();
        mapping.advise(Advice::Random).unwrap();
        Self { pool, mapping }
    }

    fn store_dirty(&self) {
        for number in DIRTY {
            put_word(&self.mapping, number * page_size(), "new").unwrap();
        }
    }

    /// Closes the pool, and checks what the disk has: `done` in the pages of `operations`.
    fn check_disk(self, done: &str, operations: usize) {
        drop(self);
        let mut found = vec![0; NR_PAGES * page_size()];
        disk().read_exact_at(&mut found, 0).unwrap();
        for (number, page) in found.chunks_exact(page_size()).enumerate() {
            let is_of_operation = number >= FIRST_ABSENT
                && number < FIRST_ABSENT + operations * STEP
                && (number - FIRST_ABSENT) % STEP == 0;
            let expected = match number {
                _ if is_of_operation => done,
                _ if DIRTY.contains(&number) => "new",
                _ => "old",
            };
            assert!(page.starts_with(expected.as_bytes()), "page {number}");
        }
    }
}

/// Runs `operation` with a failure in each possible place, on a page that is not in memory. It may
/// return an errno of `may_be` then, and must work when it is repeated. In the end the pages have the
/// word `done`.
fn fail_all(may_be: &[Errno], done: &str, operation: fn(&World, usize) -> Done) {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let switch = Switch::new().unwrap();
    let world = World::new();
    for nth in 1.. {
        world.store_dirty();
        let operations = nth as usize;
        let offset = (FIRST_ABSENT + (operations - 1) * STEP) * page_size();
        let (answer, has_failed) = switch.fail_nth(nth, || operation(&world, offset)).unwrap();
        let place = format!("failure {nth}");
        if let Err(refused) = answer {
            assert!(has_failed, "{refused:?} without one");
            assert!(refused.is_one_of(may_be), "{place}: {refused:?}");
            again(&place, operation(&world, offset));
        }
        if !has_failed {
            assert!(nth > 1, "there is nothing that can fail");
            world.check_disk(done, operations);
            break;
        }
    }
}

#[test]
fn creating_a_backed_pool() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let switch = Switch::new().unwrap();
    let disk = disk();
    // Each of them takes most of a second on a slow kernel, so not in each place.
    for nth in (1..).step_by(8) {
        let create = || Pool::create().backing(&disk).create();
        let (created, has_failed) = switch.fail_nth(nth, create).unwrap();
        match created {
            Ok(pool) => drop(pool),
            Err(error) => assert!(
                [Errno::NOMEM, Errno::FAULT, Errno::NFILE].contains(&error.errno()),
                "failure {nth}: {error}"
            ),
        }
        // Nothing keeps the disk.
        drop(again(&format!("failure {nth}"), create()));
        if !has_failed {
            break;
        }
    }
}

/// The core retries a fault that finds no memory.
#[test]
fn loading_from_a_page_that_is_not_there() {
    fail_all(&[], "old", |world, offset| {
        assert_eq!(word(&world.mapping, offset)?, "old");
        Ok(())
    });
}

#[test]
fn storing_to_a_page_that_is_not_there() {
    fail_all(&[], "stored", |world, offset| {
        Ok(put_word(&world.mapping, offset, "stored")?)
    });
}

#[test]
fn reading_a_page_that_is_not_there() {
    fail_all(REFUSED, "old", |world, offset| {
        let found = word_in_file(world.pool.as_file(), offset)?;
        assert_eq!(found, "old");
        Ok(())
    });
}

#[test]
fn writing_a_part_of_a_page() {
    fail_all(REFUSED, "written", |world, offset| {
        let written = world.pool.write_at(b"written\0", offset as u64)?;
        super::all(written, 8)
    });
}

#[test]
fn flushing_a_mapping() {
    fail_all(REFUSED, "old", |world, _| Ok(world.mapping.flush()?));
}

/// What a write of a disk needs is there before.
#[test]
fn a_disk_is_written_without_memory() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let world = World::new();
    for interval in [1, 2, 3] {
        world.store_dirty();
        let synced = {
            let _no_memory = NoMemory::new(interval).unwrap();
            world.pool.sync()
        };
        assert_eq!(synced, Ok(()), "each {interval}th");
        assert_eq!(world.pool.backing().unwrap().nr_dirty_pages, 0);
    }
    world.check_disk("old", 0);
}
