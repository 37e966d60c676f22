# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the guest's memory nodes.

# nodes OPTION…: prints each node of the guest, its processors and its memory in MiB. The memory is
# rounded up to 512 MiB, because the kernel keeps a part for itself.
nodes() {
	want CONFIG_NUMA
	# shellcheck disable=SC2016 # the guest's shell
	guest --no-module "$@" -- sh -c 'cd /sys/devices/system/node && for node in node[0-9]*; do
		echo "$node $(cat $node/cpulist) $(awk "/MemTotal/ { print int((\$4 / 1024 + 511) / 512) * 512 }" $node/meminfo)"
	done'
	expect_status 0
}

test_memory_and_processors_are_divided_among_nodes() {
	nodes --mem 1024M --smp 4 --nodes 2
	expect_out $'node0 0-1 512\nnode1 2-3 512\n'
}

test_node_can_have_no_processor() {
	nodes --mem 2048 --smp 1 --nodes 2
	expect_out $'node0 0 1024\nnode1  1024\n'
}

test_guest_has_one_node_by_default() {
	nodes --mem 1024M --smp 2
	expect_out $'node0 0-1 1024\n'
}

test_number_of_nodes_must_be_a_number() {
	guest --no-module --nodes two -- true
	expect_status 125
	expect_said '--nodes two is not a number of nodes'
}
