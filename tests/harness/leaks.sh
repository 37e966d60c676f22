# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# What is looked for when the command is over: nothing may be left of the module.

# with_misbehaving HOW: a guest with the module, in which another one does what HOW says.
with_misbehaving() {
	guest --copy "$misbehave:/misbehave.ko" -- sh -c "insmod /misbehave.ko how=$1 && rmmod misbehave"
}

test_process_left_behind_is_ended_before_the_module_goes() {
	guest -- sh -c 'sleep 1000 </dev/mmap_pool >/dev/null 2>&1 &'
	expect_status 0
}

test_module_that_stays_in_use_is_a_complaint() {
	with_misbehaving use
	expect_status 123
	expect_said 'mmap_pool is still in use'
}

test_module_that_stays_in_use_is_seen_though_sys_is_gone() {
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
