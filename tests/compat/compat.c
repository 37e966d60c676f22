// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A 32-bit program at work on the pools: compat PATH, where PATH is the device
 * node with an empty pool of 4 MiB. Ends with 0, or with the line of the first
 * check that fails. Without a C library, so that a compiler is all it needs.
 */
#include <asm/unistd_32.h>
#include <linux/errno.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/mmap_pool.h>

#define PAGE	4096UL
#define FAR	(5ULL << 30)	/* what 32 bits cannot say */

/* A system call: the arguments from the stack to where int 0x80 has them. */
static __attribute__((naked, noipa)) long kernel(long number, ...)
{
	asm("pushl %ebp\n\t"
	    "pushl %edi\n\t"
	    "pushl %esi\n\t"
	    "pushl %ebx\n\t"
	    "movl 20(%esp), %eax\n\t"
	    "movl 24(%esp), %ebx\n\t"
	    "movl 28(%esp), %ecx\n\t"
	    "movl 32(%esp), %edx\n\t"
	    "movl 36(%esp), %esi\n\t"
	    "movl 40(%esp), %edi\n\t"
	    "movl 44(%esp), %ebp\n\t"
	    "int $0x80\n\t"
	    "popl %ebx\n\t"
	    "popl %esi\n\t"
	    "popl %edi\n\t"
	    "popl %ebp\n\t"
	    "ret");
}

static void fail(int line)
{
	char text[] = "line 0000\n";
	int at;

	for (at = 8; at > 4; at--, line /= 10)
		text[at] += line % 10;
	kernel(__NR_write, 2, text, sizeof(text) - 1);
	kernel(__NR_exit, 1);
}

#define check(truth) do { if (!(truth)) fail(__LINE__); } while (0)

static int is_error(long result)
{
	return result < 0 && result > -4096;
}

/* A 64-bit argument is two, the lower half first. */
static long low(__u64 value)
{
	return value;
}

static long high(__u64 value)
{
	return value >> 32;
}

static long pwrite(int fd, const void *bytes, long len, __u64 offset)
{
	return kernel(__NR_pwrite64, fd, bytes, len, low(offset), high(offset));
}

static long pread(int fd, void *bytes, long len, __u64 offset)
{
	return kernel(__NR_pread64, fd, bytes, len, low(offset), high(offset));
}

static long ioctl(int fd, unsigned int number, void *argument)
{
	return kernel(__NR_ioctl, fd, number, argument);
}

static char *map(int fd, unsigned long len, long flags, __u64 offset)
{
	long start = kernel(__NR_mmap2, 0, len, PROT_READ | PROT_WRITE, flags,
			    fd, (long)(offset / PAGE));

	check(!is_error(start));
	return (char *)start;
}

/* Others write there as well, so the compiler is not to remember anything. */
static __attribute__((noipa)) __u32 word_at(const char *address)
{
	return *(const __u32 *)address;
}

static __attribute__((noipa)) void put_word_at(char *address, __u32 word)
{
	*(__u32 *)address = word;
}

static struct mmap_pool_info info(int fd)
{
	struct mmap_pool_info info;

	check(ioctl(fd, MMAP_POOL_INFO, &info) == 0);
	return info;
}

static int create(int node, __u64 size_bytes)
{
	struct mmap_pool_create request = { .size_bytes = size_bytes, .name = "compat" };
	long fd = ioctl(node, MMAP_POOL_CREATE, &request);

	check(!is_error(fd));
	return fd;
}

static void node(int fd)
{
	char *shared = map(fd, 4 * PAGE, MAP_SHARED, 0);
	char *private = map(fd, 4 * PAGE, MAP_PRIVATE, 0);
	char *second = map(fd, PAGE, MAP_SHARED, PAGE);
	struct mmap_pool_info found;
	__u32 word = 0x1234;

	put_word_at(shared + PAGE, 0xabcd);
	check(word_at(private + PAGE) == 0xabcd && word_at(second) == 0xabcd);
	put_word_at(private + PAGE, 1);
	check(word_at(second) == 0xabcd);
	check(pwrite(fd, &word, 4, 2 * PAGE) == 4);
	check(word_at(shared + 2 * PAGE) == 0x1234);
	check(pread(fd, &word, 4, PAGE) == 4 && word == 0xabcd);

	found = info(fd);
	check(found.size_bytes == 4 << 20 && found.nr_resident_pages == 2);
	check(found.page_size_bytes == PAGE);
	check(found.abi_version == MMAP_POOL_ABI_VERSION);
	check(found.flags == MMAP_POOL_FLAG_DEFAULT);
	check(kernel(__NR_munmap, shared, 4 * PAGE) == 0);
	check(kernel(__NR_munmap, private, 4 * PAGE) == 0);
	check(kernel(__NR_munmap, second, PAGE) == 0);
}

