// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU that counts the instructions that a guest executes, by address. The
 * guest does not notice.
 *
 *	-plugin instructions.so,out=FILE
 *
 * A program in the guest marks what to count with two instructions that otherwise do
 * nothing: BEGIN begins the next phase, END ends it. The first phase is 1. When QEMU
 * ends, it writes lines to FILE: phase, address of a translation block, its number of
 * instructions, number of executions. There must be one virtual CPU only.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

/* nopl 0x6d6d7001(%rax) and nopl 0x6d6d7000(%rax), as in userspace/bench/src/marks.rs. */
static const unsigned char begin_mark[] = { 0x0f, 0x1f, 0x80, 0x01, 0x70, 0x6d, 0x6d };
static const unsigned char end_mark[] = { 0x0f, 0x1f, 0x80, 0x00, 0x70, 0x6d, 0x6d };

#define NR_PHASES 256

/* A translation block. QEMU may translate the same code again, into another block. */
struct block {
	struct block *next;
	uint64_t address;
	size_t nr_instructions;
	uint64_t nr_executions[NR_PHASES];
};

static struct block *blocks;
static const char *out;
static unsigned int nr_begun;
/* 0 outside of all phases. */
static unsigned int phase;

static void begin_phase(unsigned int vcpu, void *data)
{
	if (nr_begun + 1 < NR_PHASES)
		phase = ++nr_begun;
}

static void end_phase(unsigned int vcpu, void *data)
{
	phase = 0;
}

static void executed(unsigned int vcpu, void *data)
{
	struct block *block = data;

	block->nr_executions[phase]++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		abort();
	block->address = qemu_plugin_tb_vaddr(tb);
	block->nr_instructions = qemu_plugin_tb_n_insns(tb);
	block->next = blocks;
	blocks = block;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);

	for (size_t i = 0; i < block->nr_instructions; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		unsigned char bytes[sizeof(begin_mark)];

		if (qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) != sizeof(bytes))
			continue;
		if (!memcmp(bytes, begin_mark, sizeof(bytes)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, begin_phase,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
		else if (!memcmp(bytes, end_mark, sizeof(bytes)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, end_phase,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
}

static void write_counts(qemu_plugin_id_t id, void *data)
{
	FILE *file = fopen(out, "w");

	if (!file) {
		perror(out);
		return;
	}
	for (const struct block *block = blocks; block; block = block->next)
		for (unsigned int i = 1; i <= nr_begun; i++)
			if (block->nr_executions[i])
				fprintf(file, "%u %" PRIx64 " %zu %" PRIu64 "\n", i, block->address,
					block->nr_instructions, block->nr_executions[i]);
	if (fclose(file))
		perror(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
	if (!out) {
		fprintf(stderr, "instructions: out=FILE is needed\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, write_counts, NULL);
	return 0;
}
