// SPDX-License-Identifier: MIT OR GPL-2.0

//! A module file, linked at a fixed address: its code and its line table.

use std::fs;
use std::path::Path;

use addr2line::gimli::{self, EndianSlice, LittleEndian};
use addr2line::Context;
use object::{Object, ObjectSection, SectionKind};

use crate::Failure;

/// A section of code.
#[derive(Debug)]
pub struct Text {
    /// The address that it is linked at.
    pub start: u64,
    /// The code.
    pub bytes: Vec<u8>,
    /// Whether each byte is the same at every load address: no relocation changes it.
    pub is_fixed: Vec<bool>,
}

/// Instructions of one line, or of a line inlined there.
#[derive(Clone, Debug)]
pub struct Row {
    /// The first address.
    pub start: u64,
    /// The address after the last one.
    pub end: u64,
    /// The file's path, as given to the compiler.
    pub file: String,
    /// The line.
    pub line: u32,
}

/// A module.
#[derive(Debug)]
pub struct Module {
    /// Its code.
    pub texts: Vec<Text>,
    /// Its lines.
    pub rows: Vec<Row>,
}

impl Text {
    fn of(section: &object::Section<'_, '_>) -> Result<Self, Failure> {
        let start = section.address();
        let bytes = section.data()?.to_vec();
        let mut is_fixed = vec![true; bytes.len()];
        for (address, relocation) in section.relocations() {
            let offset = usize::try_from(address - start)?;
            let len = usize::from(relocation.size() / 8).max(4);
            is_fixed[offset..][..len].fill(false);
        }
        Ok(Self {
            start,
            bytes,
            is_fixed,
        })
    }
}

impl Module {
    /// Reads a module that is linked alone, with its relocations kept.
    ///
    /// # Errors
    ///
    /// The file is no module, or has no line table.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path)?;
        let file = object::File::parse(&*bytes)?;
        let texts = file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text && section.size() > 0)
            .map(|section| Text::of(&section))
            .collect::<Result<_, _>>()?;
        let rows = rows(&file)?;
        if rows.is_empty() {
            return Err(
                "the module has no line table: build a kernel with CONFIG_DEBUG_INFO".into(),
            );
        }
        Ok(Self { texts, rows })
    }
}

fn rows(file: &object::File<'_>) -> Result<Vec<Row>, Failure> {
    let load = |id: gimli::SectionId| -> Result<_, object::Error> {
        let section = file.section_by_name(id.name());
        let data = section.map_or(Ok(&[][..]), |section| section.data())?;
        Ok(EndianSlice::new(data, LittleEndian))
    };
    let context = Context::from_dwarf(gimli::Dwarf::load(load)?)?;
    let mut rows = Vec::new();
    for (start, len, _) in context.find_location_range(0, u64::MAX)? {
        // The line itself, and the lines it is inlined into.
        let mut frames = context.find_frames(start).skip_all_loads()?;
        while let Some(frame) = frames.next()? {
            let location = frame
                .location
                .map(|location| (location.file, location.line));
            if let Some((Some(file), Some(line @ 1..))) = location {
                rows.push(Row {
                    start,
                    end: start + len,
                    file: file.into(),
                    line,
                });
            }
        }
    }
    Ok(rows)
}
