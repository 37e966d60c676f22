// SPDX-License-Identifier: MIT OR GPL-2.0

//! Takes the figures whose unit is the instruction or the byte, in a guest whose clock counts
//! instructions, 1 ns each.
//!
//! What a thread does is measured by its own clock, so that nobody else's work is in the figure. The
//! kernel's work in the background has a row of its own.

mod calls;
mod cost;
mod growth;
mod memory;
mod reserve;
mod scale;
mod touch;

use std::hint::black_box;
use std::io::{BufReader, Read};

use mmap_pool::Mapping;
use rustix::fs::{seek, SeekFrom};
use rustix::io::{pread, pwrite, read, write};

use crate::row::Work;
use crate::subject::{Object, Subject, PAGE};
use crate::Failure;
use calls::{calls, forks, offset_in, open_map_close};
use cost::{cost_of, per};
use memory::{hole, overhead};
use scale::repeat;
use touch::{
    first_touch, first_touch_settled, full, map_call, read_each_page, touches, unmap,
    write_each_page_shuffled,
};

pub use cost::wait_until_alone;
pub use growth::Growth;
pub use reserve::rest;
pub use scale::Scale;
pub use touch::write_each_page;

/// Takes the samples of `work` on `subject`, at `point` if the row has points.
///
/// # Errors
///
/// The subject cannot be made, or a call fails.
///
/// # Panics
///
/// If the row has points and there is none, or it [needs processors](Work::needs_processors).
pub fn samples(
    work: Work,
    subject: Subject,
    point: Option<u64>,
    scale: Scale,
    growth: &mut Growth,
) -> Result<Vec<f64>, Failure> {
    let size = || -> Result<usize, Failure> { Ok(point.expect("the row has points").try_into()?) };
    let full = || full(subject, scale.object_len);
    match work {
        Work::MapCall => repeat(scale, || map_call(subject, scale)),
        Work::FirstTouch => repeat(scale, || first_touch(subject, scale)),
        Work::FirstTouchSettled => repeat(scale, || first_touch_settled(subject, scale)),
        Work::WriteAgain => touches(&full()?, scale, Object::shared, write_each_page),
        Work::ReadAgain => touches(&full()?, scale, Object::shared, read_each_page),
        Work::RandomFault => touches(&full()?, scale, Object::shared, write_each_page_shuffled),
        Work::Cow => touches(&full()?, scale, Object::private, write_each_page),
        Work::Unmap => {
            let object = full()?;
            repeat(scale, || unmap(&object))
        }
        Work::Fork => {
            let object = full()?;
            let mapping = object.shared()?;
            write_each_page(&mapping);
            repeat(scale, forks)
        }
        Work::OpenMapClose => {
            let object = full()?;
            let path = object.path()?;
            repeat(scale, || calls(PAGE, |_| open_map_close(&path)))
        }
        Work::ReadCall => {
            let (object, mut buffer) = (full()?, vec![0; size()?]);
            repeat(scale, || {
                calls(buffer.len(), |turn| {
                    let offset = offset_in(&object, turn);
                    Ok(pread(object.file()?, &mut *buffer, offset).map(drop)?)
                })
            })
        }
        Work::WriteCall => {
            let (object, buffer) = (full()?, vec![1; size()?]);
            repeat(scale, || {
                calls(buffer.len(), |turn| {
                    let offset = offset_in(&object, turn);
                    Ok(pwrite(object.file()?, &buffer, offset).map(drop)?)
                })
            })
        }
        Work::GrownFirstTouch => Ok(growth.measure(subject, size()?, scale)?.first),
        Work::GrownWriteAgain => Ok(growth.measure(subject, size()?, scale)?.again),
        Work::Overhead => repeat(scale, || overhead(subject, scale)),
        Work::Hole => repeat(scale, || hole(subject)),
        Work::WriteMapped => {
            let sequence = Sequence::new(scale, size()?);
            repeat(scale, || sequence.write_mapped(subject))
        }
        Work::WriteCalled => {
            let sequence = Sequence::new(scale, size()?);
            repeat(scale, || sequence.write_called(subject))
        }
        Work::ReadMapped => {
            let sequence = Sequence::new(scale, size()?);
            let object = sequence.full(subject)?;
            repeat(scale, || sequence.read_mapped(&object))
        }
        Work::ReadCalled => {
            let sequence = Sequence::new(scale, size()?);
            let object = sequence.full(subject)?;
            repeat(scale, || sequence.read_called(&object))
        }
        Work::ReadBuffered => {
            let sequence = Sequence::new(scale, 1);
            let object = sequence.full(subject)?;
            repeat(scale, || sequence.read_buffered(&object))
        }
        Work::ParallelFirstTouch | Work::ParallelWriteAgain | Work::LockFallbacks => {
            unreachable!("instructions say nothing about processors")
        }
    }
}

