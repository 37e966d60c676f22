// SPDX-License-Identifier: MIT OR GPL-2.0

//! Subjects of the scenarios: pools, and objects of the kernel of the same size.

use std::fmt;
use std::fs::{self, File};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process;
use std::ptr;

use mmap_pool::{Errno, Mappable, Mapping, MappingBuilder, Pool, Protection, Seals};
use rustix::fs::{
    fallocate, fcntl_add_seals, fstat, ftruncate, memfd_create, open, FallocateFlags, MemfdFlags,
    Mode, OFlags, SealFlags,
};
use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

use crate::given::Given;
use crate::needs::Needs;
use crate::observe;
use crate::scenario::Oracle;
use crate::{fail, Failure};

pub use crate::machine::page_size;

/// Pages of a subject.
pub const PAGES: usize = 256;

/// Bytes of a subject.
#[must_use]
pub fn size() -> usize {
    PAGES * page_size()
}

/// An open file that is memory alone, and so may be mapped.
#[derive(Debug)]
pub struct Object(File);

impl Object {
    /// # Safety
    ///
    /// The file fulfils the contract of [`Mappable`].
    #[must_use]
    pub unsafe fn new(file: impl Into<OwnedFd>) -> Self {
        Self(File::from(file.into()))
    }
}

impl Deref for Object {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for Object {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Object> for File {
    fn from(object: Object) -> Self {
        object.0
    }
}

// SAFETY: Who made the object vouched for it.
unsafe impl Mappable for Object {
    fn size_bytes(&self) -> mmap_pool::Result<u64> {
        Ok(fstat(self).map_or(0, |stat| stat.st_size.unsigned_abs()))
    }
}

/// An object of [`size`] zero bytes to map, read and write.
#[derive(Debug)]
pub struct Subject {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Node,
    Created(Pool),
    Memfd(OwnedFd),
    Tmpfs(PathBuf),
    Anonymous,
    Device,
    Given(Given),
}

/// The disk that tests may write to.
pub const SCRATCH: &str = "/dev/scratch";

/// A number of pages; unknown for an object that does not count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub Option<u64>);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str(UNKNOWN),
        }
    }
}

/// What stands for an unknown number in an answer.
pub const UNKNOWN: &str = "?";

impl Subject {
    /// The default pool of the loaded module, which must be new.
    #[must_use]
    pub fn node() -> Self {
        Self { kind: Kind::Node }
    }

    /// A new pool.
    ///
    /// # Errors
    ///
    /// The errno of creating it.
    pub fn created() -> Result<Self, Failure> {
        let pool = Pool::create().name("subject").size_bytes(size() as u64);
        Ok(Self {
            kind: Kind::Created(pool.create()?),
        })
    }

    /// A new pool that the block device [`SCRATCH`] backs. It has the size and the content of the
    /// device.
    ///
    /// # Errors
    ///
    /// The errno of creating it.
    pub fn backed() -> Result<Self, Failure> {
        let device = File::options().read(true).write(true).open(SCRATCH)?;
        let pool = Pool::create().name("subject").backing(&device);
        Ok(Self {
            kind: Kind::Created(pool.create()?),
        })
    }

    /// An object of the kernel.
    ///
    /// # Errors
    ///
    /// The errno of making it.
    pub fn oracle(oracle: Oracle) -> Result<Self, Failure> {
        let kind = match oracle {
            Oracle::Anonymous => Kind::Anonymous,
            Oracle::Device => Kind::Device,
            Oracle::Memfd => {
                let memfd =
                    memfd_create("oracle", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
                ftruncate(&memfd, size() as u64)?;
                Kind::Memfd(memfd)
            }
            Oracle::Tmpfs => {
                let folder = PathBuf::from(format!("/tmp/oracle-{}", process::id()));
                fs::create_dir_all(&folder)?;
                let options = format!("size={}", size());
                let options = std::ffi::CString::new(options)?;
                mount(
                    "oracle",
                    &folder,
                    "tmpfs",
                    MountFlags::empty(),
                    Some(options.as_c_str()),
                )?;
                let subject = Self {
                    kind: Kind::Tmpfs(folder),
                };
                subject
                    .open(OFlags::RDWR | OFlags::CREATE)?
                    .write_all_at(&vec![0; size()], 0)?;
                return Ok(subject);
            }
        };
        Ok(Self { kind })
    }

    /// An object that the user of a program names.
    #[must_use]
    pub fn given(given: Given) -> Self {
        Self {
            kind: Kind::Given(given),
        }
    }

    /// Makes the bytes of a given object those of a new one.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn clear(&self) -> Result<(), Failure> {
        match &self.kind {
            Kind::Given(given) => given.clear(),
            _ => Ok(()),
        }
    }

