// SPDX-License-Identifier: MIT OR GPL-2.0

//! Makes new sequences from kept ones. A sequence is kept if it reached new code.

use crate::generate::{Random, Scale};
use crate::model::{Home, Model};
use crate::op::{Op, Sequence};

/// A sequence that was the first to reach some code.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The operations, up to the last one that reached new code.
    pub sequence: Sequence,
    /// The sizes that the random generator used for it.
    pub scale: Scale,
    /// The home of the kinds that it ran on.
    pub home: Home,
}

/// Changes one of the `kept` sequences, which have one home, in one to three places. Then it drops the operations that the
/// model cannot predict any more, and adds random ones up to `nr_ops` operations. `kept` must not be
/// empty.
#[must_use]
pub fn mutate(seed: u64, kept: &[Kept], nr_ops: usize) -> Kept {
    let home = kept[0].home;
    let mut random = Random::new(seed, home, Scale::Small);
    let pick = |random: &mut Random| &kept[random.index(kept.len())];
    let base = pick(&mut random);
    random.set_scale(base.scale);
    let size = base.sequence.size;
    let mut ops = base.sequence.ops.clone();
    for _ in 0..=random.below(3) {
        let at = random.index(ops.len() + 1);
        let end = |len: u64| ops.len().min(at + len as usize);
        match random.below(4) {
            0 => {
                let new = drawn(&mut random, size, &ops[..at]);
                ops.splice(at..at, new);
            }
            1 => {
                let end = end(1 + random.below(8));
                ops.drain(at..end);
            }
            2 => {
                let end = end(1);
                let new = drawn(&mut random, size, &ops[..at]).into_iter().take(1);
                ops.splice(at..end, new);
            }
            _ => {
                let other = &pick(&mut random).sequence.ops;
                let from = random.index(other.len());
                ops.truncate(at);
                ops.extend_from_slice(&other[from..]);
            }
        }
    }
    let mut model = Model::new(home.lead(), size);
    ops.retain(|op| model.predict(op).is_some());
    ops.truncate(nr_ops);
    random.fill(&mut ops, size, nr_ops);
    Kept {
        sequence: Sequence { size, ops },
        scale: base.scale,
        home,
    }
}

/// Draws a few operations that fit the state after `before`.
fn drawn(random: &mut Random, size: u64, before: &[Op]) -> Vec<Op> {
    let mut ops = before.to_vec();
    let nr_ops = ops.len() + 1 + random.index(4);
    random.fill(&mut ops, size, nr_ops);
    ops.split_off(before.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{generate, Theme};

    fn kept(home: Home) -> Vec<Kept> {
        let kept = |seed| Kept {
            sequence: generate(Theme::Calls, home, seed, 100),
            scale: Theme::Calls.scale(seed),
            home,
        };
        (0..20).map(kept).collect()
    }

    #[test]
    fn a_seed_gives_one_mutation_of_which_every_operation_has_an_answer() {
        for home in Home::ALL {
            let kept = kept(home);
            for seed in 0..200 {
                let Kept {
                    sequence, scale, ..
                } = mutate(seed, &kept, 120);
                assert_eq!(sequence, mutate(seed, &kept, 120).sequence);
                assert_eq!(sequence.ops.len(), 120);
                assert!(kept
                    .iter()
                    .any(|kept| kept.sequence.size == sequence.size && kept.scale == scale));
                let mut model = Model::new(home.lead(), sequence.size);
                assert!(sequence.ops.iter().all(|op| model.predict(op).is_some()));
            }
        }
    }

    #[test]
    fn a_mutation_is_like_what_it_is_made_of() {
        let kept = &kept(Home::Memory)[..1];
        let (mut nr_alike, mut nr_same) = (0, 0);
        for seed in 0..100 {
            let ops = mutate(seed, kept, 100).sequence.ops;
            let old = &kept[0].sequence.ops;
            nr_same += usize::from(ops == *old);
            nr_alike += ops.iter().filter(|op| old.contains(op)).count();
        }
        assert!(nr_same < 5, "{nr_same}");
        assert!(nr_alike > 50 * 100, "{nr_alike}");
    }
}
