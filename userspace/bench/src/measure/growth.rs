// SPDX-License-Identifier: MIT OR GPL-2.0

//! Growing objects: whether a page costs more in a large one.

use std::collections::HashMap;

use mmap_pool::MappingBuilder;
use rustix::fs::{fallocate, FallocateFlags};

use super::cost::per;
use super::reserve::rest;
use super::scale::Scale;
use super::touch::{cost_of_touch, write_each_page};
use crate::subject::{page_size, Object, Subject};
use crate::Failure;

/// The measured bytes at the end of a growing object.
const TAIL_LEN: usize = 16 << 20;

/// An object that grows from point to point, so that the largest one is filled only once.
#[derive(Debug, Default)]
pub struct Growth {
    object: Option<(Subject, Object)>,
    found: HashMap<(Subject, usize), Grown>,
}

/// The samples of touching the last 16 MiB of an object.
#[derive(Clone, Debug, Default)]
pub struct Grown {
    pub first: Vec<f64>,
    pub again: Vec<f64>,
}

impl Growth {
    /// Measures an object of `len` bytes. It must not be smaller than the previous one.
    pub fn measure(
        &mut self,
        subject: Subject,
        len: usize,
        scale: Scale,
    ) -> Result<Grown, Failure> {
        if let Some(grown) = self.found.get(&(subject, len)) {
            return Ok(grown.clone());
        }
        let object = match self.object.take() {
            Some((of, mut object)) if of == subject => {
                object.grow(len)?;
                object
            }
            _ => Object::new(subject, len)?,
        };
        let tail = (len - TAIL_LEN) as u64;
        if tail > 0 {
            fallocate(object.file()?, FallocateFlags::empty(), 0, tail)?;
        }
        let mut grown = Grown::default();
        for turn in 0..=scale.nr_samples {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(object.file()?, punch, tail, TAIL_LEN as u64)?;
            rest();
            leave_free_pages()?;
            let (first, again) = (touch_tail(&object)?, touch_tail(&object)?);
            if turn > 0 {
                grown.first.push(first);
                grown.again.push(again);
            }
        }
        self.object = Some((subject, object));
        self.found.insert((subject, len), grown.clone());
        Ok(grown)
    }

    /// Frees the object.
    pub fn end(&mut self) {
        self.object = None;
    }
}

/// Leaves some hundred pages on this processor's list of free pages. The page allocator fills an empty
/// list with dozens of pages at once. That costs a tenth of touching 16 MiB of huge pages.
fn leave_free_pages() -> Result<(), Failure> {
    let memory = Object::new(Subject::Anon, 2 << 20)?;
    write_each_page(&memory.shared()?);
    Ok(())
}

fn touch_tail(object: &Object) -> Result<f64, Failure> {
    let tail = MappingBuilder::shared().offset((object.len() - TAIL_LEN) as u64);
    let mapping = object.map(tail.len(TAIL_LEN))?;
    Ok(per(
        cost_of_touch(&mapping, write_each_page)?,
        TAIL_LEN / page_size(),
    ))
}
