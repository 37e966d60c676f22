// SPDX-License-Identifier: MIT OR GPL-2.0

//! The state: all processes, open files and objects.

use std::collections::BTreeMap;
use std::mem;

use mmap_pool::Strategy;

use super::kind::{Behind, Kind, Tracking};
use super::object::{Bytes, Object, ObjectKind};
use super::stored::Stored;
use crate::cast::{SignCast, UnsignedCast};
use crate::op::{OpenFlags, Prot};
use crate::storage::object_size;
use crate::sys::Answer;
use crate::{page_size, PROCESSES, SLOTS};

/// An open file.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) object: usize,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    pub(super) is_append: bool,
    pub(super) pos: u64,
    /// The errno of a failed write to the object of which it has not told yet, or 0.
    pub(super) error: i32,
}

/// A mapped page.
#[expect(clippy::struct_excessive_bools, reason = "as VMAs have flags")]
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    pub(super) description: usize,
    pub(super) object: usize,
    pub(super) pgoff: u64,
    pub(super) is_shared: bool,
    pub(super) prot: Prot,
    /// Whether `mprotect` may make it writable.
    pub(super) may_write: bool,
    pub(super) is_locked: bool,
    /// `MADV_DONTFORK`.
    pub(super) stays: bool,
    /// The number of the area. Pages of one area are certainly in one VMA.
    pub(super) area: u32,
    /// The private copy, if there is one.
    pub(super) copy: Option<Bytes>,
}

/// A process.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) slots: [Option<usize>; SLOTS],
    pub(super) pages: BTreeMap<u64, Mapped>,
}

/// The model: all processes, open files and objects.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) kind: Kind,
    pub(super) objects: Vec<Object>,
    pub(super) descriptions: Vec<Description>,
    pub(super) processes: [Option<Process>; PROCESSES],
    pub(super) nr_areas: u32,
}

impl Object {
    /// Object number `number` of a run, as `create` makes it.
    pub(super) fn created(kind: Kind, number: usize, size: u64) -> Self {
        match kind {
            Kind::Created(Strategy::Eager) => Self::new(ObjectKind::Eager, size),
            Kind::Node | Kind::Created(_) => Self::new(ObjectKind::Created, size),
            Kind::Backed(behind, tracking) => {
                let is_tracked = tracking == Tracking::Exact;
                let has_holes = behind == Behind::Ext4;
                let size = object_size(behind, size);
                Self::backed(Stored::new(number, size, has_holes, is_tracked))
            }
            Kind::Memfd => Self::new(ObjectKind::Memfd, size),
        }
    }
}

impl Model {
    /// A model of one process. Its slot 0 is a descriptor of an empty object of `size` bytes.
    #[must_use]
    pub fn new(kind: Kind, size: u64) -> Self {
        let object = match kind {
            Kind::Node => Object::new(ObjectKind::Node, size.max(1).next_multiple_of(page_size())),
            _ => Object::created(kind, 0, size),
        };
        let mut model = Self {
            kind,
            objects: vec![object],
            descriptions: Vec::new(),
            processes: [const { None }; PROCESSES],
            nr_areas: 0,
        };
        let mut process = Process::default();
        process.slots[0] = Some(model.describe(0, OpenFlags(libc::O_RDWR.to_bits())));
        model.processes[0] = Some(process);
        model
    }

    /// Whether the default pool is sealed or revoked for good.
    #[must_use]
    pub fn has_spoilt_node(&self) -> bool {
        self.kind == Kind::Node && (self.objects[0].seals != 0 || self.objects[0].is_revoked)
    }

    /// The numbers of the processes.
    pub fn processes(&self) -> impl Iterator<Item = u8> + '_ {
        (0_u8..)
            .zip(&self.processes)
            .filter_map(|(number, process)| process.as_ref().map(|_| number))
    }

    /// The used slots of a process, and the sizes of their objects.
    pub fn slots(&self, process: u8) -> impl Iterator<Item = (u8, u64)> + '_ {
        let slots = self.processes[usize::from(process)].as_ref();
        (0_u8..)
            .zip(slots.into_iter().flat_map(|process| &process.slots))
            .filter_map(|(slot, description)| {
                let object = self.descriptions[(*description)?].object;
                Some((slot, self.objects[object].size))
            })
    }

    /// The number of the object that a slot has open.
    #[must_use]
    pub fn object_of(&self, process: u8, slot: u8) -> Option<u8> {
        let description = self.slot(process.into(), slot)??;
        u8::try_from(self.descriptions[description].object).ok()
    }

    /// The number of mapped pages of a process.
    #[must_use]
    pub fn nr_mapped(&self, process: u8) -> usize {
        let process = self.processes[usize::from(process)].as_ref();
        process.map_or(0, |process| process.pages.len())
    }

    /// The mapped page of a process at this index, in ascending order.
    #[must_use]
    pub fn mapped(&self, process: u8, index: usize) -> Option<u64> {
        let process = self.processes[usize::from(process)].as_ref()?;
        process.pages.keys().nth(index).copied()
    }

    pub(super) fn describe(&mut self, object: usize, flags: OpenFlags) -> usize {
        let access = flags.0.to_signed() & libc::O_ACCMODE;
        self.descriptions.push(Description {
            object,
            is_readable: access != libc::O_WRONLY,
            is_writable: access != libc::O_RDONLY,
            is_append: flags.has(libc::O_APPEND),
            pos: 0,
            error: 0,
        });
        self.descriptions.len() - 1
    }

    /// What an open file tells of failed writes, as each does once.
    pub(super) fn take_error(&mut self, description: usize) -> Answer {
        -i64::from(mem::take(&mut self.descriptions[description].error))
    }

    pub(super) fn process(&mut self, p: usize) -> &mut Process {
        self.processes[p].as_mut().expect("was looked up before")
    }

    pub(super) fn slot_mut(&mut self, p: usize, slot: u8) -> Option<&mut Option<usize>> {
        self.process(p).slots.get_mut(usize::from(slot))
    }

    /// The open file in a slot. The outer `None` means that there is no such slot.
    #[expect(clippy::option_option, reason = "no slot, no descriptor in it")]
    pub(super) fn slot(&self, p: usize, slot: u8) -> Option<Option<usize>> {
        let process = self.processes[p].as_ref()?;
        process.slots.get(usize::from(slot)).copied()
    }
}
