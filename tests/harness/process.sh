# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests that QEMU ends when qemu/run ends, and the reverse.

# within SECONDS COMMAND…: repeats COMMAND until it succeeds. Fails after that time.
within() {
	local tenths=$(($1 * 10))
	shift
	until "$@"; do
		((tenths--)) || return 1
		sleep 0.1
	done
}

# start [COMMAND]: starts a guest in the background that runs COMMAND, or waits. Its qemu/run is
# $pid. Returns when the guest's command runs.
start() {
	set -m
	# The caller may ignore SIGINT, which its children inherit.
	env --default-signal=INT "$top/qemu/run" --kernel "$kernel_name" --no-module -- \
		sh -c "echo up; ${1:-sleep 1000}" </dev/null >"$tmp/out" 2>"$tmp/said" &
	pid=$!
	set +m
	within $((120 * slowness)) test -s "$tmp/out" || fail 'the guest does not boot'
}

# emulators: prints the QEMU processes of run $pid. The run's name has that number.
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

# ended: waits for $pid and sets $status.
ended() {
	status=0
	wait "$pid" 2>/dev/null || status=$?
}

test_killed_emulator_is_a_dead_guest() {
	start
	local emulator
	emulator=$(emulators)
	[[ $emulator ]] || fail 'there is no QEMU process'
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

# The test uses its own checkout, because the oldest runs are removed.
test_running_guest_keeps_its_folder() {
	local run
	mkdir "$tmp/top"
	cp -a "$top/qemu" "$tmp/top/"
	local top=$tmp/top
	start
	run=$(echo "$top"/build/runs/*-"$pid")
	mkdir "$top"/build/runs/99990101-000000-{1..50}
	guest --no-module --boot-timeout 1 -- true
	expect_status 124
	[[ -s $run/console.log ]] || fail 'the folder of the running guest was removed'
	kill -TERM "$pid"
	ended
	guest --no-module --boot-timeout 1 -- true
	[[ ! -e $run ]] || fail 'the folder of the ended guest was not removed'
}

# When a disk is full, the process that writes the log ends. Here it is killed instead.
test_console_log_that_cannot_be_written_is_no_verdict() {
	local proc writer=''
	start 'sleep 5'
	for proc in /proc/[0-9]*; do
		[[ $(readlink "$proc/fd/1") != *-$pid/console.log ]] || writer=${proc#/proc/}
	done 2>/dev/null
	[[ $writer ]] || fail 'no process writes the log'
	kill -KILL "$writer"
	ended
	expect_status 125
	expect_said "no verdict: the console log is incomplete; the command's own status was 0"
}
