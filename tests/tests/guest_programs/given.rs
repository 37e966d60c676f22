// SPDX-License-Identifier: MIT OR GPL-2.0

//! The pool that a program gets, and how it is started.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use mmap_pool::{Pool, DEFAULT_PATH};
use mmap_pool_tests::module::{fresh_module, FreshModule};

/// Where the disk with the programs is mounted.
pub const DISK: &str = "/disk";

/// The number at which a program finds the created pool's descriptor.
const INHERITED: i32 = 200;

/// A pool, and the path by which a program reaches it.
pub struct Given {
    pub pool: Pool,
    pub path: &'static str,
    pub is_node: bool,
}

impl Given {
    /// Runs `test` on the pool of the device node.
    pub fn node(size_mb: u64, test: impl FnOnce(&Self)) {
        let module = FreshModule::load(&format!("size_mb={size_mb}")).unwrap();
        let given = Self {
            pool: Pool::open().unwrap(),
            path: DEFAULT_PATH,
            is_node: true,
        };
        test(&given);
        given.pool.punch(0, size_mb << 20).unwrap();
        let stat = given.pool.stat().unwrap();
        assert_eq!((stat.nr_pools, stat.nr_resident_pages), (1, 0));
        drop(given);
        module.wait_until_unused().unwrap();
        module.unload().unwrap();
    }

    /// Runs `test` on a created pool. A program inherits its descriptor, and opens it by the
    /// name that it has in `/proc`.
    pub fn created(size_mb: u64, test: impl FnOnce(&Self)) {
        let module = fresh_module();
        let pool = Pool::create().name("given").size_bytes(size_mb << 20);
        let given = Self {
            pool: pool.create().unwrap(),
            path: "/proc/self/fd/200",
            is_node: false,
        };
        test(&given);
        drop(given);
        module.wait_until_unused().unwrap();
        let stat = Pool::open().unwrap().stat().unwrap();
        assert_eq!((stat.nr_pools, stat.nr_resident_pages), (1, 0));
        module.unload().unwrap();
    }

    /// `program`, one of those on the disk or [`compiled`], where it finds the pool at
    /// [`path`](Self::path).
    pub fn program(&self, program: &str) -> Command {
        let fd = self.pool.as_raw_fd();
        // A program that hangs is not to take all the others with it.
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "900", program]);
        command.stdin(Stdio::null());
        // SAFETY: Between fork and exec only system calls are made.
        unsafe {
            command.pre_exec(move || {
                rustix::process::chroot(DISK)?;
                rustix::process::chdir("/")?;
                // Unlike `fd`, the copy is not closed by exec.
                match libc::dup2(fd, INHERITED) {
                    INHERITED => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        command
    }
}

/// The path, seen from the disk, of a program that is compiled for these tests.
pub fn compiled(program: &str) -> String {
    format!("/guest/programs/{program}")
}

/// Runs the program, which must succeed, and returns its output.
pub fn run(command: &mut Command) -> String {
    let (status, said) = try_run(command);
    let program = command.get_args().nth(3);
    assert_eq!(status, Some(0), "{program:?} said:\n{said}");
    said
}

/// Runs the program and returns its status and its output.
pub fn try_run(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
