// SPDX-License-Identifier: MIT OR GPL-2.0

//! `mmap-pool-acknowledged write OBJECT`: writes numbers to the pages of a pool that OBJECT backs.
//! Prints a number as soon as it must survive a crash.
//!
//! `mmap-pool-acknowledged check OBJECT NUMBER`: checks that OBJECT has what was printed up to
//! NUMBER.
//!
//! Number `n` fills a page with copies of `n`. By turns it is made durable by `msync`, `fsync`, a
//! write with `RWF_DSYNC`, and `fdatasync`.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;

use mmap_pool::{MappingBuilder, Pool};
use mmap_pool_tests::{fail, Failure};
use rustix::io::{pwritev2, ReadWriteFlags};

use mmap_pool_tests::machine::page_size;
const NR_PAGES: usize = 256;

/// The page of a number.
fn page_of(number: u64) -> usize {
    usize::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0])
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["write", object] => write(Path::new(object)),
        ["check", object, number] => number
            .parse()
            .map_err(Failure::from)
            .and_then(|number| check(Path::new(object), number)),
        _ => {
            eprintln!("usage: mmap-pool-acknowledged write OBJECT | check OBJECT NUMBER");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("mmap-pool-acknowledged: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn write(object: &Path) -> Result<(), Failure> {
    let object = File::options().read(true).write(true).open(object)?;
    let pool = Pool::create().backing(&object).create()?;
    let mapping = MappingBuilder::shared()
        .len(NR_PAGES * page_size())
        .map(&pool)?;
    let mut output = std::io::stdout().lock();
    for number in 1_u64.. {
        let offset = page_of(number) * page_size();
        let bytes = number.to_le_bytes().repeat(page_size() / 8);
        if number % 4 == 3 {
            let slices = [IoSlice::new(&bytes)];
            if pwritev2(&pool, &slices, offset as u64, ReadWriteFlags::DSYNC)? != page_size() {
                fail!("a short write");
            }
        } else {
            mapping.write_at(&bytes, offset)?;
            match number % 4 {
                0 => mapping.flush_range(offset, page_size())?,
                1 => pool.sync()?,
                _ => pool.as_file().sync_data()?,
            }
        }
        writeln!(output, "{number}")?;
        output.flush()?;
    }
    Ok(())
}

fn check(object: &Path, last: u64) -> Result<(), Failure> {
    let object = File::open(object)?;
    let mut expected = [0; NR_PAGES];
    for number in 1..=last {
        expected[page_of(number)] = number;
    }
    for (page, &least) in (0..).zip(&expected) {
        let mut bytes = vec![0; page_size()];
        object.read_exact_at(&mut bytes, (page * page_size()) as u64)?;
        for word in bytes.chunks_exact(8) {
            let mut number = [0; 8];
            number.copy_from_slice(word);
            let number = u64::from_le_bytes(number);
            // A later number may be there, also a part of it.
            if number < least || number > 0 && page_of(number) != page {
                fail!("page {page} has {number}, but {least} was acknowledged, of {last}");
            }
        }
    }
    Ok(())
}
