// SPDX-License-Identifier: MIT OR GPL-2.0

//! Sequential access: the same bytes through a mapping and by calls.

use std::hint::black_box;
use std::io::{BufReader, Read};

use mmap_pool::Mapping;
use rustix::fs::{seek, SeekFrom};
use rustix::io::{read, write};

use super::cost::{cost_of, per};
use super::reserve::rest;
use super::scale::Scale;
use super::touch::full;
use crate::subject::{page_size, Object, Subject};
use crate::Failure;

/// Bytes that are read or written piece by piece.
#[derive(Clone, Copy)]
pub struct Sequence {
    chunk_len: usize,
    nr_chunks: usize,
}

impl Sequence {
    pub fn new(scale: Scale, chunk_len: usize) -> Self {
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

    /// Creates an object of the sequence's length with all its pages resident.
    pub fn full(self, subject: Subject) -> Result<Object, Failure> {
        full(subject, self.len())
    }

    /// Fills a new object through a mapping.
    pub fn write_mapped(self, subject: Subject) -> Result<f64, Failure> {
        let object = Object::new(subject, self.len())?;
        let buffer = vec![1; self.chunk_len];
        rest();
        let ((), cost) = cost_of(|| {
            let mapping = object.shared()?;
            for chunk in self.chunks(&mapping) {
                // SAFETY: The chunk is within the mapping, and nothing else uses the mapping.
                unsafe { chunk.copy_from_nonoverlapping(buffer.as_ptr(), buffer.len()) };
                black_box(chunk);
            }
            Ok(mapping.unmap()?)
        })?;
        Ok(per(cost, self.len()))
    }

    /// Fills a new object by `write`.
    pub fn write_called(self, subject: Subject) -> Result<f64, Failure> {
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

    /// Adds up all bytes in a mapping.
    pub fn read_mapped(self, object: &Object) -> Result<f64, Failure> {
        let ((), cost) = cost_of(|| {
            let mapping = object.shared()?;
            for chunk in self.chunks(&mapping) {
                // SAFETY: The chunk is within the mapping, and nothing else uses the mapping.
                black_box(unsafe { sum(chunk, self.chunk_len) });
            }
            Ok(mapping.unmap()?)
        })?;
        Ok(per(cost, self.len()))
    }

    /// Adds up all bytes by `read`.
    pub fn read_called(self, object: &Object) -> Result<f64, Failure> {
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

    /// Adds up all bytes, taking each from a buffer.
    pub fn read_buffered(self, object: &Object) -> Result<f64, Failure> {
        seek(object.file()?, SeekFrom::Start(0))?;
        let ((), cost) = cost_of(|| {
            let mut total = 0_u64;
            // The buffer has the size of stdio's.
            for byte in BufReader::with_capacity(page_size(), object.file()?).bytes() {
                total = black_box(total + u64::from(byte?));
            }
            Ok(())
        })?;
        Ok(per(cost, self.len()))
    }
}

/// Adds up `len` bytes.
///
/// # Safety
///
/// The bytes are readable, and nothing writes them meanwhile.
#[inline(never)]
unsafe fn sum(start: *const u8, len: usize) -> u64 {
    // SAFETY: The caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(start, len) };
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}
