// SPDX-License-Identifier: GPL-2.0
/*
 * show NODE…: what a mapping costs before a touch, and what a touch costs.
 */
#include "../lesson.h"

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int fd = open_node(argv[i]);
		char *mapping = map(fd, MAP_SHARED, 256, 0), *again;
		long before;

		printf("%s\n", argv[i]);
		if (!mapping) {
			printf("  mmap() → %s\n", outcome(mapping));
			continue;
		}
		printf("  256 pages mapped, none touched → %zu in the page table\n",
		       nr_mapped(mapping, 256));
		before = nr_faults();
		for (size_t page = 0; page < 256; page++)
			mapping[page * PAGE] = 'a';
		printf("  touch all of them → %ld faults\n", nr_faults() - before);
		again = map(open_node(argv[i]), MAP_SHARED, 256, 0);
		printf("  read page 7 through a second mapping → '%c'\n", again[7 * PAGE]);
		printf("  private mapping → %s\n", outcome(map(fd, MAP_PRIVATE, 1, 0)));
	}
}
