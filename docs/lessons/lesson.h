/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the demonstrations of the lessons share.
 */
#ifndef _LESSON_H
#define _LESSON_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)

/* The ioctls of the lessons. */
#define RESIZE _IO('L', 1)
#define COUNT _IO('L', 2)
#define CREATE _IO('L', 3)
#define BACK _IO('L', 4)

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

/*
 * Opens a node. If it makes files (from lesson 6 on), returns a new file of it: of 1 MiB, or of
 * this disk (lesson 8).
 */
static inline int open_node_on(const char *node, const char *path)
{
	int file, disk = open(path, O_RDWR), fd = open(node, O_RDWR);

	/* A program that is stopped has printed all its lines. */
	setlinebuf(stdout);
	if (fd < 0)
		die(node);
	file = ioctl(fd, BACK, disk);
	if (file < 0)
		file = ioctl(fd, CREATE, 0);
	if (file >= 0 && ftruncate(file, 1 << 20) && errno != EPERM)
		die("ftruncate");
	close(disk);
	return file < 0 ? fd : file;
}

static inline int open_node(const char *node)
{
	return open_node_on(node, "/dev/scratch");
}

/* Maps nr pages from this page on, or returns NULL. */
static inline char *map(int fd, int flags, size_t nr, size_t page)
{
	void *mapping = mmap(NULL, nr * PAGE, RW, flags, fd, page * PAGE);

	return mapping == MAP_FAILED ? NULL : mapping;
}

/* What became of a mmap(). */
static inline const char *outcome(const char *mapping)
{
	return mapping ? "ok" : strerrorname_np(errno);
}

/* Loads a byte, also if nothing uses it. */
static inline char get(const char *byte)
{
	return __atomic_load_n(byte, __ATOMIC_RELAXED);
}

/*
 * Loads a byte in a child, because a signal may come: returns "'c'", or the name of the signal.
 * Without a mapping, returns "refused".
 */
static inline const char *load(const char *byte)
{
	static char said[64];
	int status;
	pid_t child;

	if (!byte)
		return "refused";
	child = fork();
	if (child == 0)
		_exit((unsigned char)get(byte));
	if (child < 0 || waitpid(child, &status, 0) != child)
		die("fork");
	if (WIFSIGNALED(status))
		snprintf(said, sizeof(said), "SIG%s", sigabbrev_np(WTERMSIG(status)));
	else
		snprintf(said, sizeof(said), WEXITSTATUS(status) ? "'%c'" : "0",
			 WEXITSTATUS(status));
	return said;
}

/* Page faults of this process so far. */
static inline long nr_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* How many of these pages are in the page table of this process. */
static inline size_t nr_mapped(const char *mapping, size_t nr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	size_t nr_present = 0;
	unsigned long entry;

	for (size_t i = 0; i < nr; i++) {
		off_t offset = ((uintptr_t)mapping / PAGE + i) * sizeof(entry);

		if (pread(fd, &entry, sizeof(entry), offset) != sizeof(entry))
			die("/proc/self/pagemap");
		nr_present += entry >> 63;
	}
	close(fd);
	return nr_present;
}

#endif
