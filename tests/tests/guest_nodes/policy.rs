// SPDX-License-Identifier: MIT OR GPL-2.0

//! Memory policies decide the node of each page of a pool. A memfd answers the same, except where a
//! test says otherwise.

use std::fs::{self, File};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use mmap_pool::{Errno, Mappable, Mapping, MappingBuilder, Pool, Protection, Strategy};
use mmap_pool_tests::cgroup::Cgroup;
use mmap_pool_tests::child::{in_child, Child};
use mmap_pool_tests::machine::{folio_pages, huge_pages};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::numa::{nodes_of, set_home, told_in_numa_maps, Mode, Policy, MOVE, STRICT};
use mmap_pool_tests::observe::{full_reserve, totals};
use mmap_pool_tests::others::stay_on;
use mmap_pool_tests::subject::{page_size, Object};
use mmap_pool_tests::Failure;
use rustix::fs::{fallocate, ftruncate, memfd_create, open, FallocateFlags, MemfdFlags, OFlags};

/// An object with pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pool(Strategy),
    /// The pool of the device node, `AUTO` by default.
    Node,
    Memfd,
}

/// The objects that allocate a page when it is touched.
const LAZY: [Kind; 5] = [
    Kind::Pool(Strategy::Page),
    Kind::Pool(Strategy::Around),
    Kind::Pool(Strategy::Huge),
    Kind::Node,
    Kind::Memfd,
];

impl Kind {
    /// Pages of a folio, if there is memory for it.
    fn folio_pages(self) -> usize {
        match self {
            Self::Pool(strategy) => folio_pages(strategy),
            // `AUTO` begins with single pages.
            Self::Node | Self::Memfd => 1,
        }
    }

    /// Pages of an object.
    fn nr_pages(self) -> usize {
        64.max(2 * self.folio_pages())
    }

    fn all_pages(self) -> Range<usize> {
        0..self.nr_pages()
    }

    /// An object of so many pages, all of them holes.
    fn empty(self) -> Object {
        let object = self.of_pages(self.nr_pages());
        assert_eq!(self.nr_resident(&object), 0);
        object
    }

    fn of_pages(self, nr_pages: usize) -> Object {
        let len_bytes = (nr_pages * page_size()) as u64;
        let fd = match self {
            Self::Pool(strategy) => {
                let pool = Pool::create().strategy(strategy);
                pool.size_bytes(len_bytes).create().unwrap().into()
            }
            Self::Node => {
                let pool = Pool::open().unwrap();
                let size_bytes = pool.info().unwrap().size_bytes;
                pool.punch(0, size_bytes).unwrap();
                pool.into()
            }
            Self::Memfd => {
                let memfd = memfd_create("policy", MemfdFlags::CLOEXEC).unwrap();
                ftruncate(&memfd, len_bytes).unwrap();
                memfd
            }
        };
        // SAFETY: Pools and memfds are memory.
        unsafe { Object::new(fd) }
    }

    fn map(self, builder: MappingBuilder, object: &impl Mappable) -> Mapping {
        builder
            .len(self.nr_pages() * page_size())
            .map(object)
            .unwrap()
    }

    fn shared(self, object: &impl Mappable) -> Mapping {
        self.map(MappingBuilder::shared(), object)
    }

    fn nr_resident(self, object: &File) -> u64 {
        match self {
            Self::Node => pool(object).info().unwrap().nr_resident_pages,
            _ => object.metadata().unwrap().blocks() * 512 / page_size() as u64,
        }
    }

    fn punch(self, object: &File) {
        let len_bytes = (self.nr_pages() * page_size()) as u64;
        if self == Self::Node {
            pool(object).punch(0, len_bytes).unwrap();
        } else {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(object, hole, 0, len_bytes).unwrap();
        }
        assert_eq!(self.nr_resident(object), 0);
    }
}

fn pool(object: &File) -> Pool {
    Pool::open_path(path(object)).unwrap()
}

fn path(object: &File) -> String {
    format!("/proc/self/fd/{}", object.as_raw_fd())
}

/// Touches pages of a mapping, each with a write.
fn touch(mapping: &Mapping, pages: Range<usize>) -> Result<(), Failure> {
    for page in pages {
        mapping.write_at(b"there", page * page_size())?;
    }
    Ok(())
}

