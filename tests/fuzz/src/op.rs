// SPDX-License-Identifier: MIT OR GPL-2.0

//! The operations, and their text form.
//!
//! An operation is one line: the process, the call, and its arguments by name. Addresses are bytes from
//! the start of the [arena](crate::sys::ARENA). Numbers are decimal or hexadecimal.
//!
//! Bytes are whole pages, `3p`, and less than half a page after or before them: `3p+8`, `3p-1`. So a
//! sequence means the same with every size of pages. A number without a `p` is bytes.
//!
//! ```text
//! p0 mmap slot=0 at=3p len=2p off=0 prot=rw- flags=shared+fixed
//! ```

use std::fmt;
use std::str::FromStr;

use crate::cast::SignCast;
use crate::page_size;

/// An error in the text of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

/// An argument with a text form.
trait Field: Sized {
    fn to_text(&self) -> String;
    fn from_text(text: &str) -> Option<Self>;
}

/// The text of a number.
fn number_to_text(number: u64) -> String {
    if number < 1024 {
        number.to_string()
    } else {
        format!("{number:#x}")
    }
}

fn number_from_text(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A number of bytes.
impl Field for u64 {
    fn to_text(&self) -> String {
        let (nr_pages, rest) = (self / page_size(), self % page_size());
        if rest >= page_size() / 2 {
            let (nr_pages, missing) = (nr_pages + 1, page_size() - rest);
            return format!("{}p-{}", number_to_text(nr_pages), number_to_text(missing));
        }
        match (nr_pages, rest) {
            (0, rest) => number_to_text(rest),
            (nr_pages, 0) => format!("{}p", number_to_text(nr_pages)),
            (nr_pages, rest) => format!("{}p+{}", number_to_text(nr_pages), number_to_text(rest)),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let Some((nr_pages, rest)) = text.split_once('p') else {
            return number_from_text(text);
        };
        let len_bytes = number_from_text(nr_pages)?.checked_mul(page_size())?;
        match (rest.strip_prefix('+'), rest.strip_prefix('-')) {
            (Some(more), _) => len_bytes.checked_add(number_from_text(more)?),
            (_, Some(less)) => len_bytes.checked_sub(number_from_text(less)?),
            _ => rest.is_empty().then_some(len_bytes),
        }
    }
}

impl Field for i64 {
    fn to_text(&self) -> String {
        let digits = self.unsigned_abs().to_text();
        if *self < 0 {
            format!("-{digits}")
        } else {
            digits
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.strip_prefix('-') {
            Some(digits) => u64::from_text(digits)
                .and_then(|value| Self::try_from(value).ok())
                .map(|value| -value),
            None => u64::from_text(text).and_then(|value| value.try_into().ok()),
        }
    }
}

impl Field for u8 {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The named bits that are set, joined by `+`, and the rest as a number.
fn bits_to_text(mut bits: u32, names: &[(u32, &str)]) -> String {
    let mut words = Vec::new();
    for &(bit, name) in names {
        if bit != 0 && bits & bit == bit {
            words.push(name.to_owned());
            bits &= !bit;
        }
    }
    if bits != 0 || words.is_empty() {
        words.push(number_to_text(bits.into()));
    }
    words.join("+")
}

fn bits_from_text(text: &str, names: &[(u32, &str)]) -> Option<u32> {
    let mut bits = 0;
    for word in text.split('+') {
        bits |= match names.iter().find(|(_, name)| *name == word) {
            Some((bit, _)) => *bit,
            None => number_from_text(word)?.try_into().ok()?,
        };
    }
    Some(bits)
}

/// Defines types of named bits.
macro_rules! bits {
    ($($(#[$doc:meta])* $type:ident { $($name:literal = $value:expr),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $type(pub u32);

        impl $type {
            const NAMES: &'static [(u32, &'static str)] = &[$(($value as u32, $name)),*];

            /// Whether all of `bits` are set.
            #[must_use]
            pub fn has(self, bits: i32) -> bool {
                self.0 & bits.to_bits() == bits.to_bits()
            }
        }

        impl Field for $type {
            fn to_text(&self) -> String {
                bits_to_text(self.0, Self::NAMES)
            }

            fn from_text(text: &str) -> Option<Self> {
                bits_from_text(text, Self::NAMES).map(Self)
            }
        }
    )*};
}

bits! {
    /// The `flags` of `mmap`. The first match wins, so names of several bits come first.
    MapFlags {
        "validate" = libc::MAP_SHARED_VALIDATE,
        "shared" = libc::MAP_SHARED,
        "private" = libc::MAP_PRIVATE,
        "fixed" = libc::MAP_FIXED,
        "noreplace" = libc::MAP_FIXED_NOREPLACE,
        "populate" = libc::MAP_POPULATE,
        "nonblock" = libc::MAP_NONBLOCK,
        "locked" = libc::MAP_LOCKED,
        "noreserve" = libc::MAP_NORESERVE,
        "sync" = libc::MAP_SYNC,
    }
    /// The `flags` of `mremap`.
    RemapFlags {
        "maymove" = libc::MREMAP_MAYMOVE,
        "fixed" = libc::MREMAP_FIXED,
        "dontunmap" = libc::MREMAP_DONTUNMAP,
    }
    /// The `flags` of `open`.
    OpenFlags {
        "wronly" = libc::O_WRONLY,
        "rdwr" = libc::O_RDWR,
        "append" = libc::O_APPEND,
        "trunc" = libc::O_TRUNC,
    }
    /// The `flags` of `msync`.
    SyncFlags {
        "async" = libc::MS_ASYNC,
        "sync" = libc::MS_SYNC,
        "invalidate" = libc::MS_INVALIDATE,
    }
    /// The `flags` of `sync_file_range`.
    RangeFlags {
        "wait_before" = libc::SYNC_FILE_RANGE_WAIT_BEFORE,
        "write" = libc::SYNC_FILE_RANGE_WRITE,
        "wait_after" = libc::SYNC_FILE_RANGE_WAIT_AFTER,
    }
    /// The `mode` of `fallocate`.
    AllocMode {
        "keep" = libc::FALLOC_FL_KEEP_SIZE,
        "punch" = libc::FALLOC_FL_PUNCH_HOLE,
        "zero" = libc::FALLOC_FL_ZERO_RANGE,
    }
    /// Seals.
    SealBits {
        "seal" = libc::F_SEAL_SEAL,
        "shrink" = libc::F_SEAL_SHRINK,
        "grow" = libc::F_SEAL_GROW,
        "write" = libc::F_SEAL_WRITE,
    }
}

/// A protection, as `rwx`. A dash stands for a missing right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prot(pub u32);

impl Prot {
    const LETTERS: [(u32, char); 3] = [
        (libc::PROT_READ as u32, 'r'),
        (libc::PROT_WRITE as u32, 'w'),
        (libc::PROT_EXEC as u32, 'x'),
    ];

    /// Whether it has `PROT_WRITE`.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self.0 & libc::PROT_WRITE.to_bits() != 0
    }

    /// Whether it has `PROT_READ`.
    #[must_use]
    pub fn is_readable(self) -> bool {
        self.0 & libc::PROT_READ.to_bits() != 0
    }

    /// Whether it allows any access.
    #[must_use]
    pub const fn is_accessible(self) -> bool {
        self.0 != 0
    }
}

impl Field for Prot {
    fn to_text(&self) -> String {
        Self::LETTERS
            .iter()
            .map(|&(bit, letter)| if self.0 & bit != 0 { letter } else { '-' })
            .collect()
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut bits = 0;
        let mut letters = text.chars();
        for (bit, letter) in Self::LETTERS {
            match letters.next()? {
                '-' => {}
                other if other == letter => bits |= bit,
                _ => return None,
            }
        }
        letters.next().is_none().then_some(Self(bits))
    }
}

/// Defines types of named values.
macro_rules! names {
    ($($(#[$doc:meta])* $type:ident { $($name:literal = $value:path),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $type(pub i32);

        impl $type {
            /// Every named value.
            pub const ALL: &'static [i32] = &[$($value),*];
        }

        impl Field for $type {
            fn to_text(&self) -> String {
                match self.0 {
                    $($value => $name.into(),)*
                    other => other.to_string(),
                }
            }

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($name => Some(Self($value)),)*
                    other => other.parse().ok().map(Self),
                }
            }
        }
    )*};
}

names! {
    /// The `whence` of `lseek`.
    Whence {
        "set" = libc::SEEK_SET,
        "cur" = libc::SEEK_CUR,
        "end" = libc::SEEK_END,
        "data" = libc::SEEK_DATA,
        "hole" = libc::SEEK_HOLE,
    }
    /// The `advice` of `posix_fadvise`.
    FileAdvice {
        "normal" = libc::POSIX_FADV_NORMAL,
        "random" = libc::POSIX_FADV_RANDOM,
        "sequential" = libc::POSIX_FADV_SEQUENTIAL,
        "willneed" = libc::POSIX_FADV_WILLNEED,
        "dontneed" = libc::POSIX_FADV_DONTNEED,
        "noreuse" = libc::POSIX_FADV_NOREUSE,
    }
    /// The `advice` of `madvise`. Advice that makes the kernel merge or collapse pages later is left
    /// out.
    Advice {
        "normal" = libc::MADV_NORMAL,
        "random" = libc::MADV_RANDOM,
        "sequential" = libc::MADV_SEQUENTIAL,
        "willneed" = libc::MADV_WILLNEED,
        "dontneed" = libc::MADV_DONTNEED,
        "free" = libc::MADV_FREE,
        "remove" = libc::MADV_REMOVE,
        "dontfork" = libc::MADV_DONTFORK,
        "dofork" = libc::MADV_DOFORK,
        "hugepage" = libc::MADV_HUGEPAGE,
        "nohugepage" = libc::MADV_NOHUGEPAGE,
        "dontdump" = libc::MADV_DONTDUMP,
        "dodump" = libc::MADV_DODUMP,
        "wipeonfork" = libc::MADV_WIPEONFORK,
        "keeponfork" = libc::MADV_KEEPONFORK,
        "cold" = libc::MADV_COLD,
        "pageout" = libc::MADV_PAGEOUT,
        "populate_read" = libc::MADV_POPULATE_READ,
        "populate_write" = libc::MADV_POPULATE_WRITE,
        "dontneed_locked" = libc::MADV_DONTNEED_LOCKED,
    }
}

/// Defines the calls from one list.
macro_rules! calls {
    ($($(#[$doc:meta])* $variant:ident $name:literal { $($field:ident: $type:ty),* })*) => {
        /// A call with its arguments. A slot is the number of a descriptor of the process.
        #[expect(missing_docs, reason = "the arguments are those of the call")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Call {
            $($(#[$doc])* $variant { $($field: $type),* },)*
        }

        impl Call {
            /// The call's name in the text form.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)*
                }
            }
        }

        impl fmt::Display for Call {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())?;
                match self {
                    $(Self::$variant { $($field),* } => {
                        $(write!(f, " {}={}", stringify!($field), $field.to_text())?;)*
                    })*
                }
                Ok(())
            }
        }

        impl FromStr for Call {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let mut words = text.split_whitespace();
                let name = words.next().unwrap_or_default();
                let mut words: Vec<_> = words.collect();
                let call = match name {
                    $($name => Self::$variant { $($field: take(&mut words, stringify!($field))?),* },)*
                    _ => return Err(ParseError(format!("no such call: {name:?}"))),
                };
                match words.first() {
                    None => Ok(call),
                    Some(word) => Err(ParseError(format!("{name} has no argument {word:?}"))),
                }
            }
        }
    };
}

