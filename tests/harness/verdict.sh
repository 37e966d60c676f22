# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# The status of a run, for everything that can become of a guest.

test_status_passes_through() {
	guest --no-module -- sh -c 'exit 7'
	expect_status 7
	expect_said "the command's status is 7; console log: .*/console.log"
}

test_missing_command_is_127() {
	guest --no-module -- no-such-command
	expect_status 127
}

test_signal_is_128_plus_its_number() {
	# shellcheck disable=SC2016 # the guest's shell
	guest --no-module -- sh -c 'kill -SEGV $$'
	expect_status 139
}

test_module_is_loaded() {
	guest -- sh -c 'test -c /dev/mmap_pool && grep -c "^mmap_pool " /proc/modules'
	expect_status 0
	expect_out $'1\n'
}

test_oops_is_a_complaint() {
	misbehave oops
	expect_status 123
	expect_said 'Oops: '
	# Which of its two names the function has is the compiler's affair.
	expect_said '\(misbehave_init\|init_module\)+0x.*\[misbehave\]'
}

test_warning_is_a_complaint_though_the_command_succeeds() {
	misbehave warn
	expect_status 123
	expect_said 'WARNING: '
	expect_said "own status was 0"
}

test_sleep_in_atomic_context_is_a_complaint() {
	misbehave sleep
	expect_status 123
	expect_said 'scheduling while atomic'
}

test_unexpected_taint_is_a_complaint() {
	misbehave taint
	expect_status 123
	# A kernel that knows signatures says that there is none.
	local unsigned=''
	! has_option "$kernel/config" CONFIG_MODULE_SIG || unsigned=E
	expect_said "tainted: UO$unsigned;"
}

test_panic_is_death() {
	misbehave panic
	expect_status 122
	expect_said 'Kernel panic - not syncing: on purpose'
}

test_sudden_reboot_is_death() {
	misbehave reboot
	expect_status 122
}

test_hang_in_the_kernel_is_time_up() {
	misbehave hang --timeout 3
	expect_status 124
	expect_said "timed out after $((3 * slowness)) s in the command; --timeout sets the limit"
}

test_guest_that_does_not_power_off_is_time_up() {
	misbehave shutdown --boot-timeout 20
	expect_status 124
	expect_said "in stage 'power off'; the command's own status was 0; --boot-timeout sets the limit"
}

test_guest_that_does_not_come_up_is_time_up() {
	guest --no-module --boot-timeout 1 -- true
	expect_status 124
	expect_said "timed out after .* s in stage 'boot'"
}

test_module_that_refuses_to_load_is_not_set_up() {
	guest --param size_mb=nonsense -- true
	expect_status 125
	expect_said 'module did not load: .*Invalid argument'
}

test_bad_usage_is_not_set_up() {
	local words
	while read -r words; do
		# shellcheck disable=SC2086 # words
		guest --no-module $words
		((status == 125)) || fail "status $status for: $words"
		(($(wc -l <"$tmp/said") == 1)) || fail "not one line for: $words"
	done <<-'END'

		--
		--nonsense -- true
		true
		--mem
		--mem much -- true
		--smp none -- true
		--timeout 0 -- true
		--copy /bin/sh -- true
		--copy /no/such/file:/x -- true
		--param a -b -- true
		--kernel nonsense -- true
		--log /dev/null/folder -- true
	END
}

test_console_log_is_kept() {
	local log
	misbehave warn
	log=$(sed -n 's/.*console log: //p' "$tmp/said")
	grep -q 'Linux version' "$log" || fail "no console log: '$log'"
}

test_kernel_that_cannot_start_is_tried_twice() {
	ACCEL=tcg guest --no-module --append rdinit=/nonexistent -- true
	expect_status 122
	expect_said 'died during boot .*: booting once more'
	expect_said "died in stage 'boot'"
}

test_console_that_ends_early_is_no_verdict() {
	guest --no-module -- sh -c 'echo N >/sys/class/tty/ttyS0/console'
	expect_status 125
	expect_said "no verdict: the console log is incomplete; the command's own status was 0"
}

test_output_that_cannot_be_written_is_no_verdict() {
	status=0
	"$top/qemu/run" --kernel "$kernel_name" --no-module -- echo words >/dev/full 2>"$tmp/said" || status=$?
	expect_status 125
	expect_said 'no verdict: cannot write the output'
}

# The reader of the messages is gone, or the disk that they go to is full.
test_complaint_that_nobody_reads_is_a_complaint() {
	local complain=("$top/qemu/run" --kernel "$kernel_name" --no-module -- sh -c 'echo "<3>BUG: on purpose" >/dev/kmsg')
	status=0
	"${complain[@]}" 2> >(head -n 1 >"$tmp/said") || status=$?
	expect_status 123
	status=0
	"${complain[@]}" 2>/dev/full || status=$?
	expect_status 123
}

test_log_folder_gets_what_the_run_leaves() {
	guest --no-module --log "$tmp/some/folder" -- sh -c 'exit 7'
	expect_status 7
	grep -q 'Linux version' "$tmp/some/folder/console.log" || fail 'no console log'
	grep -qx 'end status 7' "$tmp/some/folder/verdict" || fail 'no verdict'
}

# Where memory was zeroed unasked, it would not be seen that __GFP_ZERO is missing.
test_memory_is_not_zeroed_unasked() {
	misbehave stale
	expect_status 0
}
