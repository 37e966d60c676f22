// SPDX-License-Identifier: MIT OR GPL-2.0

//! Loads and unloads the module. One test at a time has it.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use mmap_pool::{Errno, Pool, DEFAULT_PATH};
use rustix::system::{delete_module, finit_module};

use crate::observe::symbol;
use crate::subject::size;
use crate::{fail, Failure};

const NAME: &str = "mmap_pool";
const FILE: &str = "/lib/modules/mmap_pool.ko";
const REFERENCES: &str = "/sys/module/mmap_pool/refcnt";

/// Held by the test that has the module.
static TURN: Mutex<()> = Mutex::new(());

/// The module, loaded for this test alone. It is unloaded when this is dropped, and that must
/// succeed.
///
/// At the end of the process the module is loaded with its defaults again.
#[derive(Debug)]
pub struct FreshModule {
    is_unloaded: bool,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for this test's turn and loads the module with a default pool of 1 MiB.
///
/// # Panics
///
/// As [`FreshModule::load`] fails.
#[must_use]
pub fn fresh_module() -> FreshModule {
    FreshModule::load(&size_of_a_subject()).expect("the module can be loaded")
}

impl FreshModule {
    /// Waits for this test's turn and loads the module with these parameters.
    ///
    /// # Errors
    ///
    /// The module is still in use, or it cannot be loaded.
    pub fn load(parameters: &str) -> Result<Self, Failure> {
        let without = without_module()?;
        load(parameters)?;
        Ok(Self {
            is_unloaded: false,
            _turn: without.turn,
        })
    }

    /// Waits some seconds at most until the module is unused. A kernel worker releases the buffers
    /// of `io_uring` after the end of the program.
    ///
    /// # Errors
    ///
    /// The errno of reading the count.
    pub fn wait_until_unused(&self) -> Result<(), Failure> {
        for _ in 0..100 {
            if references()? == "0" {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Unloads the module. This proves that nothing uses a pool.
    ///
    /// # Errors
    ///
    /// The module is still in use.
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

/// The parameter for a default pool of [`size`].
fn size_of_a_subject() -> String {
    format!("size_mb={}", size() >> 20)
}

/// The default pool, empty, of [`size`]. No other test uses it.
///
/// Loading the module takes longer than most tests. So the module stays loaded while its pool can
/// be emptied and is neither sealed nor revoked.
#[derive(Debug)]
pub struct EmptyPool {
    _turn: MutexGuard<'static, ()>,
}

/// Whether [`EmptyPool::new`] loaded the module.
static IS_LOADED_FOR_EMPTY_POOL: AtomicBool = AtomicBool::new(false);

impl EmptyPool {
    /// Waits for this test's turn and empties the pool.
    ///
    /// # Errors
    ///
    /// The module must be loaded again, but it is in use or cannot be loaded.
    pub fn new() -> Result<Self, Failure> {
        let turn = take_turn();
        if !(IS_LOADED_FOR_EMPTY_POOL.load(Relaxed) && Self::is_emptied()?) {
            if is_loaded()? {
                unload()?;
            }
            load(&size_of_a_subject())?;
            IS_LOADED_FOR_EMPTY_POOL.store(true, Relaxed);
        }
        Ok(Self { _turn: turn })
    }

    fn is_emptied() -> Result<bool, Failure> {
        let pool = Pool::open()?;
        let info = pool.info()?;
        if info.size_bytes != size() as u64 || info.seals != 0 || info.is_revoked() {
            return Ok(false);
        }
        pool.punch(0, size() as u64)?;
        Ok(pool.info()?.nr_resident_pages == 0)
    }

    /// Ends the turn, and checks that nothing uses the module.
    ///
    /// # Errors
    ///
    /// The module is still in use.
    pub fn release(self) -> Result<(), Failure> {
        match &*references()? {
            "0" => Ok(()),
            count => fail!("{count} references to the module are left"),
        }
    }
}

/// The reference count of the module.
fn references() -> Result<String, Failure> {
    Ok(fs::read_to_string(REFERENCES)?.trim().into())
}

/// Waits for this test's turn.
fn take_turn() -> MutexGuard<'static, ()> {
    static RESTORE: Once = Once::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    RESTORE.call_once(|| {
        // SAFETY: `restore` can be called at any time.
        unsafe { libc::atexit(restore) };
    });
    turn
}

/// Waits for this test's turn and unloads the module.
///
/// # Errors
///
/// The module is in use.
pub fn without_module() -> Result<WithoutModule, Failure> {
    let turn = take_turn();
    if is_loaded()? {
        unload()?;
    }
    Ok(WithoutModule { turn })
}

/// The module is not loaded, except by the test itself.
#[derive(Debug)]
pub struct WithoutModule {
    turn: MutexGuard<'static, ()>,
}

/// Loads the module with its defaults if it is unused.
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
/// The errno of `finit_module(2)`.
pub fn load(parameters: &str) -> Result<(), LoadError> {
    let file = File::open(FILE).map_err(|error| LoadError::of(&error))?;
    let parameters = CString::new(parameters).map_err(|_| LoadError(Errno::INVAL))?;
    finit_module(&file, &parameters, 0).map_err(LoadError)
}

/// `delete_module(2)`, without waiting.
///
/// # Errors
///
/// `EAGAIN`: the module is in use.
pub fn try_unload() -> Result<(), Errno> {
    IS_LOADED_FOR_EMPTY_POOL.store(false, Relaxed);
    delete_module(c"mmap_pool", libc::O_NONBLOCK)
}

/// Unloads the module.
///
/// # Errors
///
/// The module is in use.
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
/// The errno of reading it.
pub fn is_loaded() -> Result<bool, Failure> {
    let modules = fs::read_to_string("/proc/modules")?;
    Ok(modules
        .lines()
        .any(|line| line.split(' ').next() == Some(NAME)))
}

/// Whether the device node exists.
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