/// The pages of the folio that has this page.
fn one(page: usize) -> Range<usize> {
    let end = page + 1;
    page..end
}

/// A way to allocate all pages.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Faults of the mapping that has the policy.
    Mapping,
    /// Faults of another process through a mapping of its own, of a task with another policy.
    OtherProcess,
    Write,
    Fallocate,
    Prefault,
}

const WAYS: [Way; 5] = [
    Way::Mapping,
    Way::OtherProcess,
    Way::Write,
    Way::Fallocate,
    Way::Prefault,
];

impl Way {
    fn exists_for(self, kind: Kind) -> bool {
        match self {
            Self::Fallocate => kind != Kind::Node,
            Self::Prefault => kind != Kind::Memfd,
            _ => true,
        }
    }

    fn go(self, kind: Kind, object: &Object, mapping: &Mapping, other_node: usize) {
        let len_bytes = kind.nr_pages() * page_size();
        match self {
            Self::Mapping => touch(mapping, kind.all_pages()).unwrap(),
            Self::OtherProcess => {
                in_child(|| {
                    Policy::bind(other_node).set_for_task()?;
                    touch(&kind.shared(object), kind.all_pages())?;
                    Ok(String::new())
                })
                .unwrap();
            }
            Self::Write => object.write_all_at(&vec![1; len_bytes], 0).unwrap(),
            Self::Fallocate => {
                fallocate(&**object, FallocateFlags::empty(), 0, len_bytes as u64).unwrap();
            }
            Self::Prefault => pool(object).prefault(0, len_bytes as u64).unwrap(),
        }
    }
}

#[test]
fn a_policy_of_a_range_decides_for_every_way_to_a_page() {
    for reserve_mib in [0, 64] {
        for kind in LAZY {
            for way in WAYS.into_iter().filter(|way| way.exists_for(kind)) {
                let parameters = format!("size_mb=1 reserve_mb={reserve_mib}");
                let module = FreshModule::load(&parameters).unwrap();
                let full = full_reserve(reserve_mib).unwrap();
                for node in [0, 1] {
                    let what = format!("{kind:?} {way:?} node {node} {parameters}");
                    let object = kind.empty();
                    let mapping = kind.shared(&object);
                    Policy::bind(node).set(&mapping, kind.all_pages()).unwrap();
                    way.go(kind, &object, &mapping, 1 - node);
                    assert_eq!(kind.nr_resident(&object), kind.nr_pages() as u64, "{what}");
                    let found = nodes_of(&mapping, kind.all_pages()).unwrap();
                    assert_eq!(found, vec![node; kind.nr_pages()], "{what}");
                }
                // Each node had enough of them.
                let nr_hits = totals().unwrap().nr_reserve_hits - full.nr_reserve_hits;
                let expected = match kind {
                    Kind::Memfd => 0,
                    _ if reserve_mib == 0 => 0,
                    _ => 2 * kind.nr_pages() as u64,
                };
                assert_eq!(nr_hits, expected, "{kind:?} {way:?} {parameters}");
                module.unload().unwrap();
            }
        }
    }
}

#[test]
fn interleaved_folios_take_turns_by_their_place() {
    let _module = fresh_module();
    for mode in [Mode::Interleave, Mode::WeightedInterleave] {
        for kind in LAZY {
            let object = kind.empty();
            let mapping = kind.shared(&object);
            let both = Policy::new(mode, &[0, 1]);
            both.set(&mapping, kind.all_pages()).unwrap();
            // From the last to the first: the order in which they appear does not count.
            for page in kind.all_pages().rev() {
                touch(&mapping, one(page)).unwrap();
            }
            let found = nodes_of(&mapping, kind.all_pages()).unwrap();
            // Each memfd begins elsewhere.
            let first = if kind == Kind::Memfd { found[0] } else { 0 };
            let turn = |page| (first + page / kind.folio_pages()) % 2;
            let expected: Vec<_> = kind.all_pages().map(turn).collect();
            assert_eq!(found, expected, "{kind:?} {mode:?}");
        }
    }
}

