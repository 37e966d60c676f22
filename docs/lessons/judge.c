// SPDX-License-Identifier: GPL-2.0
/*
 * judge NODE: runs mmap-conformance on a lesson's node, or on a new file of it. Prints a line for
 * each row.
 */
#include "lesson.h"

#include <limits.h>
#include <linux/blkpg.h>

/* The rows begin with 1 MiB, and the disk of lesson 8 is larger: returns a part of it. */
static const char *disk_of_1_mib(void)
{
	static char path[PATH_MAX + 1];
	struct blkpg_partition part = { .length = 1 << 20, .pno = 1 };
	struct blkpg_ioctl_arg add = {
		.op = BLKPG_ADD_PARTITION, .datalen = sizeof(part), .data = &part,
	};
	int disk = open("/dev/scratch", O_RDWR);

	if (disk < 0)
		return "";
	/* EBUSY: it is there already. */
	if ((ioctl(disk, BLKPG, &add) && errno != EBUSY) || !realpath("/dev/scratch", path))
		die("/dev/scratch");
	close(disk);
	return strcat(path, "1");
}

int main(int argc, char **argv)
{
	char path[64];
	int file;

	if (argc != 2)
		return 2;
	file = open_node_on(argv[1], disk_of_1_mib());
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), file);
	/* The descriptor stays open, because this process waits. */
	if (fork() == 0)
		execlp("mmap-conformance", "mmap-conformance", "--records", path, NULL);
	return wait(NULL) < 0;
}
