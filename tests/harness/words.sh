# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests that arguments, files and output pass into and out of the guest unchanged.

test_output_is_exact_to_the_byte() {
	# shellcheck disable=SC2016 # the guest's awk
	guest --no-module -- sh -c 'cat /bin/busybox; printf "a\r\n\000\377\004z"; cat /bin/busybox >&2'
	expect_status 0
	"$top/qemu/enter" cat /bin/busybox >"$tmp/busybox"
	cmp "$tmp/out" <(cat "$tmp/busybox"; printf 'a\r\n\000\377\004z'; cat "$tmp/busybox") ||
		fail 'the output differs from what was written'
}

test_output_before_a_panic_is_not_lost() {
	guest --no-module --copy "$misbehave:/misbehave.ko" -- \
		sh -c 'echo first words; insmod /misbehave.ko how=panic'
	expect_status 122
	expect_out $'first words\n'
}

test_arguments_arrive_unchanged() {
	local words=('a b' "it's" '"q"' $'new\nline' $'trail\n' '' "\$HOME" '*' $'\xff\x01' '-n' "\\" ';' --)
	guest --no-module -- printf '[%s]' "${words[@]}"
	expect_status 0
	cmp "$tmp/out" <(printf '[%s]' "${words[@]}") || fail 'the arguments have changed'
}

test_dev_stderr_can_be_opened() {
	guest --no-module -- sh -c 'echo one >/dev/stderr; echo two >/dev/stdout'
	expect_status 0
	expect_out $'one\ntwo\n'
}

test_background_process_does_not_delay_the_end() {
	guest --no-module --timeout 20 -- sh -c 'sleep 1000 & echo gone'
	expect_status 0
	expect_out $'gone\n'
}

test_folder_is_copied_with_permissions() {
	mkdir -p "$tmp/folder/inner"
	printf 'text' >"$tmp/folder/inner/a b"
	chmod 640 "$tmp/folder/inner/a b"
	ln -s inner/a\ b "$tmp/folder/link"
	guest --no-module --copy "$tmp/folder:/opt/there" -- \
		sh -c 'cd /opt/there; stat -c "%a %u" "inner/a b"; cat link'
	expect_status 0
	expect_out $'640 0\ntext'
}

test_dynamic_program_is_copied_with_its_libraries() {
	# shellcheck disable=SC2016 # the guest's bash
	guest --no-module --copy "$(type -P bash):/bin/bash" -- bash -c 'echo "${BASH_VERSION:+yes}"'
	expect_status 0
	expect_out $'yes\n'
}

# A slow reader loses the output that it has not read when the guest ends; then there is no verdict.
# The amount of output here fits into the buffers between the guest and the reader.
test_lost_output_is_no_verdict() {
	local pid
	mkfifo "$tmp/pipe"
	"$top/qemu/run" --kernel "$kernel_name" --no-module -- head -c 250000 /bin/busybox >"$tmp/pipe" 2>"$tmp/said" &
	pid=$!
	exec 9<"$tmp/pipe"
	is_over() { grep -qs "^end" "$build"/runs/*-"$pid"/verdict; }
	within $((60 * slowness)) is_over || fail 'the guest does not end'
	cat <&9 >"$tmp/out"
	status=0
	wait "$pid" || status=$?
	# If the guest takes long to power off, nothing is lost.
	if ((status == 0)); then
		(($(wc -c <"$tmp/out") == 250000)) || fail 'output is lost, and nothing says so'
		return
	fi
	expect_status 125
	expect_said "no verdict: only [0-9]* of 250000 bytes of output arrived; the command's own status was 0"
}
