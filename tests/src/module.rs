// SPDX-License-Identifier: MIT OR GPL-2.0

//! The kernel module, loaded anew for each test.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use mmap_pool::{Errno, DEFAULT_PATH};
use rustix::system::{delete_module, finit_module};

use crate::observe::symbol;
use crate::{fail, Failure};

const NAME: &str = "mmap_pool";
const FILE: &str = "/lib/modules/mmap_pool.ko";

/// There is one module, so there is one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The module, loaded for this object alone, so that its pool is new.
///
/// When the process ends, the module is loaded with its defaults, as it was found.
#[derive(Debug)]
pub struct FreshModule {
    is_unloaded: bool,
    _turn: MutexGuard<'static, ()>,
}

impl FreshModule {
    /// Waits for this test's turn, and loads the module with these parameters.
    ///
    /// # Errors
    ///
    /// It cannot be unloaded, because something still uses it, or not be loaded.
    pub fn load(parameters: &str) -> Result<Self, Failure> {
        let without = without_module()?;
        load(parameters)?;
        Ok(Self {
            is_unloaded: false,
            _turn: without.turn,
        })
    }

    /// Unloads the module, which proves that nothing uses the pool any more.
    ///
    /// # Errors
    ///
    /// Something does.
    pub fn unload(mut self) -> Result<(), Failure> {
        // Here and not in `drop`, which could not answer.
        self.is_unloaded = true;
        unload()
    }
}

impl Drop for FreshModule {
    fn drop(&mut self) {
        if !self.is_unloaded && !thread::panicking() {
            unload().expect("nothing uses the pool after the test");
        }
    }
}

/// Waits for this test's turn, and unloads the module.
///
/// # Errors
///
/// Something uses the module.
pub fn without_module() -> Result<WithoutModule, Failure> {
    static RESTORE: Once = Once::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    RESTORE.call_once(|| {
        // SAFETY: `restore` can be called at any time.
        unsafe { libc::atexit(restore) };
    });
    if is_loaded()? {
        unload()?;
    }
    Ok(WithoutModule { turn })
}

/// No module is loaded, except by the test itself.
#[derive(Debug)]
pub struct WithoutModule {
    turn: MutexGuard<'static, ()>,
}

/// Leaves the module loaded with its defaults, if nothing uses it.
extern "C" fn restore() {
    let restored = is_loaded().and_then(|is_loaded| {
        if is_loaded {
            unload()?;
        }
        Ok(load("")?)
    });
    if let Err(failure) = restored {
        eprintln!("{failure}");
    }
}

/// Loads the module.
///
/// # Errors
///
/// What `finit_module(2)` answers.
pub fn load(parameters: &str) -> Result<(), LoadError> {
    let file = File::open(FILE).map_err(|error| LoadError::of(&error))?;
    let parameters = CString::new(parameters).map_err(|_| LoadError(Errno::INVAL))?;
    finit_module(&file, &parameters, 0).map_err(LoadError)
}

/// `delete_module(2)`, without waiting.
///
/// # Errors
///
/// `EAGAIN`: something uses the module.
pub fn try_unload() -> Result<(), Errno> {
    delete_module(c"mmap_pool", libc::O_NONBLOCK)
}

/// Unloads the module.
///
/// # Errors
///
/// Something uses it.
pub fn unload() -> Result<(), Failure> {
    match try_unload() {
        Ok(()) => Ok(()),
        Err(errno) => fail!("the module cannot be unloaded: {}", symbol(errno)),
    }
}

/// Whether `/proc/modules` has the module.
///
/// # Errors
///
/// What reading it answers.
pub fn is_loaded() -> Result<bool, Failure> {
    let modules = fs::read_to_string("/proc/modules")?;
    Ok(modules
        .lines()
        .any(|line| line.split(' ').next() == Some(NAME)))
}

/// Whether there is a device node.
#[must_use]
pub fn has_node() -> bool {
    Path::new(DEFAULT_PATH).exists()
}

/// The module could not be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadError(pub Errno);

impl LoadError {
    fn of(error: &std::io::Error) -> Self {
        Self(Errno::from_io_error(error).unwrap_or(Errno::IO))
    }
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{FILE} cannot be loaded: {}", symbol(self.0))
    }
}

impl std::error::Error for LoadError {}
