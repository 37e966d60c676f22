// SPDX-License-Identifier: MIT OR GPL-2.0

//! Operations with a failure in each possible place: each allocation, and each copy from and to
//! userspace.
//!
//! An operation runs on a new pool with a failure in its first place. Then it runs on another pool
//! with a failure in its second place, and so on. Each time it must return a documented errno. The
//! contents of the pool must stay. The operation must work when it is repeated. At the end no page
//! is left.
//!
//! needs: `config=CONFIG_FAULT_INJECTION failures scratch=64M`

mod backed;
mod loading;

use std::cell::RefCell;
use std::fmt::Debug;
use std::io;

use mmap_pool::{Advice, Errno, Mapping, MappingBuilder, Pool, Protection, Seals, Strategy};
use mmap_pool_tests::child::in_child;
use mmap_pool_tests::failures::Switch;
use mmap_pool_tests::machine::folio_pages;
use mmap_pool_tests::module::FreshModule;
use mmap_pool_tests::observe::{self, put_word, put_word_in_file, word, word_in_file};
use mmap_pool_tests::subject::page_size;
use mmap_pool_tests::Failure;
use rustix::fs::{fallocate, ftruncate, sendfile, FallocateFlags};
use rustix::io::dup;
use rustix::pipe::{pipe, splice, SpliceFlags};

/// The result of an operation.
type Done = Result<(), Refused>;

/// Why an operation was not done.
#[derive(Debug)]
enum Refused {
    /// Only a part was done.
    Rest,
    All(Errno),
    /// Another failure than that of a call.
    Other(#[expect(dead_code, reason = "it is printed")] Failure),
}

impl Refused {
    fn is_one_of(&self, may_be: &[Errno]) -> bool {
        match self {
            Self::Rest => true,
            Self::All(errno) => may_be.contains(errno),
            Self::Other(_) => false,
        }
    }
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::All(errno)
    }
}

impl From<mmap_pool::Error> for Refused {
    fn from(error: mmap_pool::Error) -> Self {
        Self::All(error.errno())
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).map_or_else(|| Self::Other(error.into()), Self::All)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure.downcast::<io::Error>() {
            Ok(error) => (*error).into(),
            Err(failure) => match failure.downcast_ref::<Errno>() {
                Some(&errno) => Self::All(errno),
                None => Self::Other(failure),
            },
        }
    }
}

/// A pool of three folios. One page of the first and of the last is in use; the middle is a hole.
struct World {
    pool: Pool,
    shared: Mapping,
    private: Mapping,
}

impl World {
    fn new(strategy: Strategy) -> Self {
        let len = 3 * folio_pages(strategy).max(8) * page_size();
        let pool = Pool::create()
            .strategy(strategy)
            .size_bytes(len as u64)
            .create()
            .unwrap();
        let shared = MappingBuilder::shared().map(&pool).unwrap();
        let private = MappingBuilder::private().map(&pool).unwrap();
        let world = Self {
            pool,
            shared,
            private,
        };
        put_word(&world.shared, 0, "first").unwrap();
        put_word(&world.shared, world.last(), "last").unwrap();
        put_word(&world.private, 0, "mine").unwrap();
        world
    }

    fn len(&self) -> usize {
        self.shared.len()
    }

    /// The offset of the last page.
    fn last(&self) -> usize {
        self.len() - page_size()
    }

    /// The offset of a page in the hole.
    fn middle(&self) -> usize {
        self.len() / 2
    }

    /// Checks what no operation touches.
    fn check(&self) {
        assert_eq!(word(&self.shared, 0).unwrap(), "first");
        assert_eq!(word_in_file(self.pool.as_file(), 0).unwrap(), "first");
        assert_eq!(word(&self.private, 0).unwrap(), "mine");
        assert_eq!(word(&self.private, 8).unwrap(), "0");
    }
}

/// The strategies that operations run on. A pool of `EAGER` has all its pages already.
const STRATEGIES: [Strategy; 3] = [Strategy::Page, Strategy::Around, Strategy::Huge];

/// The number of pools, and of pages.
fn totals() -> (u64, u64) {
    let stat = observe::totals().unwrap();
    (stat.nr_pools, stat.nr_resident_pages)
}

