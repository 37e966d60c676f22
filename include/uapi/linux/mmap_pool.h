/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Userspace interface of /dev/mmap_pool.
 *
 * src/uapi.rs defines the same interface in Rust, for the module and for the
 * Rust library. A test compares the sizes, offsets and numbers. The comments
 * that begin with two stars are also the text of the manual page mmap_pool(4).
 */
#ifndef _UAPI_LINUX_MMAP_POOL_H
#define _UAPI_LINUX_MMAP_POOL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Version of this interface, reported in mmap_pool_info.abi_version. */
#define MMAP_POOL_ABI_VERSION	1

/* Type byte of every ioctl of the device. */
#define MMAP_POOL_IOC_MAGIC	0xBC

/* Length of mmap_pool_create.name in bytes, with the terminating zero. */
#define MMAP_POOL_NAME_LEN	64

/**
 * DOC: Requests
 *
 * No structure contains padding or pointers, so 32-bit programs use the same
 * structures. Members called reserved are zero in answers, and must be zero in
 * arguments, else the request fails with EINVAL. If the argument does not point
 * to accessible memory, the request fails with EFAULT. If the number is unknown,
 * it fails with ENOTTY. If the pool was revoked, a request that uses its memory
 * fails with ENODEV; MMAP_POOL_INFO, MMAP_POOL_STAT and MMAP_POOL_CREATE do not.
 */

/**
 * DOC: Reading, writing, mapping
 *
 * The descriptor must be open for the operation. If it is not open for reading,
 * read() fails with EBADF. If it is not open for writing, write() fails with
 * EBADF. mmap() needs a descriptor that is open for reading. A writable shared
 * mapping needs one that is open for writing as well. Otherwise mmap() fails
 * with EACCES.
 *
 * Seals restrict these operations. With MMAP_POOL_SEAL_WRITE, write() fails with
 * EPERM, and so does mmap() of a writable shared mapping. mprotect() that makes a
 * shared mapping writable fails with EACCES. With MMAP_POOL_SEAL_GROW, write()
 * at or past the end of a created pool fails with EPERM. A write() that begins
 * before the end writes the part before the end. ftruncate() and fallocate() of
 * a created pool fail with EPERM if a seal forbids the change.
 *
 * write() at or past the end of the default pool fails with ENOSPC. When all
 * pools together have reached their limit, a write() that needs a new page fails
 * with ENOSPC, and touching a mapped page that has no memory yet is SIGBUS.
 * Touching a page past the end of the pool is SIGBUS. After a pool was revoked,
 * these calls fail with ENODEV, and touching a mapped page is SIGBUS.
 */

/**
 * DOC: Backed pools
 *
 * A pool with MMAP_POOL_CREATE_BACKED is a cache of a regular file or a block
 * device, its backing object. It has the object's size, which is fixed. Its
 * pages are read in when they are touched. The kernel writes dirty pages back
 * after a while, when memory is short, and for msync(), fsync() and
 * sync_file_range(). Pages that are not dirty can leave memory at any time. So
 * the pool can be larger than memory. The last close writes back what is dirty.
 *
 * Such a pool has MMAP_POOL_SEAL_SHRINK and MMAP_POOL_SEAL_GROW from the start.
 * A size that differs fails with EPERM. write() at or past the end fails with
 * ENOSPC. fallocate() allocates storage of the object. MMAP_POOL_PUNCH, and modes
 * of fallocate() that make holes or zero a range, do so in the object; they fail
 * with EOPNOTSUPP if it cannot. MMAP_POOL_PREFAULT fails with ENOTTY. The limit of
 * all pools and the reserve do not concern such a pool.
 *
 * If the object cannot be read, touching the page is SIGBUS, and read() fails
 * with EIO. If it cannot be written, msync() and fsync() fail with the error of
 * the object, such as EIO or ENOSPC. Each open file reports an error once.
 *
 * The object must not be written in another way while the pool exists: the pool
 * does not notice, and may write older bytes over it.
 */
