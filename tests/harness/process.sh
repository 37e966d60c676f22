# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# However qemu/run ends, QEMU ends; and the other way round.

# within SECONDS COMMAND…: whether it succeeds in that time.
within() {
	local tenths=$(($1 * 10))
	shift
	until "$@"; do
		((tenths--)) || return 1
		sleep 0.1
	done
}

# start: a guest that stays, as $pid; returns when its command runs.
start() {
	set -m
	# Whoever runs the tests may ignore it, and then so would they.
	env --default-signal=INT "$top/qemu/run" --kernel "$kernel_name" --no-module -- \
		sh -c 'echo up; sleep 1000' </dev/null >"$tmp/out" 2>"$tmp/said" &
	pid=$!
	set +m
	within $((30 * slowness)) test -s "$tmp/out" || fail 'the guest does not come up'
}

# emulators: the processes that belong to run $pid; its number is in the run's name.
emulators() {
	local proc
	for proc in /proc/[0-9]*; do
		{ tr '\0' ' ' <"$proc/cmdline"; } 2>/dev/null |
			grep -q -- "^qemu-system.*-$pid/initrd" || continue
		printf '%s\n' "${proc#/proc/}"
	done
}

no_emulator() { [[ ! $(emulators) ]]; }

expect_no_emulator() { within 3 no_emulator || fail 'QEMU is still there'; }

# ended: waits for $pid and gets its $status.
ended() {
	status=0
	wait "$pid" 2>/dev/null || status=$?
}

test_killed_emulator_is_death() {
	start
	local emulator
	emulator=$(emulators)
	[[ $emulator ]] || fail 'no QEMU found'
	kill -KILL "$emulator"
	ended
	expect_status 122
	expect_said 'guest died'
}

test_interrupt_ends_the_emulator() {
	start
	kill -INT -- "-$pid"
	ended
	expect_status 130
	expect_no_emulator
}

test_termination_ends_the_emulator() {
	start
	kill -TERM "$pid"
	ended
	expect_status 143
	expect_no_emulator
}

test_kill_ends_the_emulator() {
	start
	kill -KILL "$pid"
	ended
	expect_no_emulator
}