/// What the task itself wants has its turns in the order of what it allocates.
#[test]
fn pages_of_a_task_that_interleaves_take_turns_in_the_order_they_appear() {
    let _module = fresh_module();
    for kind in [Kind::Pool(Strategy::Page), Kind::Node, Kind::Memfd] {
        let object = kind.empty();
        let nodes = in_child(|| {
            Policy::new(Mode::Interleave, &[0, 1]).set_for_task()?;
            let mapping = kind.shared(&object);
            let mut nodes = Vec::new();
            for page in kind.all_pages().step_by(2) {
                nodes.extend(nodes_of(&mapping, one(page))?);
            }
            nodes.sort_unstable();
            nodes.dedup();
            Ok(nodes.len().to_string())
        });
        let expected = if kind == Kind::Memfd { "1" } else { "2" };
        assert_eq!(nodes.unwrap(), expected, "{kind:?}");
    }
}

/// Modules do not know the weights.
#[test]
fn a_pool_counts_all_weights_as_one() {
    let weight = |weight| {
        let path = "/sys/kernel/mm/mempolicy/weighted_interleave/node0";
        fs::write(path, weight).unwrap();
    };
    let _module = fresh_module();
    weight("3");
    let share_of_node_0 = |kind: Kind| {
        let object = kind.empty();
        let mapping = kind.shared(&object);
        let both = Policy::new(Mode::WeightedInterleave, &[0, 1]);
        both.set(&mapping, kind.all_pages()).unwrap();
        let found = nodes_of(&mapping, kind.all_pages()).unwrap();
        found.iter().filter(|&&node| node == 0).count() * 100 / found.len()
    };
    let shares = LAZY.map(share_of_node_0);
    weight("1");
    assert_eq!(shares, [50, 50, 50, 50, 75]);
}

/// The thread runs on a processor of one node, and the policy asks for the other. Each on both nodes.
#[test]
fn every_mode_finds_its_node() {
    let _module = fresh_module();
    for kind in LAZY {
        for node in [0, 1] {
            let other = 1 - node;
            // The processor, what the task wants, the policy of the range, and its home.
            let cases = [
                (
                    other,
                    Policy::DEFAULT,
                    Policy::new(Mode::Preferred, &[node]),
                    None,
                ),
                (
                    other,
                    Policy::DEFAULT,
                    Policy::new(Mode::PreferredMany, &[node]),
                    None,
                ),
                (
                    other,
                    Policy::DEFAULT,
                    Policy::new(Mode::PreferredMany, &[0, 1]),
                    Some(node),
                ),
                (
                    other,
                    Policy::DEFAULT,
                    Policy::new(Mode::Bind, &[0, 1]),
                    Some(node),
                ),
                (
                    node,
                    Policy::DEFAULT,
                    Policy::new(Mode::PreferredMany, &[0, 1]),
                    None,
                ),
                (
                    node,
                    Policy::DEFAULT,
                    Policy::new(Mode::Bind, &[0, 1]),
                    None,
                ),
                (
                    node,
                    Policy::bind(other),
                    Policy::new(Mode::Local, &[]),
                    None,
                ),
                (
                    node,
                    Policy::bind(other),
                    Policy::new(Mode::Preferred, &[]),
                    None,
                ),
                (node, Policy::DEFAULT, Policy::DEFAULT, None),
            ];
            for (processor, of_task, of_range, home) in cases {
                let object = kind.empty();
                let mapping = kind.shared(&object);
                in_child(|| {
                    stay_on(processor)?;
                    of_task.set_for_task()?;
                    of_range.set(&mapping, kind.all_pages())?;
                    if let Some(home) = home {
                        set_home(&mapping, kind.all_pages(), home)?;
                    }
                    touch(&mapping, kind.all_pages())?;
                    Ok(String::new())
                })
                .unwrap();
                let found = nodes_of(&mapping, kind.all_pages()).unwrap();
                let what = format!("{kind:?} {of_task:?} {of_range:?} {home:?}");
                assert_eq!(found, vec![node; kind.nr_pages()], "{what}");
            }
        }
    }
}

