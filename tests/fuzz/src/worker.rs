// SPDX-License-Identifier: MIT OR GPL-2.0

//! Does the calls, in the processes of a run.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use mmap_pool::{uapi, Strategy};

use crate::cast::{SignCast, UnsignedCast};
use crate::model::{Home, Kind, Tracking};
use crate::op::Call;
use crate::storage::{object_size, Objects};
use crate::sys::{self, Answer, Buffer};
use crate::{digest, page_size, pattern, Seen, LONGEST, PROCESSES};

/// The descriptor of slot 0. Those of the other slots follow.
pub(crate) const FIRST_SLOT: i32 = 200;

/// The state that all processes of a run share.
#[derive(Debug)]
pub struct Setup {
    /// The kind of object.
    pub kind: Kind,
    /// The device, for creating pools. A run on memfd has none.
    pub device: Option<OwnedFd>,
    /// The default pool's count of allocated pages before the run.
    pub nr_allocated_before: u64,
    /// The objects behind the pools of the run. A run on others has none.
    pub objects: Option<Objects>,
    /// For each process, the socket by which it receives descriptors: sender's end, receiver's end.
    pub mail: [(UnixStream, UnixStream); PROCESSES],
}

fn fd_of(slot: u8) -> i32 {
    FIRST_SLOT + i32::from(slot)
}

/// Moves a new descriptor to a slot. An error is passed on.
fn keep(slot: u8, fd: Answer) -> Answer {
    let Ok(fd) = i32::try_from(fd) else {
        return fd;
    };
    if fd < 0 {
        return fd.into();
    }
    let answer = sys::dup2(fd, fd_of(slot)).min(0);
    let _ = sys::close(fd);
    answer
}

/// The answer of a call that reads bytes.
fn bytes_of(answer: Answer, bytes: &[u8]) -> Seen {
    let mut seen = Seen::of(answer);
    if let Ok(len) = usize::try_from(answer) {
        seen.sum = digest(&bytes[..len]);
    }
    seen
}

impl Setup {
    /// Creates a pool or memfd of `size` bytes in `slot`.
    #[must_use]
    pub fn create(&self, slot: u8, size: u64) -> Answer {
        let fd = match &self.device {
            None => sys::memfd(),
            Some(device) => {
                let strategy = match self.kind {
                    Kind::Created(strategy) => strategy,
                    Kind::Backed(behind, tracking) => {
                        return self.create_backed(slot, tracking, |objects| {
                            objects.make(object_size(behind, size))
                        });
                    }
                    Kind::Node | Kind::Memfd => Strategy::Page,
                };
                let mut create = uapi::Create {
                    size_bytes: size,
                    strategy: strategy as u32,
                    ..uapi::Create::default()
                };
                sys::ioctl(device.as_raw_fd(), uapi::CREATE, &mut create)
            }
        };
        let answer = keep(slot, fd);
        if answer == 0 && self.device.is_none() {
            return sys::ftruncate(fd_of(slot), size.to_signed());
        }
        answer
    }

    /// Creates a backed pool in `slot`, on the object that `open` opens.
    fn create_backed(
        &self,
        slot: u8,
        tracking: Tracking,
        open: impl FnOnce(&Objects) -> io::Result<File>,
    ) -> Answer {
        let (Some(device), Some(objects)) = (&self.device, &self.objects) else {
            return -i64::from(libc::ENODEV);
        };
        let object = match open(objects) {
            Ok(object) => object,
            Err(error) => return answer_of(&error),
        };
        let mut create = uapi::Create {
            flags: uapi::CREATE_BACKED
                | match tracking {
                    Tracking::No => 0,
                    Tracking::Exact => uapi::CREATE_TRACK,
                },
            backing_fd: object.as_raw_fd().to_bits(),
            ..uapi::Create::default()
        };
        let fd = sys::ioctl(device.as_raw_fd(), uapi::CREATE, &mut create);
        keep(slot, fd)
    }

    /// Creates a pool in `slot` on the object behind an earlier pool.
    fn again(&self, slot: u8, number: u8) -> Answer {
        match self.kind {
            Kind::Backed(_, tracking) => {
                self.create_backed(slot, tracking, |objects| objects.open(number.into()))
            }
            Kind::Node | Kind::Created(_) | Kind::Memfd => -i64::from(libc::ENODEV),
        }
    }

    /// Reads bytes of the object behind a pool past every cache.
    fn stored(&self, number: u8, off: u64, len: u64) -> Seen {
        let Some(objects) = &self.objects else {
            return Seen::of(-i64::from(libc::ENODEV));
        };
        match objects.read(number.into(), off, len) {
            Ok(bytes) => bytes_of(bytes.len() as i64, &bytes),
            Err(error) => Seen::of(answer_of(&error)),
        }
    }

