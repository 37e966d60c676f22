// SPDX-License-Identifier: MIT OR GPL-2.0

//! Finds the module's load addresses in a guest, and its executed code.
//!
//! A guest does not report load addresses, and may load the module many times. This file finds them
//! by comparing executed code with the module's code. The comparison skips bytes that the loader
//! relocates, and tolerates the few bytes that the kernel patches.

use std::collections::{BTreeSet, HashMap};
use std::num::ParseIntError;
use std::str::FromStr;

use crate::module::Text;

/// Instructions that the guest executed one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    address: u64,
    bytes: Vec<u8>,
}

/// Parses a line of the plugin's output: the address, then the bytes.
impl FromStr for Block {
    type Err = crate::Failure;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let (address, hex) = line
            .split_once(' ')
            .ok_or_else(|| format!("not a line of the plugin's: {line}"))?;
        let byte = |index| u8::from_str_radix(hex.get(index..index + 2).unwrap_or("?"), 16);
        let bytes: Result<_, ParseIntError> = (0..hex.len()).step_by(2).map(byte).collect();
        Ok(Self {
            address: u64::from_str_radix(address, 16)?,
            bytes: bytes?,
        })
    }
}

impl Text {
    /// Counts the bytes of the block that equal those at `offset`, and those that differ.
    fn compare(&self, offset: usize, block: &Block) -> (usize, usize) {
        let own = self.bytes[offset..].iter().zip(&self.is_fixed[offset..]);
        let mut counts = (0, 0);
        for ((own, &is_fixed), theirs) in own.zip(&block.bytes) {
            if is_fixed && own == theirs {
                counts.0 += 1;
            } else if is_fixed {
                counts.1 += 1;
            }
        }
        counts
    }

    /// Finds the addresses at which the text was loaded.
    fn places(&self, blocks: &[Block]) -> Vec<u64> {
        /// Shorter blocks are not unique.
        const TELLING: usize = 12;

        let mut votes: HashMap<u64, usize> = HashMap::new();
        for block in blocks.iter().filter(|block| block.bytes.len() >= TELLING) {
            let Some(last) = self.bytes.len().checked_sub(block.bytes.len()) else {
                continue;
            };
            for offset in 0..=last {
                let is_start = self.bytes[offset..][..4] == block.bytes[..4];
                if is_start && matches!(self.compare(offset, block), (TELLING.., 0)) {
                    *votes
                        .entry(block.address.wrapping_sub(offset as u64))
                        .or_default() += 1;
                }
            }
        }
        // Many functions begin alike, so some blocks match at wrong addresses.
        let most = votes.values().copied().max().unwrap_or(0);
        let enough = (most / 8).max(self.bytes.len() / 1024);
        votes.retain(|_, votes| *votes > enough);
        votes.into_keys().collect()
    }
}

/// Returns the executed addresses, as link addresses of the texts.
pub fn reached(texts: &[Text], blocks: &[Block]) -> BTreeSet<u64> {
    /// Bytes of a block that the kernel may patch: those of a return or an indirect call.
    const PATCHED: usize = 2;

    let mut reached = BTreeSet::new();
    for text in texts {
        for place in text.places(blocks) {
            for block in blocks {
                let len = block.bytes.len();
                let Ok(offset) = usize::try_from(block.address.wrapping_sub(place)) else {
                    continue;
                };
                if offset.saturating_add(len) > text.bytes.len() {
                    continue;
                }
                let (nr_same, nr_other) = text.compare(offset, block);
                if nr_other <= PATCHED && nr_same >= nr_other {
                    let start = text.start + offset as u64;
                    reached.extend(start..start + len as u64);
                }
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// Code without repetitions, with a relocated address at byte 40.
    fn text() -> Text {
        let bytes: Vec<u8> = (0..200_u32)
            .map(|index| (index * index / 7 + index).to_le_bytes()[0])
            .collect();
        let mut is_fixed = vec![true; bytes.len()];
        is_fixed[40..44].fill(false);
        Text {
            start: 0x1000_0000,
            bytes,
            is_fixed,
        }
    }

    fn block(text: &Text, place: u64, range: Range<usize>) -> Block {
        Block {
            address: place + range.start as u64,
            bytes: text.bytes[range].to_vec(),
        }
    }

    #[test]
    fn a_line_is_an_address_and_bytes() {
        let block: Block = "ffffffffc0401234 0f1f8400".parse().unwrap();
        assert_eq!(block.address, 0xffff_ffff_c040_1234);
        assert_eq!(block.bytes, [0x0f, 0x1f, 0x84, 0x00]);
        for line in ["", "12", "12 0", "12 zz", "zz 12"] {
            assert!(line.parse::<Block>().is_err(), "{line:?}");
        }
    }

    #[test]
    fn code_is_found_wherever_it_was() {
        let text = text();
        let place = 0xffff_ffff_c040_0000;
        let elsewhere = 0xffff_ffff_c060_0000;
        let mut patched = block(&text, place, 30..60);
        patched.bytes[10..14].fill(0xee);
        let blocks = [
            block(&text, place, 0..20),
            patched,
            block(&text, place, 60..63),
            block(&text, elsewhere, 100..120),
        ];
        let expected = (0..20).chain(30..63).chain(100..120);
        assert!(reached(&[text], &blocks)
            .into_iter()
            .eq(expected.map(|offset| 0x1000_0000 + offset)));
    }

    #[test]
    fn code_of_others_is_not_ours() {
        let text = text();
        let mut other = block(&text, 0xffff_ffff_c040_0000, 0..30);
        other.bytes[5] ^= 1;
        assert!(reached(&[text], &[other]).is_empty());
    }

    #[test]
    fn a_little_that_the_kernel_has_patched_is_still_ours() {
        let text = text();
        let place = 0xffff_ffff_c040_0000;
        let mut patched = block(&text, place, 20..30);
        patched.bytes[9] ^= 1;
        let mut strange = block(&text, place, 60..70);
        strange.bytes[4..8].fill(0);
        let blocks = [block(&text, place, 0..20), patched, strange];
        assert_eq!(reached(&[text], &blocks).len(), 30);
    }
}
