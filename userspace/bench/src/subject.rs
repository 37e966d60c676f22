// SPDX-License-Identifier: MIT OR GPL-2.0

//! The subjects: pools of each strategy, their C twins, and the kernel's own objects.

use std::ffi::CString;
use std::fmt;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::ptr;

use mmap_pool::{Mapping, MappingBuilder, Pool, Protection, Strategy};
use rustix::fs::{fcntl_add_seals, memfd_create, MemfdFlags, SealFlags};
use rustix::ioctl::{ioctl, opcode, Setter};
use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use crate::Failure;

pub use rustix::param::page_size;

/// Bytes of a huge page on every kernel that the benchmark runs on.
pub const HUGE_PAGE: usize = 2 << 20;

/// The disk of a guest with [storage](crate::row::Guest::Storage). It is at least as large as an object.
const DISK: &str = "/dev/scratch";

/// The node of the C twin, `tests/modules/twin`.
pub const TWIN: &str = "/dev/mmap_pool_twin";

/// A kind of memory to map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Subject {
    /// A created pool.
    Pool(Strategy),
    /// A pool of the C twin.
    Twin(Strategy),
    /// A memfd.
    Memfd,
    /// A memfd of transparent huge pages.
    MemfdHuge,
    /// A file on tmpfs.
    Tmpfs,
    /// A memfd of hugetlbfs, its huge pages reserved.
    Hugetlb,
    /// Anonymous private memory.
    Anon,
    /// Anonymous private memory of transparent huge pages.
    AnonHuge,
    /// A memfd's pages through the udmabuf driver.
    Udmabuf,
    /// A pool that a disk backs.
    PoolOnDisk,
    /// The disk itself.
    Disk,
}

/// Short names of the pools, for the table of rows.
pub mod short {
    use super::{Strategy, Subject};

    pub const POOL_AUTO: Subject = Subject::Pool(Strategy::Auto);
    pub const POOL_PAGE: Subject = Subject::Pool(Strategy::Page);
    pub const POOL_AROUND: Subject = Subject::Pool(Strategy::Around);
    pub const POOL_HUGE: Subject = Subject::Pool(Strategy::Huge);
    pub const POOL_EAGER: Subject = Subject::Pool(Strategy::Eager);
    pub const TWIN_AUTO: Subject = Subject::Twin(Strategy::Auto);
    pub const TWIN_PAGE: Subject = Subject::Twin(Strategy::Page);
    pub const TWIN_AROUND: Subject = Subject::Twin(Strategy::Around);
    pub const TWIN_HUGE: Subject = Subject::Twin(Strategy::Huge);
}

impl Subject {
    /// The subjects that are no pools of a strategy.
    const OTHERS: [Self; 9] = [
        Self::Memfd,
        Self::MemfdHuge,
        Self::Tmpfs,
        Self::Hugetlb,
        Self::Anon,
        Self::AnonHuge,
        Self::Udmabuf,
        Self::PoolOnDisk,
        Self::Disk,
    ];

    fn all() -> impl Iterator<Item = Self> {
        let pools = Strategy::ALL.into_iter().map(Self::Pool);
        let twins = Strategy::ALL.into_iter().map(Self::Twin);
        pools.chain(twins).chain(Self::OTHERS)
    }

    fn is_pool(self) -> bool {
        matches!(self, Self::Pool(_) | Self::Twin(_) | Self::PoolOnDisk)
    }

    /// Whether a kernel may lack it, so that its figures may be missing.
    #[must_use]
    pub fn may_be_absent(self) -> bool {
        matches!(
            self,
            Self::MemfdHuge | Self::Hugetlb | Self::AnonHuge | Self::Udmabuf
        )
    }

    fn name(self) -> String {
        match self {
            Self::Pool(strategy) => return format!("pool {}", strategy.name()),
            Self::Twin(strategy) => return format!("C {}", strategy.name()),
            Self::Memfd => "memfd",
            Self::MemfdHuge => "memfd huge",
            Self::Tmpfs => "tmpfs",
            Self::Hugetlb => "hugetlbfs",
            Self::Anon => "anonymous",
            Self::AnonHuge => "anon huge",
            Self::Udmabuf => "udmabuf",
            Self::PoolOnDisk => "pool on a disk",
            Self::Disk => "disk",
        }
        .into()
    }
}

/// The name in files of results.
impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Pool(strategy) => return format!("pool-{}", strategy.name()),
            Subject::Twin(strategy) => return format!("twin-{}", strategy.name()),
            Subject::Memfd => "memfd",
            Subject::MemfdHuge => "memfd-huge",
            Subject::Tmpfs => "tmpfs",
            Subject::Hugetlb => "hugetlb",
            Subject::Anon => "anon",
            Subject::AnonHuge => "anon-huge",
            Subject::Udmabuf => "udmabuf",
            Subject::PoolOnDisk => "pool-on-disk",
            Subject::Disk => "disk",
        }
        .into()
    }
}

