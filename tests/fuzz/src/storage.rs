// SPDX-License-Identifier: MIT OR GPL-2.0

//! The objects behind backed pools, and what direct reads find in them.
//!
//! All are on `/dev/scratch`. An object is a part of it, or a file of the ext4 in its last part.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mmap_pool_tests::program::DISK;
use mmap_pool_tests::Failure;

use crate::mapper::{self, Device};
use crate::model::Behind;
use crate::sys::SharedWords;
use crate::{page_size, pattern};

/// The most objects of a run.
pub const NR_OBJECTS: usize = 8;

/// Bytes between the starts of two parts. The largest object has 5 MiB.
const STRIDE: u64 = 8 << 20;
/// Bytes of the part with ext4.
const EXT4: u64 = 256 << 20;
const FOLDER: &str = "/run/fuzz";
/// A program of the disk of real programs.
const MKE2FS: &str = "/usr/sbin/mke2fs";
/// The longest time until a pool has given up its object.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this guest can have such objects: its kernel has a device mapper, and there is what makes an ext4.
#[must_use]
pub fn can_make(behind: Behind) -> bool {
    mapper::is_there()
        && match behind {
            Behind::Device => true,
            Behind::Ext4 => Path::new(DISK).join(&MKE2FS[1..]).exists(),
        }
}

/// The bytes of page `pgoff` of a new object, number `number` of the run, of `size` bytes. `None` for zeros,
/// which are a hole of a file.
#[must_use]
pub fn initial_page(number: usize, pgoff: u64, size: u64) -> Option<Vec<u8>> {
    // Large objects have few such pages, because they take time.
    let has_bytes = pgoff % 3 == 1 && pgoff < 64 || pgoff % 64 == 63;
    if !has_bytes {
        return None;
    }
    let len = size.saturating_sub(pgoff * page_size()).min(page_size()) as usize;
    let mut page = pattern((number as u64 * 31 + pgoff) as u8, len);
    page.resize(page_size() as usize, 0);
    Some(page)
}

/// The size of an object for a pool of `size` bytes.
#[must_use]
pub fn object_size(behind: Behind, size: u64) -> u64 {
    match behind {
        Behind::Device => size.max(1).next_multiple_of(512),
        Behind::Ext4 => size.max(1),
    }
}

/// The objects of a run. All processes share their number.
#[derive(Debug)]
pub struct Objects {
    behind: Behind,
    disk: PathBuf,
    nr_objects: SharedWords,
}

impl Objects {
    /// The objects that the last run has left.
    ///
    /// # Errors
    ///
    /// There is no disk.
    pub fn of_last_run(behind: Behind) -> Result<Self, Failure> {
        Ok(Self {
            behind,
            disk: fs::canonicalize("/dev/scratch")?,
            nr_objects: SharedWords::new(1),
        })
    }

    /// Removes the objects of the last run. The first run makes the ext4.
    ///
    /// # Errors
    ///
    /// There is no disk, or an object is in use.
    pub fn none(behind: Behind) -> Result<Self, Failure> {
        let objects = Self::of_last_run(behind)?;
        match behind {
            Behind::Device => {
                for number in 0..NR_OBJECTS {
                    remove(&objects.device(number)?)?;
                }
            }
            Behind::Ext4 => {
                objects.mount()?;
                for number in 0..NR_OBJECTS {
                    let _ = fs::remove_file(objects.path(number));
                }
            }
        }
        Ok(objects)
    }

    /// Makes the ext4, unless it is mounted.
    fn mount(&self) -> Result<(), Failure> {
        if fs::read_to_string("/proc/mounts")?.contains(FOLDER) {
            return Ok(());
        }
        self.device(NR_OBJECTS)?.make(EXT4)?;
        let device = mapper::path(minor(NR_OBJECTS));
        // Blocks of a page, so that a hole is whole pages.
        let options = format!(
            "-q -F -t ext4 -b {} -E lazy_itable_init=0,lazy_journal_init=0",
            page_size()
        );
        let made = Command::new("chroot")
            .args([DISK, MKE2FS])
            .args(options.split(' '))
            .arg(&device)
            .output()?;
        if !made.status.success() {
            return Err(format!("cannot make the ext4: {made:?}").into());
        }
        fs::create_dir_all(FOLDER)?;
        let mounted = Command::new("mount")
            .args(["-t", "ext4"])
            .arg(device)
            .arg(FOLDER)
            .output()?;
        if !mounted.status.success() {
            return Err(format!("cannot mount the ext4: {mounted:?}").into());
        }
        Ok(())
    }

