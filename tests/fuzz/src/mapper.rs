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

use crate::sys;

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

/// The path of the device with this minor number.
#[must_use]
pub fn path(minor: u8) -> PathBuf {
    format!("/dev/dm-{minor}").into()
}

impl Target {
    const NONE: Self = Self {
        sector_start: 0,
        length: 0,
        status: 0,
        next: size_of::<Self>() as u32,
        kind: [0; 16],
        parameters: [0; PARAMETERS],
    };

    /// The bytes `part` of a device.
    fn new(part: Range<u64>, kind: &str, parameters: &str) -> Self {
        Self {
            sector_start: part.start / SECTOR,
            length: (part.end - part.start) / SECTOR,
            kind: padded(kind),
            parameters: padded(parameters),
            ..Self::NONE
        }
    }
}

/// A device that is a part of a disk.
#[derive(Clone, Debug)]
pub struct Device {
    /// The disk's numbers, `MAJOR:MINOR`.
    pub disk: String,
    /// The minor number of the device.
    pub minor: u8,
    /// The byte of the disk where it begins.
    pub start: u64,
}

impl Device {
    fn request(&self, command: Command, flags: u32, targets: &[Target]) -> io::Result<()> {
        const READ_WRITE: u32 = 3 << 30;
        const MAPPER: u32 = 0xfd << 8;

        let size = size_of::<Request>() as u32;
        let mut request = Request {
            header: Header {
                version: [4, 0, 0],
                data_size: size,
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
            targets: [Target::NONE; NR_TARGETS],
        };
        request.targets[..targets.len()].copy_from_slice(targets);
        let control = File::options().read(true).write(true).open(CONTROL)?;
        // The kernel takes the size from the header, and not from the number (`ctl_ioctl()`).
        let number = READ_WRITE | (size << 16) | MAPPER | command as u32;
        match sys::ioctl(control.as_raw_fd(), number, &mut request) {
            0.. => Ok(()),
            errno => Err(io::Error::from_raw_os_error(-errno as i32)),
        }
    }

    /// Makes the device, of `len` bytes.
    ///
    /// # Errors
    ///
    /// The kernel has no device mapper, or such a device.
    pub fn make(&self, len: u64) -> io::Result<()> {
        self.request(Command::Create, PERSISTENT_DEV, &[])?;
        self.fail(len, 0..0)
    }

    /// Makes all reads and writes of these bytes fail, and of no others. A request that reaches beyond them
    /// is cut at their ends. The device has `len` bytes.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    pub fn fail(&self, len: u64, failing: Range<u64>) -> io::Result<()> {
        let working = |part: Range<u64>| {
            let place = format!("{} {}", self.disk, (self.start + part.start) / SECTOR);
            Target::new(part, "linear", &place)
        };
        let mut targets = vec![
            working(0..failing.start),
            Target::new(failing.clone(), "error", ""),
            working(failing.end..len),
        ];
        targets.retain(|target| target.length > 0);
        self.request(Command::Load, 0, &targets)?;
        // This resumes the device, with the new table.
        self.request(Command::Suspend, SKIP_LOCKFS, &[])
    }

    /// Removes the device.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: it is open.
    /// - `ENXIO`: there is none.
    pub fn remove(&self) -> io::Result<()> {
        self.request(Command::Remove, 0, &[])
    }
}
