// SPDX-License-Identifier: MIT OR GPL-2.0

//! Shared or private, with a file or without one.

use mmap_pool::Mapping;

use crate::child::in_child;
use crate::observe::{put_word, word};
use crate::scenario::Oracle::Anonymous;
use crate::scenario::{row, Scenario};
use crate::Answer;

pub(crate) const fn file_backed_shared() -> Scenario {
    row(
        "MAP_SHARED on a file: fork, child writes",
        "starts 0, child sees a, parent ends with b, object b",
    )
    .test(|subject| {
        Ok(format!(
            "{}, object {}",
            across_fork(&subject.shared()?)?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn file_backed_private() -> Scenario {
    row(
        "MAP_PRIVATE on a file: fork, child writes",
        "starts 0, child sees a, parent ends with a, object 0",
    )
    .test(|subject| {
        Ok(format!(
            "{}, object {}",
            across_fork(&subject.private()?)?,
            subject.word(0)?
        ))
    })
}

pub(crate) const fn as_anonymous_shared() -> Scenario {
    row(
        "MAP_SHARED without a file: fork, child writes",
        "starts 0, child sees a, parent ends with b",
    )
    .beside(Anonymous)
    .test(|subject| across_fork(&subject.shared()?))
}

pub(crate) const fn as_anonymous_private() -> Scenario {
    row(
        "MAP_PRIVATE without a file: fork, child writes",
        "starts 0, child sees a, parent ends with a",
    )
    .beside(Anonymous)
    .test(|subject| across_fork(&subject.private()?))
}

fn across_fork(mapping: &Mapping) -> Answer {
    let start = word(mapping, 0)?;
    put_word(mapping, 0, "a")?;
    let seen = in_child(|| {
        let seen = word(mapping, 0)?;
        put_word(mapping, 0, "b")?;
        Ok(seen)
    })?;
    Ok(format!(
        "starts {start}, child sees {seen}, parent ends with {}",
        word(mapping, 0)?
    ))
}
