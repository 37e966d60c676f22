# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of a guest with a disk.

test_disk_is_usable_and_does_not_change() {
	local disk before
	disk=$("$top/qemu/programs/disk") || fail 'the disk cannot be made'
	before=$(sha256sum <"$disk")
	guest --no-module --disk "$disk" -- sh -c '
		echo here >/file
		chroot /disk sh -c "cat /guest/file; echo written >/written; cat /written"'
	expect_status 0
	expect_out $'here\nwritten\n'
	[[ $(sha256sum <"$disk") == "$before" ]] || fail 'the file of the disk has changed'
}

test_disk_that_cannot_be_mounted_is_no_verdict() {
	truncate -s 1M "$tmp/disk"
	guest --no-module --disk "$tmp/disk" -- true
	expect_status 125
	expect_said 'the guest cannot mount the disk: mount:'
}
