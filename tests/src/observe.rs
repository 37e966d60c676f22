// SPDX-License-Identifier: MIT OR GPL-2.0

//! Reads words in memory, page tables and counters of the kernel.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use mmap_pool::{Errno, Mapping, Pool, Stat};

use crate::machine::{bytes, pages_of_mib};
use crate::subject::page_size;
use crate::{fail, Failure};

/// Bytes of a word that a scenario writes.
pub const WORD: usize = 8;

/// The totals of all pools.
///
/// # Errors
///
/// The errno of the device node.
pub fn totals() -> Result<Stat, Failure> {
    Ok(Pool::open()?.stat()?)
}

/// Waits until the reserve has `mib` MiB, and returns the totals of all pools.
///
/// # Errors
///
/// The reserve does not fill up, or the errno of the device node.
pub fn full_reserve(mib: u64) -> Result<Stat, Failure> {
    for _ in 0..6000 {
        let stat = totals()?;
        if stat.nr_reserve_pages >= pages_of_mib(mib) {
            return Ok(stat);
        }
        thread::sleep(Duration::from_millis(10));
    }
    fail!("the reserve does not fill up: {:?}", totals());
}

/// Stores a word in a mapping, padded with zeros.
///
/// # Errors
///
/// The errno of the mapping.
pub fn put_word(mapping: &Mapping, offset: usize, word: &str) -> Result<(), Failure> {
    Ok(mapping.write_at(&padded(word), offset)?)
}

/// The word in a mapping; `0` if there is none.
///
/// # Errors
///
/// The errno of the mapping.
pub fn word(mapping: &Mapping, offset: usize) -> Result<String, Failure> {
    let mut bytes = [0xff; WORD];
    mapping.read_at(&mut bytes, offset)?;
    Ok(unpadded(bytes))
}

/// Writes a word with `pwrite(2)`.
///
/// # Errors
///
/// The errno of writing.
pub fn put_word_in_file(file: &File, offset: usize, word: &str) -> Result<(), Failure> {
    Ok(file.write_all_at(&padded(word), offset as u64)?)
}

/// The word that `pread(2)` finds; `0` if there is none.
///
/// # Errors
///
/// The errno of reading.
pub fn word_in_file(file: &File, offset: usize) -> Result<String, Failure> {
    let mut bytes = [0xff; WORD];
    file.read_exact_at(&mut bytes, offset as u64)?;
    Ok(unpadded(bytes))
}

fn padded(word: &str) -> [u8; WORD] {
    let mut bytes = [0; WORD];
    bytes[..word.len()].copy_from_slice(word.as_bytes());
    bytes
}

fn unpadded(bytes: [u8; WORD]) -> String {
    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(WORD);
    match len {
        0 => "0".into(),
        len => String::from_utf8_lossy(&bytes[..len]).into_owned(),
    }
}

