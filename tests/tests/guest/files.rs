// SPDX-License-Identifier: MIT OR GPL-2.0

//! Other operations on files: the answers of the node, of a created pool and of a memfd.

use std::ffi::{c_int, c_ulong, c_void, CStr, CString};
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::ptr;

use mmap_pool::{Errno, Seals};
use mmap_pool_tests::child::Child;
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::observe::{checked, count, verdict};
use mmap_pool_tests::scenario::Oracle;
use mmap_pool_tests::subject::{page_size, size, Object, Subject};
use mmap_pool_tests::{fail, Answer};
use rustix::fs::{fstatfs, open, Mode, OFlags};
use rustix::pipe::pipe;

/// Asks the node, a created pool and a memfd.
fn answers(ask: impl Fn(&Subject) -> Answer) -> [String; 3] {
    let module = fresh_module();
    let answers = [
        Subject::node(),
        Subject::created().unwrap(),
        Subject::oracle(Oracle::Memfd).unwrap(),
    ]
    .map(|subject| ask(&subject).unwrap());
    module.unload().unwrap();
    answers
}

/// `uprobe_register()`, `kernel/events/uprobes.c`, reads an instruction with `read_folio` or from shmem.
#[test]
fn a_uprobe_wants_a_page_cache_that_the_kernel_fills() {
    let probe = answers(|subject| {
        let file = subject.file()?;
        let path = path_of(&file);
        let kind = fs::read_to_string("/sys/bus/event_source/devices/uprobe/type")?;
        // A `perf_event_attr`, `include/uapi/linux/perf_event.h`: type and size, path, offset.
        let mut attr = [0_u64; 16];
        attr[0] = kind.trim().parse::<u64>()? | ((size_of_val(&attr) as u64) << 32);
        attr[7] = path.as_ptr().addr() as u64;
        // SAFETY: The kernel reads `attr` and the path in it.
        let event = checked(unsafe {
            libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), 0, -1, -1, 0)
        });
        close(&event);
        Ok(verdict(&event))
    });
    assert_eq!(probe, ["EINVAL", "EIO", "ok"]);
}

#[test]
fn a_pool_has_no_extended_attributes() {
    let attributes = answers(|subject| {
        let file = subject.file()?;
        let names = [c"user.name", c"trusted.name", c"security.name"];
        Ok(names.map(|name| set_and_get(&file, name)).join(", "))
    });
    let refused = ["EOPNOTSUPP EOPNOTSUPP"; 3].join(", ");
    let [node, created, memfd] = attributes;
    assert_eq!(created, refused);
    // Some kernels have none for tmpfs either. The node is a name on devtmpfs, which is one.
    if memfd != refused {
        assert_eq!(memfd, ["ok value"; 3].join(", "));
        assert_eq!(node, "EPERM ENODATA, ok value, ok value");
    }
}

fn set_and_get(file: &Object, name: &CStr) -> String {
    let (fd, value) = (file.as_raw_fd(), b"value");
    let mut found = [0; 5];
    // SAFETY: The kernel reads the name and the value.
    let set = checked(unsafe {
        libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    });
    // SAFETY: The kernel reads the name, and writes to `found` at most.
    let get = checked(unsafe {
        libc::fgetxattr(fd, name.as_ptr(), found.as_mut_ptr().cast(), found.len()) as i64
    });
    let get = get.map(|_| String::from_utf8_lossy(&found));
    // SAFETY: The kernel reads the name. The node keeps what is not removed.
    unsafe { libc::fremovexattr(fd, name.as_ptr()) };
    format!("{} {}", verdict(&set), count(&get))
}