impl TryFrom<String> for Subject {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::all()
            .find(|&subject| String::from(subject) == name)
            .ok_or_else(|| format!("no such subject: {name}"))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

/// An object of some [`Subject`], new and empty.
#[derive(Debug)]
pub struct Object {
    subject: Subject,
    len: usize,
    /// `None` for anonymous memory.
    file: Option<File>,
    tmpfs: Option<Tmpfs>,
    /// Must live as long as the file.
    hugetlb: Option<HugetlbPages>,
}

impl Object {
    /// Creates an object of `len` bytes.
    ///
    /// # Errors
    ///
    /// The kernel lacks the subject, or the system is out of memory.
    pub fn new(subject: Subject, len: usize) -> Result<Self, Failure> {
        let on = |is_on| if is_on { "always" } else { "never" };
        // Pools need `huge_fault`, which the kernel calls only with huge pages enabled. That is
        // the default.
        set_thp(
            "enabled",
            on(subject.is_pool() || subject == Subject::AnonHuge),
        )?;
        set_thp("shmem_enabled", on(subject == Subject::MemfdHuge))?;

        let mut object = Self {
            subject,
            len,
            file: None,
            tmpfs: None,
            hugetlb: None,
        };
        let file = match subject {
            Subject::Pool(strategy) => pool(mmap_pool::DEFAULT_PATH, strategy, len)?,
            Subject::Twin(strategy) => pool(TWIN, strategy, len)?,
            Subject::Memfd | Subject::MemfdHuge => memfd(MemfdFlags::CLOEXEC, len)?,
            Subject::Tmpfs => {
                let tmpfs = object.tmpfs.insert(Tmpfs::mount()?);
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(tmpfs.file())?;
                file.set_len(len as u64)?;
                file
            }
            Subject::Hugetlb => {
                object.hugetlb = Some(HugetlbPages::reserve(len.div_ceil(HUGE_PAGE))?);
                memfd(MemfdFlags::CLOEXEC | MemfdFlags::HUGETLB, len)?
            }
            Subject::Udmabuf => udmabuf(len)?,
            Subject::PoolOnDisk => pool_on_disk()?,
            Subject::Disk => disk()?,
            Subject::Anon | Subject::AnonHuge => return Ok(object),
        };
        object.file = Some(file);
        Ok(object)
    }

    /// Bytes of the object.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Pages of the object.
    #[must_use]
    pub fn nr_pages(&self) -> usize {
        self.len / page_size()
    }

    /// The object's file.
    ///
    /// # Errors
    ///
    /// Anonymous memory has none.
    pub fn file(&self) -> Result<&File, Failure> {
        self.file
            .as_ref()
            .ok_or_else(|| format!("{} has no file", self.subject).into())
    }

    /// A path by which the file can be opened again.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file).
    pub fn path(&self) -> Result<PathBuf, Failure> {
        Ok(match &self.tmpfs {
            Some(tmpfs) => tmpfs.file(),
            None => format!("/proc/self/fd/{}", self.file()?.as_raw_fd()).into(),
        })
    }

    /// Maps all of the object, shared. Anonymous memory has no other user, and is mapped privately.
    ///
    /// # Errors
    ///
    /// The errors of `mmap(2)`.
    pub fn shared(&self) -> Result<Mapping, Failure> {
        match &self.file {
            Some(_) => self.map(MappingBuilder::shared().len(self.len)),
            None => anonymous(self.len),
        }
    }

    /// Maps all of the object privately.
    ///
    /// # Errors
    ///
    /// The errors of `mmap(2)`.
    pub fn private(&self) -> Result<Mapping, Failure> {
        self.map(MappingBuilder::private().len(self.len))
    }

    /// Maps the object's file.
    ///
    /// # Errors
    ///
    /// The errors of `mmap(2)`.
    pub fn map(&self, builder: MappingBuilder) -> Result<Mapping, Failure> {
        // SAFETY: Every subject is plain memory.
        Ok(unsafe { builder.map_file(self.file()?) }?)
    }