    /// The device of an object, or of the ext4.
    fn device(&self, number: usize) -> io::Result<Device> {
        let disk = fs::metadata(&self.disk)?.rdev();
        Ok(Device {
            disk: format!("{}:{}", libc::major(disk), libc::minor(disk)),
            minor: minor(number),
            start: (1 + number as u64) * STRIDE,
        })
    }

    /// The path of an object.
    fn path(&self, number: usize) -> PathBuf {
        match self.behind {
            Behind::Device => mapper::path(minor(number)),
            Behind::Ext4 => format!("{FOLDER}/{number}").into(),
        }
    }

    /// Makes all reads and writes of these bytes of an object fail, and of no others. A file of the ext4
    /// never fails.
    ///
    /// # Errors
    ///
    /// There is no such object.
    pub fn fail(&self, number: usize, failing: Range<u64>) -> io::Result<()> {
        match self.behind {
            Behind::Device => {
                let len = File::open(self.path(number))?.seek(SeekFrom::End(0))?;
                self.device(number)?.fail(len, failing)
            }
            Behind::Ext4 => Ok(()),
        }
    }

    /// Makes an object of `size` bytes, and opens it.
    ///
    /// # Errors
    ///
    /// There are too many, or it is in use.
    pub fn make(&self, size: u64) -> io::Result<File> {
        let number = self.nr_objects.get(0) as usize;
        if number == NR_OBJECTS {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.nr_objects.add(0, 1);
        let has_holes = match self.behind {
            Behind::Device => {
                self.device(number)?.make(size)?;
                false
            }
            Behind::Ext4 => {
                File::create(self.path(number))?.set_len(size)?;
                true
            }
        };
        let object = self.open(number)?;
        let mut zeros = 0..0;
        let no_bytes = vec![0; size as usize];
        for off in (0..size).step_by(page_size() as usize) {
            let len = (size - off).min(page_size());
            match initial_page(number, off / page_size(), size) {
                Some(page) => {
                    object.write_all_at(
                        &no_bytes[..(zeros.end - zeros.start) as usize],
                        zeros.start,
                    )?;
                    zeros = off + len..off + len;
                    object.write_all_at(&page[..len as usize], off)?;
                }
                None if has_holes => zeros = off + len..off + len,
                None => zeros.end = off + len,
            }
        }
        object.write_all_at(&no_bytes[..(zeros.end - zeros.start) as usize], zeros.start)?;
        object.sync_all()?;
        Ok(object)
    }

    /// Opens an object.
    ///
    /// # Errors
    ///
    /// There is no such object.
    pub fn open(&self, number: usize) -> io::Result<File> {
        File::options()
            .read(true)
            .write(true)
            .open(self.path(number))
    }

    /// Reads bytes of an object past every cache. `off` and `len` are whole pages.
    ///
    /// # Errors
    ///
    /// There is no such object, or it cannot be read.
    pub fn read(&self, number: usize, off: u64, len: u64) -> io::Result<Vec<u8>> {
        let object = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(self.path(number))?;
        let mut bytes = vec![0; (len + page_size()) as usize];
        let start = bytes.as_ptr().align_offset(page_size() as usize);
        let mut done = 0;
        while done < len as usize {
            let part = &mut bytes[start + done..start + len as usize];
            let nr_read = object.read_at(part, off + done as u64)?;
            done += nr_read;
            if nr_read == 0 || done % page_size() as usize != 0 {
                break;
            }
        }
        bytes.drain(..start);
        bytes.truncate(done);
        Ok(bytes)
    }

    /// How often the disk was told to make its cache durable.
    ///
    /// # Errors
    ///
    /// The disk has no such count.
    pub fn nr_flushes(&self) -> io::Result<u64> {
        /// The field of `Documentation/block/stat.rst`.
        const FLUSHES: usize = 15;

        let name = self.disk.file_name().unwrap_or_default();
        let stat = fs::read_to_string(Path::new("/sys/block").join(name).join("stat"))?;
        let count = stat.split_whitespace().nth(FLUSHES);
        count
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// The minor number of the device of an object. That of the ext4 comes after those of the objects.
fn minor(number: usize) -> u8 {
    100 + number as u8
}

/// Removes a device. A pool may use it for a moment after its last close.
fn remove(device: &Device) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match device.remove() {
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && start.elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(()),
            result => return result,
        }
    }
}
