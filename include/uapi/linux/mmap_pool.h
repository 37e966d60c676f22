/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Userspace interface of /dev/mmap_pool.
 *
 * src/uapi.rs states the same in Rust, for the module and for the Rust
 * library; a test compares sizes, offsets and numbers. The comments that begin
 * with two stars are the manual page mmap_pool(4) as well.
 */
#ifndef _UAPI_LINUX_MMAP_POOL_H
#define _UAPI_LINUX_MMAP_POOL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Version of this interface, reported in mmap_pool_info.abi_version. */
#define MMAP_POOL_ABI_VERSION	1

/* Type byte of every ioctl of the device. */
#define MMAP_POOL_IOC_MAGIC	0xBC

/* Bytes of mmap_pool_create.name, the terminating zero included. */
#define MMAP_POOL_NAME_LEN	64

/**
 * DOC: Requests
 *
 * No structure has padding or pointers, so 32-bit programs use the same ones.
 * Members called reserved are zero in answers and must be zero in arguments,
 * else EINVAL. An argument that does not point to accessible memory is EFAULT,
 * an unknown number ENOTTY, and a pool that was revoked ENODEV.
 */

/**
 * DOC: Reading, writing, mapping
 *
 * The descriptor must be open for what is done: read() of one that is not open
 * for reading and write() to one that is not open for writing are EBADF.
 * mmap() needs one that is open for reading, and a shared mapping that can be
 * written to needs one that is open for writing as well, else EACCES.
 *
 * write() to a pool with MMAP_POOL_SEAL_WRITE is EPERM. So is one that begins at
 * or past the end of a created pool with MMAP_POOL_SEAL_GROW; of one that begins
 * before, the part before the end is written. A shared mapping of a pool with
 * MMAP_POOL_SEAL_WRITE that can be written to is EPERM as well, and making one
 * such with mprotect() is EACCES. ftruncate() and fallocate() of a created pool are EPERM
 * if a seal forbids what they would do.
 *
 * write() at or past the end of the default pool is ENOSPC, and so is one that
 * needs a page when all pools together may hold no more. Touching a mapped page
 * is SIGBUS then, and past the end of the pool. All of it is ENODEV, and
 * touching SIGBUS, once the pool was revoked.
 */

/**
 * struct mmap_pool_info - size and statistics of a pool
 * @size_bytes: bytes that can be mapped and read
 * @nr_resident_pages: pages that hold memory now
 * @nr_faults: page faults the pool has resolved or refused since it was made;
 *	faults served from resident neighbours (fault-around) are not among them
 * @nr_allocated_pages: pages allocated since the pool was made
 * @page_size_bytes: size of a page
 * @abi_version: MMAP_POOL_ABI_VERSION of the module
 * @seals: the MMAP_POOL_SEAL_ bits that were added
 * @flags: MMAP_POOL_FLAG_ bits
 * @strategy: one of MMAP_POOL_STRATEGY_
 * @reserved: zero
 */
struct mmap_pool_info {
	__u64 size_bytes;
	__u64 nr_resident_pages;
	__u64 nr_faults;
	__u64 nr_allocated_pages;
	__u32 page_size_bytes;
	__u32 abi_version;
	__u32 seals;
	__u32 flags;
	__u32 strategy;
	__u32 reserved[3];
};

/**
 * struct mmap_pool_create - the new pool that MMAP_POOL_CREATE is to make
 * @size_bytes: size of the pool, any number of bytes
 * @flags: zero
 * @strategy: one of MMAP_POOL_STRATEGY_
 * @name: what /proc calls the pool; ends with a zero byte
 */
struct mmap_pool_create {
	__u64 size_bytes;
	__u32 flags;
	__u32 strategy;
	__u8 name[MMAP_POOL_NAME_LEN];
};

/**
 * struct mmap_pool_resize - the new size for MMAP_POOL_RESIZE
 * @size_bytes: size in bytes; of the default pool, a multiple of the page size
 * @reserved: zero
 */
struct mmap_pool_resize {
	__u64 size_bytes;
	__u64 reserved;
};

/**
 * struct mmap_pool_range - what MMAP_POOL_PUNCH and _PREFAULT are about
 * @offset_bytes: first byte
 * @len_bytes: number of bytes, not zero
 */
