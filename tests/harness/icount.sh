# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of --icount, with which the guest's clock counts instructions.

# count: prints for how many nanoseconds a process ran for a fixed piece of work. Only the process
# is counted, because other processes vary.
count() {
	# shellcheck disable=SC2016 # the guest's shell
	guest --no-module --icount -- sh -c '
		i=0
		while [ $i -lt 20000 ]; do i=$((i + 1)); done
		read -r ran _ </proc/$$/schedstat
		echo "$ran"'
	expect_status 0
	cat "$tmp/out"
}

test_icount_gives_the_same_count_twice() {
	want_figures
	local first second
	first=$(count)
	second=$(count)
	[[ $first && $second ]] || fail 'there is no count'
	((first > 1000000)) || fail "the count is too small: $first"
	(((first - second) * 100 < first && (second - first) * 100 < first)) ||
		fail "$first and $second differ by more than 1 %"
}
