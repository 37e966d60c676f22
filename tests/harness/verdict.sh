# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the status of qemu/run, for each way in which a guest can end.

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
	# The function has two names. The compiler decides which one a stack shows.
	expect_said '\(misbehave_init\|init_module\)+0x.*\[misbehave\]'
}

test_warning_is_a_complaint_even_if_the_command_succeeds() {
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
	# A kernel with module signatures sets E for an unsigned module.
	local unsigned=''
	! has_option "$kernel/config" CONFIG_MODULE_SIG || unsigned=E
	expect_said "tainted: UO$unsigned;"
}

test_panic_is_a_dead_guest() {
	misbehave panic
	expect_status 122
	expect_said 'Kernel panic - not syncing: on purpose'
}

test_sudden_reboot_is_a_dead_guest() {
	misbehave reboot
	expect_status 122
}

test_hang_in_the_kernel_times_out() {
	misbehave hang --timeout 3
	expect_status 124
	expect_said "timed out after $((3 * slowness)) s in the command; --timeout sets the limit"
}

test_guest_that_does_not_power_off_times_out() {
	misbehave shutdown --boot-timeout 20
	expect_status 124
	expect_said "in stage 'power off'; the command's own status was 0; --boot-timeout sets the limit"
}

test_guest_that_does_not_boot_times_out() {
	guest --no-module --boot-timeout 1 -- true
	expect_status 124
	expect_said "timed out after .* s in stage 'boot'"
}

test_module_that_does_not_load_is_no_verdict() {
	guest --param size_mb=nonsense -- true
	expect_status 125
	expect_said 'module did not load: .*Invalid argument'
}

test_wrong_options_are_no_verdict() {
	local words
	while read -r words; do
		# shellcheck disable=SC2086 # words
		guest --no-module $words
		((status == 125)) || fail "status $status for: $words"
		(($(wc -l <"$tmp/said") == 1)) || fail "the message is not one line for: $words"
	done <<-'END'

		--
		--nonsense -- true
		true
		--mem
		--mem much -- true
		--smp none -- true
		--timeout 0 -- true
		--retry some -- true
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
	grep -q 'Linux version' "$log" || fail "there is no console log '$log'"
}

test_kernel_that_cannot_boot_is_booted_twice() {
	ACCEL=tcg guest --no-module --append rdinit=/nonexistent -- true
	expect_status 122
	expect_said 'died during boot .*: booting once more'
	expect_said "died in stage 'boot'"
	ACCEL=tcg RETRY=0 guest --no-module --append rdinit=/nonexistent -- true
	expect_status 122
	! grep -q 'booting once more' "$tmp/said" || fail 'RETRY=0 boots twice'
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

# The reader of the messages has ended, or the disk for them is full.
test_complaint_without_a_reader_is_a_complaint() {
	local complain=("$top/qemu/run" --kernel "$kernel_name" --no-module -- sh -c 'echo "<3>BUG: on purpose" >/dev/kmsg')
	status=0
	"${complain[@]}" 2> >(head -n 1 >"$tmp/said") || status=$?
	expect_status 123
	status=0
	"${complain[@]}" 2>/dev/full || status=$?
	expect_status 123
}

test_log_option_copies_the_folder_of_the_run() {
	guest --no-module --log "$tmp/some/folder" -- sh -c 'exit 7'
	expect_status 7
	grep -q 'Linux version' "$tmp/some/folder/console.log" || fail 'there is no console log'
	grep -qx 'end status 7' "$tmp/some/folder/verdict" || fail 'there is no verdict'
}

# If the kernel zeroed all memory, no test would find a missing __GFP_ZERO.
test_kernel_does_not_zero_memory_by_itself() {
	misbehave stale
	expect_status 0
}
