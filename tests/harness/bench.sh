# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# The benchmark, at sizes so small that its figures mean nothing.

# Every row is measured: the report refuses a result in which one is missing.
test_bench_measures_every_row() {
	want_figures
	"$top/qemu/verbs/bench" --quick "$build/bench-quick" >"$tmp/said" 2>&1 ||
		fail 'something could not be measured'
	expect_said 'a quick run, whose figures mean nothing'
	[[ -s $build/bench-quick/bench.json && -s $build/bench-quick/report.html ]] || fail 'no report'
}

# A result with a row cut out is refused, so the test above can fail.
test_bench_refuses_a_missing_row() {
	local bench=$build/cargo/x86_64-unknown-linux-gnu/release/mmap-pool-bench part=$build/bench-partial
	"$top/qemu/enter" cargo build --locked --release -p mmap-pool-bench >"$tmp/said" 2>&1 || fail 'no program'
	mkdir -p "$part"
	printf '{"release":"7.2","is_quick":true,"figures":[],"absences":[]}' >"$part/part.json"
	! "$top/qemu/enter" "$bench" report --out "$part" --commit c --kernel k --config c --qemu q \
		"$part/part.json" >"$tmp/said" 2>&1 || fail 'accepted'
	expect_said 'not measured: map-call of pool page, '
	[[ ! -e $part/bench.json ]] || fail 'kept'
}
