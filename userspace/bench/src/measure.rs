// SPDX-License-Identifier: MIT OR GPL-2.0

//! Measures the rows in instructions or bytes. The guest's clock counts instructions, 1 ns each.
//!
//! A thread's work is measured by its own CPU clock, so the figure has no work of other threads. The
//! kernel's work in the background has its own row. The rows of a disk count all threads.

mod calls;
mod cost;
mod growth;
mod memory;
mod reserve;
mod scale;
mod sequence;
mod storage;
mod touch;

use rustix::io::{pread, pwrite};

use crate::row::Work;
use crate::subject::{page_size, Object, Subject};
use crate::Failure;
use calls::{calls, forks, offset_in, open_map_close};
use memory::{hole, overhead};
use scale::repeat;
use sequence::Sequence;
use touch::{
    first_touch, first_touch_settled, full, map_call, read_each_page, sparse_first_touch,
    stride_first_touch, touches, unmap, write_each_page_downward, write_each_page_shuffled,
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
/// The object cannot be created, or a call fails.
///
/// # Panics
///
/// If the row has points and there is none, or it [needs processors](crate::row::Guest::Processors).
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
        Work::FirstTouch => repeat(scale, || first_touch(subject, scale, write_each_page)),
        Work::SparseFirstTouch => repeat(scale, || sparse_first_touch(subject, scale)),
        Work::StrideFirstTouch => repeat(scale, || stride_first_touch(subject, scale)),
        Work::DownwardFirstTouch => repeat(scale, || {
            first_touch(subject, scale, write_each_page_downward)
        }),
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
            repeat(scale, || calls(page_size(), |_| open_map_close(&path)))
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
        Work::DiskWrite => storage::samples(subject, size()?, scale, |mapping| {
            write_each_page(mapping);
            Ok(mapping.flush()?)
        }),
        Work::DiskRead => storage::samples(subject, size()?, scale, |mapping| {
            read_each_page(mapping);
            Ok(())
        }),
        Work::ParallelFirstTouch
        | Work::ParallelWriteAgain
        | Work::LockFallbacks
        | Work::Contention => {
            unreachable!("processors.rs measures these")
        }
    }
}
