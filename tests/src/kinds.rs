// SPDX-License-Identifier: MIT OR GPL-2.0

//! Differences that the kind of an object explains, and mistakes that are known.

use crate::given::Facts;
use crate::judge::{is_same, Outcome, Verdict};
use crate::needs::Needs;
use crate::scenario::{Scenario, Who};
use crate::subject::{page_size, size};

/// A difference that is right for some kinds of objects.
struct Allowance {
    /// Names of its rows begin with this.
    row: &'static str,
    /// A part of the answer.
    part: &'static str,
    /// The kinds.
    is_for: fn(&Facts) -> bool,
    why: &'static str,
}

const fn allow(
    is_for: fn(&Facts) -> bool,
    row: &'static str,
    part: &'static str,
    why: &'static str,
) -> Allowance {
    Allowance {
        row,
        part,
        is_for,
        why,
    }
}

/// Why an object of this kind may give this answer.
#[must_use]
pub fn why_allowed(facts: &Facts, scenario: &Scenario, answer: &str) -> Option<&'static str> {
    let answers_as = |who| {
        let known = scenario.row.expected_of(who);
        known.is_some_and(|known| is_same(answer, known))
    };
    // The size of the node's pool is fixed, too.
    let is_fixed = !facts.has.contains(Needs::RESIZE);
    if facts.is_file && answers_as(Who::Created) || is_fixed && answers_as(Who::Node) {
        return Some("a pool differs from a memfd in the same way: docs/semantics.md says why");
    }
    let fits = |allowance: &&Allowance| {
        scenario.name.starts_with(allowance.row)
            && answer.contains(allowance.part)
            && (allowance.is_for)(facts)
    };
    ALLOWANCES.iter().find(fits).map(|allowance| allowance.why)
}

fn is_device(facts: &Facts) -> bool {
    !facts.is_file
}

fn is_file(facts: &Facts) -> bool {
    facts.is_file
}

fn has_no_page_cache(facts: &Facts) -> bool {
    !facts.is_page_cache
}

/// Its pages have no struct page for the kernel (`VM_PFNMAP`).
fn maps_frames(facts: &Facts) -> bool {
    facts.has_flag("pf")
}

/// Areas that the kernel neither merges nor makes longer.
fn is_special(facts: &Facts) -> bool {
    ["de", "pf", "io", "mm"]
        .iter()
        .any(|flag| facts.has_flag(flag))
}

fn maps_at_once(facts: &Facts) -> bool {
    facts.maps_at_once
}

fn is_on_disk(facts: &Facts) -> bool {
    facts.is_on_disk
}

fn is_block_device(facts: &Facts) -> bool {
    facts.is_on_disk && !facts.is_file
}

fn is_dax(facts: &Facts) -> bool {
    facts.is_dax
}

/// Memory that a program asks a driver for, by calls of its own.
fn is_made(facts: &Facts) -> bool {
    facts.is_made
}

fn is_small(facts: &Facts) -> bool {
    facts.size_bytes.is_some_and(|bytes| bytes < size() as u64)
}

fn has_huge_pages(facts: &Facts) -> bool {
    facts.page_bytes > page_size()
}

