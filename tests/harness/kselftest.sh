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

# Runs the reporter for LAVA with a runner and a LAVA that only print.
test_each_result_of_the_package_is_a_result_of_lava() {
	mkdir -p "$tmp/package/mmap_pool" "$tmp/bin"
	cp "$top/qemu/kselftest/lava" "$tmp/package/mmap_pool/"
	printf '#!/bin/sh\necho "TESTCASE $*"\n' >"$tmp/bin/lava-test-case"
	chmod +x "$tmp/bin/lava-test-case"
	cat >"$tmp/package/run_kselftest.sh" <<-'OUTER'
		[ "$*" = '-t mmap_pool:guest' ] || exit 1
		cat <<'END'
		TAP version 13
		1..2
		# timeout set to 1800
		# selftests: mmap_pool: guest
		# KTAP version 1
		# # began 1.000000 a::b
		# ok 1 a::b # took 0.250000
		# # ok 9 printed by a test
		# not ok 2 a::c # took 1.500000
		# ok 3 a::d # SKIP no luck
		not ok 1 selftests: mmap_pool: guest # exit=1
		# selftests: mmap_pool: guest_nodes
		# 1..0 # SKIP needs 2 memory nodes
		ok 2 selftests: mmap_pool: guest_nodes # SKIP
		END
	OUTER
	PATH=$tmp/bin:$PATH answer "$tmp/package/mmap_pool/lava" -t mmap_pool:guest
	expect_status 0
	cmp <(sed -n 's/^TESTCASE //p' "$tmp/out") <(printf '%s\n' 'guest:a::b --result pass' 'guest:a::c --result fail' \
		'guest:a::d --result skip' 'guest --result fail' 'guest_nodes --result skip') || fail "$(cat "$tmp/out")"
	cmp <(sed '/^TESTCASE /d' "$tmp/out") <(sh "$tmp/package/run_kselftest.sh" -t mmap_pool:guest) || fail 'the log is not whole'
}

test_results_of_lava_are_compared_with_those_of_make_test() {
	in_build
	local name status line='{"guest:b": {"result": "pass"}, "guest": {"result": "pass"}, "guest_nodes": {"result": "skip"}, "command": {"result": "pass"}'
	for name in guest,a,passed guest,b,passed guest_nodes,c,passed; do
		IFS=, read -r suite name status <<<"$name"
		printf '{"suite": "%s", "name": "%s", "status": "%s", "needs": ["guest"]}, ' "$suite" "$name" "$status"
	done | sed 's/^/{"tests": [/; s/, $/, {"suite": "some", "name": "d", "status": "failed", "needs": ["host"]}]}/' >"$run/results.json"
	# compared MORE JOB: with these results of LAVA's.
	compared() {
		printf '{"commands": %s, %s}, "lava": {"job": {"result": "%s"}}}' "$line" "$1" "$2" >"$run/tuxrun.json"
		answer "$top/qemu/enter" "$top/qemu/lava/compare" "$run/results.json" "$run/tuxrun.json"
	}
	compared '"guest:a": {"result": "pass"}' pass
	expect_status 0
	expect_out $'LAVA: 2 equal, 0 different, 1 not run there\n'
	compared '"guest:a": {"result": "fail"}' pass
	expect_status 1
	expect_out $'guest:a: passed, in LAVA failed\nLAVA: 1 equal, 1 different, 1 not run there\n'
	compared '"guest:x": {"result": "pass"}' pass
	expect_status 1
	expect_out $'guest:a: passed, in LAVA no result\nguest:x: no result, in LAVA passed\nLAVA: 1 equal, 2 different, 1 not run there\n'
	compared '"guest:a": {"result": "pass"}' fail
	expect_status 1
	expect_out $'the job of LAVA failed: no message\nLAVA: 2 equal, 1 different, 1 not run there\n'
	# Nothing ran.
	line='{"guest": {"result": "skip"}, "guest_nodes": {"result": "skip"}'
	compared '"command": {"result": "pass"}' pass
	expect_status 1
}

test_lava_needs_results_to_compare_with() {
	RESULTS=$tmp answer "$top/qemu/verbs/lava"
	refused 2 "there is no $tmp/results.json: run make test first"
	printf '{\n "kernel": "other",\n "tests": []\n}\n' >"$tmp/results.json"
	RESULTS=$tmp answer "$top/qemu/verbs/lava"
	refused 2 "is not of KERNEL=$kernel_name"
	sed -i "s/other/$kernel_name/" "$tmp/results.json"
	RESULTS=$tmp answer "$top/qemu/verbs/lava"
	refused 2 'no test of .* needs a guest: there is nothing to compare'
}
