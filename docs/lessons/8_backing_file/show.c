// SPDX-License-Identifier: GPL-2.0
/*
 * show NODE…: when bytes reach the disk, and more data than memory. The disk is /dev/scratch.
 */
#include "../lesson.h"

#include <sys/stat.h>

#define NR_PAGES 8192

/* Returns a new file of the node, as long as the disk. */
static int open_file(const char *node)
{
	int file = open_node(node);

	if (ftruncate(file, NR_PAGES * PAGE) && errno != EPERM)
		die("ftruncate");
	return file;
}

/* Says what a byte of the disk is, past all caches. */
static char on_disk(off_t offset)
{
	char *block = aligned_alloc(PAGE, PAGE), byte;
	int disk = open("/dev/scratch", O_RDONLY | O_DIRECT);

	if (!block || pread(disk, block, PAGE, offset) != PAGE)
		die("/dev/scratch");
	byte = block[0] ? block[0] : '0';
	free(block);
	close(disk);
	return byte;
}

static void put(const char *path, long number)
{
	FILE *file = fopen(path, "w");

	if (!file || fprintf(file, "%ld", number) < 0 || fclose(file))
		die(path);
}

/* Stores to each page and looks at all of them, with too little memory. */
static const char *store_all(char *mapping)
{
	int status;

	if (fork() == 0) {
		put("/sys/fs/cgroup/small/cgroup.procs", getpid());
		for (size_t page = 0; page < NR_PAGES; page++)
			mapping[page * PAGE] = 'a' + page % 26;
		for (size_t page = 0; page < NR_PAGES; page++)
			if (get(&mapping[page * PAGE]) != (char)('a' + page % 26))
				_exit(1);
		_exit(0);
	}
	wait(&status);
	if (WIFSIGNALED(status))
		return "killed: out of memory";
	return WEXITSTATUS(status) ? "bytes are lost" : "all bytes are right";
}

int main(int argc, char **argv)
{
	FILE *control = fopen("/sys/fs/cgroup/cgroup.subtree_control", "w");

	if (!control || fputs("+memory", control) < 0 || fclose(control))
		die("cgroup.subtree_control");
	if (mkdir("/sys/fs/cgroup/small", 0700))
		die("mkdir");
	put("/sys/fs/cgroup/small/memory.max", 12 << 20);
	for (int i = 1; i < argc; i++) {
		int fd = open_file(argv[i]);
		char *mapping = map(fd, MAP_SHARED, NR_PAGES, 0);
		long before;
		int nr_calls;

		printf("%s\n", argv[i]);
		mapping[0] = 'k';
		printf("  store 'k' → the disk has '%c'", on_disk(0));
		if (msync(mapping, PAGE, MS_SYNC))
			die("msync");
		printf(", after msync() '%c'\n", on_disk(0));
		before = nr_faults();
		mapping[0] = 'l';
		printf("  the next store after msync() → %ld faults", nr_faults() - before);
		before = nr_faults();
		mapping[0] = 'm';
		printf(", and one more → %ld\n", nr_faults() - before);
		munmap(mapping, NR_PAGES * PAGE);
		close(fd);
		fd = open_file(argv[i]);
		mapping = map(fd, MAP_SHARED, NR_PAGES, 0);
		printf("  close it, make a new one and read → %s\n", load(mapping));
		printf("  32 MiB of data in 12 MiB of memory → %s\n", store_all(mapping));
		/* The driver of the exercise has it. */
		nr_calls = ioctl(fd, COUNT, 0);
		if (nr_calls >= 0)
			printf("  page_mkwrite has run %d times\n", nr_calls);
		munmap(mapping, NR_PAGES * PAGE);
		close(fd);
	}
}