struct mmap_pool_range {
	__u64 offset_bytes;
	__u64 len_bytes;
};

/**
 * struct mmap_pool_seal - the seals that MMAP_POOL_SEAL is to add
 * @seals: MMAP_POOL_SEAL_ bits
 * @reserved: zero
 */
struct mmap_pool_seal {
	__u32 seals;
	__u32 reserved;
};

/**
 * struct mmap_pool_stat - statistics of all pools together
 * @nr_pools: pools that exist, the default pool included
 * @nr_resident_pages: pages of all pools that hold memory now
 * @nr_limit_pages: the most pages that all pools together may hold: module
 *	parameter limit_mb
 * @nr_refused_pages: times that a page was refused because of that limit
 * @nr_reserve_pages: zeroed pages that wait in the reserve to enter a pool; they
 *	are in no pool, so nr_resident_pages and the limit do not count them
 * @nr_reserve_hits: pages that came from the reserve, since the module was
 *	loaded
 * @nr_reserve_misses: pages that had to be zeroed when they were needed, since
 *	the module was loaded
 * @reserved: zero
 */
struct mmap_pool_stat {
	__u64 nr_pools;
	__u64 nr_resident_pages;
	__u64 nr_limit_pages;
	__u64 nr_refused_pages;
	__u64 nr_reserve_pages;
	__u64 nr_reserve_hits;
	__u64 nr_reserve_misses;
	__u64 reserved;
};

/**
 * DOC: Seals
 *
 * A seal forbids something for good, through every descriptor. The bits are
 * those of F_ADD_SEALS, but fcntl() does not know them: that is EINVAL.
 */
#define MMAP_POOL_SEAL_SEAL	0x1	/* no more seals can be added */
#define MMAP_POOL_SEAL_SHRINK	0x2	/* the pool cannot shrink */
#define MMAP_POOL_SEAL_GROW	0x4	/* the pool cannot grow */
#define MMAP_POOL_SEAL_WRITE	0x8	/* the pool cannot be written to */

/**
 * DOC: Strategies
 *
 * When a pool gets its pages, and in what pieces.
 *
 * MMAP_POOL_STRATEGY_PAGE: a page fault allocates the page that was touched, no
 * other.
 *
 * MMAP_POOL_STRATEGY_AROUND: a page fault allocates and maps the aligned 64 KiB
 * around that page.
 *
 * MMAP_POOL_STRATEGY_HUGE: memory comes in the largest pieces there are, up to a
 * huge page (2 MiB on x86-64), which a single entry of the page table maps.
 *
 * MMAP_POOL_STRATEGY_EAGER: all of the pool is allocated when it is created or
 * grows, so that touching it never allocates. In return nothing is ever taken
 * away: the pool has MMAP_POOL_SEAL_SHRINK from the start, and making a hole or
 * revoking it is EPERM.
 */
#define MMAP_POOL_STRATEGY_PAGE		0
#define MMAP_POOL_STRATEGY_AROUND	1
#define MMAP_POOL_STRATEGY_HUGE		2
#define MMAP_POOL_STRATEGY_EAGER	3

#define MMAP_POOL_FLAG_DEFAULT	0x1	/* the pool the device node opens */
#define MMAP_POOL_FLAG_REVOKED	0x2	/* the pool was revoked */

/**
 * MMAP_POOL_INFO - describe the pool behind a descriptor
 *
 * The descriptor may be open for anything, and the pool may be revoked.
 */
#define MMAP_POOL_INFO	_IOR(MMAP_POOL_IOC_MAGIC, 0x00, struct mmap_pool_info)

/**
 * MMAP_POOL_CREATE - create a pool, return a new descriptor for it
 *
 * Needs the node /dev/mmap_pool, open for writing: a process that was handed a
 * pool gets no others by it. The new descriptor is O_CLOEXEC, open for reading
 * and writing, and one of a regular file: fstat(), ftruncate(), fallocate() work
 * on it, and /proc/self/fd/N opens it again. The pool lives as long as a
 * descriptor or a mapping of it.
 *
 * EBADF: the node is not open for writing. ENOTTY: the descriptor is one of a
 * created pool. EINVAL: flags that are not zero, an unknown strategy, a name
 * that does not end, a size beyond a file's bounds. EFBIG: the size is past
 * RLIMIT_FSIZE; the process gets SIGXFSZ. ENOSPC: the pool has
 * MMAP_POOL_STRATEGY_EAGER, and the limit for all pools is reached. EINTR: the
 * task is being killed. EMFILE, ENFILE: too many open files. ENOMEM: no memory.
 */
