// SPDX-License-Identifier: MIT OR GPL-2.0

//! The memory that an object uses.

use std::fs;

use rustix::fs::{fallocate, FallocateFlags};

use super::cost::per_page;
use super::reserve::{reserves, rest};
use super::scale::Scale;
use crate::subject::{page_size, Object, Subject};
use crate::Failure;

/// Bytes of the hole. With so many, other allocations do not show.
const HOLE_LEN: usize = 64 << 30;

/// Memory used for a resident page, minus the page itself.
pub fn overhead(subject: Subject, scale: Scale) -> Result<f64, Failure> {
    let (object, used) = memory_of(|| {
        let object = Object::new(subject, scale.memory_len)?;
        let len = object.len() as u64;
        fallocate(object.file()?, FallocateFlags::empty(), 0, len)?;
        Ok(object)
    })?;
    Ok(per_page(used, &object) - page_size() as f64)
}

/// Memory used for a page of an object that is one hole.
pub fn hole(subject: Subject) -> Result<f64, Failure> {
    let (object, used) = memory_of(|| Object::new(subject, HOLE_LEN))?;
    Ok(per_page(used, &object))
}

/// Creates an object, and returns it with the bytes of memory that it uses.
fn memory_of(make: impl FnOnce() -> Result<Object, Failure>) -> Result<(Object, u64), Failure> {
    rest();
    let before = free_pages()?;
    let object = make()?;
    rest();
    let used = before.saturating_sub(free_pages()?);
    Ok((object, used * page_size() as u64))
}

/// Counts the free pages, with those on the processors' lists and in the reserves.
fn free_pages() -> Result<u64, Failure> {
    // Adds up the counts of the processors.
    fs::write("/proc/sys/vm/stat_refresh", "1")?;
    let mut nr_pages = reserves().iter().sum();
    for line in fs::read_to_string("/proc/zoneinfo")?.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("pages"), Some("free"), Some(count)) | (Some("count:"), Some(count), None) => {
                nr_pages += count.parse::<u64>()?;
            }
            _ => {}
        }
    }
    Ok(nr_pages)
}
