// SPDX-License-Identifier: GPL-2.0
/*
 * show NODE…: faults and page-table entries for 16 MiB, and what a touch allocates.
 */
#include "../lesson.h"

#include <sys/stat.h>

#define NR_PAGES 4096

static long nr_resident(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat))
		die("fstat");
	return stat.st_blocks * 512 / PAGE;
}

/* The bytes that huge entries of the page tables map, in MiB. */
static long mib_huge(void)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	long sum = 0, kib;
	char line[256];

	if (!smaps)
		die("/proc/self/smaps");
	while (fgets(line, sizeof(line), smaps))
		if (sscanf(line, "FilePmdMapped: %ld kB", &kib) == 1)
			sum += kib;
	fclose(smaps);
	return sum >> 10;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int fd = open_node(argv[i]);
		char *mapping;
		long before;

		if (ftruncate(fd, NR_PAGES * PAGE))
			die("ftruncate");
		printf("%s\n", argv[i]);
		mapping = map(fd, MAP_SHARED, NR_PAGES, 0);
		before = nr_faults();
		for (size_t page = 0; page < NR_PAGES; page++)
			mapping[page * PAGE] = 'a';
		printf("  store to 4096 pages in order → %ld faults; ", nr_faults() - before);
		printf("huge entries map %ld of 16 MiB\n", mib_huge());
		munmap(mapping, NR_PAGES * PAGE);
		mapping = map(fd, MAP_SHARED, NR_PAGES, 0);
		before = nr_faults();
		for (size_t page = 0; page < NR_PAGES; page++)
			mapping[page * PAGE] = 'b';
		printf("  again, through a new mapping → %ld faults; ", nr_faults() - before);
		printf("huge entries map %ld of 16 MiB\n", mib_huge());
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3000 * PAGE, PAGE))
			die("fallocate");
		printf("  make a hole of one page → %ld pages are resident\n", nr_resident(fd));
		if (ftruncate(fd, 0) || ftruncate(fd, NR_PAGES * PAGE))
			die("ftruncate");
		for (size_t page = 0; page < NR_PAGES; page += 512)
			mapping[page * PAGE] = 'c';
		printf("  store to 8 pages far apart → %ld pages are resident\n",
		       nr_resident(fd));
		munmap(mapping, NR_PAGES * PAGE);
		close(fd);
	}
}