#define MMAP_POOL_CREATE_BACKED		0x1	/* a cache of a file or a block device */
#define MMAP_POOL_CREATE_PREALLOCATE	0x2	/* allocate storage for the whole pool */
#define MMAP_POOL_CREATE_TRACK		0x4	/* MMAP_POOL_DIRTY tells what was written */
#define MMAP_POOL_CREATE_READ_ONLY	0x8	/* MMAP_POOL_SEAL_WRITE from the start */

/**
 * struct mmap_pool_info - size and statistics of a pool
 * @size_bytes: size of the pool: the bytes that can be mapped and read
 * @nr_resident_pages: pages that hold memory now
 * @nr_faults: page faults that the pool has resolved or refused since it was
 *	created, without those that the kernel served from resident neighbours
 *	(fault-around)
 * @nr_allocated_pages: pages allocated since the pool was created
 * @page_size_bytes: size of a page
 * @abi_version: MMAP_POOL_ABI_VERSION of the module
 * @seals: MMAP_POOL_SEAL_ bits of the seals that were added
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
 * struct mmap_pool_create - description of the pool that MMAP_POOL_CREATE creates
 * @size_bytes: size of the pool, any number of bytes; zero with
 *	MMAP_POOL_CREATE_BACKED
 * @flags: MMAP_POOL_CREATE_ bits
 * @strategy: one of MMAP_POOL_STRATEGY_; zero with MMAP_POOL_CREATE_BACKED
 * @backing_fd: descriptor of the backing object with MMAP_POOL_CREATE_BACKED,
 *	else zero
 * @reserved: zero
 * @name: name of the pool in /proc; ends with a zero byte
 */
struct mmap_pool_create {
	__u64 size_bytes;
	__u32 flags;
	__u32 strategy;
	__u32 backing_fd;
	__u32 reserved;
	__u8 name[MMAP_POOL_NAME_LEN];
};

/**
 * struct mmap_pool_resize - new size for MMAP_POOL_RESIZE
 * @size_bytes: size in bytes; for the default pool, a multiple of the page size
 * @reserved: zero
 */
struct mmap_pool_resize {
	__u64 size_bytes;
	__u64 reserved;
};

/**
 * struct mmap_pool_range - byte range for MMAP_POOL_PUNCH and _PREFAULT
 * @offset_bytes: first byte
 * @len_bytes: number of bytes, not zero
 */
struct mmap_pool_range {
	__u64 offset_bytes;
	__u64 len_bytes;
};

/**
 * struct mmap_pool_dirty - question of MMAP_POOL_DIRTY
 * @offset_bytes: first byte, a multiple of the page size
 * @len_bytes: number of bytes, not zero; the last page may be a part
 * @words_address: address of the answer, 8 bytes for each 64 pages: bit i of word
 *	w says whether page 64 * w + i of the range was written
 * @reserved: zero
 */
struct mmap_pool_dirty {
	__u64 offset_bytes;
	__u64 len_bytes;
	__u64 words_address;
	__u64 reserved;
};

/**
 * struct mmap_pool_backing - state of a backed pool
 * @nr_dirty_pages: pages that must be written back
 * @nr_writeback_pages: pages that are being written back
 * @nr_read_bytes: bytes read from the backing object since the pool was created
 * @nr_written_bytes: bytes written to the backing object since the pool was
 *	created
 * @nr_writes: writes to the backing object since the pool was created
 * @nr_errors: reads and writes of the backing object that failed since the pool
 *	was created
 * @reserved: zero
 */
struct mmap_pool_backing {
	__u64 nr_dirty_pages;
	__u64 nr_writeback_pages;
	__u64 nr_read_bytes;
	__u64 nr_written_bytes;
	__u64 nr_writes;
	__u64 nr_errors;
	__u64 reserved[2];
};

