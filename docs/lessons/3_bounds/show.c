// SPDX-License-Identifier: GPL-2.0
/*
 * show NODE…: which page is where, and where the device ends.
 */
#include "../lesson.h"

static const char *size(int fd, size_t nr)
{
	return ioctl(fd, RESIZE, nr) ? strerrorname_np(errno) : "ok";
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int fd = open_node(argv[i]);
		char *mapping = map(fd, MAP_SHARED, 256, 0), *part, *longer;

		printf("%s\n", argv[i]);
		for (size_t page = 0; page < 20; page++)
			mapping[page * PAGE] = 'a' + page;
		part = map(fd, MAP_SHARED, 8, 5);
		printf("  page 5 has 'f': map from page 5 on, read → %s\n", load(part));
		/* An area can begin anywhere in a mapping. */
		munmap(part, 4 * PAGE);
		printf("  page 10 has 'k': unmap the first 4 pages, read it → %s\n",
		       load(part + 5 * PAGE));
		part = map(fd, MAP_SHARED, 1, 256);
		printf("  map a page past the end, read → %s\n", load(part));
		longer = map(fd, MAP_SHARED, 300, 0);
		printf("  map 300 of 256 pages → %s\n", outcome(longer));
		if (longer) {
			printf("  read page 255, page 256 → %s, ", load(longer + 255 * PAGE));
			printf("%s\n", load(longer + 256 * PAGE));
		}
		part = map(fd, MAP_SHARED, 2, INT64_MAX / PAGE);
		printf("  an end past the largest offset → %s\n", outcome(part));
		printf("  make it 10 pages → %s", size(fd, 10));
		printf("; page 3, page 15 → %s, ", load(mapping + 3 * PAGE));
		printf("%s\n", load(mapping + 15 * PAGE));
		printf("  make it 256 pages → %s", size(fd, 256));
		printf("; page 15 → %s\n", load(mapping + 15 * PAGE));
	}
}
