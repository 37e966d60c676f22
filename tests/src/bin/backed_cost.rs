// SPDX-License-Identifier: MIT OR GPL-2.0

//! `mmap-pool-backed-cost OBJECT MIB`: what a page costs through a mapping of OBJECT, and through a
//! mapping of a pool that OBJECT backs. In a guest with `qemu/run --icount` a nanosecond is an
//! instruction.

use std::fs::{self, File};
use std::hint::black_box;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use mmap_pool::{Advice, Mapping, MappingBuilder, Pool};
use mmap_pool_tests::machine::page_size;
use mmap_pool_tests::Failure;

/// What is measured: its name, the advice, whether pages are in the page cache before, and the
/// access to one page.
struct Row {
    name: &'static str,
    advice: Advice,
    is_resident: bool,
    is_random: bool,
    is_write: bool,
    /// How many bytes of a page are written, at most.
    len: usize,
}

const fn row(name: &'static str) -> Row {
    Row {
        name,
        advice: Advice::Normal,
        is_resident: false,
        is_random: false,
        is_write: false,
        len: usize::MAX,
    }
}

const ROWS: [Row; 6] = [
    Row {
        is_write: true,
        ..row("first write, in order")
    },
    row("read, in order"),
    Row {
        is_random: true,
        ..row("read, at random")
    },
    Row {
        is_random: true,
        advice: Advice::Random,
        ..row("read, at random, MADV_RANDOM")
    },
    Row {
        is_random: true,
        is_write: true,
        len: 8,
        ..row("one word, at random")
    },
    Row {
        is_resident: true,
        is_write: true,
        advice: Advice::Random,
        len: 8,
        ..row("first store to a resident page")
    },
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    let (Some(object), Some(mib)) = (
        arguments.get(1),
        arguments.get(2).and_then(|mib| mib.parse::<usize>().ok()),
    ) else {
        eprintln!("usage: mmap-pool-backed-cost OBJECT MIB");
        return ExitCode::from(2);
    };
    match measure(Path::new(object), mib << 20) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("mmap-pool-backed-cost: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(object: &Path, len: usize) -> Result<(), Failure> {
    println!(
        "| instructions per page | {} | pool | ratio |",
        object.display()
    );
    println!("|---|---|---|---|");
    for row in &ROWS {
        let file = File::options().read(true).write(true).open(object)?;
        // SAFETY: Nothing else changes the object.
        let direct = unsafe { MappingBuilder::shared().len(len).map_file(&file) }?;
        let theirs = row.cost(direct, &file, len)?;
        let pool = Pool::create().backing(&file).create()?;
        drop(file);
        let mapping = MappingBuilder::shared().len(len).map(&pool)?;
        let ours = row.cost(mapping, &pool, len)?;
        let hundredths = 100 * ours / theirs.max(1);
        println!(
            "| {} | {theirs} | {ours} | {}.{:02} |",
            row.name,
            hundredths / 100,
            hundredths % 100
        );
    }
    Ok(())
}

impl Row {
    /// What a page costs, with its share of the write-back.
    fn cost(&self, mapping: Mapping, file: &impl AsFd, len: usize) -> Result<u128, Failure> {
        let nr_pages = len / page_size();
        drop_caches()?;
        mapping.advise(self.advice)?;
        let mut bytes = vec![0x5a; page_size()];
        if self.is_resident {
            for number in 0..nr_pages {
                mapping.read_at(&mut bytes[..8], number * page_size())?;
            }
        }
        let bytes = black_box(&mut bytes[..self.len.min(page_size())]);
        let start = Instant::now();
        for number in 0..nr_pages {
            let number = if self.is_random {
                number.wrapping_mul(0x9e37_79b1) % nr_pages
            } else {
                number
            };
            if self.is_write {
                mapping.write_at(bytes, number * page_size())?;
            } else {
                mapping.read_at(&mut bytes[..8], number * page_size())?;
            }
        }
        if !self.is_resident {
            mapping.flush()?;
        }
        let cost = start.elapsed().as_nanos() / nr_pages as u128;
        drop(mapping);
        rustix::fs::fsync(file)?;
        Ok(cost)
    }
}

fn drop_caches() -> Result<(), Failure> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "1")?;
    Ok(())
}