const ALLOWANCES: &[Allowance] = &[
    allow(
        is_device,
        "errors::an_offset_beyond_any_file",
        "ok",
        OFFSETS,
    ),
    allow(is_device, "errors::an_end_beyond_any_file", "ok", OFFSETS),
    allow(
        is_device,
        "io::o_direct_changes_nothing",
        "Invalid argument",
        "the driver has no direct I/O",
    ),
    allow(
        is_device,
        "io::fsync_and_msync_succeed",
        "EINVAL",
        "the driver has no fsync: there is nothing to write back",
    ),
    allow(
        is_device,
        "sizes::seeking",
        "",
        "the driver does not tell data from holes",
    ),
    allow(is_device, "sizes::o_append", "1048576 bytes", APPENDING),
    allow(
        is_device,
        "transfers::rwf_append",
        "1048576 bytes",
        APPENDING,
    ),
    allow(
        is_device,
        "sizes::rlimit_fsize",
        "8 8",
        "RLIMIT_FSIZE is for regular files",
    ),
    allow(
        |_| true,
        "descriptors::proc_shows_a_name",
        "",
        "it has a name of its own",
    ),
    allow(
        is_file,
        "descriptors::another_user_cannot_open",
        "mapping reads 0",
        "its mode says what others may open",
    ),
    allow(
        is_file,
        "sizes::fstat_tells_kind",
        "regular, 1048576 bytes",
        "the file system says how many links and blocks there are",
    ),
    allow(
        is_file,
        "pins::a_core_dump_holds_the_pages",
        "with file mappings there there",
        "it has a name, so bit 3 of coredump_filter decides",
    ),
    allow(
        is_file,
        "io::writing_ends_at_the_end",
        "200 200 200",
        "it can grow, and the row compares with a full file",
    ),
    allow(
        |_| true,
        "seals::pools_have_no_seals_of_fcntl",
        "E",
        "seals are for memfds and hugetlbfs",
    ),
    allow(
        |_| true,
        "userfaultfd::",
        "Invalid argument",
        "userfaultfd is for shared memory of the kernel, and for drivers that ask for it",
    ),
    allow(
        |_| true,
        "userfaultfd::modes_of_registration",
        "EINVAL",
        "userfaultfd is for shared memory of the kernel, and for drivers that ask for it",
    ),
    allow(has_no_page_cache, "locks::", "EFAULT", FUTEX),
    allow(has_no_page_cache, "locks::", "Bad address", FUTEX),
    allow(
        has_no_page_cache,
        "advice::giving_a_shared_page_up_keeps_it",
        "mincore , kept",
        "mincore() looks for pages in the page cache, and the driver has none",
    ),
    allow(
        is_device,
        "signals::",
        "cannot map the memory: invalid",
        REFUSES,
    ),
    allow(is_device, "signals::populating_past", "an error", REFUSES),
    allow(
        is_device,
        "sizes::",
        "cannot map the memory: invalid",
        REFUSES,
    ),
    allow(
        is_device,
        "advice::populating_past",
        "cannot map the memory",
        REFUSES,
    ),
    allow(is_device, "errors::an_offset_beyond", "EINVAL", REFUSES),
    allow(is_device, "errors::an_end_beyond", "EINVAL", REFUSES),
    allow(is_device, "errors::the_last_page", "EINVAL", REFUSES),
    allow(is_device, "areas::overcommit", "EINVAL", REFUSES),
    allow(is_special, "areas::mremap", "EFAULT", SPECIAL),
    allow(is_special, "areas::mremap", "Bad address", SPECIAL),
    allow(is_special, "areas::mremap_dontunmap", "EINVAL", SPECIAL),
    allow(is_special, "areas::mremap_shrinks", "ended", SPECIAL),
    allow(is_special, "areas::mremap_grows_beyond", "ended", SPECIAL),
    allow(is_special, "areas::mlock_splits", "8+8 rw-s", SPECIAL),
    allow(is_special, "signals::mlock_past_the_end", "ok", SPECIAL),
    allow(is_special, "advice::locked_pages", "ok", SPECIAL),
    allow(is_special, "advice::rlimit_memlock", "ok", SPECIAL),
    allow(is_special, "advice::every_advice", "EINVAL", SPECIAL),
    allow(is_special, "advice::a_mapping_can_stay", "Invalid", SPECIAL),
    allow(is_device, "areas::adjacent", "8+4 rw-s, 12+4 rw-s", MERGES),
    allow(is_device, "areas::a_mapping_between", "14+2 rw-s", MERGES),
    allow(is_device, "areas::mprotect_splits", "; 8+2 rw-s", MERGES),
    allow(is_device, "areas::mlock_splits", "; 8+2 rw-s", MERGES),
    allow(is_device, "areas::madvise_splits", "; 8+4 rw-s", MERGES),
    allow(
        |facts| facts.has_flag("dd"),
        "pins::a_core_dump_holds_the_pages",
        "missing missing",
        "the driver keeps its areas out of core dumps (VM_DONTDUMP)",
    ),
    allow(maps_at_once, "cow::giving_a_copy_up", "ended", AT_ONCE),
    allow(maps_at_once, "lazy::touching", "mincore 0 1", AT_ONCE),
    allow(
        maps_at_once,
        "advice::giving_a_shared_page",
        "ended",
        AT_ONCE,
    ),
    allow(maps_frames, "lazy::", "in the page table", FRAMES),
    allow(maps_frames, "lazy::touching", "page table", FRAMES),
    allow(maps_frames, "lazy::touching", "other frames", FRAMES),
    allow(maps_frames, "lazy::pagemap_tells", "", FRAMES),
    allow(
        maps_frames,
        "sharing::two_mappings",
        "hello; another",
        FRAMES,
    ),
    allow(maps_frames, "areas::a_moved_page", "another", FRAMES),
    allow(maps_frames, "pins::", "EFAULT", FRAMES),
    allow(maps_frames, "pins::", "EIO", FRAMES),
    allow(maps_frames, "pins::", "Bad address", FRAMES),
    allow(maps_frames, "pins::vmsplice", "failed", FRAMES),
    allow(maps_frames, "advice::", "EFAULT", FRAMES),
    allow(maps_frames, "advice::", "bad address", FRAMES),
    allow(maps_frames, "advice::", "nvalid argument", FRAMES),
    allow(maps_frames, "advice::", "0 mapped", FRAMES),
    allow(is_device, "lazy::touching", "mincore 0 1", ZEROED),
    allow(
        is_device,
        "advice::giving_a_shared_page",
        "mincore 0 1",
        ZEROED,
    ),
    allow(is_on_disk, "lazy::touching", "mincore 0 1", READ_AHEAD),
    allow(
        is_on_disk,
        "advice::giving_a_shared_page",
        "mincore 0 1",
        READ_AHEAD,
    ),
    allow(
        is_on_disk,
        "sizes::a_mapping_sees_a_hole",
        "mincore 0 1",
        READ_AHEAD,
    ),
    allow(
        is_on_disk,
        "io::o_direct_changes_nothing",
        "EINVAL",
        "direct I/O has to be aligned to the blocks of the disk",
    ),
    allow(
        is_on_disk,
        "sizes::",
        "",
        "the file system has other modes of fallocate(), blocks and limits",
    ),
    allow(
        is_on_disk,
        "transfers::flags_of_preadv2",
        "4 4 4",
        "the file system implements other flags",
    ),
    allow(is_on_disk, "pins::", "Bad address", LONG_TERM),
    allow(
        is_dax,
        "errors::map_sync_is_refused",
        "ok",
        "MAP_SYNC is for storage that is mapped",
    ),
    allow(
        is_dax,
        "io::a_bad_buffer_is_efault",
        "0 EFAULT",
        "read() of a hole in mapped storage returns 0 if the buffer is bad",
    ),
    allow(
        is_dax,
        "lazy::pagemap_tells",
        "then  and 3",
        "the kernel makes an entry of mapped storage writable again without its soft-dirty bit",
    ),
    allow(is_dax, "areas::mlock_splits", "8+8 rw-s", ALWAYS_THERE),
    allow(is_dax, "advice::locked_pages", "ok", ALWAYS_THERE),
    allow(
        is_dax,
        "advice::giving_a_shared_page",
        "mincore , kept",
        "mincore() looks for pages in the page cache, and mapped storage has none there",
    ),
    allow(
        is_dax,
        "pins::a_pinned_page_survives",
        "does not end",
        "to make a hole in mapped storage waits until nobody uses its pages",
    ),
    allow(
        is_dax,
        "pins::a_core_dump_holds_the_pages",
        "missing missing",
        "bits 7 and 8 of coredump_filter decide on mapped storage",
    ),
    allow(
        is_dax,
        "pins::",
        "not supported",
        "a buffer of io_uring is pinned for long, and mapped storage may be asked for back",
    ),
    allow(
        is_on_disk,
        "memory::",
        "No space left",
        "the disk is smaller than the memory that the row uses up",
    ),
    allow(
        is_device,
        "sizes::opening_with_o_trunc",
        "bytes, ? resident",
        "O_TRUNC is for regular files",
    ),
    allow(
        is_device,
        "sizes::fallocate",
        "ENODEV",
        "the driver has no fallocate()",
    ),
    allow(is_made, "", "cannot map the memory: invalid", REFUSED),
    allow(is_made, "areas::", "Invalid argument", REFUSED),
    allow(is_made, "areas::growsdown", "EINVAL EINVAL EINVAL", REFUSED),
    allow(
        |facts| is_made(facts) && maps_at_once(facts),
        "sharing::pages_are_kept",
        "0 kept",
        "the offset chooses a ring, and a mapping begins at its start",
    ),
    allow(is_made, "signals::", "Invalid argument", REFUSED),
    allow(is_made, "errors::", "EINVAL", REFUSED),
    allow(is_made, "errors::", "Invalid argument", REFUSED),
    allow(is_made, "permissions::", "EINVAL: ---", REFUSED),
    allow(is_made, "permissions::", "EPERM: --x r-x -wx rwx", NOEXEC),
    allow(is_made, "permissions::", "EACCES: --x r-x -wx rwx", NOEXEC),
    allow(
        is_made,
        "descriptors::file_locks",
        "ok ok ok",
        "all descriptors are copies of one, and its locks are its own",
    ),
    allow(
        is_device,
        "descriptors::a_descriptor_is_always_ready",
        "epoll ok",
        "the driver has poll()",
    ),
    allow(
        is_small,
        "areas::a_moved_page",
        "ended",
        "the row touches pages past its end",
    ),
    allow(
        is_block_device,
        "io::seeking_reaches",
        "EINVAL",
        "no place past the end of a block device can be sought",
    ),
    allow(
        has_huge_pages,
        "",
        "",
        "its pages are larger than 4 KiB: offsets, lengths and counts are multiples of that",
    ),
];

