// SPDX-License-Identifier: MIT OR GPL-2.0

//! Errors, and the operation that failed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::uapi::NAME_LEN;
use crate::Protection;

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// The `MMAP_POOL_INFO` ioctl.
    Info,
    /// The `MMAP_POOL_CREATE` ioctl.
    Create,
    /// The `MMAP_POOL_RESIZE` ioctl.
    Resize,
    /// The `MMAP_POOL_PUNCH` ioctl.
    Punch,
    /// The `MMAP_POOL_PREFAULT` ioctl.
    Prefault,
    /// The `MMAP_POOL_SEAL` ioctl.
    Seal,
    /// The `MMAP_POOL_REVOKE` ioctl.
    Revoke,
    /// The `MMAP_POOL_STAT` ioctl.
    Stat,
    /// The `MMAP_POOL_DIRTY` ioctl.
    Dirty,
    /// The `MMAP_POOL_BACKING` ioctl.
    Backing,
    /// `fsync(2)`.
    Sync,
    /// `fstat(2)`, for the size of a file.
    Size,
    /// `mmap(2)`.
    Map,
    /// `munmap(2)`.
    Unmap,
    /// `mprotect(2)`.
    Protect,
    /// `mremap(2)`.
    Remap,
    /// `mlock(2)`.
    Lock,
    /// `munlock(2)`.
    Unlock,
    /// `msync(2)`.
    Flush,
    /// `madvise(2)`.
    Advise,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "describe the pool",
            Self::Create => "create a pool",
            Self::Resize => "change the size of the pool",
            Self::Punch => "make a hole in the pool",
            Self::Prefault => "allocate pages of the pool",
            Self::Seal => "seal the pool",
            Self::Revoke => "revoke the pool",
            Self::Stat => "describe all pools",
            Self::Dirty => "tell which pages were written",
            Self::Backing => "describe the backing object",
            Self::Sync => "write back the pool",
            Self::Size => "get the size of the file",
            Self::Map => "map the memory",
            Self::Unmap => "unmap the memory",
            Self::Protect => "change the protection of the mapping",
            Self::Remap => "change the length of the mapping",
            Self::Lock => "lock the mapping into memory",
            Self::Unlock => "unlock the mapping",
            Self::Flush => "flush the mapping",
            Self::Advise => "advise the kernel about the mapping",
        })
    }
}

/// A failed operation on a pool or a mapping.
///
/// It converts into [`std::io::Error`] and keeps its text. [`Error::errno`] returns the error number.
///
/// ```
/// use mmap_pool::{Errno, Pool};
///
/// let error = Pool::open_path("/nowhere/mmap_pool").unwrap_err();
/// assert_eq!(error.errno(), Errno::NOENT);
/// assert!(error.to_string().starts_with("cannot open /nowhere/mmap_pool: "));
///
/// let error = std::io::Error::from(error);
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened.
    Open {
        /// The path of the device.
        path: PathBuf,
        /// The kernel's error number.
        errno: Errno,
    },
    /// The opened file is not a pool.
    NotAPool {
        /// The path of the file, if it is known.
        path: Option<PathBuf>,
    },
    /// A pool cannot have this name: it contains a zero byte or is too long.
    BadName {
        /// The name.
        name: String,
    },
    /// A system call failed.
    System {
        /// The operation that failed.
        operation: Operation,
        /// The kernel's error number.
        errno: Errno,
    },
    /// The access is not inside the mapping.
    OutOfBounds {
        /// First byte of the access.
        offset: usize,
        /// Length of the access, in bytes.
        len: usize,
        /// Length of the mapping, in bytes.
        mapping_len: usize,
    },
    /// The address of the integer is not a multiple of its size.
    Misaligned {
        /// First byte of the access.
        offset: usize,
        /// Number that its address must be a multiple of.
        align: usize,
    },
    /// The mapping's protection does not allow the access.
    Protected {
        /// Protection that the access needs.
        needed: Protection,
        /// Protection that the mapping has.
        actual: Protection,
    },
}

impl Error {
    pub(crate) fn system(operation: Operation) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::System { operation, errno }
    }

    /// Returns the error number of the kernel. If the library itself refused the operation, returns the
    /// number that the kernel uses for the same mistake.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::Open { errno, .. } | Self::System { errno, .. } => *errno,
            Self::NotAPool { .. } => Errno::NOTTY,
            Self::OutOfBounds { .. } => Errno::FAULT,
            Self::BadName { .. } | Self::Misaligned { .. } => Errno::INVAL,
            Self::Protected { .. } => Errno::ACCESS,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, errno } => {
                write!(f, "cannot open {}: {}", path.display(), Text(*errno))?;
                if matches!(*errno, Errno::NOENT | Errno::NODEV | Errno::NXIO) {
                    f.write_str("; is the module loaded?")?;
                }
                Ok(())
            }
            Self::NotAPool { path: Some(path) } => {
                write!(f, "{} is not a pool of mmap_pool", path.display())
            }
            Self::NotAPool { path: None } => f.write_str("the file is not a pool of mmap_pool"),
            Self::BadName { name } => write!(
                f,
                "a pool cannot have the name {name:?}: it has a zero byte or more than {} bytes",
                NAME_LEN - 1
            ),
            Self::System { operation, errno } => write!(f, "cannot {operation}: {}", Text(*errno)),
            Self::OutOfBounds {
                offset,
                len,
                mapping_len,
            } => write!(
                f,
                "{len} bytes at offset {offset} are not inside the mapping's {mapping_len} bytes"
            ),
            Self::Misaligned { offset, align } => {
                write!(
                    f,
                    "the address at offset {offset} is not a multiple of {align}"
                )
            }
            Self::Protected { needed, actual } => {
                write!(f, "the access needs {needed}, the mapping has {actual}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = io::Error::from(error.errno()).kind();
        Self::new(kind, error)
    }
}

/// `strerror(3)` in lower case, for use inside a sentence.
struct Text(Errno);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = io::Error::from(self.0).to_string();
        let mut chars = text.chars();
        let first = chars
            .next()
            .into_iter()
            .flat_map(char::to_lowercase)
            .collect::<String>();
        write!(f, "{first}{}", chars.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_asks_for_the_module() {
        let error = Error::Open {
            path: "/dev/mmap_pool".into(),
            errno: Errno::NOENT,
        };
        assert_eq!(
            error.to_string(),
            "cannot open /dev/mmap_pool: no such file or directory (os error 2); \
             is the module loaded?"
        );
    }

    #[test]
    fn a_forbidden_device_does_not_ask_for_the_module() {
        let error = Error::Open {
            path: "/dev/mmap_pool".into(),
            errno: Errno::ACCESS,
        };
        assert_eq!(
            error.to_string(),
            "cannot open /dev/mmap_pool: permission denied (os error 13)"
        );
    }

    #[test]
    fn a_system_error_names_operation_and_number() {
        let error = Error::System {
            operation: Operation::Map,
            errno: Errno::NOMEM,
        };
        assert_eq!(
            error.to_string(),
            "cannot map the memory: cannot allocate memory (os error 12)"
        );
        assert_eq!(error.errno(), Errno::NOMEM);
    }

    #[test]
    fn io_error_keeps_kind_and_text() {
        let error = Error::Protected {
            needed: Protection::WRITE,
            actual: Protection::READ,
        };
        let text = error.to_string();
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), text);
        assert_eq!(text, "the access needs -w-, the mapping has r--");
    }
}
