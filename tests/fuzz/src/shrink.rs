// SPDX-License-Identifier: MIT OR GPL-2.0

//! Shortens a failing sequence by delta debugging.

use crate::op::{Op, Sequence};

/// Removes operations as long as the rest fails by `fails`. Returns a sequence from which no single
/// operation can be removed.
pub fn shrink(sequence: &Sequence, mut fails: impl FnMut(&Sequence) -> bool) -> Sequence {
    let mut best = sequence.clone();
    let mut len = best.ops.len().div_ceil(2);
    while len > 0 {
        let mut has_shrunk = false;
        // From the end, because late operations depend on early ones.
        let mut end = best.ops.len();
        while end > 0 {
            let start = end.saturating_sub(len);
            let candidate = without(&best, start, end);
            if fails(&candidate) {
                best = candidate;
                has_shrunk = true;
            }
            end = start;
        }
        if len > 1 {
            len = len.div_ceil(2);
        } else if !has_shrunk {
            len = 0;
        }
    }
    best
}

fn without(sequence: &Sequence, start: usize, end: usize) -> Sequence {
    let ops: Vec<Op> = [&sequence.ops[..start], &sequence.ops[end..]].concat();
    Sequence { ops, ..*sequence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{generate, Theme};
    use crate::model::Home;
    use crate::op::Call;

    fn nr(sequence: &Sequence, name: &str) -> usize {
        let is_it = |op: &&Op| op.call.name() == name;
        sequence.ops.iter().filter(is_it).count()
    }

    #[test]
    fn only_the_operations_that_matter_stay() {
        let sequence = generate(Theme::Calls, Home::Memory, 1, 300);
        assert!(nr(&sequence, "store") >= 2 && nr(&sequence, "mmap") >= 1);
        let mut nr_tries = 0;
        let shrunk = shrink(&sequence, |candidate| {
            nr_tries += 1;
            nr(candidate, "store") >= 2 && nr(candidate, "mmap") >= 1
        });
        assert_eq!(shrunk.ops.len(), 3);
        assert!(nr_tries < 2000, "{nr_tries}");
    }

    #[test]
    fn order_is_kept() {
        let sequence = generate(Theme::Calls, Home::Memory, 2, 100);
        let shrunk = shrink(&sequence, |candidate| {
            let mut rest = candidate.ops.iter();
            rest.any(|op| matches!(op.call, Call::Mmap { .. }))
                && rest.any(|op| matches!(op.call, Call::Load { .. }))
        });
        let names: Vec<_> = shrunk.ops.iter().map(|op| op.call.name()).collect();
        assert_eq!(names, ["mmap", "load"]);
    }
}