    /// The path by which a process of this user opens the subject.
    ///
    /// # Errors
    ///
    /// Anonymous memory has no path.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        Ok(match &self.kind {
            Kind::Node => mmap_pool::DEFAULT_PATH.into(),
            Kind::Created(pool) => path_of(pool),
            Kind::Memfd(fd) => path_of(fd),
            Kind::Tmpfs(folder) => folder.join("file"),
            Kind::Anonymous => fail!("anonymous memory cannot be opened"),
            Kind::Device => SCRATCH.into(),
            Kind::Given(given) => given.path_for_writing()?,
        })
    }

    /// Opens the subject anew.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)`.
    pub fn open(&self, access: OFlags) -> Result<Object, Failure> {
        if let Kind::Given(given) = &self.kind {
            return given.open(access);
        }
        let mode = Mode::RUSR | Mode::WUSR;
        let file = open(self.path()?, access | OFlags::CLOEXEC, mode)?;
        // SAFETY: Pools, memfds and files of tmpfs are memory. The device has no other user.
        Ok(unsafe { Object::new(file) })
    }

    /// Opens the subject anew for reading and writing.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)`.
    pub fn file(&self) -> Result<Object, Failure> {
        self.open(OFlags::RDWR)
    }

    /// Maps [`size`] bytes of the subject through a descriptor that is closed again.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)` or `mmap(2)`.
    pub fn map(&self, builder: MappingBuilder) -> Result<Mapping, Failure> {
        if let Kind::Given(given) = &self.kind {
            return given.map(builder);
        }
        Ok(builder.len(size()).map(&self.file()?)?)
    }

    /// Maps all of the subject shared.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)` or `mmap(2)`.
    pub fn shared(&self) -> Result<Mapping, Failure> {
        match self.kind {
            Kind::Anonymous => anonymous(size(), MapFlags::SHARED),
            _ => self.map(MappingBuilder::shared()),
        }
    }

    /// Maps all of the subject privately.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)` or `mmap(2)`.
    pub fn private(&self) -> Result<Mapping, Failure> {
        match self.kind {
            Kind::Anonymous => anonymous(size(), MapFlags::PRIVATE),
            Kind::Given(ref given) => given.private(),
            _ => self.map(MappingBuilder::private()),
        }
    }

    /// The size in bytes.
    ///
    /// # Errors
    ///
    /// The errno of asking for it.
    pub fn size_bytes(&self) -> Result<u64, Failure> {
        Ok(match &self.kind {
            Kind::Node => Pool::open()?.info()?.size_bytes,
            Kind::Given(given) => given.size_bytes()?,
            _ => self.file()?.metadata()?.len(),
        })
    }

    /// Changes the size: `ftruncate(2)`, or the node's ioctl for it.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn resize(&self, size_bytes: u64) -> Result<(), Errno> {
        match &self.kind {
            Kind::Node => node(|pool| pool.resize(size_bytes)),
            Kind::Given(given) => given.resize(size_bytes),
            _ => ftruncate(self.open_file()?, size_bytes),
        }
    }

    /// Makes a hole: `fallocate(2)`, or the node's ioctl for it.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn punch(&self, offset: u64, len: u64) -> Result<(), Errno> {
        match &self.kind {
            Kind::Node => node(|pool| pool.punch(offset, len)),
            Kind::Given(given) => given.punch(offset, len),
            _ => make_hole(&self.open_file()?, offset, len),
        }
    }

    /// Adds seals: the pools' ioctl, or `F_ADD_SEALS`.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn seal(&self, seals: Seals) -> Result<(), Errno> {
        match &self.kind {
            Kind::Node => node(|pool| pool.seal(seals)),
            Kind::Created(pool) => pool.seal(seals).map_err(|error| error.errno()),
            Kind::Given(given) => given.seal(seals),
            _ => fcntl_add_seals(self.open_file()?, SealFlags::from_bits_retain(seals.bits())),
        }
    }

    /// The pool, opened anew.
    ///
    /// # Errors
    ///
    /// The subject is not a pool.
    pub fn pool(&self) -> Result<Pool, Failure> {
        if let Kind::Given(given) = &self.kind {
            return Err(given.lacks(Needs::POOL).into());
        }
        Ok(Pool::open_path(self.path()?)?)
    }

    /// Whether a scenario that makes an object of its own makes a pool. Otherwise it makes a memfd.
    ///
    /// # Errors
    ///
    /// An object that a user names is not judged by another one.
    pub fn makes_pools(&self) -> Result<bool, Failure> {
        match &self.kind {
            Kind::Given(given) => Err(given.lacks(Needs::POOL).into()),
            Kind::Node | Kind::Created(_) => Ok(true),
            _ => Ok(false),
        }
    }

    /// Whether it is the pool of the device node.
    #[must_use]
    pub fn is_node(&self) -> bool {
        matches!(self.kind, Kind::Node)
    }

    fn open_file(&self) -> Result<Object, Errno> {
        self.file().map_err(|_| Errno::BADF)
    }

    /// The number of resident pages.
    ///
    /// # Errors
    ///
    /// The errno of asking for it.
    pub fn nr_resident_pages(&self) -> Result<Count, Failure> {
        Ok(Count(match &self.kind {
            Kind::Node => Some(Pool::open()?.info()?.nr_resident_pages),
            Kind::Given(given) => given.nr_resident_pages()?,
            _ => Some(self.file()?.metadata()?.blocks() * 512 / page_size() as u64),
        }))
    }

    /// Reads bytes with `read(2)`, through a new descriptor.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)` or `read(2)`.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: usize) -> Result<(), Failure> {
        match &self.kind {
            Kind::Given(given) => given.read_exact_at(bytes, offset),
            _ => Ok(self.file()?.read_exact_at(bytes, offset as u64)?),
        }
    }

    /// Writes bytes with `write(2)`, through a new descriptor.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)` or `write(2)`.
    pub fn write_all_at(&self, bytes: &[u8], offset: usize) -> Result<(), Failure> {
        match &self.kind {
            Kind::Given(given) => given.write_all_at(bytes, offset),
            _ => Ok(self.file()?.write_all_at(bytes, offset as u64)?),
        }
    }

    /// The word that `read(2)` finds at `offset`, through a new descriptor.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)` or `read(2)`.
    pub fn word(&self, offset: usize) -> Result<String, Failure> {
        if let Kind::Given(given) = &self.kind {
            return given.word(offset);
        }
        observe::word_in_file(&*self.file()?, offset)
    }

    /// Writes a word at `offset` with `write(2)`, through a new descriptor.
    ///
    /// # Errors
    ///
    /// The errno of `open(2)` or `write(2)`.
    pub fn put_word(&self, offset: usize, word: &str) -> Result<(), Failure> {
        if let Kind::Given(given) = &self.kind {
            return given.put_word(offset, word);
        }
        observe::put_word_in_file(&*self.file()?, offset, word)
    }
}

