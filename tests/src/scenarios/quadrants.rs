// SPDX-License-Identifier: MIT OR GPL-2.0

//! Shared or private, with a file or without one.

use mmap_pool::Mapping;

use crate::child::in_child;
use crate::observe::{put_word, word};
use crate::subject::Subject;
use crate::Answer;

pub fn file_backed_shared(subject: &Subject) -> Answer {
    Ok(format!(
        "{}, object {}",
        across_fork(&subject.shared()?)?,
        subject.word(0)?
    ))
}

pub fn file_backed_private(subject: &Subject) -> Answer {
    Ok(format!(
        "{}, object {}",
        across_fork(&subject.private()?)?,
        subject.word(0)?
    ))
}

pub fn as_anonymous_shared(subject: &Subject) -> Answer {
    across_fork(&subject.shared()?)
}

pub fn as_anonymous_private(subject: &Subject) -> Answer {
    across_fork(&subject.private()?)
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
