// SPDX-License-Identifier: MIT OR GPL-2.0

//! Access to a mapping by the kernel and by other processes: pinned pages, debuggers, core dumps.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use mmap_pool::{Errno, Mapping, MappingBuilder, Protection};
use rustix::pipe::pipe;

use crate::child::Child;
use crate::needs::Needs;
use crate::observe::{checked, count, put_word, verdict, word};
use crate::scenario::Who::Node;
use crate::scenario::{row, Scenario};
use crate::subject::page_size;
use crate::Answer;

pub(crate) const fn vmsplice_takes_the_page_itself() -> Scenario {
    row(
        "vmsplice() 8 bytes, write the mapping, read the pipe",
        "8, later",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 0, "old")?;
        let (from, to) = pipe()?;
        let spliced = splice_word(&mapping, &to);
        drop(to);
        put_word(&mapping, 0, "later")?;
        Ok(format!("{}, {}", count(&spliced), word_of_pipe(from)?))
    })
}

pub(crate) const fn a_pinned_page_survives_punching() -> Scenario {
    row(
        "vmsplice(), punch, write 64 new pages, read the pipe",
        "pipe old, object new",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        put_word(&mapping, 0, "old")?;
        let (from, to) = pipe()?;
        splice_word(&mapping, &to)?;
        subject.punch(0, page_size() as u64)?;
        // An allocation must not get the pinned page now.
        let mut all = vec![0x5a; 64 * page_size()];
        subject.write_all_at(&all, 0)?;
        subject.read_exact_at(&mut all, 0)?;
        let is_new = all.iter().all(|&byte| byte == 0x5a);
        Ok(format!(
            "pipe {}, object {}",
            word_of_pipe(from)?,
            if is_new { "new" } else { "mixed" }
        ))
    })
}

pub(crate) const fn process_vm_readv_and_writev() -> Scenario {
    row(
        "read and write the mapping of a child",
        "read 8 hello, written 8 written",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let mut child = Child::fork(|link| {
            link.hear()?;
            word(&mapping, page_size())
        })?;
        subject.put_word(0, "hello")?;
        let pid = child.raw_pid()?;
        let mut bytes = *b"written\0";
        let local = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: 8,
        };
        let remote = |page| libc::iovec {
            iov_base: mapping.as_ptr().wrapping_add(page * page_size()).cast(),
            iov_len: 8,
        };
        // SAFETY: The local vector is memory of this function; the remote one is the child's.
        let written = checked(unsafe { libc::process_vm_writev(pid, &local, 1, &remote(1), 1, 0) });
        // SAFETY: As above.
        let read = checked(unsafe { libc::process_vm_readv(pid, &local, 1, &remote(0), 1, 0) });
        let found = String::from_utf8_lossy(&bytes).into_owned();
        child.link.say("look")?;
        Ok(format!(
            "read {} {}, written {} {}",
            count(&read),
            found.trim_end_matches('\0'),
            count(&written),
            child.finish()?
        ))
    })
}

pub(crate) const fn proc_mem_reads_and_writes() -> Scenario {
    row(
        "/proc/self/mem: private rw-, shared r--, shared rw-",
        "private rw-: old ok new; shared r--: old EIO old; shared rw-: old ok new; read() new",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        subject.put_word(0, "old")?;
        let mem = File::options()
            .read(true)
            .write(true)
            .open("/proc/self/mem")?;
        let try_on = |mapping: &Mapping| -> Answer {
            let at = mapping.as_ptr().addr() as u64;
            let mut bytes = [0; 3];
            mem.read_exact_at(&mut bytes, at)?;
            let written = mem.write_at(b"new", at);
            Ok(format!(
                "{} {} {}",
                String::from_utf8_lossy(&bytes),
                verdict(
                    &written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
                ),
                word(mapping, 0)?
            ))
        };
        let private = try_on(&subject.private()?)?;
        let shared = MappingBuilder::shared().protection(Protection::READ);
        let shared = try_on(&subject.map(shared)?)?;
        let writable = try_on(&subject.shared()?)?;
        Ok(format!(
            "private rw-: {private}; shared r--: {shared}; shared rw-: {writable}; read() {}",
            subject.word(0)?
        ))
    })
}

