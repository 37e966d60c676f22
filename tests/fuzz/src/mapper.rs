// SPDX-License-Identifier: MIT OR GPL-2.0

//! Parts of a disk as devices of their own, some of whose sectors can be made to fail.
//!
//! They are devices of the device mapper. A device is told apart by its minor number, so that its node is
//! known: `/dev/dm-MINOR`. The kernel makes the nodes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::sys::{self, Answer};

/// Where requests go.
const CONTROL: &str = "/dev/mapper/control";
/// Bytes of a sector.
const SECTOR: u64 = 512;
/// The most targets of a table: a part of the disk, sectors that fail, another part.
const NR_TARGETS: usize = 3;
/// Bytes of the parameters of a target.
const PARAMETERS: usize = 64;

/// Commands of `include/uapi/linux/dm-ioctl.h`.
#[derive(Clone, Copy)]
enum Command {
    Create = 3,
    Remove = 4,
    Suspend = 6,
    Load = 9,
}

/// The device has the minor number that the request names.
const PERSISTENT_DEV: u32 = 1 << 3;
/// A file system on the device is not frozen when the table changes.
const SKIP_LOCKFS: u32 = 1 << 10;

/// `struct dm_ioctl`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

/// `struct dm_target_spec`, and the parameters that follow it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Target {
    sector_start: u64,
    length: u64,
    status: i32,
    next: u32,
    kind: [u8; 16],
    parameters: [u8; PARAMETERS],
}

/// A request. The kernel reads and writes `data_size` bytes, which is all of it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    header: Header,
    targets: [Target; NR_TARGETS],
}

/// Whether the kernel has a device mapper.
#[must_use]
pub fn is_there() -> bool {
    Path::new(CONTROL).exists()
}

/// The bytes of a text, and zeros.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// A device that is a range of bytes of a disk.
#[derive(Clone, Debug)]
pub struct Device {
    /// The disk's numbers, `MAJOR:MINOR`.
    pub disk: String,
    /// The minor number of the device.
    pub minor: u8,
    /// Where it is on the disk.
    pub bytes: Range<u64>,
}

impl Device {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/dev/dm-{}", self.minor).into()
    }

    fn request(&self, command: Command, flags: u32, targets: &[Target]) -> io::Result<Answer> {
        let none = Target {
            sector_start: 0,
            length: 0,
            status: 0,
            next: 0,
            kind: [0; 16],
            parameters: [0; PARAMETERS],
        };
        let mut request = Request {
            header: Header {
                version: [4, 0, 0],
                data_size: size_of::<Request>() as u32,
                data_start: size_of::<Header>() as u32,
                target_count: targets.len() as u32,
                open_count: 0,
                flags,
                event_nr: 0,
                padding: 0,
                dev: match command {
                    Command::Create => self.minor.into(),
                    _ => 0,
                },
                name: padded(&format!("fuzz-{}", self.minor)),
                uuid: [0; 129],
                data: [0; 7],
            },
            targets: [none; NR_TARGETS],
        };
        request.targets[..targets.len()].copy_from_slice(targets);
        let control = File::options().read(true).write(true).open(CONTROL)?;
        Ok(sys::mapper(
            control.as_raw_fd(),
            command as u32,
            size_of::<Header>() as u32,
            &mut request,
        ))
    }

    /// A target from byte `range.start` of the device to `range.end`.
    fn target(range: &Range<u64>, kind: &str, parameters: &str) -> Target {
        Target {
            sector_start: range.start / SECTOR,
            length: (range.end - range.start) / SECTOR,
            status: 0,
            next: size_of::<Target>() as u32,
            kind: padded(kind),
            parameters: padded(parameters),
        }
    }

    /// Makes the device.
    ///
    /// # Errors
    ///
    /// The kernel has no device mapper, or such a device.
    pub fn make(&self) -> io::Result<()> {
        check(self.request(Command::Create, PERSISTENT_DEV, &[])?)?;
        self.fail(0..0)
    }

    /// Makes all reads and writes of these bytes fail, and of no others. A request that reaches beyond them
    /// is cut at their ends.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn fail(&self, failing: Range<u64>) -> io::Result<()> {
        let len = self.bytes.end - self.bytes.start;
        let mut targets = Vec::new();
        let parts = [
            (0..failing.start, false),
            (failing.clone(), true),
            (failing.end..len, false),
        ];
        for (part, fails) in parts.into_iter().filter(|(part, _)| !part.is_empty()) {
            let place = format!("{} {}", self.disk, (self.bytes.start + part.start) / SECTOR);
            targets.push(if fails {
                Self::target(&part, "error", "")
            } else {
                Self::target(&part, "linear", &place)
            });
        }
        check(self.request(Command::Load, 0, &targets)?)?;
        // This resumes the device, with the new table.
        check(self.request(Command::Suspend, SKIP_LOCKFS, &[])?)
    }

    /// Removes the device.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: it is open.
    /// - `ENXIO`: there is none.
    pub fn remove(&self) -> io::Result<()> {
        check(self.request(Command::Remove, 0, &[])?)
    }
}

fn check(answer: Answer) -> io::Result<()> {
    match answer {
        0.. => Ok(()),
        errno => Err(io::Error::from_raw_os_error(-errno as i32)),
    }
}
