// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Creates a pool, maps it, writes through the mapping, and reads the same bytes
 * through the descriptor.
 *
 *	cc -o create_and_map create_and_map.c && sudo ./create_and_map
 *
 * `make install-headers` installs the header.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/mmap_pool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	struct mmap_pool_create create = {
		.size_bytes = 1 << 20,
		.strategy = MMAP_POOL_STRATEGY_AUTO,
		.name = "example",
	};
	struct mmap_pool_info info;
	char bytes[6] = "";
	char *memory;
	int node, pool;

	node = open("/dev/mmap_pool", O_RDWR | O_CLOEXEC);
	if (node < 0)
		err(1, "/dev/mmap_pool");
	pool = ioctl(node, MMAP_POOL_CREATE, &create);
	if (pool < 0)
		err(1, "MMAP_POOL_CREATE");
	memory = mmap(NULL, create.size_bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED, pool, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");

	memcpy(memory + 4096, "hello", 5);
	if (pread(pool, bytes, 5, 4096) != 5)
		err(1, "pread");
	if (ioctl(pool, MMAP_POOL_INFO, &info))
		err(1, "MMAP_POOL_INFO");
	printf("%s, and %llu of %llu pages hold memory\n", bytes,
	       (unsigned long long)info.nr_resident_pages,
	       (unsigned long long)(info.size_bytes / info.page_size_bytes));
	return 0;
}