const ZEROED: &str = "the program zeroes a device before each row, so all its pages are there";
const READ_AHEAD: &str = "the kernel reads pages ahead and maps them around a fault";
const LONG_TERM: &str = "a buffer of io_uring is pinned for long, which is refused for pages that \
                         are written back";
const REFUSES: &str = "the driver refuses at mmap() what reaches past its end";
const ALWAYS_THERE: &str = "mapped storage is always in memory, so mlock() does nothing";
const REFUSED: &str = "the driver refuses such an address, offset or protection at mmap()";
const NOEXEC: &str = "its inode is on a file system without executable files";
const SPECIAL: &str = "the kernel neither locks nor lengthens areas that are special to a driver";
const MERGES: &str = "areas that are special to a driver, or have a .close, do not merge";
const AT_ONCE: &str = "mmap() maps all pages at once, and there is no fault handler";
const FRAMES: &str = "the area maps frames (VM_PFNMAP), which the kernel does not look at";
const OFFSETS: &str = "the kernel bounds the offsets of regular files only";
const APPENDING: &str = "O_APPEND is left to the driver, and its end is fixed";
const FUTEX: &str = "a futex in shared memory is named by its page in a page cache";

/// A mistake that drivers are known to make.
#[derive(Debug)]
pub struct Mistake {
    /// Its name.
    pub name: &'static str,
    /// What the driver does wrong.
    pub what: &'static str,
    /// Beginnings of the names of rows that all differ, and a part of their answers.
    signs: &'static [(&'static str, &'static str)],
    /// A row that does not differ. Empty if any may.
    without: &'static str,
    /// Names of other rows that may differ for this reason begin with these.
    also: &'static [&'static str],
}

