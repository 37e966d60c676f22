// SPDX-License-Identifier: MIT OR GPL-2.0

//! Each ioctl beside its system call, which a memfd answers.

use std::fs::{File, Permissions};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};
use std::{ptr, thread};

use mmap_pool::{uapi, Errno, MappingBuilder, Pool, Protection};
use mmap_pool_tests::child::{in_child, Child};
use mmap_pool_tests::module::fresh_module;
use mmap_pool_tests::observe::{checked, symbol, verdict};
use mmap_pool_tests::scenarios::descriptors::become_another_user;
use mmap_pool_tests::subject::{page_size, size, Object};
use mmap_pool_tests::Failure;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{
    fallocate, fcntl_add_seals, fcntl_getfl, fstat, fstatfs, ftruncate, memfd_create, open,
    FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags,
};
use rustix::io::{fcntl_getfd, FdFlags};
use rustix::mm::{madvise, Advice};
use rustix::time::{clock_gettime, ClockId};

fn four() -> u64 {
    4 * page_size() as u64
}

fn end() -> u64 {
    size() as u64
}

/// An ioctl, and its system call.
struct Call {
    name: &'static str,
    ioctl: fn(&File) -> Result<(), Errno>,
    stands_for: fn(&File) -> Result<(), Errno>,
}

impl Call {
    const fn new(
        name: &'static str,
        ioctl: fn(&File) -> Result<(), Errno>,
        stands_for: fn(&File) -> Result<(), Errno>,
    ) -> Self {
        Self {
            name,
            ioctl,
            stands_for,
        }
    }
}

/// The calls that change the contents.
const CHANGES: [Call; 4] = [
    Call::new(
        "PUNCH",
        |pool| punch(pool, 0, four()),
        |memfd| punch_hole(memfd, 0, four()),
    ),
    Call::new(
        "RESIZE, larger",
        |pool| resize(pool, 2 * end()),
        |memfd| ftruncate(memfd, 2 * end()),
    ),
    Call::new(
        "RESIZE, smaller",
        |pool| resize(pool, four()),
        |memfd| ftruncate(memfd, four()),
    ),
    Call::new(
        "RESIZE, the same",
        |pool| resize(pool, end()),
        |memfd| ftruncate(memfd, end()),
    ),
];

/// The calls that change no byte.
const OTHERS: [Call; 3] = [
    Call::new("PREFAULT", |pool| prefault(pool, 0, four()), populate),
    Call::new(
        "SEAL",
        |pool| seal(pool, uapi::SEAL_GROW),
        |memfd| fcntl_add_seals(memfd, SealFlags::GROW),
    ),
    Call::new("INFO", info, |memfd| fstat(memfd).map(drop)),
];

#[test]
fn an_ioctl_changes_times_and_mode_and_is_told_as_its_system_call_is() {
    let _module = fresh_module();
    for call in CHANGES.iter().chain(&OTHERS) {
        for who in [Who::Owner, Who::Other] {
            for reopened in [false, true] {
                let [pool, memfd] = both(reopened);
                let [pool, memfd] = [
                    effect(&pool, who, call.ioctl),
                    effect(&memfd, who, call.stands_for),
                ];
                println!("{}, {who:?}, reopened {reopened}: {memfd}", call.name);
                assert_eq!(pool, memfd, "{}, {who:?}, {reopened}", call.name);
            }
        }
    }
}

