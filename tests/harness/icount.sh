# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# With --icount time counts instructions.

# count: nanoseconds that a fixed piece of work takes: one process that never waits, for
# waiting takes time too, and not always the same.
count() {
	# shellcheck disable=SC2016 # the guest's awk
	guest --no-module --icount -- awk '
		function now(  line, word) {
			while ((getline line <"/proc/timer_list") > 0)
				if (line ~ /^now at/)
					split(line, word, " ")
			close("/proc/timer_list")
			return word[3]
		}
		BEGIN {
			before = now()
			for (i = 0; i < 100000; i++)
				sum += i
			print now() - before
		}'
	expect_status 0
	cat "$tmp/out"
}

test_icount_gives_the_same_count_twice() {
	local first second
	first=$(count)
	second=$(count)
	[[ $first && $second ]] || fail 'no count'
	((first > 1000000)) || fail "implausible: $first"
	(((first - second) * 100 < first && (second - first) * 100 < first)) ||
		fail "$first and $second differ by more than 1 %"
}
