// SPDX-License-Identifier: GPL-2.0
/*
 * show NODE…: what comes with a page cache.
 */
#include "../lesson.h"

#include <linux/futex.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int fd = open_node(argv[i]);
		char *mapping = map(fd, MAP_SHARED, 256, 0);
		char bytes[8] = "";
		long before, woken;
		ssize_t done;

		printf("%s\n", argv[i]);
		memcpy(mapping + 5000, "stored", 7);
		done = pread(fd, bytes, sizeof(bytes), 5000);
		printf("  store, then pread() → %s\n", done < 0 ? strerrorname_np(errno) : bytes);
		done = pwrite(fd, "written", 8, 9000);
		printf("  pwrite(), then load → %s\n",
		       done < 0 ? strerrorname_np(errno) : mapping + 9000);
		woken = syscall(SYS_futex, mapping, FUTEX_WAKE, 1, NULL, NULL, 0);
		printf("  FUTEX_WAKE in a shared mapping → %s\n",
		       woken < 0 ? strerrorname_np(errno) : "ok");
		for (size_t page = 64; page < 128; page++)
			mapping[page * PAGE] = 'a';
		/* Fault-around works on aligned groups of pages, so the address is aligned. */
		mapping = mmap((void *)((unsigned long)i << 40), 256 * PAGE, RW,
			       MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
		if (mapping == MAP_FAILED)
			die("mmap");
		before = nr_faults();
		for (size_t page = 64; page < 128; page++)
			get(&mapping[page * PAGE]);
		printf("  load 64 pages that are there → %ld faults\n", nr_faults() - before);
	}
}
