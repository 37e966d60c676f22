// SPDX-License-Identifier: MIT OR GPL-2.0

//! Descriptors: opened again, sent to another process, named and polled.

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use mmap_pool::{Errno, MappingBuilder, Protection};
use rustix::event::{epoll, poll, PollFd, PollFlags, Timespec};
use rustix::fs::{fadvise, Advice, OFlags};
use rustix::net::{
    recvmsg, sendmsg, socketpair, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage,
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::child::{in_child, Child};
use crate::needs::Needs;
use crate::observe::{checked, put_word, symbol, verdict, word};
use crate::scenario::Who::{Created, Node};
use crate::scenario::{row, Scenario};
use crate::subject::{page_size, size, Object};
use crate::{fail, Failure};

pub(crate) const fn a_descriptor_goes_through_a_socket() -> Scenario {
    row(
        "SCM_RIGHTS with an O_RDONLY descriptor: map readable, writable",
        "sees hello, writable EACCES",
    )
    .test(|subject| {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let child = Child::fork(|_| {
            // SAFETY: It is the subject, which is memory.
            let file = unsafe { Object::new(receive(&theirs)?) };
            let seen = {
                let mapping = MappingBuilder::shared()
                    .protection(Protection::READ)
                    .len(page_size())
                    .map(&file)?;
                word(&mapping, 0)?
            };
            let writable = MappingBuilder::shared().len(page_size()).map(&file);
            Ok(format!(
                "sees {seen}, writable {}",
                verdict(&writable.map_err(|error| error.errno()))
            ))
        })?;
        subject.put_word(0, "hello")?;
        send(&ours, &subject.open(OFlags::RDONLY)?)?;
        child.finish()
    })
}

pub(crate) const fn another_user_cannot_open_more_than_was_given() -> Scenario {
    row(
        "user 1000 inherits O_RDONLY, opens /proc/self/fd/N",
        "mapping reads 0; reading ok, writing ok",
    )
    .but(Node, "mapping reads 0; reading EACCES, writing EACCES")
    .but(Created, "mapping reads 0; reading EACCES, writing EACCES")
    .test(|subject| {
        let file = subject.open(OFlags::RDONLY)?;
        in_child(|| {
            become_another_user()?;
            let again = |writes| {
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                let opened = File::options().read(true).write(writes).open(path);
                verdict(&opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)))
            };
            let mapping = MappingBuilder::shared()
                .protection(Protection::READ)
                .len(page_size())
                .map(&file)?;
            Ok(format!(
                "mapping reads {}; reading {}, writing {}",
                word(&mapping, 0)?,
                again(false),
                again(true)
            ))
        })
    })
}

pub(crate) const fn proc_shows_a_name() -> Scenario {
    row(
        "the link in /proc/self/fd, the line in /proc/self/maps",
        "fd /memfd:oracle (deleted), maps /memfd:oracle (deleted)",
    )
    .but(Node, "fd /dev/mmap_pool, maps /dev/mmap_pool")
    .but(
        Created,
        "fd /mmap_pool:subject (deleted), maps /mmap_pool:subject (deleted)",
    )
    .test(|subject| {
        let file = subject.file()?;
        let mapping = MappingBuilder::shared().len(page_size()).map(&file)?;
        let target = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let start = format!("{:x}-", mapping.as_ptr().addr());
        let maps = fs::read_to_string("/proc/self/maps")?;
        let Some(line) = maps.lines().find(|line| line.starts_with(&start)) else {
            fail!("no line of /proc/self/maps starts with {start}");
        };
        let name = line.splitn(6, ' ').nth(5).unwrap_or("").trim();
        Ok(format!("fd {}, maps {name}", target.display()))
    })
}

pub(crate) const fn a_descriptor_is_always_ready() -> Scenario {
    row(
        "poll() without waiting, epoll_ctl(ADD)",
        "1 ready, both ways, epoll EPERM",
    )
    .test(|subject| {
        let file = subject.file()?;
        let mut fds = [PollFd::new(&file, PollFlags::IN | PollFlags::OUT)];
        let nr_ready = poll(&mut fds, Some(&Timespec::default()))?;
        let is_ready = fds[0].revents() == PollFlags::IN | PollFlags::OUT;
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(0);
        let added = epoll::add(&set, &file, data, epoll::EventFlags::IN);
        Ok(format!(
            "{nr_ready} ready, {}, epoll {}",
            if is_ready {
                "both ways"
            } else {
                "not both ways"
            },
            verdict(&added)
        ))
    })
}

