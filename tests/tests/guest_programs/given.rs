// SPDX-License-Identifier: MIT OR GPL-2.0

//! The pool that a program gets.

use std::process::Command;

use mmap_pool::{Pool, DEFAULT_PATH};
use mmap_pool_tests::module::{fresh_module, FreshModule};
use mmap_pool_tests::program::{self as start, INHERITED_PATH};

pub use mmap_pool_tests::program::{compiled, run, try_run, DISK};

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
            path: INHERITED_PATH,
            is_node: false,
        };
        test(&given);
        drop(given);
        module.wait_until_unused().unwrap();
        let stat = Pool::open().unwrap().stat().unwrap();
        assert_eq!((stat.nr_pools, stat.nr_resident_pages), (1, 0));
        module.unload().unwrap();
    }

    /// `program`, where it finds the pool at [`path`](Self::path).
    pub fn program(&self, program: &str) -> Command {
        start::program(program, &self.pool)
    }
}
