// SPDX-License-Identifier: MIT OR GPL-2.0

//! Where a module was in a guest, and what of it was executed there.
//!
//! Nobody has to tell where it was, and it may have been loaded many times: its code is recognized. What
//! the loader and the kernel have patched is left out of the comparison, or is little.

use std::collections::{BTreeSet, HashMap};
use std::num::ParseIntError;
use std::str::FromStr;

use crate::module::Text;

/// Instructions that were executed one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    address: u64,
    bytes: Vec<u8>,
}

/// A line of what the plugin writes: the address, the bytes.
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
    /// How many bytes of the block are those at `offset`, and how many are not.
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

    /// Where the text was, as the blocks tell.
    fn places(&self, blocks: &[Block]) -> Vec<u64> {
        /// Shorter blocks look like others.
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
        // Functions begin alike, so some blocks are found where they are not.
        let most = votes.values().copied().max().unwrap_or(0);
        let enough = (most / 8).max(self.bytes.len() / 1024);
        votes.retain(|_, votes| *votes > enough);
        votes.into_keys().collect()
    }
}

/// The addresses, of those that the texts were linked to, that were executed.
pub fn reached(texts: &[Text], blocks: &[Block]) -> BTreeSet<u64> {
    /// Bytes that the kernel may have patched in a block: of a return, of an indirect call.
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

    /// Code of which no part is like another, with an address at byte 40.
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