pub(crate) const fn fadvise_succeeds_and_keeps_the_bytes() -> Scenario {
    row(
        "posix_fadvise() with each advice, then read()",
        "ok ok ok ok ok ok; kept",
    )
    .test(|subject| {
        let file = subject.file()?;
        subject.put_word(0, "kept")?;
        let advices = [
            Advice::Normal,
            Advice::Random,
            Advice::Sequential,
            Advice::WillNeed,
            Advice::NoReuse,
            Advice::DontNeed,
        ]
        .map(|advice| verdict(&fadvise(&file, 0, None, advice)));
        Ok(format!("{}; {}", advices.join(" "), subject.word(0)?))
    })
}

pub(crate) const fn a_child_inherits_descriptor_and_position() -> Scenario {
    row(
        "seek to 100, fork, child reads 5",
        "child reads hello, parent is at 105",
    )
    .needs(Needs::CALLS)
    .test(|subject| {
        let file = subject.file()?;
        subject.put_word(100, "hello")?;
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(100))?;
        let seen = in_child(|| {
            let mut bytes = [0; 5];
            rustix::io::read(&file, &mut bytes[..])?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })?;
        let at = rustix::fs::tell(&file)?;
        Ok(format!("child reads {seen}, parent is at {at}"))
    })
}

pub(crate) const fn file_locks_exclude_each_other() -> Scenario {
    row(
        "flock() through two descriptors, then close the first",
        "ok EAGAIN ok",
    )
    .test(|subject| {
        use rustix::fs::{flock, FlockOperation};
        let (one, other) = (subject.file()?, subject.file()?);
        let first = flock(&one, FlockOperation::NonBlockingLockExclusive);
        let second = flock(&other, FlockOperation::NonBlockingLockExclusive);
        drop(one);
        let third = flock(&other, FlockOperation::NonBlockingLockExclusive);
        Ok([first, second, third].map(|lock| verdict(&lock)).join(" "))
    })
}

pub(crate) const fn every_page_is_mapped_at_the_same_time_by_many() -> Scenario {
    row("64 mappings at once, write one, read all", "hello").test(|subject| {
        let mappings = (0..64)
            .map(|_| subject.shared())
            .collect::<Result<Vec<_>, Failure>>()?;
        put_word(&mappings[0], size() - 8, "hello")?;
        let mut words = mappings
            .iter()
            .map(|mapping| word(mapping, size() - 8))
            .collect::<Result<Vec<_>, Failure>>()?;
        words.dedup();
        Ok(words.join(" "))
    })
}

/// Gives up all rights of root, for those of the user 1000.
///
/// # Errors
///
/// The errno of a call that gives a right up.
pub fn become_another_user() -> Result<(), Failure> {
    // SAFETY: The calls have no pointers that matter; the process is a child made for this.
    unsafe {
        checked(libc::setgroups(0, std::ptr::null()))?;
        checked(libc::setgid(1000))?;
        checked(libc::setuid(1000))?;
        // Changing the user hides /proc/self from it.
        checked(libc::prctl(libc::PR_SET_DUMPABLE, 1))?;
    }
    Ok(())
}

fn send(socket: &OwnedFd, file: &Object) -> Result<(), Failure> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [file.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        fail!("no space for a descriptor");
    }
    let bytes = [std::io::IoSlice::new(b"!")];
    sendmsg(socket, &bytes, &mut control, SendFlags::empty())?;
    Ok(())
}

fn receive(socket: &OwnedFd) -> Result<OwnedFd, Failure> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut bytes = [std::io::IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            if let Some(fd) = fds.next() {
                return Ok(fd);
            }
        }
    }
    fail!("no descriptor arrived: {}", symbol(Errno::BADF))
}