    /// Does a call that makes bytes durable. Tells whether the disk was told to.
    fn durable(&self, call: impl FnOnce() -> Answer) -> Seen {
        let nr_flushes = || self.objects.as_ref()?.nr_flushes().ok();
        let before = nr_flushes();
        let mut seen = Seen::of(call());
        seen.extra = u64::from(seen.result >= 0 && nr_flushes() != before);
        seen
    }

    /// Writes pages while the object behind the pool, number `number`, fails there. Returns what `fsync` answers.
    /// If another step answers wrongly, returns its answer, and which step it is as the sum.
    fn sync_failing(&self, slot: u8, number: u8, bytes: Range<u64>, seed: u8) -> Seen {
        let Some(objects) = &self.objects else {
            return Seen::of(-i64::from(libc::ENODEV));
        };
        let (fd, off) = (fd_of(slot), bytes.start.to_signed());
        let fail = |bytes| match objects.fail(number.into(), bytes) {
            Ok(()) => 0,
            Err(error) => answer_of(&error),
        };
        let write = |seed| {
            let mut bytes = pattern(seed, buffer_len(bytes.end - bytes.start));
            sys::write(fd, Buffer::Own(&mut bytes), Some(off))
        };
        // The folio may have other dirty pages, which cannot be written either. A pool that tracks writes has
        // single pages.
        if self.kind.has_large_folios() {
            let _ = sys::fsync(fd);
        }
        let len = (bytes.end - bytes.start).to_signed();
        let expect = |step, expected, answer| match answer {
            answer if answer == expected => Ok(()),
            answer => Err(Seen {
                sum: step,
                ..Seen::of(answer)
            }),
        };
        let steps = || {
            expect(1, 0, fail(bytes.clone()))?;
            let written = expect(2, len, write(seed));
            let answer = sys::fsync(fd);
            expect(3, 0, fail(0..0))?;
            written?;
            expect(4, len, write(!seed))?;
            expect(5, 0, sys::fsync(fd))?;
            Ok(Seen::of(answer))
        };
        steps().unwrap_or_else(|wrong| wrong)
    }

    /// Makes slot 0 the descriptor of the default pool.
    #[must_use]
    pub fn open_node(&self) -> Answer {
        keep(0, sys::open(c"/dev/mmap_pool", libc::O_RDWR.to_bits()))
    }

    fn open(&self, slot: u8, via: u8, flags: u32) -> Answer {
        let is_node = self.kind == Kind::Node
            && pool_info(fd_of(via)).is_ok_and(|info| info.flags & uapi::FLAG_DEFAULT != 0);
        let path = if is_node {
            c"/dev/mmap_pool".to_owned()
        } else {
            CString::new(format!("/proc/self/fd/{}", fd_of(via))).unwrap_or_default()
        };
        keep(slot, sys::open(&path, flags))
    }

    /// Receives a descriptor that another process has sent to this process, number `me`.
    #[must_use]
    pub fn receive(&self, me: u8, to: u8) -> Answer {
        keep(
            to,
            sys::receive_fd(self.mail[usize::from(me)].1.as_raw_fd()),
        )
    }

    fn info(&self, slot: u8) -> Seen {
        let fd = fd_of(slot);
        if self.kind == Kind::Memfd {
            return match sys::fstat(fd) {
                Err(errno) => Seen::of(errno),
                Ok((size, nr_pages)) => Seen {
                    result: size,
                    sum: nr_pages.to_bits(),
                    extra: sys::fcntl(fd, libc::F_GET_SEALS, 0).to_bits() << 32,
                    fault: None,
                },
            };
        }
        let info = match pool_info(fd) {
            Ok(info) => info,
            Err(errno) => return Seen::of(errno),
        };
        let is_default = info.flags & uapi::FLAG_DEFAULT != 0;
        let mut nr_allocated = info.nr_allocated_pages;
        let mut flags = u64::from(info.flags);
        let told = sys::fstat(fd);
        // `fstat` tells the storage of the object behind a backed pool.
        let has_other_blocks = self.kind.home() == Home::Storage;
        if is_default {
            nr_allocated = nr_allocated.wrapping_sub(self.nr_allocated_before);
        } else if !told.is_ok_and(|(size, nr_pages)| {
            size.to_bits() == info.size_bytes
                && (has_other_blocks || nr_pages.to_bits() == info.nr_resident_pages)
        }) {
            // `fstat` and `MMAP_POOL_INFO` must agree.
            flags |= 1 << 8;
        }
        Seen {
            result: info.size_bytes.to_signed(),
            sum: info.nr_resident_pages,
            extra: nr_allocated | (u64::from(info.seals) << 32) | (flags << 40),
            fault: None,
        }
    }