/// Each range is set through a mapping that is gone when its pages appear. Where there is no policy, that
/// of the task counts: of the process that makes the pages appear.
#[test]
fn each_page_has_the_policy_that_was_set_last() {
    let steps = [
        (0..32, Policy::bind(0)),
        (3..7, Policy::bind(1)),
        (5..17, Policy::bind(0)),
        (1..4, Policy::bind(1)),
        (8..12, Policy::DEFAULT),
        (30..40, Policy::bind(0)),
        (31..32, Policy::DEFAULT),
        (2..38, Policy::bind(1)),
        (16..32, Policy::bind(0)),
        (0..64, Policy::DEFAULT),
    ];
    let _module = fresh_module();
    for kind in LAZY {
        for of_task in [0, 1] {
            let object = kind.empty();
            let mut expected = vec![of_task; kind.nr_pages()];
            for (pages, policy) in steps.clone() {
                set_through_another(&object, pages.clone(), policy);
                let node = [0, 1]
                    .into_iter()
                    .find(|&node| policy == Policy::bind(node));
                expected[pages.clone()].fill(node.unwrap_or(of_task));
                in_child(|| {
                    Policy::bind(of_task).set_for_task()?;
                    touch(&kind.shared(&object), kind.all_pages())?;
                    Ok(String::new())
                })
                .unwrap();
                let found = nodes_of(&kind.shared(&object), kind.all_pages()).unwrap();
                assert_eq!(found, expected, "{kind:?} {pages:?} {policy:?}");
                kind.punch(&object);
            }
        }
    }
}

/// Sets a policy through a mapping of these pages alone, which is gone then.
fn set_through_another(object: &Object, pages: Range<usize>, policy: Policy) {
    let builder = MappingBuilder::shared().offset((pages.start * page_size()) as u64);
    let mapping = builder.len(pages.len() * page_size()).map(object).unwrap();
    if policy == Policy::DEFAULT {
        // The kernel does not ask an object if the mapping has no policy that could be removed.
        Policy::bind(0).set(&mapping, 0..pages.len()).unwrap();
    }
    policy.set(&mapping, 0..pages.len()).unwrap();
}

#[test]
fn a_policy_that_the_mapping_has_already_changes_nothing() {
    let _module = fresh_module();
    for kind in LAZY {
        let object = kind.empty();
        let [mapping, other] = [(); 2].map(|()| kind.shared(&object));
        let all = kind.all_pages();
        Policy::bind(0).set(&mapping, all.clone()).unwrap();
        Policy::bind(1).set(&other, all.clone()).unwrap();
        Policy::bind(0).set(&mapping, all.clone()).unwrap();
        let found = nodes_of(&mapping, all.clone()).unwrap();
        assert_eq!(found, vec![1; kind.nr_pages()], "{kind:?}");

        kind.punch(&object);
        Policy::DEFAULT
            .set(&kind.shared(&object), all.clone())
            .unwrap();
        let found = in_child(|| {
            Policy::bind(0).set_for_task()?;
            Ok(format!("{:?}", nodes_of(&mapping, 0..1)?))
        });
        assert_eq!(found.unwrap(), "[1]", "{kind:?}");
    }
}

/// Parts of a mapping with the same policy become one area again before the kernel asks the object, for
/// all of that area.
#[test]
fn removing_the_last_policy_of_a_mapping_removes_those_of_all_its_pages() {
    let _module = fresh_module();
    for kind in LAZY {
        let object = kind.empty();
        let [mapping, other] = [(); 2].map(|()| kind.shared(&object));
        Policy::bind(1).set(&other, kind.all_pages()).unwrap();
        Policy::bind(1).set(&mapping, 8..12).unwrap();
        Policy::DEFAULT.set(&mapping, 8..12).unwrap();
        let found = in_child(|| {
            Policy::bind(0).set_for_task()?;
            Ok(format!("{:?}", nodes_of(&mapping, 0..2)?))
        });
        assert_eq!(found.unwrap(), "[0, 0]", "{kind:?}");
    }
}

