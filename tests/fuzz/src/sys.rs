// SPDX-License-Identifier: MIT OR GPL-2.0

//! System calls that return plain numbers, and accesses to memory that may fault. All `unsafe` code of
//! the fuzzer is here.
//!
//! The functions are safe to call because they change memory only in the [arena](ARENA), where no Rust
//! object is.

mod copy;
pub mod remote;

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_void, CStr};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::cast::{SignCast, UnsignedCast};
use crate::page_size;

/// The start of the arena, the address range of all mappings of the fuzzer. The kernel places no other
/// mapping there.
pub const ARENA: u64 = 0x1000_0000_0000;
/// Bytes of the arena.
const SPAN: u64 = 1 << 32;

/// The answer of a call: its result, or a negated errno.
pub type Answer = i64;

/// Returns the address of byte `at` of the arena, and checks that `len` bytes from there are in it.
fn address(at: u64, len: u64) -> u64 {
    assert!(
        at < SPAN && len < SPAN - at,
        "{at:#x}+{len:#x} is not within the arena"
    );
    ARENA + at
}

/// # Safety
///
/// The call's effect on this process's memory must be sound.
unsafe fn call<const N: usize>(number: c_long, arguments: [u64; N]) -> Answer {
    let a = |index: usize| arguments.get(index).copied().unwrap_or_default();
    // SAFETY: The caller's promise.
    answer(unsafe { libc::syscall(number, a(0), a(1), a(2), a(3), a(4), a(5)) })
}

/// The answer of a call that has just returned.
fn answer(result: i64) -> Answer {
    if result == -1 {
        // SAFETY: The location of this thread's errno is valid.
        -i64::from(unsafe { *libc::__errno_location() })
    } else {
        result
    }
}

/// Calls that take numbers and touch no memory of this process.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident = $number:ident($($argument:ident: $type:ty),*);)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name($($argument: $type),*) -> Answer {
            // SAFETY: The call touches no memory of this process.
            unsafe { call(libc::$number, [$(word($argument.into())),*]) }
        }
    )*};
}

/// Converts a signed number to a register's value.
fn word(value: i64) -> u64 {
    value.to_bits()
}

plain! {
    /// `close(2)`.
    close = SYS_close(fd: i32);
    /// `lseek(2)`.
    lseek = SYS_lseek(fd: i32, off: i64, whence: i32);
    /// `ftruncate(2)`.
    ftruncate = SYS_ftruncate(fd: i32, size: i64);
    /// `fallocate(2)`.
    fallocate = SYS_fallocate(fd: i32, mode: i32, off: i64, len: i64);
    /// `fsync(2)`.
    fsync = SYS_fsync(fd: i32);
    /// `fdatasync(2)`.
    fdatasync = SYS_fdatasync(fd: i32);
    /// `sync_file_range(2)`.
    sync_file_range = SYS_sync_file_range(fd: i32, off: i64, len: i64, flags: u32);
    /// `posix_fadvise(2)`.
    fadvise = SYS_fadvise64(fd: i32, off: i64, len: i64, advice: i32);
    /// An ioctl whose argument is a number.
    ioctl_number = SYS_ioctl(fd: i32, number: u32, argument: i64);
    /// `fcntl(2)` with a number.
    fcntl = SYS_fcntl(fd: i32, command: i32, argument: u32);
    /// `kill(2)`.
    kill = SYS_kill(pid: i32, signal: i32);
}

/// `dup2(2)`, which not every machine has as a call.
#[must_use]
pub fn dup2(fd: i32, to: i32) -> Answer {
    // SAFETY: The call touches no memory of this process.
    answer(unsafe { libc::dup2(fd, to) }.into())
}

/// Calls on a range of the arena.
macro_rules! ranged {
    ($($(#[$doc:meta])* $name:ident = $number:ident(at, len $(, $argument:ident: $type:ty)*);)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(at: u64, len: u64 $(, $argument: $type)*) -> Answer {
            // SAFETY: The range is within the arena.
            unsafe { call(libc::$number, [address(at, len), len $(, word($argument.into()))*]) }
        }
    )*};
}

ranged! {
    /// `munmap(2)`.
    munmap = SYS_munmap(at, len);
    /// `mprotect(2)`.
    mprotect = SYS_mprotect(at, len, prot: u32);
    /// `madvise(2)`.
    madvise = SYS_madvise(at, len, advice: i32);
    /// `msync(2)`.
    msync = SYS_msync(at, len, flags: u32);
    /// `mlock(2)`.
    mlock = SYS_mlock(at, len);
    /// `munlock(2)`.
    munlock = SYS_munlock(at, len);
}