/**
 * struct mmap_pool_seal - seals that MMAP_POOL_SEAL adds
 * @seals: MMAP_POOL_SEAL_ bits
 * @reserved: zero
 */
struct mmap_pool_seal {
	__u32 seals;
	__u32 reserved;
};

/**
 * struct mmap_pool_stat - statistics of all pools together
 * @nr_pools: number of pools, with the default pool
 * @nr_resident_pages: pages of all pools that hold memory now
 * @nr_limit_pages: most pages that all pools together can hold: module
 *	parameter limit_mb
 * @nr_refused_pages: number of times that this limit refused a page
 * @nr_reserve_pages: zeroed pages in the reserve; they are in no pool yet, so
 *	nr_resident_pages and the limit do not count them
 * @nr_reserve_hits: pages that came from the reserve, since the module was
 *	loaded
 * @nr_reserve_misses: pages that were zeroed when they were needed, since the
 *	module was loaded
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
 * A seal forbids an operation permanently, through every descriptor. The bits
 * are those of F_ADD_SEALS, but fcntl() does not support pools: it fails with
 * EINVAL.
 */
#define MMAP_POOL_SEAL_SEAL	0x1	/* no more seals can be added */
#define MMAP_POOL_SEAL_SHRINK	0x2	/* the pool cannot shrink */
#define MMAP_POOL_SEAL_GROW	0x4	/* the pool cannot grow */
#define MMAP_POOL_SEAL_WRITE	0x8	/* the pool cannot be written to */

/**
 * DOC: Strategies
 *
 * The strategy decides when a pool allocates its pages, and how many at a time.
 * write, fallocate and MMAP_POOL_PREFAULT allocate as page faults do.
 *
 * MMAP_POOL_STRATEGY_AUTO: a page fault that continues a run of resident pages
 * allocates as many pages as the run has, up to 2 MiB at once. Any other page
 * fault allocates only the touched page. So a sequential walk gets 1, 1, 2, 4,
 * 8, ... pages at a time.
 *
 * MMAP_POOL_STRATEGY_AROUND: a page fault allocates and maps the aligned 64 KiB
 * that contain the touched page.
 *
 * MMAP_POOL_STRATEGY_HUGE: the pool allocates the largest blocks that fit and
 * are available, up to 2 MiB at once. With pages of 4 KiB, a single page-table
 * entry maps that much.
 *
 * MMAP_POOL_STRATEGY_EAGER: the pool allocates all its pages when it is created
 * or grows, so touching it never allocates memory. Such a pool never gives pages
 * back. It has MMAP_POOL_SEAL_SHRINK from the start, and making a hole in it or
 * revoking it fails with EPERM.
 *
 * MMAP_POOL_STRATEGY_PAGE: a page fault allocates only the touched page.
 */
#define MMAP_POOL_STRATEGY_AUTO		0
#define MMAP_POOL_STRATEGY_AROUND	1
#define MMAP_POOL_STRATEGY_HUGE		2
#define MMAP_POOL_STRATEGY_EAGER	3
#define MMAP_POOL_STRATEGY_PAGE		4

#define MMAP_POOL_FLAG_DEFAULT	0x1	/* the pool of the device node */
#define MMAP_POOL_FLAG_REVOKED	0x2	/* the pool was revoked */
#define MMAP_POOL_FLAG_BACKED	0x4	/* the pool has a backing object */

/**
 * MMAP_POOL_INFO - describe the pool behind a descriptor
 *
 * The descriptor may be open for reading, for writing, or for both. The request
 * works on a revoked pool as well.
 */
#define MMAP_POOL_INFO	_IOR(MMAP_POOL_IOC_MAGIC, 0x00, struct mmap_pool_info)

