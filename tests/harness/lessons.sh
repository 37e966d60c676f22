# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the lessons (docs/lessons): each driver has the recorded rows, and more than the step before.

# shellcheck source=qemu/lib/lessons.sh
. "$top/qemu/lib/lessons.sh"

# lesson_rows_are_recorded N: compares the rows in $tmp/out with those of the lesson.
lesson_rows_are_recorded() {
	local module
	module=$(lesson_modules "$(lesson_folder "$1")" | sed 's/.* //')
	awk -v "begin=rows /dev/$module" '$0 == begin { on = 1; next } /^end of lesson/ { on = 0 } on' "$tmp/out" |
		lesson_rows >"$tmp/rows$1"
	diff "$(lesson_folder "$1")/rows" "$tmp/rows$1" || fail "lesson $1: other rows than recorded; make lesson N=$1 UPDATE=1 records them"
}

# One guest runs all lessons.
test_lessons_have_the_recorded_rows_and_each_more_than_the_last() {
	[[ $kernel_name == stock ]] || skip "the rows are those of the kernel stock, and this is $kernel_name"
	local n script='' all=() nr=0 before=-1
	"$top/qemu/enter" cargo build --locked --workspace --bin mmap-conformance 2>"$tmp/said" || fail 'the build failed'
	for ((n = 1; n <= $(lesson_last); n++)); do
		lesson_guest "$(lesson_folder "$n")" "$n" 2>"$tmp/said" || fail "lesson $n does not build"
		all+=("${copies[@]}")
		script+=$(lesson_script "$n" "${nodes[@]}")$'\n'"echo 'end of lesson $n'"$'\n'
	done
	guest --no-module --timeout 600 "${all[@]}" -- sh -c "$script"
	expect_status 0
	for ((n = 1; n <= $(lesson_last); n++)); do
		lesson_rows_are_recorded "$n"
		nr=$(right "$tmp/rows$n" | wc -l)
		((nr > before)) || fail "lesson $n has $nr rows right, and the step before $before"
		before=$nr
	done
	! grep -q 'differs$' "$tmp/rows$((n - 1))" || fail "the last driver does not answer as a file: $(grep 'differs$' "$tmp/rows$((n - 1))")"
	# The wrong driver of lesson 6 loses the race, and the right one does not.
	grep -A 1 '^/dev/lesson6_wrong$' "$tmp/out" | grep -q '→ [1-8] of 8 pages are still there' || fail 'the wrong driver has not lost the race'
	grep -A 1 '^/dev/lesson6$' "$tmp/out" | grep -q '→ 0 of 8 pages are still there' || fail 'the right driver has lost the race'
	# What the pages show is what the programs print.
	for n in 1 2 3 4 5; do
		lesson_shown "$n" | while IFS= read -r line; do
			grep -qxF -e "$line" "$(lesson_folder "$n")/README.md" || fail "$(lesson_folder "$n")/README.md does not show: $line"
		done || exit
	done
}

# lesson_shown N: prints what the demonstration of lesson N has printed.
lesson_shown() {
	awk -v "from=end of lesson $(($1 - 1))" -v "n=$1" 'BEGIN { on = n == 1 } /^rows / { on = 0 } on; $0 == from { on = 1 }' "$tmp/out"
}

test_lesson_says_what_is_not_right_yet() {
	# The driver of the step before lacks the new rows.
	(lesson_report 2 "$(lesson_folder 1)/rows") >"$tmp/out" && fail 'nothing is missing'
	grep -qx 'rows right: 85; in lesson 1: 85' "$tmp/out" || fail "$(cat "$tmp/out")"
	[[ $(tail -n 2 "$tmp/out") == 'not right yet, and right in docs/lessons/2_fault:
  lazy::touching_allocates_exactly_the_touched_pages' ]] || fail "$(cat "$tmp/out")"
	# Its own driver has them, and they are new.
	(lesson_report 2 "$(lesson_folder 2)/rows") >"$tmp/out" || fail "$(cat "$tmp/out")"
	[[ $(tail -n 2 "$tmp/out") == 'new:
  lazy::touching_allocates_exactly_the_touched_pages' ]] || fail "$(cat "$tmp/out")"
}