/// Each half gets it through a mapping of its own: on one mapping the kernel makes one range of them.
#[test]
fn ranges_with_the_same_policy_share_a_huge_page() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    let kind = Kind::Pool(Strategy::Huge);
    for (policies, nr_resident) in [
        ([Policy::bind(1), Policy::bind(1)], huge_pages() as u64),
        ([Policy::bind(1), Policy::bind(0)], huge_pages() as u64 / 2),
        (
            [Policy::bind(1), Policy::new(Mode::Preferred, &[1])],
            huge_pages() as u64 / 2,
        ),
    ] {
        let object = kind.empty();
        let middle = huge_pages() / 2;
        for (policy, half) in policies.into_iter().zip([0..middle, middle..huge_pages()]) {
            policy.set(&kind.shared(&object), half).unwrap();
        }
        touch(&kind.shared(&object), one(0)).unwrap();
        assert_eq!(kind.nr_resident(&object), nr_resident);
    }
}

#[test]
fn a_policy_past_the_end_counts_when_the_object_grows() {
    let _module = FreshModule::load("size_mb=1 reserve_mb=0").unwrap();
    for kind in [
        Kind::Pool(Strategy::Page),
        Kind::Pool(Strategy::Around),
        Kind::Pool(Strategy::Huge),
        Kind::Pool(Strategy::Eager),
        Kind::Memfd,
    ] {
        for node in [0, 1] {
            let object = kind.of_pages(0);
            Policy::bind(node)
                .set(&kind.shared(&object), kind.all_pages())
                .unwrap();
            // An eager pool gets its pages here.
            ftruncate(&*object, (kind.nr_pages() * page_size()) as u64).unwrap();
            let found = nodes_of(&kind.shared(&object), kind.all_pages()).unwrap();
            assert_eq!(found, vec![node; kind.nr_pages()], "{kind:?}");
        }
    }
}

/// The policy of a private mapping of a pool concerns its copies alone, and that of a shared one the pool's
/// pages alone. A memfd makes no difference between mappings.
#[test]
fn a_private_mapping_decides_for_its_copies_alone() {
    let _module = fresh_module();
    for kind in LAZY {
        let is_pool = kind != Kind::Memfd;
        for node in [0, 1] {
            let other = 1 - node;
            for is_set_privately in [true, false] {
                let object = kind.empty();
                let nodes = in_child(|| {
                    Policy::bind(other).set_for_task()?;
                    let private = kind.map(MappingBuilder::private(), &object);
                    let shared = kind.shared(&object);
                    let mapping = if is_set_privately { &private } else { &shared };
                    Policy::bind(node).set(mapping, kind.all_pages())?;
                    let of_object = nodes_of(&private, 0..1)?;
                    touch(&private, 0..1)?;
                    let of_copy = nodes_of(&private, 0..1)?;
                    Ok(format!("{of_object:?} {of_copy:?}"))
                })
                .unwrap();
                let [of_object, of_copy] = match (is_pool, is_set_privately) {
                    (true, true) => [other, node],
                    (true, false) => [node, other],
                    (false, _) => [node, node],
                };
                let expected = format!("[{of_object}] [{of_copy}]");
                assert_eq!(nodes, expected, "{kind:?} privately: {is_set_privately}");
            }
        }
    }
}

#[test]
fn pages_that_are_there_stay_or_are_told_or_are_moved() {
    let _module = fresh_module();
    for kind in LAZY.into_iter().chain([Kind::Pool(Strategy::Eager)]) {
        let object = kind.of_pages(kind.nr_pages());
        let mapping = kind.shared(&object);
        let all = kind.all_pages();
        touch(&mapping, all.clone()).unwrap();
        let there = |node| {
            let found = nodes_of(&mapping, all.clone()).unwrap();
            assert_eq!(found, vec![node; kind.nr_pages()], "{kind:?}");
        };
        let set = |node, flags| Policy::bind(node).set_with(&mapping, all.clone(), flags);
        for node in [0, 1, 0, 1] {
            assert_eq!(set(node, MOVE | STRICT), Ok(()), "{kind:?}");
            there(node);
            assert_eq!(set(1 - node, STRICT), Err(Errno::IO), "{kind:?}");
            there(node);
            assert_eq!(set(1 - node, 0), Ok(()), "{kind:?}");
            there(node);
        }
        let bytes = |page: usize| {
            let mut bytes = [0; 5];
            object
                .read_exact_at(&mut bytes, (page * page_size()) as u64)
                .unwrap();
            bytes
        };
        assert!(all.clone().all(|page| &bytes(page) == b"there"), "{kind:?}");
    }
}