impl Mistake {
    /// Whether this mistake may be why the row differs.
    #[must_use]
    pub fn explains(&self, row: &str) -> bool {
        let signs = self.signs.iter().map(|(sign, _)| sign);
        signs.chain(self.also).any(|name| row.starts_with(name))
    }

    fn is_made(&self, outcomes: &[Outcome]) -> bool {
        let has = |row: &str, part: &str| {
            outcomes.iter().any(|outcome| {
                outcome.scenario.name.starts_with(row)
                    && matches!(&outcome.verdict, Verdict::Differs(answer) if answer.contains(part))
            })
        };
        self.signs.iter().all(|(row, part)| has(row, part))
            && (self.without.is_empty() || !has(self.without, ""))
    }
}

/// The mistakes that these outcomes show.
#[must_use]
pub fn mistakes(outcomes: &[Outcome]) -> Vec<&'static Mistake> {
    MISTAKES
        .iter()
        .filter(|mistake| mistake.is_made(outcomes))
        .collect()
}

/// The mistakes that are known. `tests/modules/wrong/` has a driver for each.
pub const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "a fault is never resolved",
        what: "the fault handler returns VM_FAULT_NOPAGE and has mapped nothing, so the task \
               faults forever (no_page.c)",
        signs: &[("", "does not end")],
        without: "",
        also: &[],
    },
    Mistake {
        name: "a page without a reference",
        what: "the fault handler takes no reference for the mapping, so the page is freed when \
               the mapping ends, and others get it; no more rows are run (no_reference.c)",
        signs: &[(
            "sharing::pages_are_kept_while_others_allocate",
            "of another",
        )],
        without: "",
        also: &[],
    },
    Mistake {
        name: "pages are not zeroed",
        what: "a program sees what others had in memory (no_zeroing.c)",
        signs: &[("lazy::a_page_has_nothing_of_another", "a mark")],
        without: "",
        also: &[],
    },
    Mistake {
        name: "the offset is ignored",
        what: "pages are found by their distance from the start of the area; vmf->pgoff has the \
               offset, too (ignores_offset.c)",
        signs: &[("sharing::a_mapping_with_an_offset_is_the_same_memory", "")],
        without: "sharing::two_mappings_are_the_same_memory",
        also: &[
            "sharing::",
            "signals::a_mapping_that_starts_past",
            "signals::an_offset_of_4_gib",
            "errors::fixed_replaces",
            "io::",
            "transfers::",
            "areas::",
        ],
    },
    Mistake {
        name: "an offset is cut to 32 bits",
        what: "an offset of 4 GiB becomes 0 and passes the check (offset_in_32_bits.c)",
        signs: &[("signals::an_offset_of_4_gib_is_past_the_end", "ok")],
        without: "signals::a_mapping_that_starts_past_the_end_is_sigbus",
        also: &[],
    },
    Mistake {
        name: "a page past the end",
        what: "the check of the fault handler lets the page after the last one through \
               (past_the_end.c)",
        signs: &[
            (
                "signals::reading_past_the_end_is_sigbus",
                "last byte ok; ok",
            ),
            (
                "signals::writing_past_the_end_is_sigbus",
                "last byte ok; ok",
            ),
        ],
        without: "signals::a_mapping_that_starts_past_the_end_is_sigbus",
        also: &[
            "signals::",
            "areas::mremap_grows_past",
            "advice::populating_past",
        ],
    },
    Mistake {
        name: "the area of another mapping",
        what: "the driver keeps the area that was mapped last, and uses it for faults in others \
               (another_area.c)",
        signs: &[
            ("sharing::two_mappings_are_the_same_memory", "failed"),
            ("sharing::a_mapping_with_an_offset_is_the_same_memory", ""),
        ],
        without: "",
        also: &[
            "lazy::",
            "cow::",
            "areas::",
            "concurrency::",
            "advice::",
            "pins::",
        ],
    },
    Mistake {
        name: "memory is freed on close",
        what: "the driver frees its memory when a descriptor is closed, and a mapping of it \
               lives on (frees_on_close.c)",
        signs: &[("sharing::writes_are_kept_when_everything_is_closed", "")],
        without: "",
        also: &[
            "sharing::",
            "lazy::",
            "areas::",
            "concurrency::",
            "quadrants::",
        ],
    },
    Mistake {
        name: "no .open beside .close",
        what: "fork, munmap() and mprotect() copy an area and call .open; a count that .close \
               alone changes is too low (no_open.c)",
        signs: &[
            (
                "signals::reading_past_the_end_is_sigbus",
                "one child saw None, the other died",
            ),
            (
                "signals::touching_unmapped_pages_is_maperr",
                "SIGBUS BUS_ADRERR at +0x2000",
            ),
        ],
        without: "",
        also: &[
            "signals::",
            "errors::",
            "areas::",
            "pins::",
            "locks::",
            "advice::",
            "concurrency::",
        ],
    },
    Mistake {
        name: "SIGBUS where an area has grown",
        what: "the driver keeps the length that was mapped, but mremap() makes an area longer \
               without asking (no_growth.c)",
        signs: &[("areas::mremap_grows_beyond_what_was_mapped", "ended")],
        without: "areas::mremap_shrinks_and_grows_in_place",
        also: &[],
    },
    Mistake {
        name: "VM_SHARED instead of VM_MAYSHARE",
        what:
            "a shared mapping of a descriptor that is open for reading only has no VM_SHARED, but \
               it has VM_MAYSHARE (vm_shared.c)",
        signs: &[(
            "permissions::read_only_descriptor_gives_no_writable_shared_mapping",
            "EINVAL: --- r--",
        )],
        without: "",
        also: &["permissions::", "descriptors::", "lazy::a_page_has_nothing"],
    },
    Mistake {
        name: "VM_MAYWRITE on a read-only device",
        what: "mmap() refuses writable mappings, but mprotect() makes one: clear VM_MAYWRITE \
               (maywrite.c)",
        signs: &[("permissions::mprotect_cannot_climb_above_a_seal", "-w-")],
        without: "",
        also: &[],
    },
    Mistake {
        name: "private writes reach the object",
        what: "mmap() replaces vm_page_prot, so pages of private and of read-only mappings are \
               writable (private_is_shared.c)",
        signs: &[("cow::private_write_is_invisible_to_the_pool", "read() mine")],
        without: "",
        also: &[
            "cow::",
            "quadrants::",
            "signals::",
            "lazy::",
            "io::",
            "areas::",
            "pins::",
            "concurrency::",
            "advice::",
            "permissions::",
        ],
    },
    Mistake {
        name: "private mappings of frames",
        what: "remap_pfn_range() maps memory, and private mappings are allowed: a private copy \
               cannot be given up; use a fault handler and vmf->page (private_pfn.c)",
        signs: &[("cow::giving_a_copy_up_shows_the_pool_again", "")],
        without: "cow::private_write_is_invisible_to_the_pool",
        also: &["cow::", "lazy::", "areas::", "advice::", "pins::"],
    },
];