/// The answer of [`mmap`] and [`mremap`] if the kernel chose another address than the one given.
/// The new mapping is removed at once.
pub const ELSEWHERE: Answer = i64::MAX;

/// Converts the address that a mapping call returned to an offset in the arena.
fn placed(answer: Answer, at: u64, len: u64) -> Answer {
    if answer < 0 {
        return answer;
    }
    let found = answer.to_bits();
    if found == ARENA + at {
        return at.to_signed();
    }
    // SAFETY: The kernel has just chosen the range, so nothing else is there.
    unsafe { call(libc::SYS_munmap, [found, len.next_multiple_of(page_size())]) };
    ELSEWHERE
}

/// `mmap(2)`.
#[must_use]
pub fn mmap(at: u64, len: u64, prot: u32, flags: u32, fd: i32, off: u64) -> Answer {
    let address = address(at, len);
    let arguments = [
        address,
        len,
        prot.into(),
        flags.into(),
        word(fd.into()),
        off,
    ];
    // SAFETY: The call replaces only mappings within the arena.
    placed(unsafe { call(libc::SYS_mmap, arguments) }, at, len)
}

/// `mremap(2)`.
#[must_use]
pub fn mremap(at: u64, old: u64, new: u64, flags: u32, to: u64) -> Answer {
    let from = address(at, old.max(new));
    let target = address(to, new);
    // SAFETY: Both ranges are within the arena.
    let answer = unsafe { call(libc::SYS_mremap, [from, old, new, flags.into(), target]) };
    let fixed = libc::MREMAP_FIXED.to_bits();
    placed(answer, if flags & fixed == 0 { at } else { to }, new)
}

/// `mincore(2)`: one byte for each page.
///
/// # Panics
///
/// The range is not within the arena.
pub fn mincore(at: u64, len: u64, pages: &mut Vec<u8>) -> Answer {
    let nr_pages = usize::try_from(len.div_ceil(page_size())).expect("the arena is not that large");
    pages.clear();
    pages.resize(nr_pages, 0);
    let vector = pages.as_mut_ptr().addr() as u64;
    // SAFETY: The vector has a byte for each page.
    unsafe { call(libc::SYS_mincore, [address(at, len), len, vector]) }
}

/// `open(2)`.
#[must_use]
pub fn open(path: &CStr, flags: u32) -> Answer {
    let flags = flags | libc::O_CLOEXEC.to_bits();
    let folder = word(libc::AT_FDCWD.into());
    let path = path.as_ptr().addr() as u64;
    // SAFETY: The path ends.
    unsafe { call(libc::SYS_openat, [folder, path, flags.into()]) }
}

/// `memfd_create(2)`, with sealing allowed.
#[must_use]
pub fn memfd() -> Answer {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let name = c"fuzz".as_ptr().addr() as u64;
    // SAFETY: The name ends.
    unsafe { call(libc::SYS_memfd_create, [name, flags.into()]) }
}

/// `fstat(2)`: the size in bytes, and the number of resident pages.
///
/// # Errors
///
/// The errno, negated.
pub fn fstat(fd: i32) -> Result<(i64, i64), Answer> {
    // SAFETY: All zeros is a `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: There is room for a `stat`.
    match unsafe {
        call(
            libc::SYS_fstat,
            [word(fd.into()), (&raw mut stat).addr() as u64],
        )
    } {
        0 => Ok((stat.st_size, stat.st_blocks * 512 / page_size().to_signed())),
        errno => Err(errno),
    }
}

/// An ioctl. The number encodes the size of its argument; 0 means that there is none.
///
/// # Panics
///
/// The number encodes another size than that of `argument`.
pub fn ioctl<T: Copy>(fd: i32, number: u32, argument: &mut T) -> Answer {
    assert_eq!((number >> 16) & 0x3fff, size_of::<T>() as u32);
    let argument = ptr::from_mut(argument).addr() as u64;
    // SAFETY: The number encodes the argument's size. All arguments are structs of integers.
    unsafe { call(libc::SYS_ioctl, [word(fd.into()), number.into(), argument]) }
}

/// The buffer of a read or write.
#[derive(Debug)]
pub enum Buffer<'a> {
    /// A buffer outside of the arena.
    Own(&'a mut [u8]),
    /// A range of the arena: start and length.
    Arena(u64, u64),
}