/// Runs `operation` with a failure in each possible place. It may return an errno of `may_be` then.
/// After it succeeds, `holds` must be true.
fn fail_all(
    may_be: &[Errno],
    operation: impl Fn(&mut World) -> Done,
    holds: impl Fn(&World) -> bool,
) {
    // No page comes from the reserve, where it could not fail.
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let switch = Switch::new().unwrap();
    let mut nr_failures = 0;
    for strategy in STRATEGIES {
        for nth in 1.. {
            let before = totals();
            let mut world = World::new(strategy);
            let (done, has_failed) = switch.fail_nth(nth, || operation(&mut world)).unwrap();
            let place = format!("{strategy:?}, failure {nth}");
            if let Err(refused) = done {
                assert!(has_failed, "{place}: {refused:?} without one");
                assert!(refused.is_one_of(may_be), "{place}: {refused:?}");
                world.check();
                again(&place, operation(&mut world));
            }
            world.check();
            assert!(holds(&world), "{place}");
            drop(world);
            assert_eq!(totals(), before, "{place}");
            if !has_failed {
                break;
            }
            nr_failures += 1;
        }
    }
    assert!(nr_failures > 0, "there is nothing that can fail");
}

fn again<T, E: Debug>(place: &str, answer: Result<T, E>) -> T {
    match answer {
        Ok(done) => done,
        Err(error) => panic!("{place}: {error:?} when tried again"),
    }
}

/// Turns the bytes that were copied into an answer.
fn all(copied: usize, wanted: usize) -> Done {
    if copied == wanted {
        Ok(())
    } else {
        Err(Refused::Rest)
    }
}

/// The errnos of calls that allocate or copy an argument.
const REFUSED: &[Errno] = &[Errno::NOMEM, Errno::FAULT];

#[test]
fn opening_the_node() {
    fail_all(
        REFUSED,
        |_| {
            drop(Pool::open()?);
            Ok(())
        },
        |_| true,
    );
}

#[test]
fn creating_a_pool() {
    let create = |_: &mut World| {
        drop(Pool::create().name("another").create()?);
        Ok(())
    };
    fail_all(REFUSED, create, |_| true);
}

#[test]
fn creating_the_first_pool() {
    // The file system is mounted as long as there is one.
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let switch = Switch::new().unwrap();
    for nth in 1.. {
        let (created, has_failed) = switch.fail_nth(nth, || Pool::create().create()).unwrap();
        match created {
            Ok(pool) => drop(pool),
            Err(error) => assert!(REFUSED.contains(&error.errno()), "failure {nth}: {error}"),
        }
        assert_eq!(totals(), (1, 0), "failure {nth}");
        drop(again("without failures", Pool::create().create()));
        if !has_failed {
            break;
        }
    }
}

fn mapping(builder: fn() -> MappingBuilder) {
    let map = |world: &mut World| {
        drop(builder().map(&world.pool)?);
        Ok(())
    };
    fail_all(REFUSED, map, |_| true);
}

#[test]
fn mapping_shared_memory() {
    mapping(MappingBuilder::shared);
}

#[test]
fn mapping_private_memory() {
    mapping(MappingBuilder::private);
}

#[test]
fn mapping_everything_at_once() {
    let map = |_: &mut World| {
        let eager = Pool::create().strategy(Strategy::Eager);
        let pool = eager.size_bytes(3 * page_size() as u64).create()?;
        drop(MappingBuilder::shared().map(&pool)?);
        Ok(())
    };
    fail_all(REFUSED, map, |_| true);
}

/// The core retries a fault that finds no memory.
#[test]
fn writing_to_a_hole_through_a_mapping() {
    let store = |world: &mut World| Ok(world.shared.write_at(b"new", world.middle())?);
    fail_all(&[], store, |world| {
        word_in_file(world.pool.as_file(), world.middle()).unwrap() == "new"
    });
}

#[test]
fn reading_a_hole_through_a_mapping() {
    let load = |world: &mut World| Ok(world.shared.read_at(&mut [0; 8], world.middle())?);
    fail_all(&[], load, |world| {
        word(&world.shared, world.middle()).unwrap() == "0"
    });
}

#[test]
fn writing_to_private_memory() {
    let store = |world: &mut World| Ok(world.private.write_at(b"own", world.last())?);
    fail_all(&[], store, |world| {
        word(&world.private, world.last()).unwrap() == "ownt"
            && word(&world.shared, world.last()).unwrap() == "last"
    });
}