/**
 * MMAP_POOL_CREATE - create a pool and return a new descriptor for it
 *
 * Needs the node /dev/mmap_pool, open for writing. A descriptor of a created
 * pool cannot create more pools. The new descriptor is open for reading and
 * writing, and has O_CLOEXEC set. It refers to a regular file: fstat(),
 * ftruncate() and fallocate() work on it, and /proc/self/fd/N opens it again.
 * The pool exists as long as a descriptor or a mapping of it exists.
 *
 * With MMAP_POOL_CREATE_BACKED the pool is a cache of the object behind
 * backing_fd. The pool opens the object again for itself, so backing_fd can be
 * closed. With MMAP_POOL_CREATE_READ_ONLY the new descriptor is open for reading
 * only.
 *
 * EBADF: the node is not open for writing, or backing_fd is not open. ENOTTY: the
 * descriptor is one of a created pool. EINVAL: a flag is unknown or does not fit
 * the others, the strategy is unknown, the name has no zero byte, or the size is
 * larger than a file can be; the backing object is empty, or is neither a regular
 * file nor a block device. EACCES: backing_fd is not open for reading, or without
 * MMAP_POOL_CREATE_READ_ONLY not for writing, or the file can only be appended
 * to. EBUSY: the object backs a pool already, or the device is in use, for
 * example mounted. EOPNOTSUPP: the file is not on a file system on a block
 * device, or a program fills it when it is read (FAN_PRE_ACCESS), or it is to be
 * preallocated, and its file system cannot do that. EPERM,
 * ETXTBSY, EROFS: the file is immutable, used for swapping, or on a read-only
 * file system. EFBIG: the size is larger than RLIMIT_FSIZE; the process also gets
 * SIGXFSZ. ENOSPC: the pool has MMAP_POOL_STRATEGY_EAGER, and all pools together
 * have reached their limit; or no storage is left to preallocate. EINTR: a
 * signal kills the task. EMFILE, ENFILE: too many open files. ENOMEM: out of
 * memory.
 */
#define MMAP_POOL_CREATE \
	_IOW(MMAP_POOL_IOC_MAGIC, 0x01, struct mmap_pool_create)

/**
 * MMAP_POOL_RESIZE - change the size of the pool
 *
 * Needs a descriptor that is open for writing. A smaller size frees the pages
 * past the new end. Private copies of these pages are freed as well. Touching a
 * mapping past the new end is SIGBUS.
 *
 * EBADF: the descriptor is not open for writing. EPERM: a seal forbids the
 * change, or the pool is the default pool and the task does not have
 * CAP_SYS_ADMIN. ENOSPC: the pool has MMAP_POOL_STRATEGY_EAGER, and all pools
 * together have reached their limit. EFBIG: the new size is larger than the old
 * one and than RLIMIT_FSIZE; the process also gets SIGXFSZ. EINTR: a signal
 * kills the task. EINVAL: the size is larger than a file can be. For the default
 * pool, also: the size is zero, not a multiple of the page size, or larger than
 * the machine's memory.
 */
#define MMAP_POOL_RESIZE \
	_IOW(MMAP_POOL_IOC_MAGIC, 0x02, struct mmap_pool_resize)

/**
 * MMAP_POOL_PUNCH - make a hole: free whole pages, zero parts of pages
 *
 * Needs a descriptor that is open for writing. Private copies stay.
 *
 * EBADF: the descriptor is not open for writing. EPERM: the pool is sealed
 * against writing, or has MMAP_POOL_STRATEGY_EAGER. EINVAL: the range is empty,
 * or ends past the largest size of a file. EOPNOTSUPP: the backing object of the
 * pool cannot. EINTR: a signal kills the task. EIO and others: the backing object
 * has failed; each byte of the range has its old value or is zero.
 */
#define MMAP_POOL_PUNCH	_IOW(MMAP_POOL_IOC_MAGIC, 0x03, struct mmap_pool_range)