pub(crate) const fn ptrace_peeks_and_pokes() -> Scenario {
    row(
        "PTRACE_PEEKDATA a page, PTRACE_POKEDATA another",
        "hello ok, written",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        subject.put_word(0, "hello")?;
        let child = Child::fork(|_| {
            // SAFETY: Lets the parent trace this process, and stops it.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
            }
            word(&mapping, page_size())
        })?;
        let pid = child.raw_pid()?;
        let mut status = 0;
        // SAFETY: Waits for the child's stop.
        checked(unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) })?;
        let at = |page: usize| mapping.as_ptr().wrapping_add(page * page_size());
        // SAFETY: The child is stopped and traced.
        let (peeked, poked) = unsafe {
            let peeked = libc::ptrace(libc::PTRACE_PEEKDATA, pid, at(0), 0);
            let value = i64::from_ne_bytes(*b"written\0");
            let poked = libc::ptrace(libc::PTRACE_POKEDATA, pid, at(1), value);
            libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
            (peeked, poked)
        };
        let peeked = peeked.to_ne_bytes();
        Ok(format!(
            "{} {}, {}",
            String::from_utf8_lossy(&peeked).trim_end_matches('\0'),
            verdict(&checked(poked)),
            child.finish()?
        ))
    })
}

pub(crate) const fn a_debugger_writes_through_a_read_only_private_mapping() -> Scenario {
    row(
        "PTRACE_POKEDATA private r--, shared r--",
        "private ok, shared EIO; child sees written, read() old",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        subject.put_word(0, "old")?;
        let read_only = |builder: MappingBuilder| subject.map(builder.protection(Protection::READ));
        let private = read_only(MappingBuilder::private())?;
        let shared = read_only(MappingBuilder::shared())?;
        let child = Child::fork(|_| {
            // SAFETY: Lets the parent trace this process, and stops it.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
            }
            word(&private, 0)
        })?;
        let pid = child.raw_pid()?;
        let mut status = 0;
        // SAFETY: Waits for the child's stop.
        checked(unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) })?;
        let poke = |mapping: &Mapping| {
            let value = i64::from_ne_bytes(*b"written\0");
            // SAFETY: The child is stopped and traced.
            let poked =
                unsafe { libc::ptrace(libc::PTRACE_POKEDATA, pid, mapping.as_ptr(), value) };
            verdict(&checked(poked))
        };
        let (of_private, of_shared) = (poke(&private), poke(&shared));
        // SAFETY: As above.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
        Ok(format!(
            "private {of_private}, shared {of_shared}; child sees {}, read() {}",
            child.finish()?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn a_core_dump_holds_the_pages() -> Scenario {
    row(
        "core of a child: shared page, private copy",
        "by default there there, with file mappings there there",
    )
    .but(
        Node,
        "by default missing there, with file mappings there there",
    )
    .needs(Needs::PRIVATE)
    .test(|subject| {
        let mapping = subject.shared()?;
        // One page, since a private mapping with a copy is dumped whole.
        let private = MappingBuilder::private()
            .len(page_size())
            .map(&subject.file()?)?;
        let folder = format!("/tmp/core-{}", std::process::id());
        fs::create_dir_all(&folder)?;
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
        fs::write("/proc/sys/kernel/core_pattern", format!("{folder}/core"))?;
        let dump = |filter: &str, name: &str| -> Answer {
            // Not a text of this program, which would be in the core as well.
            let (ours, copied) = (marker(name, 1), marker(name, 2));
            mapping.write_at(&ours, page_size() + 8)?;
            let child = Child::fork(|_| {
                private.write_at(&copied, 8)?;
                fs::write("/proc/self/coredump_filter", filter)?;
                let limit = libc::rlimit {
                    rlim_cur: libc::RLIM_INFINITY,
                    rlim_max: libc::RLIM_INFINITY,
                };
                // SAFETY: Reads `limit`.
                checked(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &limit) })?;
                // SAFETY: Ends the process, with a core.
                unsafe { libc::abort() }
            })?;
            child.wait()?;
            let path = format!("{folder}/core");
            let core = fs::read(&path)?;
            fs::remove_file(path)?;
            Ok([ours, copied]
                .map(|bytes| {
                    // The needles themselves are on the heap and in registers of a page.
                    let page = core
                        .chunks_exact(page_size())
                        .filter(|page| page[8..].starts_with(&bytes) && page[..8] == [0; 8]);
                    if page.count() > 0 {
                        "there"
                    } else {
                        "missing"
                    }
                })
                .join(" "))
        };
        let by_default = dump("0x33", "default");
        let with_files = dump("0x3f", "files");
        fs::write("/proc/sys/kernel/core_pattern", pattern)?;
        fs::remove_dir_all(folder)?;
        Ok(format!(
            "by default {}, with file mappings {}",
            by_default?, with_files?
        ))
    })
}

