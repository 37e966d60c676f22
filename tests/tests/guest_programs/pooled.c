// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Preloaded, gives a program pools in the place of memory without a file: each
 * large mapping is one of a new pool, shared. POOLED is the strategy's number.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <linux/mmap_pool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where something of the mapping's own is wanted, or it is small. */
#define OTHERS (MAP_FIXED | MAP_GROWSDOWN | MAP_STACK | MAP_HUGETLB)
#define LARGE 65536

static int create_pool(size_t len)
{
	struct mmap_pool_create create = { .size_bytes = len };
	const char *strategy = getenv("POOLED");
	int node, pool;

	node = openat(AT_FDCWD, "/dev/mmap_pool", O_RDWR | O_CLOEXEC);
	if (node < 0)
		return -1;
	create.strategy = strategy ? atoi(strategy) : MMAP_POOL_STRATEGY_PAGE;
	pool = ioctl(node, MMAP_POOL_CREATE, &create);
	close(node);
	return pool;
}

/* sys/mman.h declares it otherwise where files are small. */
void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	int saved = errno, pool = -1;
	long mapping;

	if (flags & MAP_ANONYMOUS && !(flags & OTHERS) && len >= LARGE)
		pool = create_pool(len);
	if (pool < 0) {
		errno = saved;
		return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
	}
	flags &= ~(MAP_ANONYMOUS | MAP_PRIVATE);
	mapping = syscall(SYS_mmap, addr, len, prot, flags | MAP_SHARED, pool, 0);
	saved = mapping == -1 ? errno : saved;
	close(pool);
	errno = saved;
	return (void *)mapping;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return mmap64(addr, len, prot, flags, fd, offset);
}
