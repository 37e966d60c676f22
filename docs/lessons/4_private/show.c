// SPDX-License-Identifier: GPL-2.0
/*
 * show NODE…: who copies a page of a private mapping, and how often the handler runs.
 */
#include "../lesson.h"

static int fd;

static int count(void)
{
	return ioctl(fd, COUNT, 0);
}

/* Loads from a page or not, stores to it, and says how often the handler ran for each. */
static void touch(const char *what, int flags, size_t page, int is_read)
{
	char *mapping = map(fd, flags, 1, page);
	int before = count(), between;

	if (is_read)
		get(&mapping[0]);
	between = count();
	mapping[0] = 'm';
	if (before < 0)
		printf("  %-24s → the handler's runs: COUNT fails with %s\n", what,
		       strerrorname_np(errno));
	else
		printf("  %-24s → the handler runs %d + %d times\n", what, between - before,
		       count() - between);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *shared, *private;

		fd = open_node(argv[i]);
		shared = map(fd, MAP_SHARED, 16, 0);
		private = map(fd, MAP_PRIVATE, 16, 0);
		printf("%s\n", argv[i]);
		printf("  private mapping → %s\n", outcome(private));
		if (!private)
			continue;
		shared[0] = 'o';
		shared[PAGE] = 'o';
		printf("  the device has 'o', the private mapping '%c'\n", private[0]);
		private[0] = 'm';
		printf("  store 'm' privately → private '%c', device '%c'\n", private[0],
		       shared[0]);
		shared[0] = 'n';
		shared[PAGE] = 'n';
		printf("  the device gets 'n' → page 0 '%c', and page 1, not written, '%c'\n",
		       private[0], private[PAGE]);
		touch("shared, load then store", MAP_SHARED, 20, 1);
		touch("shared, store", MAP_SHARED, 21, 0);
		touch("private, load then store", MAP_PRIVATE, 22, 1);
		touch("private, store", MAP_PRIVATE, 23, 0);
		fd = -1;
		puts("and without a file:");
		for (int flags = MAP_SHARED; flags <= MAP_PRIVATE; flags++) {
			char *memory = map(-1, flags | MAP_ANONYMOUS, 1, 0);

			if (fork() == 0) {
				memory[0] = 'c';
				_exit(0);
			}
			wait(NULL);
			printf("  %-7s: store in a child, load in the parent → %s\n",
			       flags == MAP_SHARED ? "shared" : "private", load(memory));
		}
	}
}