/// Makes a range of a file a hole.
///
/// # Errors
///
/// The errno of `fallocate(2)`.
pub fn make_hole(file: &impl AsFd, offset: u64, len: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, flags, offset, len)
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Kind::Tmpfs(folder) = &self.kind {
            let _ = unmount(folder, UnmountFlags::empty());
            let _ = fs::remove_dir(folder);
        }
    }
}

fn node(ask: impl FnOnce(&Pool) -> mmap_pool::Result<()>) -> Result<(), Errno> {
    Pool::open()
        .and_then(|pool| ask(&pool))
        .map_err(|error| error.errno())
}

/// The path by which a process of this user opens a file that has no name.
pub fn path_of(fd: &impl AsRawFd) -> PathBuf {
    format!("/proc/{}/fd/{}", process::id(), fd.as_raw_fd()).into()
}

/// Maps `len` bytes of memory without a file.
///
/// # Errors
///
/// The errno of `mmap(2)`.
pub fn anonymous(len: usize, sharing: MapFlags) -> Result<Mapping, Failure> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: Without MAP_FIXED the kernel takes a range that nothing uses.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), len, protection, sharing) }?;
    // SAFETY: The range was mapped just now, with this protection, and nothing else refers to it.
    Ok(unsafe { Mapping::from_raw_parts(start.cast(), len, Protection::READ_WRITE) })
}