/// A module can neither make nor free what the kernel would have to be told.
#[test]
fn a_policy_is_told_of_the_mapping_that_it_was_set_on() {
    let _module = fresh_module();
    for kind in LAZY {
        for node in [0, 1] {
            let object = kind.empty();
            let [mapping, other] = [(); 2].map(|()| kind.shared(&object));
            let told = |mapping| {
                let of_page = Policy::at(mapping, 5).unwrap();
                (of_page, told_in_numa_maps(mapping).unwrap())
            };
            let default = (Policy::DEFAULT, "default".into());
            assert_eq!(told(&mapping), default, "{kind:?}");
            let bind = Policy::bind(node);
            bind.set(&mapping, kind.all_pages()).unwrap();
            let expected = (bind, format!("bind:{node}"));
            assert_eq!(told(&mapping), expected, "{kind:?}");
            let through_other = if kind == Kind::Memfd {
                expected
            } else {
                default
            };
            assert_eq!(told(&other), through_other, "{kind:?}");
            assert_eq!(nodes_of(&other, 5..6).unwrap(), [node], "{kind:?}");
        }
    }
}

#[test]
fn a_descriptor_open_for_reading_is_enough_to_set_a_policy() {
    let _module = fresh_module();
    for kind in LAZY {
        for node in [0, 1] {
            let object = kind.empty();
            let read_only = open(path(&object), OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
            // SAFETY: It is the same pool or memfd.
            let read_only = unsafe { Object::new(read_only) };
            let builder = MappingBuilder::shared().protection(Protection::READ);
            let mapping = kind.map(builder, &read_only);
            Policy::bind(node).set(&mapping, kind.all_pages()).unwrap();
            touch(&kind.shared(&object), kind.all_pages()).unwrap();
            let found = nodes_of(&mapping, kind.all_pages()).unwrap();
            assert_eq!(found, vec![node; kind.nr_pages()], "{kind:?}");
        }
    }
}

#[test]
fn a_task_gets_no_page_of_a_node_that_its_cpuset_forbids() {
    for kind in LAZY {
        let module = FreshModule::load("size_mb=1 reserve_mb=64").unwrap();
        full_reserve(64).unwrap();
        for node in [0, 1] {
            let cgroup = Cgroup::new("cpuset").unwrap();
            cgroup.allow_node(node).unwrap();
            let object = kind.empty();
            let mapping = kind.shared(&object);
            Policy::bind(1 - node)
                .set(&mapping, kind.all_pages())
                .unwrap();
            in_child(|| {
                cgroup.enter()?;
                touch(&kind.shared(&object), kind.all_pages())?;
                Ok(String::new())
            })
            .unwrap();
            let found = nodes_of(&mapping, kind.all_pages()).unwrap();
            assert_eq!(found, vec![node; kind.nr_pages()], "{kind:?}");
        }
        module.unload().unwrap();
    }
}

/// The policies of many ranges are memory, which the process that sets them pays for as long as the pool
/// lives.
#[test]
fn policies_are_charged_to_the_process_that_sets_them() {
    const NR_RANGES: usize = 2048;
    /// A range, a node of a tree, and a policy with a set of nodes, of which kernels have few or many.
    const LEAST_BYTES: u64 = (NR_RANGES * 56) as u64;

    let len = 2 * NR_RANGES * page_size();
    let _module = fresh_module();
    let cgroup = Cgroup::new("policies").unwrap();
    let mut child = Child::fork(|link| {
        cgroup.enter()?;
        let pool = Pool::create().size_bytes(len as u64).create()?;
        link.say("made")?;
        link.hear()?;
        let mapping = MappingBuilder::shared().map(&pool)?;
        for range in 0..NR_RANGES {
            Policy::bind(range / 2 % 2).set(&mapping, one(2 * range))?;
        }
        // Not the mapping, but the pool keeps them.
        drop(mapping);
        link.say("set")?;
        link.hear()?;
        let mapping = MappingBuilder::shared().map(&pool)?;
        for range in (0..NR_RANGES).step_by(97) {
            let found = nodes_of(&mapping, one(2 * range))?;
            if found != [range / 2 % 2] {
                return Err(format!("range {range} is on {found:?}").into());
            }
        }
        Ok(String::new())
    })
    .unwrap();
    let mut charged = || {
        child.link.hear().unwrap();
        // What was freed is given back after a while.
        thread::sleep(Duration::from_secs(1));
        let bytes = cgroup.slab_bytes().unwrap();
        child.link.say("go on").unwrap();
        bytes
    };
    let (before, after) = (charged(), charged());
    child.finish().unwrap();
    println!("{before} bytes of slabs before, {after} after");
    assert!(
        after >= before + LEAST_BYTES,
        "{before} before, {after} after"
    );
}

/// No answer is expected, only that the kernel has nothing to complain of, and the module can be unloaded.
#[test]
fn policies_change_beside_faults_holes_moves_and_the_end_of_the_pool() {
    const NR_ROUNDS: usize = 30;
    const NR_PAGES: usize = 1024;

    let _module = fresh_module();
    for round in 0..NR_ROUNDS {
        let strategy = [Strategy::Page, Strategy::Around, Strategy::Huge][round % 3];
        let pool = Pool::create().strategy(strategy);
        let pool = pool
            .size_bytes((NR_PAGES * page_size()) as u64)
            .create()
            .unwrap();
        // Each in a process of its own, which is killed in the midst of it.
        let children = [0, 1].map(|nth| {
            Child::fork(|link| {
                let mapping = MappingBuilder::shared().map(&pool)?;
                link.say("ready")?;
                disturb(&pool, &mapping, nth);
                Ok(String::new())
            })
            .unwrap()
        });
        let mapping = MappingBuilder::shared().map(&pool).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    // Until the pool is revoked.
                    let _ = pool.prefault(0, (NR_PAGES * page_size()) as u64);
                    let _ = pool.punch(0, (NR_PAGES * page_size()) as u64);
                }
            });
            scope.spawn(|| {
                for nth in (0..).take_while(|_| !is_over.load(Relaxed)) {
                    set_some(&mapping, nth, 0);
                }
            });
            thread::sleep(Duration::from_millis(100 + 10 * round as u64));
            if round % 2 == 0 {
                pool.revoke().unwrap();
            }
            for child in children {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            is_over.store(true, Relaxed);
        });
    }
}