    /// Makes the object larger.
    ///
    /// # Errors
    ///
    /// The errors of `ftruncate(2)`.
    pub fn grow(&mut self, len: usize) -> Result<(), Failure> {
        self.file()?.set_len(len as u64)?;
        self.len = len;
        Ok(())
    }
}

fn pool(node: &str, strategy: Strategy, len: usize) -> Result<File, Failure> {
    let node = Pool::open_path(node)?;
    let pool = Pool::create()
        .name("bench")
        .size_bytes(len as u64)
        .strategy(strategy)
        .create_through(&node)?;
    Ok(pool.as_file().try_clone()?)
}

fn disk() -> Result<File, Failure> {
    Ok(File::options().read(true).write(true).open(DISK)?)
}

fn pool_on_disk() -> Result<File, Failure> {
    let pool = Pool::create().name("bench").backing(&disk()?).create()?;
    Ok(pool.as_file().try_clone()?)
}

fn memfd(flags: MemfdFlags, len: usize) -> Result<File, Failure> {
    let file = File::from(memfd_create("bench", flags)?);
    file.set_len(len as u64)?;
    Ok(file)
}

fn anonymous(len: usize) -> Result<Mapping, Failure> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: Without MAP_FIXED the kernel chooses an unused range.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), len, protection, MapFlags::PRIVATE) }?;
    // SAFETY: The range has just been mapped with this protection, and nothing else uses it.
    Ok(unsafe { Mapping::from_raw_parts(start.cast(), len, Protection::READ_WRITE) })
}

/// C: `struct udmabuf_create`, `include/uapi/linux/udmabuf.h`.
#[repr(C)]
struct UdmabufCreate {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

fn udmabuf(len: usize) -> Result<File, Failure> {
    use std::os::fd::FromRawFd;
    const CREATE: rustix::ioctl::Opcode = opcode::write::<UdmabufCreate>(b'u', 0x42);

    let driver = File::options()
        .read(true)
        .write(true)
        .open("/dev/udmabuf")?;
    let memfd = memfd(MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING, len)?;
    fcntl_add_seals(&memfd, SealFlags::SHRINK)?;
    let create = UdmabufCreate {
        memfd: memfd.as_raw_fd().try_into()?,
        flags: 1, // UDMABUF_FLAGS_CLOEXEC
        offset: 0,
        size: len as u64,
    };
    // SAFETY: The number encodes `struct udmabuf_create`, which the driver only reads.
    let fd = unsafe { ioctl(&driver, NewFile(Setter::<CREATE, _>::new(create))) }?;
    // SAFETY: The driver returns a new descriptor.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The ioctl `I`, whose result is a descriptor.
struct NewFile<I>(I);

// SAFETY: As for `I`. The result is passed on.
unsafe impl<I: rustix::ioctl::Ioctl> rustix::ioctl::Ioctl for NewFile<I> {
    type Output = i32;

    const IS_MUTATING: bool = I::IS_MUTATING;

    fn opcode(&self) -> rustix::ioctl::Opcode {
        self.0.opcode()
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        self.0.as_ptr()
    }

    unsafe fn output_from_ptr(
        output: rustix::ioctl::IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> rustix::io::Result<i32> {
        Ok(output)
    }
}

/// Sets the use of transparent huge pages: `enabled` for anonymous memory, `shmem_enabled` for
/// memfd. Does nothing on a kernel without them.
fn set_thp(what: &str, when: &str) -> Result<(), Failure> {
    let path = Path::new("/sys/kernel/mm/transparent_hugepage").join(what);
    if path.exists() {
        fs::write(path, when)?;
    }
    Ok(())
}

/// A tmpfs mounted for one object.
#[derive(Debug)]
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount() -> Result<Self, Failure> {
        let folder = PathBuf::from("/tmp/bench-tmpfs");
        fs::create_dir_all(&folder)?;
        let size = CString::new("size=100%")?;
        mount(
            "bench",
            &folder,
            "tmpfs",
            MountFlags::empty(),
            Some(size.as_c_str()),
        )?;
        Ok(Self(folder))
    }

    fn file(&self) -> PathBuf {
        self.0.join("file")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // The file may still be open. The mount ends when the file is closed.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A guard: huge pages reserved for hugetlbfs.
#[derive(Debug)]
struct HugetlbPages;

impl HugetlbPages {
    const COUNT: &'static str = "/proc/sys/vm/nr_hugepages";

    fn reserve(nr_pages: usize) -> Result<Self, Failure> {
        fs::write(Self::COUNT, nr_pages.to_string())?;
        let got: usize = fs::read_to_string(Self::COUNT)?.trim().parse()?;
        if got < nr_pages {
            return Err(format!("only {got} of {nr_pages} huge pages could be reserved").into());
        }
        Ok(Self)
    }
}

impl Drop for HugetlbPages {
    fn drop(&mut self) {
        let _ = fs::write(Self::COUNT, "0");
    }
}