#[test]
fn populating_a_mapping() {
    let populate = |world: &mut World| Ok(world.shared.advise(Advice::PopulateWrite)?);
    fail_all(REFUSED, populate, |world| {
        let info = world.pool.info().unwrap();
        info.nr_resident_pages == (world.len() / page_size()) as u64
    });
}

#[test]
fn populating_a_private_mapping() {
    let populate = |world: &mut World| {
        let offset = (world.last() - 3 * page_size()) as u64;
        let end = MappingBuilder::private().offset(offset);
        let end = end.len(4 * page_size()).map(&world.pool)?;
        end.advise(Advice::PopulateWrite)?;
        assert_eq!(word(&end, 3 * page_size())?, "last");
        Ok(())
    };
    fail_all(REFUSED, populate, |_| true);
}

#[test]
fn locking_a_mapping() {
    let lock = |world: &mut World| Ok(world.shared.lock()?);
    fail_all(&[Errno::NOMEM, Errno::AGAIN], lock, |_| true);
}

/// Across three pages, from the end of one to the start of another. Allocates no memory.
fn piece() -> &'static [u8] {
    static LETTERS: [u8; (64 << 10) + 200] = [b'w'; (64 << 10) + 200];
    &LETTERS[..page_size() + 200]
}

fn piece_start(world: &World) -> usize {
    world.middle() - 100
}

fn has_piece(world: &World) -> bool {
    let mut bytes = vec![0; piece().len()];
    world
        .shared
        .read_at(&mut bytes, piece_start(world))
        .unwrap();
    bytes == piece()
}

#[test]
fn writing_to_a_hole() {
    let write = |world: &mut World| {
        let written = world.pool.write_at(piece(), piece_start(world) as u64)?;
        all(written, piece().len())
    };
    fail_all(REFUSED, write, has_piece);
}

#[test]
fn writing_past_the_end() {
    let write = |world: &mut World| {
        let end = world.len() as u64 + 5000;
        all(world.pool.write_at(piece(), end)?, piece().len())
    };
    fail_all(REFUSED, write, |world| {
        let mut bytes = [1; 5000];
        let file = &world.pool;
        file.read_exact_at(&mut bytes, world.len() as u64).unwrap();
        let end = (world.len() + 5000 + piece().len()) as u64;
        bytes == [0; 5000] && file.info().unwrap().size_bytes == end
    });
}

#[test]
fn reading() {
    let bytes = RefCell::new(vec![1; 2 * page_size()]);
    let read = |world: &mut World| {
        let mut bytes = bytes.borrow_mut();
        let start = world.last() - page_size();
        all(world.pool.read_at(&mut bytes, start as u64)?, bytes.len())
    };
    fail_all(REFUSED, read, |_| true);
}

#[test]
fn asking() {
    let ask = |world: &mut World| {
        world.pool.info()?;
        Pool::open()?.stat()?;
        Ok(())
    };
    fail_all(REFUSED, ask, |_| true);
}

#[test]
fn growing() {
    let grow = |world: &mut World| Ok(world.pool.resize(world.len() as u64 + 12345)?);
    fail_all(REFUSED, grow, |world| {
        world.pool.info().unwrap().size_bytes == world.len() as u64 + 12345
    });
}

/// In the middle of a folio, which has to be split.
#[test]
fn shrinking() {
    let shrink = |world: &mut World| {
        let len = world.len() as u64;
        world.pool.resize(page_size() as u64 + 100)?;
        Ok(world.pool.resize(len)?)
    };
    fail_all(REFUSED, shrink, |world| {
        word(&world.shared, world.last()).unwrap() == "0"
            && world.pool.info().unwrap().size_bytes == world.len() as u64
    });
}

/// A split can fail when a part of the folio was split off already. No page before the new end, or before a
/// hole, is lost.
#[test]
fn cutting_a_huge_folio_in_the_middle() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let switch = Switch::new().unwrap();
    let nr_pages = folio_pages(Strategy::Huge);
    let end = nr_pages * 300 / 512;
    let start = (end * page_size()) as u64;
    let len = ((2 * nr_pages - end - 1) * page_size()) as u64;
    for name in ["shrink", "punch"] {
        let cut = |pool: &Pool| match name {
            "shrink" => pool.resize(start),
            _ => pool.punch(start, len),
        };
        for nth in 1.. {
            let pool = Pool::create()
                .strategy(Strategy::Huge)
                .size_bytes((2 * nr_pages * page_size()) as u64)
                .create()
                .unwrap();
            let mapping = MappingBuilder::shared().map(&pool).unwrap();
            for page in 0..2 * nr_pages {
                put_word(&mapping, page * page_size(), "here").unwrap();
            }
            let (answer, has_failed) = switch.fail_nth(nth, || cut(&pool)).unwrap();
            for page in 0..end {
                let found = word(&mapping, page * page_size()).unwrap();
                assert_eq!(found, "here", "{name}, failure {nth}: page {page}");
            }
            if answer.is_ok() && name == "punch" {
                let found = word(&mapping, end * page_size()).unwrap();
                assert_eq!(found, "0", "{name}, failure {nth}");
            }
            if !has_failed {
                assert!(nth > 1, "there is nothing that can fail");
                break;
            }
        }
    }
}

