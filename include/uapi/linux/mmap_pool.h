/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Userspace interface of /dev/mmap_pool.
 *
 * src/uapi.rs states the same in Rust, for the module and for the Rust
 * library; a test compares sizes, offsets and numbers.
 */
#ifndef _UAPI_LINUX_MMAP_POOL_H
#define _UAPI_LINUX_MMAP_POOL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Version of this interface, reported in mmap_pool_info.abi_version. */
#define MMAP_POOL_ABI_VERSION	1

/* Type byte of every ioctl of the device. */
#define MMAP_POOL_IOC_MAGIC	0xBC

/**
 * struct mmap_pool_info - size and statistics of a pool
 * @size_bytes: bytes that can be mapped and read; a multiple of the page size
 * @nr_resident_pages: pages that hold memory now
 * @nr_faults: page faults the pool has resolved or refused since it was made;
 *	faults served from resident neighbours (fault-around) are not among them
 * @nr_allocated_pages: pages allocated since the pool was made
 * @page_size_bytes: size of a page
 * @abi_version: MMAP_POOL_ABI_VERSION of the module
 * @reserved: zero
 */
struct mmap_pool_info {
	__u64 size_bytes;
	__u64 nr_resident_pages;
	__u64 nr_faults;
	__u64 nr_allocated_pages;
	__u32 page_size_bytes;
	__u32 abi_version;
	__u64 reserved[3];
};

/*
 * MMAP_POOL_INFO - describe the pool behind a descriptor
 *
 * Works on any descriptor of the device, whatever it was opened for.
 *
 * EFAULT: the argument does not point to writable memory.
 */
#define MMAP_POOL_INFO	_IOR(MMAP_POOL_IOC_MAGIC, 0x00, struct mmap_pool_info)

#endif /* _UAPI_LINUX_MMAP_POOL_H */