#define MMAP_POOL_CREATE \
	_IOW(MMAP_POOL_IOC_MAGIC, 0x01, struct mmap_pool_create)

/**
 * MMAP_POOL_RESIZE - change the size of the pool
 *
 * Needs a descriptor that is open for writing. What lies past a smaller size
 * goes: pages, mappings of them (SIGBUS), private copies.
 *
 * EBADF: the descriptor is not open for writing. EPERM: a seal forbids it; the
 * default pool, without CAP_SYS_ADMIN. ENOSPC: the pool has
 * MMAP_POOL_STRATEGY_EAGER, and the limit for all pools is reached. EFBIG: the
 * pool is to grow past RLIMIT_FSIZE; the process gets SIGXFSZ. EINTR: the task
 * is being killed. EINVAL: the size is beyond a file's bounds; for the default
 * pool, not one that size_mb allows, in pages.
 */
#define MMAP_POOL_RESIZE \
	_IOW(MMAP_POOL_IOC_MAGIC, 0x02, struct mmap_pool_resize)

/**
 * MMAP_POOL_PUNCH - make a hole: free whole pages, zero parts of pages
 *
 * Needs a descriptor that is open for writing. Private copies stay.
 *
 * EBADF: the descriptor is not open for writing. EPERM: the pool is sealed
 * against writing, or has MMAP_POOL_STRATEGY_EAGER. EINVAL: the range is empty
 * or reaches beyond a file's bounds.
 */
#define MMAP_POOL_PUNCH	_IOW(MMAP_POOL_IOC_MAGIC, 0x03, struct mmap_pool_range)

/**
 * MMAP_POOL_PREFAULT - allocate the pages of a range that have no memory yet
 *
 * Needs a descriptor that is open for writing. Memory comes in the pieces of the
 * pool's strategy, which may reach beyond the range. After an error some pages
 * may have it.
 *
 * EBADF: the descriptor is not open for writing. EINVAL: the range is empty or
 * not within the pool. ENOSPC: the limit for all pools is reached. ENOMEM: no
 * memory. EINTR: the task is being killed.
 */
#define MMAP_POOL_PREFAULT \
	_IOW(MMAP_POOL_IOC_MAGIC, 0x04, struct mmap_pool_range)

/**
 * MMAP_POOL_SEAL - add seals, for good
 *
 * Needs a descriptor that is open for writing.
 *
 * EBADF: the descriptor is not open for writing. EPERM: MMAP_POOL_SEAL_SEAL was
 * added before; the default pool, without CAP_SYS_ADMIN. EBUSY:
 * MMAP_POOL_SEAL_WRITE, and there is a shared mapping that can be written to.
 * EINVAL: an unknown seal.
 */
#define MMAP_POOL_SEAL	_IOW(MMAP_POOL_IOC_MAGIC, 0x05, struct mmap_pool_seal)

/**
 * MMAP_POOL_REVOKE - revoke the pool
 *
 * The descriptor may be open for anything: what counts is who the task is. The
 * pool's memory is freed, touching a mapping of it is SIGBUS from then on,
 * reading, writing and mapping it is ENODEV. It waits for no other call on the
 * pool.
 *
 * EPERM: neither the pool's owner nor CAP_SYS_ADMIN; the default pool, without
 * CAP_SYS_ADMIN; a pool with MMAP_POOL_STRATEGY_EAGER.
 */
#define MMAP_POOL_REVOKE	_IO(MMAP_POOL_IOC_MAGIC, 0x06)

/**
 * MMAP_POOL_STAT - describe all pools together
 *
 * Needs the node /dev/mmap_pool, open for anything.
 *
 * ENOTTY: the descriptor is one of a created pool.
 */
#define MMAP_POOL_STAT	_IOR(MMAP_POOL_IOC_MAGIC, 0x07, struct mmap_pool_stat)

#endif /* _UAPI_LINUX_MMAP_POOL_H */