#[test]
fn truncating() {
    let truncate = |world: &mut World| {
        ftruncate(&world.pool, page_size() as u64 + 100)?;
        Ok(ftruncate(&world.pool, world.len() as u64)?)
    };
    fail_all(REFUSED, truncate, |world| {
        word(&world.shared, world.last()).unwrap() == "0"
    });
}

#[test]
fn punching_a_hole() {
    let punch = |world: &mut World| {
        let len = page_size() as u64 + 100;
        Ok(world.pool.punch(world.len() as u64 - len, len)?)
    };
    fail_all(REFUSED, punch, |world| {
        word(&world.shared, world.last()).unwrap() == "0"
    });
}

#[test]
fn punching_a_hole_by_fallocate() {
    let punch = |world: &mut World| {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let len = page_size() as u64 + 100;
        Ok(fallocate(
            &world.pool,
            flags,
            world.len() as u64 - len,
            len,
        )?)
    };
    fail_all(REFUSED, punch, |world| {
        word(&world.shared, world.last()).unwrap() == "0"
    });
}

#[test]
fn allocating() {
    let prefault = |world: &mut World| Ok(world.pool.prefault(0, world.len() as u64)?);
    fail_all(REFUSED, prefault, |world| {
        let info = world.pool.info().unwrap();
        info.nr_resident_pages == (world.len() / page_size()) as u64
    });
}

#[test]
fn allocating_by_fallocate() {
    let allocate = |world: &mut World| {
        let flags = FallocateFlags::empty();
        Ok(fallocate(&world.pool, flags, 0, world.len() as u64 + 5000)?)
    };
    fail_all(REFUSED, allocate, |world| {
        world.pool.info().unwrap().size_bytes == world.len() as u64 + 5000
    });
}

#[test]
fn sealing() {
    let seal = |world: &mut World| Ok(world.pool.seal(Seals::GROW)?);
    fail_all(REFUSED, seal, |world| {
        world.pool.seals().unwrap().contains(Seals::GROW)
    });
}

#[test]
fn forking() {
    let fork = |_: &mut World| {
        in_child(|| Ok(String::new()))?;
        Ok(())
    };
    let may_be = [Errno::NOMEM, Errno::AGAIN, Errno::FAULT, Errno::NFILE];
    fail_all(&may_be, fork, |_| true);
}

#[test]
fn moving_and_splitting_mappings() {
    let split = |world: &mut World| {
        let mut mapping = MappingBuilder::shared().map(&world.pool)?;
        mapping.protect(Protection::READ)?;
        mapping.unmap()?;
        Ok(world.shared.flush()?)
    };
    fail_all(REFUSED, split, |_| true);
}

#[test]
fn sending_to_and_from_a_pipe() {
    let send = |world: &mut World| {
        let (from, to) = pipe()?;
        let (mut first, mut middle) = (0, world.middle() as u64);
        all(sendfile(&to, &world.pool, Some(&mut first), 8)?, 8)?;
        let flags = SpliceFlags::empty();
        all(
            splice(&from, None, &world.pool, Some(&mut middle), 8, flags)?,
            8,
        )
    };
    fail_all(&[Errno::NOMEM, Errno::FAULT, Errno::NFILE], send, |world| {
        word_in_file(world.pool.as_file(), world.middle()).unwrap() == "first"
    });
}

#[test]
fn passing_a_descriptor_on() {
    let duplicate = |world: &mut World| {
        let other = dup(&world.pool)?;
        Ok(put_word_in_file(&other.into(), world.middle(), "other")?)
    };
    fail_all(REFUSED, duplicate, |world| {
        word(&world.shared, world.middle()).unwrap() == "other"
    });
}
