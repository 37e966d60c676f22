// SPDX-License-Identifier: GPL-2.0
/*
 * show NODE…: when a page comes into the page table.
 */
#include "../lesson.h"

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *mapping = map(open_node(argv[i]), MAP_SHARED, 256, 0), *rest;
		long before;

		printf("%s\n", argv[i]);
		printf("  256 pages mapped, none touched → %zu in the page table\n",
		       nr_mapped(mapping, 256));
		before = nr_faults();
		for (size_t page = 40; page < 43; page++)
			mapping[page * PAGE] = 'a' + page - 40;
		printf("  store to 3 pages → %ld faults, ", nr_faults() - before);
		printf("%zu in the page table\n", nr_mapped(mapping, 256));
		before = nr_faults();
		mapping[40 * PAGE]++;
		printf("  store to one again → %ld faults\n", nr_faults() - before);
		/* What is left for lesson 3. */
		rest = map(open_node(argv[i]), MAP_SHARED, 1, 41);
		printf("  page 41 has 'b': map it alone, read → %s\n", load(rest));
	}
}
