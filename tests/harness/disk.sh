# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# A disk for the guest.

test_disk_is_entered_and_stays_as_it_is() {
	local disk before
	disk=$("$top/qemu/programs/disk") || fail 'no disk'
	before=$(sha256sum <"$disk")
	guest --no-module --disk "$disk" -- sh -c '
		echo here >/file
		chroot /disk sh -c "cat /guest/file; echo written >/written; cat /written"'
	expect_status 0
	expect_out $'here\nwritten\n'
	[[ $(sha256sum <"$disk") == "$before" ]] || fail 'the file has changed'
}

test_disk_that_cannot_be_mounted_is_no_guest() {
	truncate -s 1M "$tmp/disk"
	guest --no-module --disk "$tmp/disk" -- true
	expect_status 125
	expect_said 'the guest cannot mount the disk: mount:'
}