/**
 * MMAP_POOL_PREFAULT - allocate the pages of a range that have no memory yet
 *
 * Needs a descriptor that is open for writing. The strategy of the pool decides
 * how many pages are allocated at a time, so the pages may extend beyond the
 * range. After an error, some of the pages may be allocated.
 *
 * EBADF: the descriptor is not open for writing. EINVAL: the range is empty or
 * not inside the pool. ENOSPC: all pools together have reached their limit.
 * ENOMEM: out of memory. EINTR: a signal kills the task. ENOTTY: the pool has a
 * backing object.
 */
#define MMAP_POOL_PREFAULT \
	_IOW(MMAP_POOL_IOC_MAGIC, 0x04, struct mmap_pool_range)

/**
 * MMAP_POOL_SEAL - add seals permanently
 *
 * Needs a descriptor that is open for writing. Before a pool with a backing
 * object is sealed against writing, its dirty pages are written back.
 *
 * EBADF: the descriptor is not open for writing. EPERM: the pool has
 * MMAP_POOL_SEAL_SEAL, or it is the default pool and the task does not have
 * CAP_SYS_ADMIN. EBUSY: MMAP_POOL_SEAL_WRITE was asked for, and a writable
 * shared mapping exists. EINVAL: a seal is unknown. EIO, ENOSPC: the dirty
 * pages could not be written back, and no seal was added.
 */
#define MMAP_POOL_SEAL	_IOW(MMAP_POOL_IOC_MAGIC, 0x05, struct mmap_pool_seal)

/**
 * MMAP_POOL_REVOKE - revoke the pool
 *
 * The task must own the pool. The descriptor may be open for reading, for
 * writing, or for both. The request frees the pool's memory. From then on,
 * touching a mapping of the pool is SIGBUS, and reading, writing and mapping the
 * pool fail with ENODEV. The request does not wait for other calls on the pool.
 *
 * For a pool with a backing object, the request first writes back the dirty
 * pages, and waits for that.
 *
 * EPERM: the task does not own the pool and does not have CAP_FOWNER, the pool
 * is the default pool and the task does not have CAP_SYS_ADMIN, or the pool has
 * MMAP_POOL_STRATEGY_EAGER. ENODEV: the pool was revoked before. EIO, ENOSPC: the
 * dirty pages could not be written back, and the pool is revoked all the same.
 */
#define MMAP_POOL_REVOKE	_IO(MMAP_POOL_IOC_MAGIC, 0x06)

/**
 * MMAP_POOL_STAT - describe all pools together
 *
 * Needs the node /dev/mmap_pool, open for reading, for writing, or for both.
 *
 * ENOTTY: the descriptor is one of a created pool.
 */
#define MMAP_POOL_STAT	_IOR(MMAP_POOL_IOC_MAGIC, 0x07, struct mmap_pool_stat)

/**
 * MMAP_POOL_DIRTY - tell which pages were written since the last question
 *
 * Tells which pages of a range were written, by any mapping or call of any
 * process, and forgets it. Needs a descriptor that is open for reading, of a pool
 * with MMAP_POOL_CREATE_TRACK. A page that is written during the request is in
 * this answer, in the next, or in both; so is a page that is pinned, for example
 * by direct I/O. After an error, what the words before the error say is forgotten.
 *
 * ENOTTY: the pool has no MMAP_POOL_CREATE_TRACK. EBADF: the descriptor is not
 * open for reading. EINVAL: the range is empty, not inside the pool, or does not
 * begin at a page. EINTR: a signal kills the task.
 */
#define MMAP_POOL_DIRTY	_IOW(MMAP_POOL_IOC_MAGIC, 0x08, struct mmap_pool_dirty)

/**
 * MMAP_POOL_BACKING - describe the backing object of a pool
 *
 * Also tells what waits to be written to the object. The descriptor may be open
 * for reading, for writing, or for both.
 *
 * ENOTTY: the pool has no backing object.
 */
#define MMAP_POOL_BACKING \
	_IOR(MMAP_POOL_IOC_MAGIC, 0x09, struct mmap_pool_backing)

#endif /* _UAPI_LINUX_MMAP_POOL_H */
