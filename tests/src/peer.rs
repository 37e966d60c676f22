// SPDX-License-Identifier: MIT OR GPL-2.0

//! A separate program that maps a file. It is this executable, started again.
//!
//! The request is in an environment variable. A constructor serves it and exits before `main`. So
//! each program with this library can be its own peer.

use std::env;
use std::fs::File;
use std::path::Path;
use std::process::{self, Command};

use mmap_pool::MappingBuilder;

use crate::observe::{put_word, word};
use crate::subject::size;
use crate::{fail, Answer};

const REQUEST: &str = "MMAP_POOL_PEER";

/// Starts a program that maps `path` shared, returns the word at `offset` and stores `reply` there.
///
/// # Errors
///
/// The program fails.
pub fn exchange(path: &Path, offset: usize, reply: &str) -> Answer {
    let request = format!("{offset} {reply} {}", path.display());
    let output = Command::new("/proc/self/exe")
        .env(REQUEST, request)
        .output()?;
    if !output.status.success() {
        fail!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn serve(request: &str) -> Answer {
    let mut parts = request.splitn(3, ' ');
    let (Some(offset), Some(reply), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        fail!("{request:?} is no request");
    };
    let offset = offset.parse()?;
    let file = File::options().read(true).write(true).open(path)?;
    // SAFETY: The path is a subject's, which is memory.
    let mapping = unsafe { MappingBuilder::shared().len(size()).map_file(&file) }?;
    let found = word(&mapping, offset)?;
    put_word(&mapping, offset, reply)?;
    Ok(found)
}

extern "C" fn start() {
    let Ok(request) = env::var(REQUEST) else {
        return;
    };
    match serve(&request) {
        Ok(found) => {
            print!("{found}");
            process::exit(0);
        }
        Err(failure) => {
            eprint!("{failure}");
            process::exit(1);
        }
    }
}

#[used]
#[link_section = ".init_array"]
static START: extern "C" fn() = start;
