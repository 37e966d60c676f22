# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# A guest has as many memory nodes as it was asked for.

# nodes OPTION…: of each node in the guest, its processors and its memory in MiB, whatever the kernel
# keeps for itself.
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

test_a_node_may_be_without_a_processor() {
	nodes --mem 2048 --smp 1 --nodes 2
	expect_out $'node0 0 1024\nnode1  1024\n'
}

test_a_guest_has_one_node_unless_asked() {
	nodes --mem 1024M --smp 2
	expect_out $'node0 0-1 1024\n'
}

test_a_number_of_nodes_is_a_number() {
	guest --no-module --nodes two -- true
	expect_status 125
	expect_said '--nodes two is not a number of nodes'
}
