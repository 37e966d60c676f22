// SPDX-License-Identifier: GPL-2.0
/*
 * show NODE…: pages that are touched while the end moves before them.
 */
#include "../lesson.h"

#include <pthread.h>

static int memory;
static char *mapping;
static off_t touched;

/* A system call fails where a load or a store would be SIGBUS. */
static void *touch(void *unused)
{
	pwrite(memory, "old", 4, touched);
	return unused;
}

static void resize(int fd, size_t nr)
{
	if (ioctl(fd, RESIZE, nr) && ftruncate(fd, nr * PAGE))
		die("resize");
}

int main(int argc, char **argv)
{
	memory = open("/proc/self/mem", O_RDWR);
	for (int i = 1; i < argc; i++) {
		int fd = open_node(argv[i]), nr_past = 0, nr_old = 0;

		mapping = map(fd, MAP_SHARED, 256, 0);
		for (size_t page = 64; page < 72; page++) {
			pthread_t thread;
			char byte;

			touched = (uintptr_t)(mapping + page * PAGE);
			pthread_create(&thread, NULL, touch, NULL);
			usleep(30000);
			resize(fd, page);
			pthread_join(thread, NULL);
			nr_past += pread(memory, &byte, 1, touched) == 1;
			resize(fd, 256);
			nr_old += pread(memory, &byte, 1, touched) == 1 && byte;
		}
		printf("%s\n", argv[i]);
		printf("  touch, and move the end before it → %d of 8 pages are still there\n",
		       nr_past);
		printf("  move the end back and read → %d of 8 pages have the old bytes\n",
		       nr_old);
	}
}