fn take<T: Field>(words: &mut Vec<&str>, name: &str) -> Result<T, ParseError> {
    let found = words.iter().enumerate().find_map(|(at, word)| {
        let (key, value) = word.split_once('=')?;
        (key == name).then_some((at, value))
    });
    let Some((at, value)) = found else {
        return Err(ParseError(format!("the argument {name}= is missing")));
    };
    let value =
        T::from_text(value).ok_or_else(|| ParseError(format!("{name}={value}: bad value")))?;
    words.remove(at);
    Ok(value)
}

calls! {
    /// Creates a pool (or memfd) in a slot.
    Create "create" { slot: u8, size: u64 }
    /// Opens the object of another slot again.
    Open "open" { slot: u8, via: u8, flags: OpenFlags }
    /// `close`.
    Close "close" { slot: u8 }
    /// `dup2`.
    Dup "dup" { slot: u8, to: u8 }
    /// Sends a descriptor to another process through a socket.
    Pass "pass" { slot: u8, receiver: u8, to: u8 }
    /// `mmap`.
    Mmap "mmap" { slot: u8, at: u64, len: u64, off: u64, prot: Prot, flags: MapFlags }
    /// `munmap`.
    Munmap "munmap" { at: u64, len: u64 }
    /// `mprotect`.
    Mprotect "mprotect" { at: u64, len: u64, prot: Prot }
    /// `mremap`.
    Mremap "mremap" { at: u64, old: u64, new: u64, flags: RemapFlags, to: u64 }
    /// `madvise`.
    Madvise "madvise" { at: u64, len: u64, advice: Advice }
    /// `msync`.
    Msync "msync" { at: u64, len: u64, flags: SyncFlags }
    /// `mlock`.
    Mlock "mlock" { at: u64, len: u64 }
    /// `munlock`.
    Munlock "munlock" { at: u64, len: u64 }
    /// `mincore`.
    Mincore "mincore" { at: u64, len: u64 }
    /// Reads bytes of a mapping in order.
    Load "load" { at: u64, len: u64 }
    /// Writes bytes of a mapping in order.
    Store "store" { at: u64, len: u64, seed: u8 }
    /// `read`.
    Read "read" { slot: u8, len: u64 }
    /// `write`.
    Write "write" { slot: u8, len: u64, seed: u8 }
    /// `pread`.
    Pread "pread" { slot: u8, off: i64, len: u64 }
    /// `pwrite`.
    Pwrite "pwrite" { slot: u8, off: i64, len: u64, seed: u8 }
    /// `pread` into mapped memory.
    PreadTo "pread_to" { slot: u8, off: i64, len: u64, at: u64 }
    /// `pwrite` from mapped memory.
    PwriteFrom "pwrite_from" { slot: u8, off: i64, len: u64, at: u64 }
    /// `lseek`.
    Seek "seek" { slot: u8, off: i64, whence: Whence }
    /// `MMAP_POOL_RESIZE`.
    Resize "resize" { slot: u8, size: u64 }
    /// `ftruncate`.
    Truncate "truncate" { slot: u8, size: i64 }
    /// `MMAP_POOL_PUNCH`.
    Punch "punch" { slot: u8, off: u64, len: u64 }
    /// `fallocate`.
    Fallocate "fallocate" { slot: u8, mode: AllocMode, off: i64, len: i64 }
    /// `MMAP_POOL_PREFAULT`.
    Prefault "prefault" { slot: u8, off: u64, len: u64 }
    /// `MMAP_POOL_SEAL`.
    Seal "seal" { slot: u8, seals: SealBits }
    /// `MMAP_POOL_REVOKE`.
    Revoke "revoke" { slot: u8 }
    /// `MMAP_POOL_INFO`, `fstat`.
    Info "info" { slot: u8 }
    /// `sendfile` to another slot's position.
    Sendfile "sendfile" { slot: u8, off: i64, len: u64, to: u8 }
    /// `copy_file_range` to another slot.
    CopyRange "copy_range" { slot: u8, off: u64, len: u64, to: u8, to_off: u64 }
    /// `fsync`.
    Fsync "fsync" { slot: u8 }
    /// `fdatasync`.
    Fdatasync "fdatasync" { slot: u8 }
    /// `sync_file_range`.
    SyncRange "sync_range" { slot: u8, off: i64, len: i64, flags: RangeFlags }
    /// `pwritev2` with `RWF_DSYNC`.
    WriteDurably "pwrite_dsync" { slot: u8, off: i64, len: u64, seed: u8 }
    /// Writes whole pages while the object behind the pool fails there, `fsync`. When it works again, writes
    /// others there, `fsync`. The answer is that of the first `fsync`.
    SyncFailing "sync_failing" { slot: u8, object: u8, off: u64, len: u64, seed: u8 }
    /// `posix_fadvise`.
    Fadvise "fadvise" { slot: u8, off: i64, len: i64, advice: FileAdvice }
    /// `MMAP_POOL_DIRTY`.
    Dirty "dirty" { slot: u8, off: u64, len: u64 }
    /// `MMAP_POOL_BACKING`: the count of pages that are dirty or being written back.
    Unwritten "unwritten" { slot: u8 }
    /// Reads the object behind a pool past every cache.
    Stored "stored" { object: u8, off: u64, len: u64 }
    /// Drops the clean pages of all files.
    DropCaches "drop_caches" { }
    /// Creates another pool on the object behind a pool.
    Again "again" { slot: u8, object: u8 }
    /// `fork`.
    Fork "fork" { child: u8 }
    /// `exit`.
    Exit "exit" { }
    /// The process is killed.
    Kill "kill" { }
}