impl Buffer<'_> {
    fn parts(&mut self) -> [u64; 2] {
        match self {
            Self::Own(bytes) => [bytes.as_mut_ptr().addr() as u64, bytes.len() as u64],
            Self::Arena(at, len) => [address(*at, *len), *len],
        }
    }
}

/// `read(2)`, or `pread(2)` with an offset.
#[must_use]
pub fn read(fd: i32, mut buffer: Buffer<'_>, off: Option<i64>) -> Answer {
    let [start, len] = buffer.parts();
    let fd = word(fd.into());
    // SAFETY: The kernel writes to the buffer only.
    unsafe {
        match off {
            Some(off) => call(libc::SYS_pread64, [fd, start, len, word(off)]),
            None => call(libc::SYS_read, [fd, start, len]),
        }
    }
}

/// `write(2)`, or `pwrite(2)` with an offset.
#[must_use]
pub fn write(fd: i32, mut buffer: Buffer<'_>, off: Option<i64>) -> Answer {
    let [start, len] = buffer.parts();
    let fd = word(fd.into());
    // SAFETY: The kernel only reads.
    unsafe {
        match off {
            Some(off) => call(libc::SYS_pwrite64, [fd, start, len, word(off)]),
            None => call(libc::SYS_write, [fd, start, len]),
        }
    }
}

/// `pwritev2(2)` with `RWF_DSYNC`.
#[must_use]
pub fn write_durably(fd: i32, bytes: &mut [u8], off: i64) -> Answer {
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let flags = libc::RWF_DSYNC.to_bits().into();
    let part = (&raw mut part).addr() as u64;
    // SAFETY: The kernel only reads.
    unsafe {
        call(
            libc::SYS_pwritev2,
            [word(fd.into()), part, 1, word(off), 0, flags],
        )
    }
}

/// `sendfile(2)` from an offset.
#[must_use]
pub fn sendfile(to: i32, from: i32, mut off: i64, len: u64) -> Answer {
    let off = (&raw mut off).addr() as u64;
    // SAFETY: The kernel writes the new offset to `off`.
    unsafe {
        call(
            libc::SYS_sendfile,
            [word(to.into()), word(from.into()), off, len],
        )
    }
}

/// `copy_file_range(2)` with both offsets.
#[must_use]
pub fn copy_file_range(from: i32, mut off: u64, to: i32, mut to_off: u64, len: u64) -> Answer {
    let offs = [&raw mut off, &raw mut to_off].map(|off| off.addr() as u64);
    let arguments = [word(from.into()), offs[0], word(to.into()), offs[1], len, 0];
    // SAFETY: The kernel writes the new offsets to `off` and `to_off`.
    unsafe { call(libc::SYS_copy_file_range, arguments) }
}

/// A control message with room for one descriptor, with the alignment of `cmsghdr`.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    fd: c_int,
}

