# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the leak check after the command: nothing of the module may be left.

# with_misbehaving HOW: runs a guest with the module, in which the module `misbehave` does HOW.
with_misbehaving() {
	guest --copy "$misbehave:/misbehave.ko" -- sh -c "insmod /misbehave.ko how=$1 && rmmod misbehave"
}

test_background_process_is_killed_before_the_module_is_unloaded() {
	guest -- sh -c 'sleep 1000 </dev/mmap_pool >/dev/null 2>&1 &'
	expect_status 0
}

test_module_in_use_is_a_complaint() {
	with_misbehaving use
	expect_status 123
	expect_said 'mmap_pool is still in use'
}

test_module_in_use_is_found_without_sys() {
	guest --copy "$misbehave:/misbehave.ko" -- sh -c '
		insmod /misbehave.ko how=use && rmmod misbehave
		umount -l /sys && umount -l /proc && mount -t tmpfs none /dev'
	expect_status 123
	expect_said 'mmap_pool is still in use'
}

test_lost_page_is_a_complaint() {
	want CONFIG_PAGE_OWNER
	with_misbehaving page
	expect_status 123
	expect_said 'pages of an unloaded module are still allocated'
	expect_said 'Page allocated via order 0'
}

test_lost_memory_is_a_complaint() {
	want CONFIG_DEBUG_KMEMLEAK
	with_misbehaving memory
	expect_status 123
	expect_said 'kmemleak: [0-9]* new suspected'
}