/// Numbers of the pages that are in memory, by `mincore(2)`.
///
/// # Errors
///
/// The errno of the call.
pub fn mincore(mapping: &Mapping) -> Result<Vec<usize>, Failure> {
    let mut pages = vec![0_u8; mapping.len().div_ceil(page_size())];
    let start = mapping.as_ptr().cast();
    // SAFETY: The kernel writes one byte for each page of the range.
    if unsafe { libc::mincore(start, mapping.len(), pages.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(numbers(pages.iter().map(|page| page & 1 != 0)))
}

/// The page-table entry of one page, from `/proc/self/pagemap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageEntry(u64);

impl PageEntry {
    /// Whether the page is mapped.
    #[must_use]
    pub fn is_present(self) -> bool {
        self.0 >> 63 != 0
    }

    /// Whether the page is in swap.
    #[must_use]
    pub fn is_swapped(self) -> bool {
        self.0 & (1 << 62) != 0
    }

    /// Whether the page is one of a file or of shared memory, and not a private copy.
    #[must_use]
    pub fn is_of_file(self) -> bool {
        self.0 & (1 << 61) != 0
    }

    /// Whether the page was written since the last write to `/proc/self/clear_refs`.
    #[must_use]
    pub fn is_soft_dirty(self) -> bool {
        self.0 & (1 << 55) != 0
    }

    /// The frame number; 0 for a process without the right to see it.
    #[must_use]
    pub fn frame(self) -> u64 {
        self.0 & ((1 << 55) - 1)
    }
}

/// The page table's entries for a mapping.
///
/// # Errors
///
/// The errno of reading them.
pub fn page_table(mapping: &Mapping) -> Result<Vec<PageEntry>, Failure> {
    let mut bytes = vec![0; mapping.len().div_ceil(page_size()) * WORD];
    let first = mapping.as_ptr().addr() / page_size();
    File::open("/proc/self/pagemap")?.read_exact_at(&mut bytes, (first * WORD) as u64)?;
    Ok(bytes
        .chunks_exact(WORD)
        .map(|entry| PageEntry(u64::from_ne_bytes(entry.try_into().unwrap_or_default())))
        .collect())
}

/// Numbers of the pages that the page table maps.
///
/// # Errors
///
/// The errno of reading them.
pub fn present(mapping: &Mapping) -> Result<Vec<usize>, Failure> {
    Ok(numbers(
        page_table(mapping)?.into_iter().map(PageEntry::is_present),
    ))
}

fn numbers(is_set: impl Iterator<Item = bool>) -> Vec<usize> {
    is_set
        .enumerate()
        .filter_map(|(number, is_set)| is_set.then_some(number))
        .collect()
}

/// The numbers, with spaces between them.
#[must_use]
pub fn list(numbers: &[usize]) -> String {
    numbers
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Minor page faults of this thread.
#[must_use]
pub fn nr_minor_faults() -> i64 {
    // SAFETY: All zeros is a `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: The kernel fills `usage`.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    usage.ru_minflt
}

/// The counters of `/proc/vmstat`, after a refresh on all processors.
///
/// # Errors
///
/// The errno of reading them.
pub fn vmstat() -> Result<BTreeMap<String, i64>, Failure> {
    fs::read("/proc/sys/vm/stat_refresh")?;
    fs::read_to_string("/proc/vmstat")?
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| Ok((name.into(), value.parse()?)))
        .collect()
}

/// Free pages, including those on per-CPU lists.
///
/// # Errors
///
/// The errno of reading them.
pub fn nr_free_pages() -> Result<i64, Failure> {
    let on_lists = fs::read_to_string("/proc/zoneinfo")?
        .lines()
        .filter_map(|line| line.trim().strip_prefix("count:"))
        .map(|count| count.trim().parse::<i64>())
        .sum::<Result<i64, _>>()?;
    Ok(vmstat()?["nr_free_pages"] + on_lists)
}

/// The symbol of an error number, as in `errno(3)`.
#[must_use]
pub fn symbol(errno: Errno) -> String {
    let symbols = [
        (Errno::ACCESS, "EACCES"),
        (Errno::AGAIN, "EAGAIN"),
        (Errno::BADF, "EBADF"),
        (Errno::BADFD, "EBADFD"),
        (Errno::BUSY, "EBUSY"),
        (Errno::EXIST, "EEXIST"),
        (Errno::DEADLK, "EDEADLK"),
        (Errno::FAULT, "EFAULT"),
        (Errno::FBIG, "EFBIG"),
        (Errno::IO, "EIO"),
        (Errno::INVAL, "EINVAL"),
        (Errno::NODATA, "ENODATA"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOENT, "ENOENT"),
        (Errno::NOMEM, "ENOMEM"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::NOSYS, "ENOSYS"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::NOTTY, "ENOTTY"),
        (Errno::NXIO, "ENXIO"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
        (Errno::OVERFLOW, "EOVERFLOW"),
        (Errno::PERM, "EPERM"),
        (Errno::OWNERDEAD, "EOWNERDEAD"),
        (Errno::SPIPE, "ESPIPE"),
        (Errno::TXTBSY, "ETXTBSY"),
        (Errno::XDEV, "EXDEV"),
    ];
    symbols
        .iter()
        .find(|(known, _)| *known == errno)
        .map_or_else(
            || format!("errno {}", errno.raw_os_error()),
            |(_, symbol)| (*symbol).into(),
        )
}

/// `ok`, or the error's symbol.
#[must_use]
pub fn verdict<T>(result: &Result<T, Errno>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(errno) => symbol(*errno),
    }
}

/// The number, of [`bytes`] if it is large, or the error's symbol.
#[must_use]
pub fn count<T: ToString>(result: &Result<T, Errno>) -> String {
    match result {
        Ok(count) => {
            let count = count.to_string();
            count.parse().map_or(count, bytes)
        }
        Err(errno) => symbol(*errno),
    }
}

/// The error of the last call of the C library.
#[must_use]
pub fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The result of a system call, negative for an error.
///
/// # Errors
///
/// The errno.
pub fn checked(result: impl TryInto<i64>) -> Result<u64, Errno> {
    let result = result.try_into().unwrap_or(-1);
    u64::try_from(result).map_err(|_| last_errno())
}