#[test]
fn a_pool_has_no_inode_flags_and_no_time_of_birth() {
    const FS_IOC_GETFLAGS: c_ulong = 0x8008_6601;
    const FS_IOC_SETFLAGS: c_ulong = 0x4008_6602;
    const FS_NODUMP_FL: u64 = 0x40;
    let flags = answers(|subject| {
        let file = subject.file()?;
        let mut flags = 0_u64;
        let get = ioctl(&file, FS_IOC_GETFLAGS, &mut flags);
        flags = FS_NODUMP_FL;
        let set = ioctl(&file, FS_IOC_SETFLAGS, &mut flags);
        // SAFETY: All zeros is a `statx`.
        let mut stat: libc::statx = unsafe { std::mem::zeroed() };
        let (fd, path) = (file.as_raw_fd(), c"".as_ptr());
        let mask = libc::STATX_BTIME;
        // SAFETY: The kernel fills `stat`.
        checked(unsafe { libc::statx(fd, path, libc::AT_EMPTY_PATH, mask, &mut stat) })?;
        let known = stat.stx_attributes_mask & libc::STATX_ATTR_NODUMP as u64 != 0;
        let birth = stat.stx_mask & mask != 0;
        Ok(format!(
            "get {}, set {}, in statx {known}; birth {birth}",
            verdict(&get),
            verdict(&set)
        ))
    });
    let [node, created, memfd] = flags;
    let refused = "get ENOTTY, set ENOTTY";
    assert_eq!(created, format!("{refused}, in statx false; birth false"));
    let shown = "in statx true; birth true";
    assert_eq!(node, format!("{refused}, {shown}"));
    // Without extended attributes tmpfs cannot set them.
    let settable = ["get ok, set ok", refused].map(|answers| format!("{answers}, {shown}"));
    assert!(settable.contains(&memfd), "{memfd}");
}

#[test]
fn a_file_handle_of_a_pool_names_it_and_opens_nothing() {
    const AT_HANDLE_FID: c_int = 0x200;
    let handles = answers(|subject| {
        let file = subject.file()?;
        let handle = |flags: c_int| {
            let mut handle = [0_u32; 34];
            // Bytes that there is room for.
            handle[0] = 128;
            let mut mount = 0_i32;
            // SAFETY: The kernel writes to `handle`, as far as it says, and to `mount`.
            checked(unsafe {
                libc::syscall(
                    libc::SYS_name_to_handle_at,
                    file.as_raw_fd(),
                    c"".as_ptr(),
                    handle.as_mut_ptr(),
                    &raw mut mount,
                    libc::AT_EMPTY_PATH | flags,
                )
            })
        };
        Ok(format!(
            "to open {}, to name {}",
            verdict(&handle(0)),
            verdict(&handle(AT_HANDLE_FID))
        ))
    });
    let all = "to open ok, to name ok";
    // Some kernels have no file handles.
    if handles != ["to open ENOSYS, to name ENOSYS"; 3] {
        assert_eq!(handles, [all, "to open EOPNOTSUPP, to name ok", all]);
    }
}

#[test]
fn a_pool_gets_no_name_and_holds_no_files() {
    let names = answers(|subject| {
        let file = subject.file()?;
        let path = path_of(&file);
        let (here, new) = (libc::AT_FDCWD, c"/tmp/linked".as_ptr());
        // SAFETY: The kernel reads both paths.
        let link = checked(unsafe {
            libc::linkat(here, path.as_ptr(), here, new, libc::AT_SYMLINK_FOLLOW)
        });
        let flags = libc::O_TMPFILE | libc::O_RDWR;
        // SAFETY: The kernel reads the path.
        let inside = checked(unsafe { libc::open(path.as_ptr(), flags, 0o600) });
        Ok(format!("{} {}", verdict(&link), verdict(&inside)))
    });
    assert_eq!(names, ["EXDEV ENOTDIR"; 3]);
}

#[test]
fn a_program_in_a_pool_runs_once_the_pool_is_executable() {
    let program = fs::read("/bin/busybox").unwrap();
    let runs = answers(|subject| {
        // The node has whole pages.
        subject.resize(program.len().next_multiple_of(page_size()) as u64)?;
        subject.file()?.write_all_at(&program, 0)?;
        let file = subject.open(OFlags::RDONLY)?;
        let first = run(&file)?;
        let mode = file.metadata()?.permissions().mode();
        fs::set_permissions(subject.path()?, Permissions::from_mode(mode | 0o100))?;
        let executable = run(&file)?;
        let writer = subject.file()?;
        let written = run(&file)?;
        drop(writer);
        Ok(format!(
            "{first}; executable {executable}; opened for writing {written}"
        ))
    });
    assert_eq!(
        runs,
        [
            "EACCES; executable EACCES; opened for writing EACCES",
            "EACCES; executable status 0; opened for writing ETXTBSY",
            "status 0; executable status 0; opened for writing ETXTBSY",
        ]
    );
}

