// SPDX-License-Identifier: GPL-2.0
/*
 * Maps /dev/memory shared and private, and compares what a program sees with what
 * read() sees. The status is 0 if all of it is as with a file.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(what) check(what, #what)

static void check(int is_so, const char *what)
{
	if (!is_so) {
		fprintf(stderr, "not so: %s\n", what);
		exit(1);
	}
}

int main(void)
{
	int fd = open("/dev/memory", O_RDWR);
	char bytes[8] = "";
	char *shared, *private;

	CHECK(fd >= 0);
	shared = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(shared != MAP_FAILED && private != MAP_FAILED);
	CHECK(shared[5000] == 0);

	memcpy(shared + 5000, "shared", 7);
	CHECK(!strcmp(private + 5000, "shared"));
	memcpy(private + 5000, "mine", 5);
	CHECK(!strcmp(shared + 5000, "shared"));
	CHECK(pread(fd, bytes, sizeof(bytes), 5000) == sizeof(bytes));
	CHECK(!strcmp(bytes, "shared"));

	CHECK(pwrite(fd, "written", 8, 9000) == 8);
	CHECK(!strcmp(shared + 9000, "written"));
	CHECK(pwrite(fd, "written", 8, (1 << 20) - 3) == 3);
	CHECK(pwrite(fd, "written", 8, 1 << 20) == -1 && errno == ENOSPC);

	CHECK(!munmap(private, 1 << 20));
	CHECK(pread(fd, private, 8, 0) == -1 && errno == EFAULT);
	return 0;
}
