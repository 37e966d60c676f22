// SPDX-License-Identifier: MIT OR GPL-2.0

//! Pools as memory of virtual machines.

use vm_memory::bitmap::BS;
use vm_memory::{
    GuestAddress, GuestMemoryError, GuestMemoryRegion, GuestMemoryRegionBytes, GuestUsize,
    MemoryRegionAddress, VolatileSlice,
};

use crate::error::Error;
use crate::{Mapping, Protection, Result};

/// A mapping as a region of a virtual machine's memory. It implements the traits of the crate
/// `vm-memory`.
///
/// A [`GuestRegionCollection`](vm_memory::GuestRegionCollection) of regions is the whole memory of a
/// machine:
///
/// ```no_run
/// use mmap_pool::{GuestRegion, MappingBuilder, Pool, Strategy};
/// use vm_memory::{Bytes, GuestAddress, GuestRegionCollection};
///
/// let pool = Pool::create().size_bytes(64 << 20).strategy(Strategy::Huge).create()?;
/// let region = GuestRegion::new(MappingBuilder::shared().map(&pool)?, GuestAddress(0))?;
/// let memory = GuestRegionCollection::from_regions(vec![region])?;
/// memory.write_obj(0x1234_u32, GuestAddress(0x1000))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The crate `vm-memory` accesses the memory itself, with volatile accesses and atomics that the
/// compiler sees. The guarantees of [the memory model](crate#the-memory-model) apply only to accesses
/// through [`mapping`](Self::mapping).
#[derive(Debug)]
pub struct GuestRegion {
    mapping: Mapping,
    start: GuestAddress,
}

impl GuestRegion {
    /// Creates a region for `mapping` at guest address `start`.
    ///
    /// # Errors
    ///
    /// - [`Error::Protected`]: the mapping cannot be both read and written.
    /// - [`Error::OutOfBounds`]: the region reaches past the last guest address.
    pub fn new(mapping: Mapping, start: GuestAddress) -> Result<Self> {
        let needed = Protection::READ_WRITE;
        if !mapping.protection().contains(needed) {
            return Err(Error::Protected {
                needed,
                actual: mapping.protection(),
            });
        }
        // The cast only widens: a `usize` has at most 64 bits.
        if start.0.checked_add(mapping.len() as u64).is_none() {
            return Err(Error::OutOfBounds {
                offset: 0,
                len: mapping.len(),
                mapping_len: usize::try_from(u64::MAX - start.0).unwrap_or(usize::MAX),
            });
        }
        Ok(Self { mapping, start })
    }

    /// The mapping.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

impl GuestMemoryRegion for GuestRegion {
    type B = ();

    fn len(&self) -> GuestUsize {
        // The cast only widens, as above.
        self.mapping.len() as u64
    }

    fn start_addr(&self) -> GuestAddress {
        self.start
    }

    fn bitmap(&self) -> BS<'_, Self::B> {}

    fn get_host_address(
        &self,
        address: MemoryRegionAddress,
    ) -> std::result::Result<*mut u8, GuestMemoryError> {
        self.get_slice(address, 1)
            .map(|slice| slice.ptr_guard_mut().as_ptr())
    }

    fn get_slice(
        &self,
        offset: MemoryRegionAddress,
        count: usize,
    ) -> std::result::Result<VolatileSlice<'_, BS<'_, Self::B>>, GuestMemoryError> {
        let invalid = |_| GuestMemoryError::InvalidBackendAddress;
        let offset =
            usize::try_from(offset.0).map_err(|_| GuestMemoryError::InvalidBackendAddress)?;
        let start = self
            .mapping
            .check(offset, count, Protection::READ_WRITE)
            .map_err(invalid)?;
        // SAFETY: `check` confirms that the bytes are mapped for reading and writing. They stay so
        // while the region is borrowed. Accesses to a `VolatileSlice` are volatile.
        Ok(unsafe { VolatileSlice::new(start, count) })
    }
}

impl GuestMemoryRegionBytes for GuestRegion {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{memfd, PAGE_LEN};
    use crate::MappingBuilder;
    use vm_memory::{Bytes, GuestMemoryBackend, GuestRegionCollection};

    const BASE: GuestAddress = GuestAddress(0x10_0000);

    #[test]
    fn a_machine_reads_and_writes_the_file() {
        let (low, high) = (memfd(1), memfd(2));
        let region = |file, start| {
            GuestRegion::new(MappingBuilder::shared().map(file).unwrap(), start).unwrap()
        };
        let memory = GuestRegionCollection::from_regions(vec![
            region(&low, GuestAddress(0)),
            region(&high, BASE),
        ])
        .unwrap();
        assert_eq!(memory.num_regions(), 2);
        memory
            .write_slice(b"guest", GuestAddress(BASE.0 + PAGE_LEN as u64 - 2))
            .unwrap();
        assert_eq!(&high.read(PAGE_LEN - 2), b"guest");
        low.write(&7_u32.to_ne_bytes(), 16);
        let seven: u32 = memory.read_obj(GuestAddress(16)).unwrap();
        assert_eq!(seven, 7);
        let between = GuestAddress(PAGE_LEN as u64);
        assert!(memory.read_obj::<u8>(between).is_err());
    }

    #[test]
    fn an_address_of_the_machine_is_one_of_the_mapping() {
        let mapping = MappingBuilder::shared().map(&memfd(1)).unwrap();
        let region = GuestRegion::new(mapping, BASE).unwrap();
        let at = region.get_host_address(MemoryRegionAddress(5)).unwrap();
        assert_eq!(at, region.mapping().as_ptr().wrapping_add(5));
        let last = MemoryRegionAddress(PAGE_LEN as u64);
        assert!(region.get_host_address(last).is_err());
    }

    #[test]
    fn what_a_machine_cannot_have_is_refused() {
        let map = |builder: MappingBuilder| builder.map(&memfd(1)).unwrap();
        let read_only = map(MappingBuilder::shared().protection(Protection::READ));
        let error = GuestRegion::new(read_only, BASE).unwrap_err();
        assert!(matches!(error, Error::Protected { .. }));
        let end = GuestAddress(u64::MAX - 10);
        let error = GuestRegion::new(map(MappingBuilder::shared()), end).unwrap_err();
        assert!(matches!(error, Error::OutOfBounds { .. }));
    }
}
