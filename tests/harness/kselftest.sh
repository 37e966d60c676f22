# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the package for kernel labs. Here a guest without the harness's module is the lab.

test_package_agrees_with_make_test() {
	answer "$top/qemu/verbs/kselftest-package"
	expect_status 0
	in_build
	for name in kselftest modules; do
		mkdir "$run/$name"
		"$top/qemu/enter" tar -xJf "$build/kselftest/$name.tar.xz" -C "$run/$name"
	done
	# The kernel's own runner, without a log in a file. One test program, and one that this guest cannot run.
	guest --no-module --copy "$run/kselftest:/opt/kselftest" --copy "$run/modules/lib/modules:/lib/modules" -- \
		env KSELFTEST_GUEST_ARGS=lazy:: sh /opt/kselftest/run_kselftest.sh -t mmap_pool:guest -t mmap_pool:guest_nodes
	expect_status 0
	grep -qx 'ok 1 selftests: mmap_pool: guest' "$tmp/out" || fail "$(cat "$tmp/out")"
	grep -qx 'ok 2 selftests: mmap_pool: guest_nodes # SKIP' "$tmp/out" || fail "$(cat "$tmp/out")"
	grep -qx '# 1..0 # SKIP needs 2 memory nodes' "$tmp/out" || fail 'no reason'
	sed -n 's/^# ok [0-9]* \(.*\) # took .*/\1/p' "$tmp/out" >"$tmp/ran"
	cmp "$tmp/ran" <(selection 'T=lazy::*' | cut -f 2) || fail "ran: $(xargs <"$tmp/ran")"
	# A failure of the kernel during the tests is a failure of the test.
	cp "$misbehave" "$run/misbehave.ko"
	printf '#!/bin/sh\ninsmod /misbehave.ko how=taint\n' >"$run/kselftest/mmap_pool/mmap-pool-ktap"
	guest --no-module --copy "$run/kselftest:/opt/kselftest" --copy "$run/modules/lib/modules:/lib/modules" \
		--copy "$run/misbehave.ko:/misbehave.ko" -- sh /opt/kselftest/run_kselftest.sh -t mmap_pool:guest
	grep -qx 'not ok 1 selftests: mmap_pool: guest # exit=1' "$tmp/out" || fail "$(cat "$tmp/out")"
	grep -qx '# # the tests have tainted the kernel; dmesg says why' "$tmp/out" || fail 'no reason'
}
