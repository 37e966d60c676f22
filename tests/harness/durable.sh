# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# What a backed pool has acknowledged survives a crash. The command writes numbers, makes each
# durable and prints it. The object is a small disk, whose content is a file on this machine. A
# copy of that file is what a power failure at that moment would have left.

# last_number FILE: the number in the last whole line of the output so far.
last_number() { tail -c 100 "$1" | sed -n '$!s/^\([0-9]*\)$/\1/p' | tail -n 1; }

test_acknowledged_bytes_survive_two_hundred_crashes() {
	local program disk=$tmp/disk crash last=0 nr=0 pid
	build_program mmap-pool-acknowledged
	truncate -s 1M "$disk"
	"$top/qemu/run" --kernel "$kernel_name" --scratch "$disk" --timeout 900 --copy "$program:/bin/acknowledged" -- \
		acknowledged write /dev/scratch </dev/null >"$tmp/out" 2>"$tmp/said" &
	pid=$!
	while ((nr < 200)); do
		kill -0 "$pid" 2>/dev/null || fail "the guest ended after $nr crashes"
		# At another moment of a write each time.
		sleep "0.0$((RANDOM % 90 + 10))"
		last=$(last_number "$tmp/out")
		[[ ${last:-0} != 0 ]] || continue
		crash=$tmp/crash
		cp --reflink=auto --sparse=never "$disk" "$crash"
		"$program" check "$crash" "$last" 2>>"$tmp/said" || fail "after crash $nr"
		nr=$((nr + 1))
	done
	kill "$pid"
	wait "$pid" || true
	# The program finds what is missing.
	last=$(last_number "$tmp/out")
	! "$program" check /dev/zero "$last" 2>"$tmp/said" || fail 'lost bytes were not noticed'
	expect_said 'was acknowledged'
}

test_acknowledged_bytes_survive_a_panic() {
	local program disk=$tmp/disk last
	want CONFIG_MAGIC_SYSRQ
	build_program mmap-pool-acknowledged
	truncate -s 1M "$disk"
	# shellcheck disable=SC2016 # the guest's variable
	guest --scratch "$disk" --timeout 60 --copy "$program:/bin/acknowledged" -- \
		sh -c 'acknowledged write /dev/scratch | while read -r number; do
			echo "$number"
			[ "$number" != 100 ] || echo c >/proc/sysrq-trigger
		done'
	expect_status 122
	last=$(last_number "$tmp/out")
	((last > 0)) || fail 'nothing was acknowledged'
	"$program" check "$disk" "$last" 2>"$tmp/said" || fail 'bytes were lost'
}