/// Runs the program in a file.
fn run(file: &Object) -> Answer {
    let mut child = Child::fork(|link| {
        let arguments = [c"true".as_ptr(), ptr::null()];
        let (fd, environment) = (file.as_raw_fd(), [ptr::null::<u8>()]);
        // SAFETY: The kernel reads the path, and both lists, which end.
        let run = checked(unsafe {
            libc::syscall(
                libc::SYS_execveat,
                fd,
                c"".as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        });
        link.say(&verdict(&run))?;
        Ok(String::new())
    })?;
    // A program that runs closes our link and says nothing.
    match child.link.hear() {
        Ok(refused) => Ok(refused),
        Err(_) => match child.wait()?.exit_status() {
            Some(status) => Ok(format!("status {status}")),
            None => fail!("the program was killed"),
        },
    }
}

#[test]
fn splice_sendfile_and_tee_copy_what_a_pool_has_now() {
    let seen = answers(|subject| {
        let file = subject.file()?;
        file.write_all_at(b"old", 0)?;
        let [spliced, teed, sent] = [pipe()?, pipe()?, pipe()?];
        let (fd, mut start) = (file.as_raw_fd(), 0_i64);
        let to = spliced.1.as_raw_fd();
        // SAFETY: The kernel reads and writes `start`.
        checked(unsafe {
            libc::splice(fd, &mut start, to, ptr::null_mut(), page_size(), 0) as i64
        })?;
        let (from, to) = (spliced.0.as_raw_fd(), teed.1.as_raw_fd());
        // SAFETY: A plain request.
        checked(unsafe { libc::tee(from, to, page_size(), 0) as i64 })?;
        start = 0;
        // SAFETY: The kernel reads and writes `start`.
        checked(unsafe { libc::sendfile(sent.1.as_raw_fd(), fd, &mut start, page_size()) as i64 })?;
        file.write_all_at(b"new", 0)?;
        let mut words = Vec::new();
        for (from, _to) in [spliced, teed, sent] {
            let mut bytes = [0; 3];
            File::from(from).read_exact(&mut bytes)?;
            words.push(String::from_utf8(bytes.into())?);
        }
        Ok(words.join(" "))
    });
    assert_eq!(seen, ["old old old", "old old old", "new new new"]);
}

#[test]
fn ioctls_of_regular_files_work_on_a_created_pool() {
    const FIBMAP: c_ulong = 1;
    const FIGETBSZ: c_ulong = 2;
    const FIOQSIZE: c_ulong = 0x5460;
    const FS_IOC_FIEMAP: c_ulong = 0xc020_660b;
    let replies = answers(|subject| {
        let file = subject.file()?;
        let reply = |number| {
            let mut value = [0_u64; 8];
            let answer = ioctl(&file, number, &mut value);
            count(&answer.map(|_| value[0]))
        };
        Ok(format!(
            "size {}, unread {}, block {}, of {} bytes, extents {}",
            reply(FIOQSIZE),
            reply(libc::FIONREAD),
            reply(FIBMAP),
            reply(FIGETBSZ),
            reply(FS_IOC_FIEMAP)
        ))
    });
    let (size, page) = (size(), page_size());
    let file = format!("size 0, unread {size}, block EINVAL, of {page} bytes, extents EOPNOTSUPP");
    let node =
        format!("size ENOTTY, unread ENOTTY, block ENOTTY, of {page} bytes, extents EOPNOTSUPP");
    assert_eq!(replies, [node, file.clone(), file]);
}

#[test]
fn readahead_and_sync_file_range_want_a_regular_file() {
    let done = answers(|subject| {
        let file = subject.file()?;
        let fd = file.as_raw_fd();
        // SAFETY: Plain requests.
        let (ahead, sync) = unsafe {
            let len = i64::try_from(page_size())?;
            let ahead = libc::readahead(fd, 0, page_size());
            (
                checked(ahead as i64),
                checked(libc::sync_file_range(fd, 0, len, 0)),
            )
        };
        Ok(format!("{} {}", verdict(&ahead), verdict(&sync)))
    });
    assert_eq!(done, ["EINVAL ESPIPE", "ok ok", "ok ok"]);
}

#[test]
fn a_lease_on_a_created_pool_is_broken_by_opening_it_for_writing() {
    let leases = answers(|subject| {
        let file = subject.open(OFlags::RDONLY)?;
        let writing = || {
            let access = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
            open(
                subject.path().map_err(|_| Errno::NOENT)?,
                access,
                Mode::empty(),
            )
        };
        // The signal to the holder of a lease that another task breaks.
        // SAFETY: A plain request.
        unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
        let reader = fcntl(&file, libc::F_SETLEASE, libc::F_RDLCK as usize);
        let held = fcntl(&file, libc::F_GETLEASE, 0).map(lease_name);
        let refused = writing();
        let broken = fcntl(&file, libc::F_GETLEASE, 0).map(lease_name);
        let given_up = fcntl(&file, libc::F_SETLEASE, libc::F_UNLCK as usize);
        let writer = writing();
        let while_written = fcntl(&file, libc::F_SETLEASE, libc::F_RDLCK as usize);
        Ok(format!(
            "{}, {}; open {}, {}; {}, open {}; then {}",
            verdict(&reader),
            count(&held),
            verdict(&refused),
            count(&broken),
            verdict(&given_up),
            verdict(&writer),
            verdict(&while_written)
        ))
    });
    let of_file = "ok, read; open EAGAIN, none; ok, open ok; then EAGAIN";
    assert_eq!(
        leases,
        [
            "EINVAL, none; open ok, none; EINVAL, open ok; then EINVAL",
            of_file,
            of_file
        ]
    );
}

#[test]
fn locks_of_an_open_file_and_hints_are_those_of_any_file() {
    const F_GET_RW_HINT: c_int = 1035;
    const F_SET_RW_HINT: c_int = 1036;
    const RWH_WRITE_LIFE_SHORT: u64 = 2;
    let answers = answers(|subject| {
        let [first, second] = [subject.file()?, subject.file()?];
        let lock = |file: &Object| {
            // SAFETY: All zeros is a `flock`: all of the file.
            let mut lock: libc::flock = unsafe { std::mem::zeroed() };
            lock.l_type = i16::try_from(libc::F_WRLCK).unwrap();
            fcntl(file, libc::F_OFD_SETLK, (&raw mut lock).addr())
        };
        let (locked, refused) = (lock(&first), lock(&second));
        let (mut short, mut hint) = (RWH_WRITE_LIFE_SHORT, 0_u64);
        fcntl(&first, F_SET_RW_HINT, (&raw mut short).addr())?;
        fcntl(&first, F_GET_RW_HINT, (&raw mut hint).addr())?;
        Ok(format!(
            "{} {}, hint {hint}",
            verdict(&locked),
            verdict(&refused)
        ))
    });
    assert_eq!(answers, ["ok EAGAIN, hint 2"; 3]);
}

#[test]
fn statfs_tells_a_file_system_of_its_own() {
    /// `MAGIC` in `src/pool.rs`.
    const POOLS: i64 = 0x4d50_6f6c;
    const TMPFS: i64 = 0x0102_1994;
    let types = answers(|subject| Ok(format!("{:#x}", fstatfs(subject.file()?)?.f_type)));
    // The node's is that of `/dev`.
    assert_eq!(
        types,
        [TMPFS, POOLS, TMPFS].map(|kind| format!("{kind:#x}"))
    );
}

/// `check_memfd_seals()`, `drivers/dma-buf/udmabuf.c`, takes shmem and hugetlbfs alone.
#[test]
fn udmabuf_takes_memfds_alone() {
    const UDMABUF_CREATE: c_ulong = 0x4018_7542;
    let buffers = answers(|subject| {
        let file = subject.file()?;
        subject.seal(Seals::SHRINK)?;
        let device = File::options()
            .read(true)
            .write(true)
            .open("/dev/udmabuf")?;
        // SAFETY: Nothing is mapped through it.
        let device = unsafe { Object::new(device) };
        // The memfd, flags, offset and length of a `udmabuf_create`.
        let mut create = [u64::try_from(file.as_raw_fd())?, 0, page_size() as u64];
        let buffer = ioctl(&device, UDMABUF_CREATE, &mut create);
        close(&buffer);
        Ok(verdict(&buffer))
    });
    assert_eq!(buffers, ["EBADFD", "EBADFD", "ok"]);
}

fn path_of(file: &Object) -> CString {
    CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

/// Closes the result of a system call if it is a descriptor.
fn close(descriptor: &Result<u64, Errno>) {
    if let Ok(descriptor) = descriptor {
        // SAFETY: The descriptor is new, and nothing else refers to it.
        unsafe { libc::close(c_int::try_from(*descriptor).unwrap()) };
    }
}

fn lease_name(lease: u64) -> &'static str {
    match lease {
        0 => "read",
        1 => "write",
        _ => "none",
    }
}

fn fcntl(file: &Object, command: c_int, argument: usize) -> Result<u64, Errno> {
    // SAFETY: The argument is what the command wants, if it is an address.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), command, argument) })
}

/// An ioctl whose argument is no larger than a `T`.
fn ioctl<T>(file: &Object, number: c_ulong, argument: &mut T) -> Result<u64, Errno> {
    let argument: *mut c_void = (&raw mut *argument).cast();
    // SAFETY: As the callers promise.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), number, argument) })
}
