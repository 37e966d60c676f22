// SPDX-License-Identifier: MIT OR GPL-2.0

//! Page frames: their flags, and how to report a broken one.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use crate::subject::page_size;
use crate::Failure;

/// The flags of a frame in `/proc/kpageflags`.
///
/// C: `include/uapi/linux/kernel-page-flags.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u64);

impl Flags {
    const UPTODATE: u64 = 1 << 3;
    const COMPOUND_HEAD: u64 = 1 << 15;
    const COMPOUND_TAIL: u64 = 1 << 16;
    const HWPOISON: u64 = 1 << 19;
    const THP: u64 = 1 << 22;

    /// Whether the frame is broken.
    #[must_use]
    pub fn is_broken(self) -> bool {
        self.0 & Self::HWPOISON != 0
    }

    /// Whether the frame is a single up-to-date page that is not mapped and in no page cache.
    #[must_use]
    pub fn is_unused_page(self) -> bool {
        self.0 == Self::UPTODATE
    }

    /// Whether the frame is the first of an up-to-date large folio that is not mapped and in no
    /// page cache.
    #[must_use]
    pub fn is_first_of_unused_folio(self) -> bool {
        self.0 == Self::COMPOUND_HEAD | Self::THP | Self::UPTODATE
    }

    /// Whether the frame belongs to a large folio, and is not the first.
    #[must_use]
    pub fn is_tail(self) -> bool {
        self.0 & Self::COMPOUND_TAIL != 0
    }
}

/// The flags of all frames, by frame number.
///
/// # Errors
///
/// The errno of reading it.
pub fn all() -> Result<Vec<Flags>, Failure> {
    let file = File::open("/proc/kpageflags")?;
    let mut flags = Vec::new();
    let mut bytes = vec![0; 1 << 20];
    loop {
        let len = file.read_at(&mut bytes, 8 * flags.len() as u64)?;
        if len == 0 {
            return Ok(flags);
        }
        let words = bytes[..len].chunks_exact(8);
        flags.extend(
            words.map(|word| Flags(u64::from_ne_bytes(word.try_into().unwrap_or_default()))),
        );
    }
}

/// The flags of one frame.
///
/// # Errors
///
/// The errno of reading it.
pub fn flags(frame: usize) -> Result<Flags, Failure> {
    Ok(flags_of(frame, 1)?[0])
}

/// The flags of `nr_frames` neighbouring frames.
///
/// # Errors
///
/// The errno of reading it.
pub fn flags_of(first: usize, nr_frames: usize) -> Result<Vec<Flags>, Failure> {
    let mut bytes = vec![0; 8 * nr_frames];
    File::open("/proc/kpageflags")?.read_exact_at(&mut bytes, 8 * first as u64)?;
    let words = bytes.chunks_exact(8);
    Ok(words
        .map(|word| Flags(u64::from_ne_bytes(word.try_into().unwrap_or_default())))
        .collect())
}

/// Tells the kernel that a frame is broken.
///
/// # Errors
///
/// The kernel cannot do that. It is not an error if the frame stays in use.
pub fn break_frame(frame: usize) -> Result<(), Failure> {
    let address = format!("{:#x}", frame * page_size());
    match fs::write("/sys/devices/system/memory/hard_offline_page", address) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::BUSY) => Err(error.into()),
        _ => Ok(()),
    }
}