/// A call of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// The number of the process. The first process is 0.
    pub process: u8,
    /// The call.
    pub call: Call,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{} {}", self.process, self.call)
    }
}

impl FromStr for Op {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = text.trim().split_once(' ');
        let process = parts.and_then(|(process, _)| process.strip_prefix('p')?.parse().ok());
        match (parts, process) {
            (Some((_, call)), Some(process)) if usize::from(process) < crate::PROCESSES => {
                Ok(Self {
                    process,
                    call: call.parse()?,
                })
            }
            _ => Err(ParseError(format!(
                "{text:?} does not begin with a process, such as p0"
            ))),
        }
    }
}

/// Operations, and the initial size of the object in slot 0 of process 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The size in bytes. It is rounded up to pages for the default pool.
    pub size: u64,
    /// The operations, in order.
    pub ops: Vec<Op>,
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "size {}", self.size.to_text())?;
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl FromStr for Sequence {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let size = first
            .strip_prefix("size ")
            .and_then(u64::from_text)
            .ok_or_else(|| ParseError(format!("the first line is {first:?}, not a size")))?;
        Ok(Self {
            size,
            ops: lines.map(str::parse).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{generate, Theme};
    use crate::model::Home;

    #[test]
    fn a_printed_sequence_is_read_back() {
        for home in Home::ALL {
            for seed in 0..200 {
                let sequence = generate(Theme::Calls, home, seed, 200);
                assert!(sequence.ops.len() == 200);
                assert_eq!(sequence.to_string().parse(), Ok(sequence));
            }
        }
    }

    #[test]
    fn a_number_of_bytes_is_pages_and_what_is_beside_them() {
        let page = page_size();
        for (number, text) in [
            (0, "0"),
            (29, "29"),
            (page, "1p"),
            (3 * page + 8, "3p+8"),
            (3 * page - 1, "3p-1"),
            (page - 2, "1p-2"),
            (2000 * page + 1100, "0x7d0p+0x44c"),
        ] {
            assert_eq!(number.to_text(), text);
            assert_eq!(u64::from_text(text), Some(number), "{text}");
        }
        // Printed otherwise, but read.
        assert_eq!(u64::from_text("0x200000"), Some(0x20_0000));
        assert_eq!(i64::from_text("-2p+1"), Some(-(2 * page as i64 + 1)));
        for text in ["p", "1p1", "1p+", "0p-1", "1p*2", "0xfffffffffffffffp"] {
            assert_eq!(u64::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_operation_is_refused() {
        for text in [
            "",
            "p0",
            "p0 jump",
            "q0 exit",
            "p99 exit",
            "p0 exit now=1",
            "p0 close",
            "p0 close slot=x",
            "p0 mprotect at=0 len=0 prot=rx",
        ] {
            assert!(text.parse::<Op>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_skipped() {
        let text = "# why\nsize 2p\n\np0 close slot=0 # gone\n";
        let sequence: Sequence = text.parse().unwrap();
        assert_eq!(sequence.size, 2 * page_size());
        assert_eq!(sequence.ops.len(), 1);
    }
}