/// That a memfd does not know it: a character device has the times and the mode of its name.
#[test]
fn an_ioctl_leaves_times_and_mode_of_the_node() {
    let _module = fresh_module();
    let node = Pool::open().unwrap().as_file().try_clone().unwrap();
    let mode = node.metadata().unwrap().mode();
    let changes = CHANGES.iter().map(|call| (call.ioctl, "MODIFY"));
    let others = OTHERS[..1].iter().map(|call| (call.ioctl, ""));
    for (call, events) in changes.chain(others).chain([(stat as fn(&File) -> _, "")]) {
        assert_eq!(
            effect(&node, Who::Owner, call),
            format!("ok; mtime kept, ctime kept, mode 6777; {events}")
        );
    }
    node.set_permissions(Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_refused_ioctl_changes_no_times_and_is_not_told() {
    let _module = fresh_module();
    let sealed = [
        Call::new(
            "PUNCH",
            |pool| seal(pool, uapi::SEAL_WRITE).and_then(|()| punch(pool, 0, four())),
            |memfd| {
                fcntl_add_seals(memfd, SealFlags::WRITE)?;
                punch_hole(memfd, 0, four())
            },
        ),
        Call::new(
            "RESIZE",
            |pool| seal(pool, uapi::SEAL_GROW).and_then(|()| resize(pool, end() + 1)),
            |memfd| {
                fcntl_add_seals(memfd, SealFlags::GROW)?;
                ftruncate(memfd, end() + 1)
            },
        ),
    ];
    for call in sealed {
        let [pool, memfd] = both(true);
        let [pool, memfd] = [
            effect(&pool, Who::Other, call.ioctl),
            effect(&memfd, Who::Other, call.stands_for),
        ];
        assert!(memfd.starts_with("EPERM; mtime kept"), "{memfd}");
        assert_eq!(pool, memfd, "{}", call.name);
    }
}

/// The VFS tells of the size that `ftruncate` sets and adds times; of `truncate` it leaves both to the
/// file system.
#[test]
fn truncate_by_path_changes_the_times_when_the_size_changes() {
    let _module = fresh_module();
    for size in [end(), end() + 1, 2 * end(), four(), four() + 5, 0] {
        for who in [Who::Owner, Who::Other] {
            let [pool, memfd] = both(false).map(|file| {
                effect(&file, who, |file| {
                    let path = std::ffi::CString::new(path(file)).unwrap();
                    let size = i64::try_from(size).unwrap();
                    // SAFETY: The path ends with a zero byte.
                    checked(unsafe { libc::truncate(path.as_ptr(), size) }).map(drop)
                })
            });
            println!("{size}, {who:?}: {memfd}");
            let times = if size == end() { "kept" } else { "changed" };
            assert!(memfd.contains(&format!("mtime {times}")), "{memfd}");
            assert_eq!(pool, memfd, "{size}, {who:?}");
        }
    }
}

#[test]
fn the_limit_on_file_sizes_holds_for_ioctls() {
    let _module = fresh_module();
    let [pool, memfd] = both(false);
    let node = Pool::open().unwrap().as_file().try_clone().unwrap();
    let calls = [
        Call::new(
            "RESIZE to more",
            |pool| resize(pool, end() + 1),
            |memfd| ftruncate(memfd, end() + 1),
        ),
        Call::new(
            "RESIZE to less",
            |pool| resize(pool, end() - 1),
            |memfd| ftruncate(memfd, end() - 1),
        ),
        Call::new(
            "PUNCH past it",
            |pool| punch(pool, end(), four()),
            |memfd| punch_hole(memfd, end(), four()),
        ),
    ];
    for call in calls {
        let seen = limited(|| (call.ioctl)(&pool));
        assert_eq!(seen, limited(|| (call.stands_for)(&memfd)), "{}", call.name);
    }
    let more = limited(|| ftruncate(&memfd, end() + 1));
    assert_eq!(more, "EFBIG, or SIGXFSZ");
    assert_eq!(limited(|| resize(&node, 2 * end())), more);
    for size in [end(), end() + 1] {
        let made = limited(|| ftruncate(new_memfd()?, size));
        assert_eq!(limited(|| create(size).map(drop)), made, "{size}");
    }
    assert_eq!(
        fstat(&pool).unwrap().st_size,
        fstat(&memfd).unwrap().st_size
    );
}

/// The rights of a call: through a descriptor open for writing, for reading, with `O_PATH`, for
/// appending; by another user with a descriptor open for writing; and after the mode forbids
/// everything.
#[test]
fn an_ioctl_needs_what_its_system_call_needs() {
    let _module = fresh_module();
    let calls = CHANGES.iter().chain(&OTHERS);
    let table: Vec<_> = calls
        .map(|call| {
            let [pool, memfd] = [(0, call.ioctl), (1, call.stands_for)].map(|(which, call)| {
                let [pool, memfd] = both(false);
                rights(&[pool, memfd][which], call)
            });
            format!("{}: {pool} beside {memfd}", call.name)
        })
        .collect();
    let expected = [
        "PUNCH: ok EBADF EBADF ok ok ok beside ok EBADF EBADF ok ok ok",
        "RESIZE, larger: ok EBADF EBADF ok ok ok beside ok EINVAL EBADF ok ok ok",
        "RESIZE, smaller: ok EBADF EBADF ok ok ok beside ok EINVAL EBADF ok ok ok",
        "RESIZE, the same: ok EBADF EBADF ok ok ok beside ok EINVAL EBADF ok ok ok",
        "PREFAULT: ok EBADF EBADF ok ok ok beside ok ok EBADF ok ok ok",
        "SEAL: ok EBADF EBADF ok ok ok beside ok EPERM EBADF ok ok ok",
        "INFO: ok ok EBADF ok ok ok beside ok ok ok ok ok ok",
    ];
    assert_eq!(table, expected);
    let node = Pool::open().unwrap().as_file().try_clone().unwrap();
    let mode = node.metadata().unwrap().mode();
    let [_, memfd] = both(false);
    assert_eq!(
        [
            rights(&node, stat),
            rights(&memfd, |memfd| fstatfs(memfd).map(drop))
        ],
        ["ok ok EBADF ok ok ok", "ok ok ok ok ok ok"]
    );
    node.set_permissions(Permissions::from_mode(mode)).unwrap();
}

/// Linux has no system call that revokes a file.
#[test]
fn revoking_needs_the_owner_and_no_rights_of_the_descriptor() {
    let _module = fresh_module();
    for (how, expected) in [
        (OFlags::RDWR, "ok"),
        (OFlags::WRONLY, "ok"),
        (OFlags::RDONLY, "ok"),
        (OFlags::PATH, "EBADF"),
    ] {
        let [pool, _] = both(false);
        let opened = again(&pool, how);
        pool.set_permissions(Permissions::from_mode(0o777)).unwrap();
        assert_eq!(
            Who::Other.call(|| revoke(&opened)),
            if expected == "ok" { "EPERM" } else { expected }
        );
        assert_eq!(Who::Owner.call(|| revoke(&opened)), expected);
    }
}

/// The descriptor comes before what is asked of it; no argument at all comes before both.
#[test]
fn the_first_of_several_reasons_is_the_errno() {
    let _module = fresh_module();
    let calls = [
        Call::new(
            "PUNCH of nothing",
            |pool| punch(pool, 0, 0),
            |memfd| punch_hole(memfd, 0, 0),
        ),
        Call::new(
            "PUNCH beyond a file's bounds",
            |pool| punch(pool, 1 << 62, 1 << 62),
            |memfd| punch_hole(memfd, 1 << 62, 1 << 62),
        ),
        Call::new(
            "RESIZE to -1",
            |pool| resize(pool, u64::MAX),
            |memfd| ftruncate(memfd, u64::MAX),
        ),
        Call::new(
            "SEAL 2^20",
            |pool| seal(pool, 1 << 20),
            |memfd| fcntl_add_seals(memfd, SealFlags::from_bits_retain(1 << 20)),
        ),
        Call::new(
            "no argument",
            |pool| ioctl(pool, uapi::PUNCH, ptr::null_mut::<uapi::Range>()).map(drop),
            fstat_into_nothing,
        ),
    ];
    let table: Vec<_> = calls
        .iter()
        .map(|call| {
            let [pool, memfd] = both(false);
            let ways = [OFlags::RDWR, OFlags::RDONLY];
            let [seen, oracle] = [(&pool, call.ioctl), (&memfd, call.stands_for)]
                .map(|(file, call)| ways.map(|how| verdict(&call(&again(file, how)))).join(" "));
            revoke(&pool).unwrap();
            let revoked = ways.map(|how| verdict(&(call.ioctl)(&again(&pool, how))));
            let revoked = revoked.join(" ");
            format!("{}: {seen} beside {oracle}; revoked {revoked}", call.name)
        })
        .collect();
    let expected = [
        "PUNCH of nothing: EINVAL EBADF beside EINVAL EINVAL; revoked ENODEV EBADF",
        "PUNCH beyond a file's bounds: EINVAL EBADF beside EFBIG EBADF; revoked ENODEV EBADF",
        "RESIZE to -1: EINVAL EBADF beside EINVAL EINVAL; revoked ENODEV EBADF",
        "SEAL 2^20: EINVAL EBADF beside EINVAL EPERM; revoked ENODEV EBADF",
        "no argument: EFAULT EFAULT beside EFAULT EFAULT; revoked EFAULT EFAULT",
    ];
    assert_eq!(table, expected);
    // A limit comes before a seal, but not before the end of the pool.
    let [pool, memfd] = both(false);
    seal(&pool, uapi::SEAL_GROW).unwrap();
    fcntl_add_seals(&memfd, SealFlags::GROW).unwrap();
    let seen = limited(|| resize(&pool, end() + 1));
    assert_eq!(seen, limited(|| ftruncate(&memfd, end() + 1)));
    assert_eq!(seen, "EFBIG, or SIGXFSZ");
    revoke(&pool).unwrap();
    assert_eq!(limited(|| resize(&pool, end() + 1)), "ENODEV, or no signal");
}

#[test]
fn a_created_descriptor_is_like_one_of_memfd_create() {
    let _module = fresh_module();
    let [pool, memfd] = [create(end()).unwrap(), File::from(new_memfd().unwrap())];
    ftruncate(&memfd, end()).unwrap();
    for file in [&pool, &memfd] {
        assert_eq!(fcntl_getfd(file).unwrap(), FdFlags::CLOEXEC);
        assert_eq!(fcntl_getfl(file).unwrap() & OFlags::ACCMODE, OFlags::RDWR);
    }
    assert_eq!(fcntl_getfl(&pool).unwrap(), fcntl_getfl(&memfd).unwrap());
    let [of_pool, of_memfd] = [&pool, &memfd].map(|file| file.metadata().unwrap());
    let id = |of: &std::fs::Metadata| (of.uid(), of.gid(), of.nlink(), of.len(), of.blocks());
    assert_eq!(id(&of_pool), id(&of_memfd));
    // Its owner's alone.
    assert_eq!([of_pool.mode(), of_memfd.mode()], [0o100_600, 0o100_777]);
    let none_left = |make: &dyn Fn() -> Result<(), Errno>| {
        in_child(|| {
            limit(libc::RLIMIT_NOFILE, 3)?;
            Ok(symbol(make().unwrap_err()))
        })
        .unwrap()
    };
    let node = Pool::open().unwrap().as_file().try_clone().unwrap();
    assert_eq!(
        none_left(&|| create_through(&node, end()).map(drop)),
        none_left(&|| new_memfd().map(drop))
    );
}

#[test]
fn revoking_changes_no_times_and_is_not_told() {
    let _module = fresh_module();
    let [pool, _] = both(true);
    let seen = effect(&pool, Who::Owner, revoke);
    assert_eq!(seen, "ok; mtime kept, ctime kept, mode 6777; ");
}

#[derive(Clone, Copy, Debug)]
enum Who {
    /// Root, the owner of the object.
    Owner,
    /// A user without rights that gets the descriptor.
    Other,
}

impl Who {
    /// Runs `call` in a process of this user.
    fn call(self, call: impl FnOnce() -> Result<(), Errno>) -> String {
        in_child(|| {
            if matches!(self, Self::Other) {
                become_another_user()?;
            }
            Ok(verdict(&call()))
        })
        .unwrap()
    }
}

/// The result of `call`, its effect on times and mode, and its inotify events.
fn effect(file: &File, who: Who, call: impl FnOnce(&File) -> Result<(), Errno>) -> String {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    file.set_permissions(Permissions::from_mode(0o6777))
        .unwrap();
    file.set_modified(long_ago).unwrap();
    let before = file.metadata().unwrap();
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, path(file), WatchFlags::MODIFY | WatchFlags::ATTRIB).unwrap();
    wait_until_times_differ(&before);
    let answer = who.call(|| call(file));
    let after = file.metadata().unwrap();
    let times = |of: &std::fs::Metadata| (of.ctime(), of.ctime_nsec());
    let change = |is_kept| if is_kept { "kept" } else { "changed" };
    format!(
        "{answer}; mtime {}, ctime {}, mode {:o}; {}",
        change(after.modified().unwrap() == long_ago),
        change(times(&after) == times(&before)),
        after.mode() & 0o7777,
        events(&watch)
    )
}

/// Waits until a change gets another time than `file` has. Times come from the clock of the last tick,
/// and on a busy machine a tick may come late.
fn wait_until_times_differ(file: &std::fs::Metadata) {
    loop {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        if (now.tv_sec, now.tv_nsec) > (file.ctime(), file.ctime_nsec()) {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The events of `watch`, each kind once.
fn events(watch: &OwnedFd) -> String {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut reader = inotify::Reader::new(watch, &mut buffer);
    let mut seen = ReadFlags::empty();
    loop {
        match reader.next() {
            Ok(event) => seen |= event.events(),
            Err(error) => {
                assert_eq!(error, Errno::AGAIN);
                break;
            }
        }
    }
    let names: Vec<_> = seen.iter_names().map(|(name, _)| name).collect();
    names.join(" ")
}

/// The results of `call` through a descriptor open for both, for reading, with `O_PATH`, for
/// appending; by another user with the first one; and after the mode forbids everything.
fn rights(file: &File, call: fn(&File) -> Result<(), Errno>) -> String {
    let ways = [
        OFlags::RDWR,
        OFlags::RDONLY,
        OFlags::PATH,
        OFlags::RDWR | OFlags::APPEND,
    ];
    let mut answers: Vec<_> = ways.map(|how| verdict(&call(&again(file, how)))).into();
    answers.push(Who::Other.call(|| call(file)));
    file.set_permissions(Permissions::from_mode(0o0)).unwrap();
    answers.push(Who::Other.call(|| call(file)));
    answers.join(" ")
}

/// The result of `call` with a limit of `END` bytes, and its signal.
fn limited(call: impl Fn() -> Result<(), Errno>) -> String {
    let answer = in_child(|| {
        // SAFETY: Ignoring a signal needs no handler.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        limit(libc::RLIMIT_FSIZE, end())?;
        Ok(verdict(&call()))
    })
    .unwrap();
    let child = Child::fork(|_| {
        // SAFETY: The default needs no handler.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_DFL) };
        limit(libc::RLIMIT_FSIZE, end())?;
        Ok(verdict(&call()))
    })
    .unwrap();
    let status = child.wait().unwrap();
    let signal = match status.terminating_signal() {
        None => "no signal".into(),
        Some(libc::SIGXFSZ) => "SIGXFSZ".into(),
        Some(signal) => format!("signal {signal}"),
    };
    format!("{answer}, or {signal}")
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> Result<(), Failure> {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: Reads `limit`.
    checked(unsafe { libc::setrlimit(resource, &limit) })?;
    Ok(())
}

/// A pool and a memfd, of `END` bytes; `reopened`, by descriptors that were opened by name.
fn both(reopened: bool) -> [File; 2] {
    let memfd = File::from(new_memfd().unwrap());
    ftruncate(&memfd, end()).unwrap();
    let both = [create(end()).unwrap(), memfd];
    if reopened {
        both.map(|file| again(&file, OFlags::RDWR))
    } else {
        both
    }
}

fn new_memfd() -> Result<OwnedFd, Errno> {
    memfd_create("oracle", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
}

fn path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// The same object, opened anew.
fn again(file: &File, how: OFlags) -> File {
    open(path(file), how | OFlags::CLOEXEC, Mode::empty())
        .unwrap()
        .into()
}

fn create(size_bytes: u64) -> Result<File, Errno> {
    let node = File::options()
        .read(true)
        .write(true)
        .open("/dev/mmap_pool");
    create_through(&node.unwrap(), size_bytes)
}

fn create_through(node: &File, size_bytes: u64) -> Result<File, Errno> {
    let mut create = uapi::Create {
        size_bytes,
        ..uapi::Create::default()
    };
    let fd = ioctl(node, uapi::CREATE, &raw mut create)?;
    // SAFETY: The new descriptor is known here alone.
    Ok(unsafe { File::from_raw_fd(i32::try_from(fd).unwrap()) })
}

fn punch(pool: &File, offset_bytes: u64, len_bytes: u64) -> Result<(), Errno> {
    let mut range = uapi::Range {
        offset_bytes,
        len_bytes,
    };
    ioctl(pool, uapi::PUNCH, &raw mut range).map(drop)
}

fn punch_hole(memfd: &File, offset: u64, len: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(memfd, flags, offset, len)
}

fn prefault(pool: &File, offset_bytes: u64, len_bytes: u64) -> Result<(), Errno> {
    let mut range = uapi::Range {
        offset_bytes,
        len_bytes,
    };
    ioctl(pool, uapi::PREFAULT, &raw mut range).map(drop)
}

/// `MADV_POPULATE_READ` of four pages. `MADV_POPULATE_WRITE` is what a write of every page is, so it changes
/// the times.
fn populate(memfd: &File) -> Result<(), Errno> {
    // SAFETY: A memfd is memory.
    let object = unsafe { Object::new(memfd.try_clone().map_err(|_| Errno::BADF)?) };
    let shared = MappingBuilder::shared().protection(Protection::READ);
    let mapping = shared.len(4 * page_size()).map(&object);
    let mapping = mapping.map_err(|error| error.errno())?;
    // SAFETY: Populating changes no bytes.
    unsafe {
        madvise(
            mapping.as_ptr().cast(),
            mapping.len(),
            Advice::LinuxPopulateRead,
        )
    }
}

fn resize(pool: &File, size_bytes: u64) -> Result<(), Errno> {
    let mut resize = uapi::Resize {
        size_bytes,
        reserved: 0,
    };
    ioctl(pool, uapi::RESIZE, &raw mut resize).map(drop)
}

fn seal(pool: &File, seals: u32) -> Result<(), Errno> {
    let mut seal = uapi::Seal { seals, reserved: 0 };
    ioctl(pool, uapi::SEAL, &raw mut seal).map(drop)
}

fn revoke(pool: &File) -> Result<(), Errno> {
    ioctl(pool, uapi::REVOKE, ptr::null_mut::<()>()).map(drop)
}

fn info(pool: &File) -> Result<(), Errno> {
    let mut info = uapi::Info::default();
    ioctl(pool, uapi::INFO, &raw mut info).map(drop)
}

fn stat(node: &File) -> Result<(), Errno> {
    let mut stat = uapi::Stat::default();
    ioctl(node, uapi::STAT, &raw mut stat).map(drop)
}

fn fstat_into_nothing(memfd: &File) -> Result<(), Errno> {
    // SAFETY: There is nothing at this address that could be written to.
    checked(unsafe { libc::syscall(libc::SYS_fstat, memfd.as_raw_fd(), 0_usize) }).map(drop)
}

/// `argument` is as large as the ioctl's, or null.
fn ioctl<T>(file: &File, number: u32, argument: *mut T) -> Result<u64, Errno> {
    // SAFETY: The driver reads and writes nothing but the argument, which is the caller's own.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), number.into(), argument) })
}
