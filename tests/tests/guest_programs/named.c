// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Preloaded, gives the inherited descriptor 200 the name /pool. A created pool
 * has none but the link in /proc/self/fd, and SQLite opens no links.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static const char *translated(const char *path, int *flags, int nofollow)
{
	if (strcmp(path, "/pool"))
		return path;
	*flags &= ~nofollow;
	return "/proc/self/fd/200";
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list arguments;

	va_start(arguments, flags);
	if (flags & O_CREAT)
		mode = va_arg(arguments, mode_t);
	va_end(arguments);
	path = translated(path, &flags, O_NOFOLLOW);
	return openat64(AT_FDCWD, path, flags, mode);
}

int stat64(const char *path, struct stat64 *stat)
{
	int flags = 0;

	path = translated(path, &flags, 0);
	return fstatat64(AT_FDCWD, path, stat, flags);
}

int lstat64(const char *path, struct stat64 *stat)
{
	int flags = AT_SYMLINK_NOFOLLOW;

	path = translated(path, &flags, AT_SYMLINK_NOFOLLOW);
	return fstatat64(AT_FDCWD, path, stat, flags);
}