/// Sets policies and touches pages until the process is killed.
fn disturb(pool: &Pool, mapping: &Mapping, nth: usize) {
    for nth in (nth..).step_by(2) {
        set_some(mapping, nth, MOVE);
        // Not through the mapping: the pool may be revoked.
        let _ = pool.write_at(b"there", ((nth * 7919) % mapping.len()) as u64);
    }
}

/// Sets the policy of some pages. Which, and what, is different each time.
fn set_some(mapping: &Mapping, nth: usize, flags: u32) {
    let nr_pages = mapping.len() / page_size();
    let start = nth * 31 % nr_pages;
    let end = (start + 1 + nth * 17 % 64).min(nr_pages);
    let policy = match nth % 5 {
        0 => Policy::DEFAULT,
        1 => Policy::bind(0),
        2 => Policy::bind(1),
        3 => Policy::new(Mode::Interleave, &[0, 1]),
        _ => Policy::new(Mode::PreferredMany, &[1]),
    };
    // There may be too many areas.
    let _ = policy.set_with(mapping, start..end, flags);
}

/// Else a walk in order would put all pages on one node: each folio of the run begins at its own size.
#[test]
fn a_run_of_interleaved_pages_stays_on_both_nodes() {
    let _module = fresh_module();
    let kind = Kind::Pool(Strategy::Auto);
    let object = kind.empty();
    let mapping = kind.shared(&object);
    let both = Policy::new(Mode::Interleave, &[0, 1]);
    both.set(&mapping, kind.all_pages()).unwrap();
    touch(&mapping, kind.all_pages()).unwrap();
    let found = nodes_of(&mapping, kind.all_pages()).unwrap();
    let expected: Vec<_> = kind.all_pages().map(|page| page % 2).collect();
    assert_eq!(found, expected);
}