pub(crate) const fn io_uring_reads_and_writes() -> Scenario {
    row(
        "IORING_OP_READ, WRITE and FIXED ones, buffers in its own mapping",
        "read 4096 hello, write 4096 hello; fixed: write 4096 fixed, read 4096 hello",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let mapping = subject.shared()?;
        subject.put_word(0, "hello")?;
        let mut ring = super::uring::Ring::new()?;
        let file = subject.file()?;
        let page = |number| mapping.as_ptr().wrapping_add(number * page_size());
        let read = ring.read(&file, page(5), page_size(), 0)?;
        let written = ring.write(&file, page(5), page_size(), 9 * page_size() as u64)?;
        ring.register(page(16), 4 * page_size())?;
        put_word(&mapping, 17 * page_size(), "fixed")?;
        let fixed_out = ring.write_fixed(&file, page(17), page_size(), 20 * page_size() as u64)?;
        let fixed_in = ring.read_fixed(&file, page(16), page_size(), 0)?;
        Ok(format!(
            "read {} {}, write {} {}; fixed: write {} {}, read {} {}",
            count(&read),
            subject.word(5 * page_size())?,
            count(&written),
            subject.word(9 * page_size())?,
            count(&fixed_out),
            subject.word(20 * page_size())?,
            count(&fixed_in),
            subject.word(16 * page_size())?
        ))
    })
}

pub(crate) const fn a_registered_buffer_survives_punching() -> Scenario {
    row(
        "register a mapping as io_uring buffer, punch, write anew",
        "4096, buffer pinned, mapping new",
    )
    .test(|subject| {
        let mapping = subject.shared()?;
        let mut ring = super::uring::Ring::new()?;
        ring.register(mapping.as_ptr(), 4 * page_size())?;
        put_word(&mapping, 0, "pinned")?;
        subject.punch(0, 4 * page_size() as u64)?;
        put_word(&mapping, 0, "new")?;
        let file = subject.file()?;
        let written =
            ring.write_fixed(&file, mapping.as_ptr(), page_size(), 8 * page_size() as u64)?;
        Ok(format!(
            "{}, buffer {}, mapping {}",
            count(&written),
            subject.word(8 * page_size())?,
            word(&mapping, 0)?
        ))
    })
}

pub(crate) const fn a_system_call_writes_into_an_untouched_private_page() -> Scenario {
    row(
        "read() a pipe into a private page that nobody touched",
        "8, from pip old, read() 0",
    )
    .test(|subject| {
        subject.put_word(8, "old")?;
        let private = subject.private()?;
        let (from, to) = pipe()?;
        rustix::io::write(&to, b"from pip")?;
        // SAFETY: The kernel writes into the mapping, which others may write as well.
        let read = checked(unsafe { libc::read(from.as_raw_fd(), private.as_ptr().cast(), 8) });
        Ok(format!(
            "{}, {} {}, read() {}",
            count(&read),
            word(&private, 0)?,
            word(&private, 8)?,
            subject.word(0)?
        ))
    })
}

/// Puts the first word of a mapping into a pipe: the page itself, pinned, and not a copy.
pub(super) fn splice_word(mapping: &Mapping, to: &std::os::fd::OwnedFd) -> Result<u64, Errno> {
    let vector = libc::iovec {
        iov_base: mapping.as_ptr().cast(),
        iov_len: 8,
    };
    // SAFETY: The vector names mapped memory, which may change while it is in the pipe.
    checked(unsafe { libc::vmsplice(to.as_raw_fd(), &vector, 1, 0) })
}

pub(super) fn word_of_pipe(from: std::os::fd::OwnedFd) -> Answer {
    let mut bytes = [0; 8];
    File::from(from).read_exact(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text.trim_end_matches('\0').into())
}

/// 64 bytes that occur nowhere else.
fn marker(name: &str, number: u8) -> Vec<u8> {
    let mut state = u32::from(number) + u32::try_from(name.len()).unwrap_or(0) * 7919;
    (0..64)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0] | 1
        })
        .collect()
}
