# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the benchmark, with very small sizes. The figures mean nothing.

# The report refuses a result in which a row is missing.
test_bench_measures_every_row() {
	want_figures
	"$top/qemu/verbs/bench" --quick "$build/bench-quick" >"$tmp/said" 2>&1 ||
		fail 'the quick benchmark failed'
	expect_said 'a quick run, whose figures mean nothing'
	[[ -s $build/bench-quick/bench.json && -s $build/bench-quick/report.html ]] || fail 'there is no report'
}

# A result without rows is refused, so the test above can fail.
test_bench_refuses_a_missing_row() {
	local bench=$build/cargo/$triplet/release/mmap-pool-bench part=$build/bench-partial
	"$top/qemu/enter" cargo build --locked --release -p mmap-pool-bench >"$tmp/said" 2>&1 || fail 'the benchmark cannot be built'
	mkdir -p "$part"
	printf '{"release":"7.2","is_quick":true,"figures":[],"absences":[]}' >"$part/part.json"
	! "$top/qemu/enter" "$bench" report --out "$part" --commit c --kernel k --config c --qemu q \
		"$part/part.json" >"$tmp/said" 2>&1 || fail 'the incomplete result was accepted'
	expect_said 'not measured: map-call of pool auto, '
	[[ ! -e $part/bench.json ]] || fail 'the incomplete result was written'
}