    /// Whether the object is a pool, and has the pool's ioctls.
    fn is_pool(&self) -> bool {
        self.kind != Kind::Memfd
    }

    /// Does a call in this process. The caller does `fork`, `exit` and `kill`.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "a list of all calls")]
    pub fn perform(&self, call: &Call) -> Seen {
        let answer = match *call {
            Call::Create { slot, size } => self.create(slot, size),
            Call::Open { slot, via, flags } => self.open(slot, via, flags.0),
            Call::Close { slot } => sys::close(fd_of(slot)),
            Call::Dup { slot, to } => sys::dup2(fd_of(slot), fd_of(to)).min(0),
            Call::Pass { slot, receiver, .. } => {
                let sender = &self.mail[usize::from(receiver)].0;
                sys::send_fd(sender.as_raw_fd(), fd_of(slot))
            }
            Call::Mmap {
                slot,
                at,
                len,
                off,
                prot,
                flags,
            } => sys::mmap(at, len, prot.0, flags.0, fd_of(slot), off),
            Call::Munmap { at, len } => sys::munmap(at, len),
            Call::Mprotect { at, len, prot } => sys::mprotect(at, len, prot.0),
            Call::Mremap {
                at,
                old,
                new,
                flags,
                to,
            } => sys::mremap(at, old, new, flags.0, to),
            Call::Madvise { at, len, advice } => sys::madvise(at, len, advice.0),
            Call::Msync { at, len, flags } => {
                return self.durable(|| sys::msync(at, len, flags.0));
            }
            Call::Mlock { at, len } => sys::mlock(at, len),
            Call::Munlock { at, len } => sys::munlock(at, len),
            Call::Mincore { at, len } => {
                let mut pages = Vec::new();
                let answer = sys::mincore(at, len, &mut pages);
                let mut seen = Seen::of(answer);
                if answer == 0 {
                    pages.iter_mut().for_each(|page| *page &= 1);
                    seen.sum = digest(&pages);
                }
                return seen;
            }
            Call::Load { at, len } => {
                let mut bytes = buffer(len);
                let (done, fault) = sys::load(at, &mut bytes);
                return Seen {
                    fault,
                    ..bytes_of(done as i64, &bytes)
                };
            }
            Call::Store { at, len, seed } => {
                let (done, fault) = sys::store(at, &pattern(seed, buffer_len(len)));
                return Seen {
                    fault,
                    ..Seen::of(done as i64)
                };
            }
            Call::Read { slot, len } => {
                let mut bytes = buffer(len);
                let answer = sys::read(fd_of(slot), Buffer::Own(&mut bytes), None);
                return bytes_of(answer, &bytes);
            }
            Call::Pread { slot, off, len } => {
                let mut bytes = buffer(len);
                let answer = sys::read(fd_of(slot), Buffer::Own(&mut bytes), Some(off));
                return bytes_of(answer, &bytes);
            }
            Call::PreadTo { slot, off, len, at } => {
                sys::read(fd_of(slot), Buffer::Arena(at, len), Some(off))
            }
            Call::Write { slot, len, seed } => {
                let mut bytes = pattern(seed, buffer_len(len));
                sys::write(fd_of(slot), Buffer::Own(&mut bytes), None)
            }
            Call::Pwrite {
                slot,
                off,
                len,
                seed,
            } => {
                let mut bytes = pattern(seed, buffer_len(len));
                sys::write(fd_of(slot), Buffer::Own(&mut bytes), Some(off))
            }
            Call::PwriteFrom { slot, off, len, at } => {
                sys::write(fd_of(slot), Buffer::Arena(at, len), Some(off))
            }
            Call::Seek { slot, off, whence } => sys::lseek(fd_of(slot), off, whence.0),
            Call::Resize { slot, size } if self.is_pool() => {
                let mut resize = uapi::Resize {
                    size_bytes: size,
                    reserved: 0,
                };
                sys::ioctl(fd_of(slot), uapi::RESIZE, &mut resize)
            }
            Call::Resize { slot, size } => sys::ftruncate(fd_of(slot), size.to_signed()),
            Call::Truncate { slot, size } => sys::ftruncate(fd_of(slot), size),
            Call::Punch { slot, off, len } if self.is_pool() => {
                sys::ioctl(fd_of(slot), uapi::PUNCH, &mut range(off, len))
            }
            Call::Punch { slot, off, len } => {
                let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                sys::fallocate(fd_of(slot), mode, off.to_signed(), len.to_signed())
            }
            Call::Fallocate {
                slot,
                mode,
                off,
                len,
            } => sys::fallocate(fd_of(slot), mode.0.to_signed(), off, len),
            Call::Prefault { slot, off, len } => {
                sys::ioctl(fd_of(slot), uapi::PREFAULT, &mut range(off, len))
            }
            Call::Seal { slot, seals } if self.is_pool() => {
                let mut seal = uapi::Seal {
                    seals: seals.0,
                    reserved: 0,
                };
                sys::ioctl(fd_of(slot), uapi::SEAL, &mut seal)
            }
            Call::Seal { slot, seals } => sys::fcntl(fd_of(slot), libc::F_ADD_SEALS, seals.0),
            Call::Revoke { slot } => sys::ioctl(fd_of(slot), uapi::REVOKE, &mut ()),
            Call::Info { slot } => return self.info(slot),
            Call::Sendfile { slot, off, len, to } => {
                sys::sendfile(fd_of(to), fd_of(slot), off, len)
            }
            Call::CopyRange {
                slot,
                off,
                len,
                to,
                to_off,
            } => sys::copy_file_range(fd_of(slot), off, fd_of(to), to_off, len),
            Call::Fsync { slot } => return self.durable(|| sys::fsync(fd_of(slot))),
            Call::Fdatasync { slot } => return self.durable(|| sys::fdatasync(fd_of(slot))),
            Call::SyncRange {
                slot,
                off,
                len,
                flags,
            } => sys::sync_file_range(fd_of(slot), off, len, flags.0),
            Call::WriteDurably {
                slot,
                off,
                len,
                seed,
            } => {
                let mut bytes = pattern(seed, buffer_len(len));
                return self.durable(|| sys::write_durably(fd_of(slot), &mut bytes, off));
            }
            Call::SyncFailing {
                slot,
                object,
                off,
                len,
                seed,
            } => return self.sync_failing(slot, object, off..off + len, seed),
            Call::Fadvise {
                slot,
                off,
                len,
                advice,
            } => sys::fadvise(fd_of(slot), off, len, advice.0),
            Call::Dirty { slot, off, len } => return written(fd_of(slot), off, len),
            Call::Unwritten { slot } => unwritten(fd_of(slot)),
            Call::Stored { object, off, len } => return self.stored(object, off, len),
            Call::DropCaches {} => match fs::write("/proc/sys/vm/drop_caches", "1") {
                Ok(()) => 0,
                Err(error) => answer_of(&error),
            },
            Call::Again { slot, object } => self.again(slot, object),
            Call::Fork { .. } | Call::Exit {} | Call::Kill {} => 0,
        };
        Seen::of(answer)
    }
}