/// Adds up `len` bytes.
///
/// # Safety
///
/// They can be read, and nobody writes them.
#[inline(never)]
unsafe fn sum(start: *const u8, len: usize) -> u64 {
    // SAFETY: The caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(start, len) };
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

/// Bytes that are read or written one piece after the other.
#[derive(Clone, Copy)]
struct Sequence {
    chunk_len: usize,
    nr_chunks: usize,
}

impl Sequence {
    fn new(scale: Scale, chunk_len: usize) -> Self {
        Self {
            chunk_len,
            nr_chunks: (scale.sequence_len / chunk_len).min(scale.nr_chunks),
        }
    }

    fn len(self) -> usize {
        self.chunk_len * self.nr_chunks
    }

    fn chunks(self, mapping: &Mapping) -> impl Iterator<Item = *mut u8> {
        assert!(self.len() <= mapping.len());
        let start = mapping.as_ptr();
        // SAFETY: Checked above.
        (0..self.nr_chunks).map(move |index| unsafe { start.add(index * self.chunk_len) })
    }

    fn full(self, subject: Subject) -> Result<Object, Failure> {
        full(subject, self.len())
    }

    fn write_mapped(self, subject: Subject) -> Result<f64, Failure> {
        let object = Object::new(subject, self.len())?;
        let buffer = vec![1; self.chunk_len];
        rest();
        let ((), cost) = cost_of(|| {
            let mapping = object.shared()?;
            for chunk in self.chunks(&mapping) {
                // SAFETY: The chunk is within the mapping, which nobody else knows.
                unsafe { chunk.copy_from_nonoverlapping(buffer.as_ptr(), buffer.len()) };
                black_box(chunk);
            }
            Ok(mapping.unmap()?)
        })?;
        Ok(per(cost, self.len()))
    }

    fn write_called(self, subject: Subject) -> Result<f64, Failure> {
        let object = Object::new(subject, self.len())?;
        let buffer = vec![1; self.chunk_len];
        rest();
        let ((), cost) = cost_of(|| {
            for _ in 0..self.nr_chunks {
                write(object.file()?, &buffer)?;
            }
            Ok(())
        })?;
        Ok(per(cost, self.len()))
    }

    fn read_mapped(self, object: &Object) -> Result<f64, Failure> {
        let ((), cost) = cost_of(|| {
            let mapping = object.shared()?;
            for chunk in self.chunks(&mapping) {
                // SAFETY: The chunk is within the mapping, which nobody else knows.
                black_box(unsafe { sum(chunk, self.chunk_len) });
            }
            Ok(mapping.unmap()?)
        })?;
        Ok(per(cost, self.len()))
    }

    fn read_called(self, object: &Object) -> Result<f64, Failure> {
        let mut buffer = vec![0; self.chunk_len];
        seek(object.file()?, SeekFrom::Start(0))?;
        let ((), cost) = cost_of(|| {
            for _ in 0..self.nr_chunks {
                let len = read(object.file()?, &mut *buffer)?;
                // SAFETY: The buffer has that many bytes.
                black_box(unsafe { sum(buffer.as_ptr(), len) });
            }
            Ok(())
        })?;
        Ok(per(cost, self.len()))
    }

    fn read_buffered(self, object: &Object) -> Result<f64, Failure> {
        seek(object.file()?, SeekFrom::Start(0))?;
        let ((), cost) = cost_of(|| {
            let mut total = 0_u64;
            // As large a buffer as stdio has.
            for byte in BufReader::with_capacity(PAGE, object.file()?).bytes() {
                total = black_box(total + u64::from(byte?));
            }
            Ok(())
        })?;
        Ok(per(cost, self.len()))
    }
}