/// Calls `sendmsg` or `recvmsg` with one byte and one descriptor.
fn message(number: c_long, socket: i32, control: &mut Control) -> Answer {
    let mut byte = 0_u8;
    let mut part = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: All zeros is a `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = ptr::from_mut(control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: All parts of the message are valid, and have the given lengths.
    unsafe {
        call(
            number,
            [word(socket.into()), (&raw mut message).addr() as u64, 0],
        )
    }
}

/// Sends a descriptor through a socket.
#[must_use]
pub fn send_fd(socket: i32, fd: i32) -> Answer {
    let header = libc::cmsghdr {
        cmsg_len: std::mem::offset_of!(Control, fd) + size_of::<c_int>(),
        cmsg_level: libc::SOL_SOCKET,
        cmsg_type: libc::SCM_RIGHTS,
    };
    message(libc::SYS_sendmsg, socket, &mut Control { header, fd }).min(0)
}

/// Receives a descriptor.
#[must_use]
pub fn receive_fd(socket: i32) -> Answer {
    // SAFETY: All zeros is a `Control`.
    let mut control: Control = unsafe { std::mem::zeroed() };
    control.fd = -1;
    match message(libc::SYS_recvmsg, socket, &mut control) {
        answer if answer < 0 => answer,
        _ => control.fd.into(),
    }
}

/// Forks. The child's parent is the parent of this process. The process must have one thread.
#[must_use]
pub fn fork_sibling() -> Answer {
    let flags = u64::from((libc::CLONE_PARENT | libc::SIGCHLD).to_bits());
    // SAFETY: The child runs on a copy of the stack, as after `fork`. With one thread, the C
    // library has no state to repair.
    unsafe { call(libc::SYS_clone, [flags, 0, 0, 0, 0]) }
}

/// Forks a child, which runs `body` and exits.
pub fn fork(body: impl FnOnce()) -> Answer {
    // SAFETY: The child has a copy of this thread only. It takes no lock that another thread may have
    // held, except the allocator's, which the C library resets. It exits by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err();
            exit(if status { 3 } else { 0 })
        }
        pid => pid.into(),
    }
}

/// Exits this process at once.
pub fn exit(status: i32) -> ! {
    // SAFETY: Exits without running exit handlers.
    unsafe { libc::_exit(status) }
}

/// Keeps this thread, and the processes that it forks, on one processor. Changing between two
/// processors would take most of the time.
pub fn stay_on_one_processor() {
    let first = 1_u64;
    // SAFETY: The kernel reads a mask of one word. If it refuses, the run is only slower.
    unsafe {
        call(
            libc::SYS_sched_setaffinity,
            [0, 8, (&raw const first).addr() as u64],
        )
    };
}

/// Lets this process run on every processor again.
pub fn run_anywhere() {
    let all = u64::MAX;
    // SAFETY: The kernel reads a mask of one word. If it refuses, the run is only slower.
    unsafe {
        call(
            libc::SYS_sched_setaffinity,
            [0, 8, (&raw const all).addr() as u64],
        )
    };
}

/// Waits for a child's end, and returns its `waitpid(2)` status.
#[must_use]
pub fn wait(pid: i32) -> i32 {
    let mut status = -1;
    // SAFETY: There is room for the status.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    status
}

/// Returns whether a child has ended and has not been waited for.
#[must_use]
pub fn has_ended(pid: i32) -> bool {
    let Ok(id) = u32::try_from(pid) else {
        return false;
    };
    // SAFETY: All zeros is a `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
    // SAFETY: There is room for a `siginfo_t`. It stays zero if no child has ended.
    unsafe { libc::waitid(libc::P_PID, id, &raw mut info, options) == 0 && info.si_pid() == pid }
}

/// Returns whether `fd` becomes readable within that time.
#[must_use]
pub fn is_readable(fd: i32, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: One `pollfd`.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) == 1 }
}