/// The errno of an error, negated.
fn answer_of(error: &io::Error) -> Answer {
    -i64::from(error.raw_os_error().unwrap_or(libc::EIO))
}

/// `MMAP_POOL_DIRTY`.
fn written(fd: i32, offset_bytes: u64, len_bytes: u64) -> Seen {
    let nr_pages = len_bytes.min(LONGEST).div_ceil(page_size());
    let mut words = vec![0_u8; 8 * nr_pages.div_ceil(64) as usize];
    let mut dirty = uapi::Dirty {
        offset_bytes,
        len_bytes,
        words_address: words.as_mut_ptr().addr() as u64,
        reserved: 0,
    };
    let mut seen = Seen::of(sys::ioctl(fd, uapi::DIRTY, &mut dirty));
    if seen.result == 0 {
        seen.sum = digest(&words);
    }
    seen
}

/// The count of pages that are dirty or being written back.
fn unwritten(fd: i32) -> Answer {
    let mut backing = uapi::Backing::default();
    match sys::ioctl(fd, uapi::BACKING, &mut backing) {
        0 => (backing.nr_dirty_pages + backing.nr_writeback_pages).to_signed(),
        errno => errno,
    }
}

fn range(offset_bytes: u64, len_bytes: u64) -> uapi::Range {
    uapi::Range {
        offset_bytes,
        len_bytes,
    }
}

fn buffer_len(len: u64) -> usize {
    len.min(LONGEST) as usize
}

fn buffer(len: u64) -> Vec<u8> {
    vec![0; buffer_len(len)]
}

/// `MMAP_POOL_INFO` of a descriptor.
///
/// # Errors
///
/// The errno, negated.
pub fn pool_info(fd: i32) -> Result<uapi::Info, Answer> {
    let mut info = uapi::Info::default();
    match sys::ioctl(fd, uapi::INFO, &mut info) {
        0 => Ok(info),
        errno => Err(errno),
    }
}
