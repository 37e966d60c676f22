// SPDX-License-Identifier: MIT OR GPL-2.0

//! A fuzzer of `/dev/mmap_pool` that predicts every answer.
//!
//! [`generate`] makes random operations of several processes. The [`model`] predicts the result of
//! each operation, every byte that it reads, and every signal. The [`world`] does the operations,
//! one at a time, on a pool or on a memfd, and compares the answers. [`storage`] has the objects behind
//! backed pools, and [`mapper`] lets them fail. [`shrink`] shortens a sequence that differs. [`op`] is its
//! text form.
//!
//! On a kernel with KCOV, [`coverage`] shows which code of the module was reached. Sequences that reach
//! new code are kept, and [`mutate`] makes later ones from them.
//!
//! [`race`] has no oracle: processes and threads do the same operations at the same time.
//!
//! [`disturb`] makes the kernel act on the pages meanwhile, if asked to.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a 64-bit machine, and lengths that fit it"
)]

pub mod cast;
pub mod coverage;
pub mod disturb;
pub mod generate;
pub mod mapper;
pub mod model;
pub mod mutate;
pub mod op;
pub mod oracle;
pub mod race;
pub mod shrink;
pub mod storage;
pub mod sys;
pub mod worker;
pub mod world;

use mmap_pool_tests::machine;

/// The most processes at a time.
pub const PROCESSES: usize = 4;
/// Bytes of the longest read.
pub const LONGEST: u64 = 1 << 24;
/// Slots for descriptors of each process.
pub const SLOTS: usize = 6;

/// Bytes of a page.
#[must_use]
pub fn page_size() -> u64 {
    machine::page_size() as u64
}

/// Pages of the largest folio of a pool.
#[must_use]
pub fn huge_pages() -> u64 {
    machine::huge_pages() as u64
}

/// The answer of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The call's result, or a negated errno. For an access, the number of bytes.
    pub result: i64,
    /// The [`digest`] of the bytes read. For `info`, the number of resident pages.
    pub sum: u64,
    /// For `info`: allocated pages, seals, flags. For calls that make bytes durable: 1 if the disk was told
    /// to.
    pub extra: u64,
    /// The fault that ended an access.
    pub fault: Option<sys::Fault>,
}

impl Seen {
    /// An answer that has only a result.
    #[must_use]
    pub const fn of(result: i64) -> Self {
        Self {
            result,
            sum: 0,
            extra: 0,
            fault: None,
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.result {
            sys::ELSEWHERE => f.write_str("elsewhere")?,
            result if result < 0 => {
                let error = std::io::Error::from_raw_os_error((-result).try_into().unwrap_or(0));
                write!(f, "{error}")?;
            }
            result => write!(f, "{result:#x}")?,
        }
        if self.sum != 0 {
            write!(f, ", sum {:#x}", self.sum)?;
        }
        if self.extra != 0 {
            write!(f, ", extra {:#x}", self.extra)?;
        }
        if let Some(fault) = self.fault {
            let name = match fault.signal {
                libc::SIGBUS => "SIGBUS",
                libc::SIGSEGV => "SIGSEGV",
                _ => "a signal",
            };
            write!(f, ", {name} code {} at {:#x}", fault.code, fault.at)?;
        }
        Ok(())
    }
}

/// A hash of bytes. Zeros of different lengths have different hashes.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = PRIME ^ bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        sum = (sum ^ word).wrapping_mul(PRIME).rotate_left(29);
    }
    for &byte in words.remainder() {
        sum = (sum ^ u64::from(byte)).wrapping_mul(PRIME).rotate_left(29);
    }
    sum
}

/// The bytes of a seed. Adjacent bytes differ, so a shifted copy is noticed.
#[must_use]
pub fn pattern(seed: u8, len: usize) -> Vec<u8> {
    let mut byte = seed;
    let next = || {
        byte = byte.wrapping_mul(5).wrapping_add(seed | 1);
        byte
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_file_of_the_corpus_has_a_test() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tests = fs::read_to_string(package.join("tests/runs/mod.rs")).unwrap();
        let mut nr_files = 0;
        for file in fs::read_dir(package.join("corpus")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(tests.contains(&format!("    {name}\n")), "{name}");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.parse::<op::Sequence>().is_ok(), "{name}");
            nr_files += 1;
        }
        assert!(nr_files > 0);
    }

    #[test]
    fn shifted_bytes_and_other_lengths_have_other_digests() {
        let bytes = pattern(1, 64);
        assert_ne!(digest(&bytes[1..33]), digest(&bytes[..32]));
        assert_ne!(digest(&[0; 8]), digest(&[0; 9]));
        assert_ne!(digest(&[0; 8]), digest(&[]));
    }
}
