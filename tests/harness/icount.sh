# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# With --icount time counts instructions.

# count: nanoseconds that one process has run, doing a fixed piece of work; what others do
# beside it is not always the same.
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
	[[ $first && $second ]] || fail 'no count'
	((first > 1000000)) || fail "implausible: $first"
	(((first - second) * 100 < first && (second - first) * 100 < first)) ||
		fail "$first and $second differ by more than 1 %"
}