/// Asks the kernel to kill this process when its parent dies.
pub fn die_with_parent() {
    // SAFETY: A plain request.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Makes this process the new parent of descendants whose parent has died.
pub fn adopt_orphans() {
    // SAFETY: A plain request.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Waits for any child, and returns its status. Returns `None` if there is no child.
#[must_use]
pub fn wait_for_any() -> Option<i32> {
    let mut status = -1;
    // SAFETY: There is room for the status.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
    (pid > 0).then_some(status)
}

/// Words that this process shares with its children. All processes see the same order of changes.
#[derive(Debug)]
pub struct SharedWords(&'static [AtomicU64]);

impl SharedWords {
    /// Creates `len` words, all zero.
    ///
    /// # Panics
    ///
    /// The system is out of memory.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self::map(libc::MAP_ANONYMOUS, -1, len)
    }

    fn map(flags: c_int, fd: c_int, len: usize) -> Self {
        let bytes = len.max(1) * size_of::<AtomicU64>();
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | flags;
        // SAFETY: Without MAP_FIXED the kernel chooses an unused range.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, prot, flags, fd, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: The words are mapped until `drop`, and no borrow of them lives longer.
        Self(unsafe { std::slice::from_raw_parts(start.cast(), len) })
    }

    /// Sets a word.
    pub fn set(&self, index: usize, value: u64) {
        self.0[index].store(value, SeqCst);
    }

    /// Returns a word.
    #[must_use]
    pub fn get(&self, index: usize) -> u64 {
        self.0[index].load(SeqCst)
    }

    /// Adds to a word.
    pub fn add(&self, index: usize, value: u64) {
        self.0[index].fetch_add(value, SeqCst);
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        let bytes = self.0.len().max(1) * size_of::<AtomicU64>();
        // SAFETY: `new` mapped the words, and no borrow of them is left.
        unsafe { libc::munmap(self.0.as_ptr().cast_mut().cast(), bytes) };
    }
}

/// KCOV's buffer of a task: the first word is the number of addresses recorded after it.
#[derive(Debug)]
pub struct Trace {
    file: File,
    words: SharedWords,
}

impl Trace {
    const INIT_TRACE: u32 = 0x8008_6301;
    const ENABLE: u32 = 0x6364;
    const TRACE_PC: i64 = 0;

    /// Maps a buffer for `len` addresses. `file` is KCOV's file, newly opened.
    ///
    /// # Errors
    ///
    /// The system is out of memory.
    pub fn new(file: File, len: usize) -> io::Result<Self> {
        match ioctl_number(file.as_raw_fd(), Self::INIT_TRACE, len as i64) {
            0 => Ok(Self {
                words: SharedWords::map(0, file.as_raw_fd(), len),
                file,
            }),
            errno => Err(io::Error::from_raw_os_error(-errno as i32)),
        }
    }

    /// Records the code that this task runs, until it ends. One task can record at a time.
    #[must_use]
    pub fn begin(&self) -> Answer {
        ioctl_number(self.file.as_raw_fd(), Self::ENABLE, Self::TRACE_PC)
    }

    /// Adds another value, unless the buffer is full.
    pub fn push(&self, note: u64) {
        let end = self.words.get(0) as usize + 1;
        if end < self.words.0.len() {
            self.words.set(end, note);
            self.words.set(0, end as u64);
        }
    }

    /// The recorded values.
    pub fn notes(&self) -> impl Iterator<Item = u64> + '_ {
        (1..=self.words.get(0) as usize).map(|index| self.words.get(index))
    }

    /// Removes all recorded values.
    pub fn clear(&self) {
        self.words.set(0, 0);
    }
}

/// A signal that an access to the arena raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The signal.
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`, from the start of the arena.
    pub at: u64,
}

/// The file and offset of the instruction by which [`load`] and [`store`] touch memory.
#[must_use]
pub fn place_of_copy() -> Option<(String, u64)> {
    let address = (copy::mmap_pool_fuzz_copy as *const ()).addr() as u64;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let &[range, _, offset, _, _, path] = &words[..] else {
            return None;
        };
        let (start, end) = range.split_once('-')?;
        let (start, end) = (hex(start)?, hex(end)?);
        let place = || Some((path.to_owned(), hex(offset)? + (address - start)));
        (start..end).contains(&address).then(place)?
    })
}

thread_local! {
    /// The last fault of this thread in [`copy`].
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Ends the copy that faulted. Any other fault is fatal.
extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: The kernel passes both, and nothing else uses the registers meanwhile.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<libc::ucontext_t>()) };
    if !copy::end(context) {
        exit(4);
    }
    // SAFETY: Both signals have an address.
    let address = unsafe { info.si_addr() }.addr() as u64;
    FAULT.set(Some(Fault {
        signal,
        code: info.si_code,
        at: address.wrapping_sub(ARENA),
    }));
}

/// Installs the handler that lets [`load`] and [`store`] fault in this process.
///
/// # Panics
///
/// The handler cannot be installed.
pub fn catch_faults() {
    // SAFETY: All zeros is a `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_fault as usize;
    action.sa_flags = libc::SA_SIGINFO;
    for signal in [libc::SIGBUS, libc::SIGSEGV] {
        // SAFETY: The handler has the signature that the flags require.
        let result = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        assert_eq!(result, 0);
    }
}

/// Copies bytes. Returns the number of bytes copied, and the fault that ended the copy, if any.
///
/// # Safety
///
/// The range outside of the arena must be valid.
unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> (usize, Option<Fault>) {
    FAULT.set(None);
    // SAFETY: The caller's promise for one range. Faults in the arena are caught, and no Rust object is
    // there.
    let left = unsafe { copy::mmap_pool_fuzz_copy(to, from, len) };
    (len - left, FAULT.take())
}

/// Reads bytes of the arena in order, up to the first fault.
pub fn load(at: u64, bytes: &mut [u8]) -> (usize, Option<Fault>) {
    let from = ptr::with_exposed_provenance(address(at, bytes.len() as u64) as usize);
    // SAFETY: `bytes` is valid.
    unsafe { copy(bytes.as_mut_ptr(), from, bytes.len()) }
}

/// Writes bytes of the arena in order, up to the first fault.
#[must_use]
pub fn store(at: u64, bytes: &[u8]) -> (usize, Option<Fault>) {
    let to = ptr::with_exposed_provenance_mut(address(at, bytes.len() as u64) as usize);
    // SAFETY: `bytes` is valid.
    unsafe { copy(to, bytes.as_ptr(), bytes.len()) }
}
