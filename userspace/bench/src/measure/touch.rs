// SPDX-License-Identifier: MIT OR GPL-2.0

//! The cost of touching pages of a mapping.

use mmap_pool::Mapping;
use rustix::time::ClockId;

use super::cost::{cost_of, now, per_page};
use super::reserve::{cost_of_others_until_rest, rest};
use super::scale::{repeat, Scale};
use crate::subject::{page_size, Object, Subject};
use crate::Failure;

/// The distance of the touched pages of [`sparse_first_touch`] and [`stride_first_touch`].
const SPARSE: usize = 8;

/// Creates an object with all its pages resident.
pub fn full(subject: Subject, len: usize) -> Result<Object, Failure> {
    let object = Object::new(subject, len)?;
    write_each_page(&object.shared()?);
    rest();
    Ok(object)
}

/// `mmap` of all of a new object.
pub fn map_call(subject: Subject, scale: Scale) -> Result<f64, Failure> {
    let object = Object::new(subject, scale.object_len)?;
    rest();
    let (mapping, cost) = cost_of(|| object.shared())?;
    drop(mapping);
    Ok(per_page(cost, &object))
}

/// Touches pages of a new object with `touch`. The cost is per page of the object.
pub fn first_touch(subject: Subject, scale: Scale, touch: fn(&Mapping)) -> Result<f64, Failure> {
    let object = Object::new(subject, scale.object_len)?;
    let mapping = object.shared()?;
    rest();
    Ok(per_page(cost_of_touch(&mapping, touch)?, &object))
}

/// One write to every eighth page of a new object, in an order without neighbours. The cost is per
/// touched page.
pub fn sparse_first_touch(subject: Subject, scale: Scale) -> Result<f64, Failure> {
    let cost = first_touch(subject, scale, |mapping| write_shuffled(mapping, SPARSE))?;
    Ok(cost * SPARSE as f64)
}

/// One write to every eighth page of a new object, in order. The cost is per touched page.
pub fn stride_first_touch(subject: Subject, scale: Scale) -> Result<f64, Failure> {
    let cost = first_touch(subject, scale, |mapping| write_pages(mapping, SPARSE))?;
    Ok(cost * SPARSE as f64)
}

/// [`first_touch`], with all work of the kernel until the reserve is full again.
pub fn first_touch_settled(subject: Subject, scale: Scale) -> Result<f64, Failure> {
    // Takes half of the reserve's huge pages, so that each sample makes the kernel refill it.
    let object = Object::new(subject, 2 * scale.object_len)?;
    rest();
    let begin = now(ClockId::Monotonic);
    let mapping = object.shared()?;
    write_each_page(&mapping);
    // The time of all threads, because the refill may begin before the last page.
    let cost = now(ClockId::Monotonic) - begin + cost_of_others_until_rest();
    drop(mapping);
    Ok(per_page(cost, &object))
}

/// Takes the samples of touching all pages of an object, each through a new mapping.
pub fn touches(
    object: &Object,
    scale: Scale,
    map: fn(&Object) -> Result<Mapping, Failure>,
    touch: fn(&Mapping),
) -> Result<Vec<f64>, Failure> {
    repeat(scale, || {
        let mapping = map(object)?;
        Ok(per_page(cost_of_touch(&mapping, touch)?, object))
    })
}

/// `munmap` of a mapping whose pages were all touched.
pub fn unmap(object: &Object) -> Result<f64, Failure> {
    let mapping = object.shared()?;
    write_each_page(&mapping);
    let ((), cost) = cost_of(|| Ok(mapping.unmap()?))?;
    Ok(per_page(cost, object))
}

/// Counts the instructions that this thread executes in `touch`.
pub fn cost_of_touch(mapping: &Mapping, touch: fn(&Mapping)) -> Result<u64, Failure> {
    let ((), cost) = cost_of(|| {
        touch(mapping);
        Ok(())
    })?;
    Ok(cost)
}

/// Writes to the first byte of each page.
pub fn write_each_page(mapping: &Mapping) {
    write_pages(mapping, 1);
}

/// Writes to the first byte of every `distance`-th page, in order.
fn write_pages(mapping: &Mapping, distance: usize) {
    let start = mapping.as_ptr();
    for offset in (0..mapping.len()).step_by(distance * page_size()) {
        // SAFETY: The byte is within the mapping, and nothing else uses the mapping.
        unsafe { start.add(offset).write_volatile(1) };
    }
}

/// Reads the first byte of each page.
pub fn read_each_page(mapping: &Mapping) {
    let start = mapping.as_ptr();
    for offset in (0..mapping.len()).step_by(page_size()) {
        // SAFETY: The byte is within the mapping, and nothing else uses the mapping.
        unsafe { start.add(offset).read_volatile() };
    }
}

/// Writes to the first byte of each page, from the last page to the first.
pub fn write_each_page_downward(mapping: &Mapping) {
    let start = mapping.as_ptr();
    for offset in (0..mapping.len()).step_by(page_size()).rev() {
        // SAFETY: The byte is within the mapping, and nothing else uses the mapping.
        unsafe { start.add(offset).write_volatile(1) };
    }
}

/// Writes to the first byte of each page, in an order without neighbours.
pub fn write_each_page_shuffled(mapping: &Mapping) {
    write_shuffled(mapping, 1);
}

/// Writes to the first byte of every page whose number is a multiple of `distance`, in an order
/// without neighbours.
fn write_shuffled(mapping: &Mapping, distance: usize) {
    // Odd, so that it reaches every page of a power of two.
    const STRIDE: usize = 0x9e37_79b1;
    let start = mapping.as_ptr();
    let nr_pages = mapping.len() / page_size() / distance;
    debug_assert!(nr_pages.is_power_of_two());
    for turn in 0..nr_pages {
        let page = (turn.wrapping_mul(STRIDE) & (nr_pages - 1)) * distance;
        // SAFETY: The byte is within the mapping, and nothing else uses the mapping.
        unsafe { start.add(page * page_size()).write_volatile(1) };
    }
}
