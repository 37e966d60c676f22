// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU that records the blocks of instructions that a guest executes in a part
 * of its address space. The guest does not notice.
 *
 *	-plugin reached.so,out=FILE,from=ADDRESS
 *
 * When QEMU ends, it writes a line to FILE for each executed block at or above ADDRESS: its
 * address and its bytes, in hexadecimal.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

struct block {
	struct block *next;
	uint64_t address;
	bool is_reached;
	size_t nr_bytes;
	unsigned char bytes[];
};

/* Virtual CPUs translate and execute at the same time. */
static struct block *blocks;
static const char *out;
static uint64_t from;

static void executed(unsigned int vcpu, void *data)
{
	struct block *block = data;

	__atomic_store_n(&block->is_reached, true, __ATOMIC_RELAXED);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t nr_instructions = qemu_plugin_tb_n_insns(tb);
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	size_t nr_bytes = 0;
	struct block *block;

	if (address < from)
		return;
	for (size_t i = 0; i < nr_instructions; i++)
		nr_bytes += qemu_plugin_insn_size(qemu_plugin_tb_get_insn(tb, i));
	block = calloc(1, sizeof(*block) + nr_bytes);
	if (!block)
		abort();
	block->address = address;
	for (size_t i = 0; i < nr_instructions; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		block->nr_bytes += qemu_plugin_insn_data(insn, block->bytes + block->nr_bytes,
							 nr_bytes - block->nr_bytes);
	}
	block->next = __atomic_load_n(&blocks, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&blocks, &block->next, block, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void write_blocks(qemu_plugin_id_t id, void *data)
{
	FILE *file = fopen(out, "w");

	if (!file) {
		perror(out);
		return;
	}
	for (const struct block *block = blocks; block; block = block->next) {
		if (!block->is_reached || !block->nr_bytes)
			continue;
		fprintf(file, "%" PRIx64 " ", block->address);
		for (size_t i = 0; i < block->nr_bytes; i++)
			fprintf(file, "%02x", block->bytes[i]);
		fputc('\n', file);
	}
	if (fclose(file))
		perror(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
		else if (!strncmp(argv[i], "from=", 5))
			from = strtoull(argv[i] + 5, NULL, 16);
	}
	if (!out) {
		fprintf(stderr, "reached: out=FILE is needed\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, write_blocks, NULL);
	return 0;
}
