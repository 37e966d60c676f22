// SPDX-License-Identifier: MIT OR GPL-2.0

//! A process that carries calls out.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use mmap_pool::uapi;

use crate::cast::{SignCast, UnsignedCast};
use crate::model::Kind;
use crate::op::Call;
use crate::sys::{self, Answer, Buffer};
use crate::{digest, pattern, Seen, LONGEST, PROCESSES};

/// The descriptor of slot 0; the others follow.
pub(crate) const FIRST_SLOT: i32 = 200;

/// What all processes of a run have in common.
#[derive(Debug)]
pub struct Setup {
    /// What the run is on.
    pub kind: Kind,
    /// The device, to create pools; there is none for memfd.
    pub device: Option<OwnedFd>,
    /// Pages that the default pool had allocated before.
    pub nr_allocated_before: u64,
    /// Where each process gets descriptors from others: sender's and receiver's end.
    pub mail: [(UnixStream, UnixStream); PROCESSES],
}

fn fd_of(slot: u8) -> i32 {
    FIRST_SLOT + i32::from(slot)
}

/// Puts a new descriptor into a slot; an error stays one.
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

/// What a call answered that gives bytes.
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
                let mut create = uapi::Create {
                    size_bytes: size,
                    strategy: match self.kind {
                        Kind::Around => uapi::Strategy::Around,
                        Kind::Huge => uapi::Strategy::Huge,
                        Kind::Eager => uapi::Strategy::Eager,
                        _ => uapi::Strategy::Page,
                    } as u32,
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

    /// Takes the descriptor that another process has sent to this one, the process `me`.
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
        if is_default {
            nr_allocated = nr_allocated.wrapping_sub(self.nr_allocated_before);
        } else if sys::fstat(fd)
            != Ok((
                info.size_bytes.to_signed(),
                info.nr_resident_pages.to_signed(),
            ))
        {
            // The two have to say the same.
            flags |= 1 << 8;
        }
        Seen {
            result: info.size_bytes.to_signed(),
            sum: info.nr_resident_pages,
            extra: nr_allocated | (u64::from(info.seals) << 32) | (flags << 40),
            fault: None,
        }
    }

    /// Whether an ioctl of the pool is a call of its own here.
    fn is_pool(&self) -> bool {
        self.kind != Kind::Memfd
    }

    /// Does it, in this process. `fork`, `exit` and `kill` are not for this.
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
            Call::Msync { at, len, flags } => sys::msync(at, len, flags.0),
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
            Call::Fsync { slot } => sys::fsync(fd_of(slot)),
            Call::Fork { .. } | Call::Exit {} | Call::Kill {} => 0,
        };
        Seen::of(answer)
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

/// The description of the pool behind a descriptor.
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
