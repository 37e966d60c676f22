// SPDX-License-Identifier: MIT OR GPL-2.0

//! `madvise(2)`, `mlock(2)` and limits on it.

use std::ffi::c_int;

use mmap_pool::{Advice, Mapping, MappingBuilder};

use crate::child::in_child;
use crate::needs::Needs;
use crate::observe::{checked, list, mincore, present, put_word, symbol, verdict, word};
use crate::scenario::{row, Scenario};
use crate::scenarios::descriptors::become_another_user;
use crate::signal::{touch, Access};
use crate::subject::{page_size, size};

pub(crate) const fn every_advice_on_a_shared_mapping() -> Scenario {
    row(
        "madvise() with 19 advices, MAP_SHARED",
        "all ok but FREE EINVAL, WIPEONFORK EINVAL",
    )
    .test(|subject| Ok(each_advice(&subject.shared()?)))
}

pub(crate) const fn every_advice_on_a_private_mapping() -> Scenario {
    row(
        "the same, MAP_PRIVATE",
        "all ok but FREE EINVAL, WIPEONFORK EINVAL",
    )
    .test(|subject| Ok(each_advice(&subject.private()?)))
}

pub(crate) const fn an_unknown_advice_is_einval() -> Scenario {
    row("madvise() 9999", "EINVAL").test(|subject| {
        let mapping = subject.shared()?;
        Ok(verdict(&advise(&mapping, 9999)))
    })
}

pub(crate) const fn paging_out_loses_nothing() -> Scenario {
    row("write, MADV_COLD, MADV_PAGEOUT", "kept, read() kept").test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 3 * page_size(), "kept")?;
        advise(&mapping, libc::MADV_COLD)?;
        advise(&mapping, libc::MADV_PAGEOUT)?;
        Ok(format!(
            "{}, read() {}",
            word(&mapping, 3 * page_size())?,
            subject.word(3 * page_size())?
        ))
    })
}

pub(crate) const fn giving_a_shared_page_up_keeps_it() -> Scenario {
    row(
        "write page 3 of a shared mapping, MADV_DONTNEED",
        "page table , mincore 3, kept",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 3 * page_size(), "kept")?;
        mapping.advise(Advice::DontNeed)?;
        let (mapped, in_memory) = (present(&mapping)?, mincore(&mapping)?);
        Ok(format!(
            "page table {}, mincore {}, {}",
            list(&mapped),
            list(&in_memory),
            word(&mapping, 3 * page_size())?
        ))
    })
}

pub(crate) const fn populating_faults_pages_in() -> Scenario {
    row(
        "MADV_POPULATE_READ, POPULATE_WRITE on private mappings",
        "256 resident, 256 mapped, then 256; read() 0",
    )
    .test(|subject| {
        let (reads, writes) = (subject.private()?, subject.private()?);
        reads.advise(Advice::PopulateRead)?;
        let after_read = subject.nr_resident_pages()?;
        let mapped = present(&reads)?.len();
        writes.advise(Advice::PopulateWrite)?;
        put_word(&writes, 0, "mine")?;
        Ok(format!(
            "{after_read} resident, {mapped} mapped, then {}; read() {}",
            present(&writes)?.len(),
            subject.word(0)?
        ))
    })
}

pub(crate) const fn populating_past_the_end_is_efault() -> Scenario {
    row(
        "MADV_POPULATE_READ, POPULATE_WRITE a page more than there are",
        "EFAULT EFAULT",
    )
    .needs(Needs::END)
    .test(|subject| {
        let mapping = MappingBuilder::shared()
            .len(size() + page_size())
            .map(&subject.file()?)?;
        let answers = [Advice::PopulateRead, Advice::PopulateWrite].map(|advice| {
            let advised = mapping.advise(advice);
            advised.map_or_else(|error| symbol(error.errno()), |()| "ok".into())
        });
        Ok(answers.join(" "))
    })
}

pub(crate) const fn a_mapping_can_stay_behind_at_fork() -> Scenario {
    row(
        "MADV_DONTFORK: touch in a child; then MADV_DOFORK",
        "child SIGSEGV SEGV_MAPERR at +0x0, parent ours; then ok",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 0, "ours")?;
        advise(&mapping, libc::MADV_DONTFORK)?;
        let theirs = touch(mapping.as_ptr(), 0, Access::Read)?;
        advise(&mapping, libc::MADV_DOFORK)?;
        Ok(format!(
            "child {theirs}, parent {}; then {}",
            word(&mapping, 0)?,
            touch(mapping.as_ptr(), 0, Access::Read)?
        ))
    })
}

pub(crate) const fn locked_pages_are_kept_from_being_given_up() -> Scenario {
    row("mlock(), MADV_DONTNEED", "EINVAL, 256 mapped").test(|subject| {
        let mapping = subject.shared()?;
        mapping.lock()?;
        let advised = verdict(&advise(&mapping, libc::MADV_DONTNEED));
        Ok(format!("{advised}, {} mapped", present(&mapping)?.len()))
    })
}