/* Sizes and offsets beyond 4 GiB arrive whole, by every way. */
static void far_away(int node)
{
	int fd = create(node, FAR + 2 * PAGE);
	char *far = map(fd, 2 * PAGE, MAP_SHARED, FAR);
	struct mmap_pool_range range = { .offset_bytes = FAR, .len_bytes = PAGE };
	struct mmap_pool_resize smaller = { .size_bytes = FAR + PAGE };
	__u64 position;
	__u32 word = 77;

	check(info(fd).size_bytes == FAR + 2 * PAGE);
	check(pwrite(fd, &word, 4, FAR + PAGE) == 4 && word_at(far + PAGE) == 77);
	put_word_at(far + 4, 88);
	check(pread(fd, &word, 4, FAR + 4) == 4 && word == 88);
	check(kernel(__NR__llseek, fd, 0, 0, &position, 2) == 0);
	check(position == FAR + 2 * PAGE);
	check(kernel(__NR__llseek, fd, 1, 1 << 30, &position, 0) == 0 && position == FAR);
	check(kernel(__NR_read, fd, &word, 4) == 4 && word == 0);

	check(info(fd).nr_resident_pages == 2);
	check(ioctl(fd, MMAP_POOL_PUNCH, &range) == 0 && word_at(far + 4) == 0);
	check(ioctl(fd, MMAP_POOL_RESIZE, &smaller) == 0);
	check(info(fd).size_bytes == FAR + PAGE);
	check(ioctl(fd, MMAP_POOL_PREFAULT, &range) == 0);
	check(info(fd).nr_resident_pages == 1);
	range.offset_bytes += PAGE;
	check(ioctl(fd, MMAP_POOL_PREFAULT, &range) == -EINVAL);

	check(kernel(__NR_ftruncate64, fd, low(FAR + 3 * PAGE), high(FAR + 3 * PAGE)) == 0);
	check(info(fd).size_bytes == FAR + 3 * PAGE);
	check(kernel(__NR_fallocate, fd, 0, low(FAR + PAGE), high(FAR + PAGE),
		     low(PAGE), high(PAGE)) == 0);
	check(info(fd).nr_resident_pages == 2);
	check(kernel(__NR_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		     low(FAR), high(FAR), low(2 * PAGE), high(2 * PAGE)) == 0);
	check(info(fd).nr_resident_pages == 0);
	check(kernel(__NR_munmap, far, 2 * PAGE) == 0);
	check(kernel(__NR_close, fd) == 0);
}

static void the_other_ioctls(int node)
{
	int fd = create(node, PAGE);
	struct mmap_pool_stat stat;
	struct mmap_pool_seal seal = { .seals = MMAP_POOL_SEAL_GROW };
	struct mmap_pool_resize larger = { .size_bytes = 2 * PAGE };
	struct mmap_pool_create bad = { .size_bytes = PAGE, .flags = 1 << 31 };
	struct mmap_pool_seal unknown = { .seals = 0x100 };

	check(pwrite(fd, "x", 1, 0) == 1);
	check(ioctl(fd, MMAP_POOL_STAT, &stat) == -ENOTTY);
	check(ioctl(node, MMAP_POOL_STAT, &stat) == 0);
	check(stat.nr_pools == 2 && stat.nr_resident_pages == 3);
	check(stat.nr_limit_pages > 0 && stat.nr_refused_pages == 0);
	check(ioctl(fd, MMAP_POOL_SEAL, &seal) == 0);
	check(info(fd).seals == MMAP_POOL_SEAL_GROW);
	check(ioctl(fd, MMAP_POOL_RESIZE, &larger) == -EPERM);

	check(ioctl(node, MMAP_POOL_CREATE, &bad) == -EINVAL);
	check(ioctl(fd, MMAP_POOL_SEAL, &unknown) == -EINVAL);
	check(ioctl(fd, MMAP_POOL_INFO, (void *)16) == -EFAULT);
	check(ioctl(fd, _IO(MMAP_POOL_IOC_MAGIC, 0x40), &stat) == -ENOTTY);
	/* A size that is not the structure's. */
	check(ioctl(fd, _IOR(MMAP_POOL_IOC_MAGIC, 0x00, __u64), &stat) == -ENOTTY);

	check(ioctl(fd, MMAP_POOL_REVOKE, 0) == 0);
	check(info(fd).flags == MMAP_POOL_FLAG_REVOKED);
	check(pwrite(fd, "x", 1, 0) == -ENODEV);
	check(kernel(__NR_mmap2, 0, PAGE, PROT_READ, MAP_SHARED, fd, 0) == -ENODEV);
	check(kernel(__NR_close, fd) == 0);
}

void run(const char *path)
{
	long fd = kernel(__NR_open, path, O_RDWR);

	check(!is_error(fd));
	node(fd);
	far_away(fd);
	the_other_ioctls(fd);
	kernel(__NR_exit, 0);
}

/* The stack begins with the number of arguments, the program's name, PATH. */
__attribute__((naked)) void _start(void)
{
	asm("movl 8(%esp), %eax\n\t"
	    "andl $-16, %esp\n\t"
	    "subl $12, %esp\n\t"
	    "pushl %eax\n\t"
	    "call run");
}