pub(crate) const fn a_locked_page_can_be_punched() -> Scenario {
    row("mlock(), write, punch, read", "ok, 255 resident, 0").test(|subject| {
        let mapping = subject.shared()?;
        mapping.lock()?;
        put_word(&mapping, 0, "old")?;
        let punched = verdict(&subject.punch(0, page_size() as u64));
        let resident = subject.nr_resident_pages()?;
        Ok(format!(
            "{punched}, {resident} resident, {}",
            word(&mapping, 0)?
        ))
    })
}

pub(crate) const fn mlockall_locks_what_comes_later() -> Scenario {
    row("mlockall(MCL_FUTURE), map", "256 resident, 256 mapped").test(|subject| {
        in_child(|| {
            // SAFETY: Locking changes no byte.
            checked(unsafe { libc::mlockall(libc::MCL_FUTURE) })?;
            let mapping = subject.shared()?;
            let resident = subject.nr_resident_pages()?;
            // SAFETY: As above.
            checked(unsafe { libc::munlockall() })?;
            Ok(format!(
                "{resident} resident, {} mapped",
                present(&mapping)?.len()
            ))
        })
    })
}

pub(crate) const fn rlimit_memlock_bounds_locks() -> Scenario {
    row(
        "user 1000, limit of 0 and 4 pages: mlock 4, 5, MAP_LOCKED 8",
        "0: EPERM EPERM EPERM; 4: ok ENOMEM EAGAIN",
    )
    .test(|subject| {
        let (file, mapping) = (subject.file()?, subject.shared()?);
        let with_limit = |bytes: usize| {
            in_child(|| {
                let limit = libc::rlimit {
                    rlim_cur: bytes as u64,
                    rlim_max: bytes as u64,
                };
                // SAFETY: Reads `limit`.
                checked(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) })?;
                become_another_user()?;
                let lock = |nr_pages: usize| {
                    // SAFETY: Locking changes no byte.
                    verdict(&checked(unsafe {
                        libc::mlock(mapping.as_ptr().cast(), nr_pages * page_size())
                    }))
                };
                let (few, many) = (lock(4), lock(5));
                let mapped = MappingBuilder::shared()
                    .locked()
                    .len(8 * page_size())
                    .map(&file);
                let mapped = mapped.map_or_else(|error| symbol(error.errno()), |_| "ok".into());
                Ok(format!("{few} {many} {mapped}"))
            })
        };
        Ok(format!(
            "0: {}; 4: {}",
            with_limit(0)?,
            with_limit(4 * page_size())?
        ))
    })
}

pub(crate) const fn mappings_without_huge_pages_work() -> Scenario {
    row("PR_SET_THP_DISABLE, populate, write", "256 mapped, hello").test(|subject| {
        in_child(|| {
            // SAFETY: Concerns this process alone.
            checked(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) })?;
            let mapping = subject.map(MappingBuilder::shared().populate())?;
            put_word(&mapping, 0, "hello")?;
            Ok(format!(
                "{} mapped, {}",
                present(&mapping)?.len(),
                subject.word(0)?
            ))
        })
    })
}

/// The answers to all harmless advice, in groups.
fn each_advice(mapping: &Mapping) -> String {
    let advices = [
        ("NORMAL", libc::MADV_NORMAL),
        ("RANDOM", libc::MADV_RANDOM),
        ("SEQUENTIAL", libc::MADV_SEQUENTIAL),
        ("WILLNEED", libc::MADV_WILLNEED),
        ("DONTNEED", libc::MADV_DONTNEED),
        ("FREE", libc::MADV_FREE),
        ("DONTFORK", libc::MADV_DONTFORK),
        ("DOFORK", libc::MADV_DOFORK),
        ("DONTDUMP", libc::MADV_DONTDUMP),
        ("DODUMP", libc::MADV_DODUMP),
        ("WIPEONFORK", libc::MADV_WIPEONFORK),
        ("KEEPONFORK", libc::MADV_KEEPONFORK),
        ("COLD", libc::MADV_COLD),
        ("PAGEOUT", libc::MADV_PAGEOUT),
        ("DONTNEED_LOCKED", libc::MADV_DONTNEED_LOCKED),
        ("POPULATE_READ", libc::MADV_POPULATE_READ),
        ("POPULATE_WRITE", libc::MADV_POPULATE_WRITE),
        ("HUGEPAGE", libc::MADV_HUGEPAGE),
        ("NOHUGEPAGE", libc::MADV_NOHUGEPAGE),
    ];
    let mut refused = Vec::new();
    for (name, advice) in advices {
        if let Err(errno) = advise(mapping, advice) {
            refused.push(format!("{name} {}", symbol(errno)));
        }
    }
    format!("all ok but {}", refused.join(", "))
}

fn advise(mapping: &Mapping, advice: c_int) -> Result<(), mmap_pool::Errno> {
    // SAFETY: The range is the mapping's own; what can change its bytes may do so.
    checked(unsafe { libc::madvise(mapping.as_ptr().cast(), mapping.len(), advice) }).map(drop)
}
