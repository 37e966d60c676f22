# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the lessons (docs/lessons): each driver has the recorded rows, and more than the step before.

# shellcheck source=qemu/lib/lessons.sh
. "$top/qemu/lib/lessons.sh"

# lesson_rows_are_recorded N [MODULE]: compares the rows of the module in $tmp/out, by default that of the lesson,
# with the recorded ones. Rows that are not recorded yet, of new scenarios, do not count.
lesson_rows_are_recorded() {
	local module
	module=${2:-$(lesson_modules "$(lesson_folder "$1")" | sed 's/.* //')}
	awk -v "begin=rows $module" '$0 == begin { on = 1; next } /^end of lesson/ { on = 0 } on' "$tmp/out" |
		lesson_rows | awk -F '\t' 'NR == FNR { recorded[$1]; next } $1 in recorded' "$(lesson_folder "$1")/rows" - >"$tmp/rows$1"
	diff "$(lesson_folder "$1")/rows" "$tmp/rows$1" || fail "lesson $1: other rows than recorded; make lesson N=$1 UPDATE=1 records them"
}

# run_lessons FROM TO: runs these lessons in one guest. Its output is in $tmp/out.
run_lessons() {
	local n script='' all=()
	for ((n = $1; n <= $2; n++)); do
		lesson_guest "$(lesson_folder "$n")" "$n" 2>"$tmp/said" || fail "lesson $n does not build"
		all+=("${copies[@]}")
		script+=$(lesson_script "$n" "${nodes[@]}")$'\n'"echo 'end of lesson $n'"$'\n'
	done
	guest --no-module --timeout 1200 "${all[@]}" -- sh -c "$script"
	expect_status 0
}

test_lessons_have_the_recorded_rows_and_each_more_than_the_last() {
	[[ $kernel_name == stock ]] || skip "the rows are those of the kernel stock, and this is $kernel_name"
	local program n nr=0 before=-1
	build_program mmap-conformance
	run_lessons 1 7
	for n in {1..7}; do
		lesson_rows_are_recorded "$n"
		nr=$(right "$tmp/rows$n" | wc -l)
		((nr > before)) || fail "lesson $n has $nr rows right, and the step before $before"
		before=$nr
	done
	! grep -q 'differs$' "$tmp/rows7" || fail "the last driver does not answer as a file: $(grep 'differs$' "$tmp/rows7")"
	# The wrong driver of lesson 6 loses the race, and the right one does not.
	grep -A 1 '^/dev/lesson6_wrong$' "$tmp/out" | grep -q '→ [1-8] of 8 pages are still there' || fail 'the wrong driver has not lost the race'
	grep -A 1 '^/dev/lesson6$' "$tmp/out" | grep -q '→ 0 of 8 pages are still there' || fail 'the right driver has lost the race'
	for n in {1..5}; do lesson_page_shows_what_is_printed "$n"; done
}

test_lesson_of_a_backing_file_keeps_bytes_and_stores_more_than_memory() {
	((slowness == 1)) || skip "shows what does not depend on the kernel, and $kernel_name is slow"
	local program
	build_program mmap-conformance
	run_lessons 8 8
	# The rows are those of the kernel stock.
	[[ $kernel_name != stock ]] || lesson_rows_are_recorded 8
	lesson_page_shows_what_is_printed 8
}

test_lesson_in_c_answers_as_the_one_in_rust() {
	((slowness == 1)) || skip "judges drivers, which do not depend on the kernel, and $kernel_name is slow"
	local program path
	build_program mmap-conformance
	path=$("$top/qemu/module" "$kernel_name" "$lessons/in_c" lesson5_c 2>"$tmp/said") || fail 'no driver'
	guest --no-module --copy "$program:/bin/mmap-conformance" --copy "$path:/lesson5_c.ko" -- sh -c 'insmod /lesson5_c.ko &&
		mmap-conformance --row lazy --row sharing --row cow --row io --row locks /dev/lesson5_c && rmmod lesson5_c'
	expect_status 0
	(($(sed -n 's/ rows answer as a file.*//p' "$tmp/out") > 60)) || fail "$(tail -n 3 "$tmp/out")"
}

test_lesson_of_a_backing_file_in_c_answers_as_the_one_in_rust() {
	[[ $kernel_name == stock ]] || skip "the rows are those of the kernel stock, and this is $kernel_name"
	local program
	build_program mmap-conformance
	lesson_guest "$lessons/in_c" 8 2>"$tmp/said" || fail 'no driver'
	guest --no-module --timeout 600 "${copies[@]}" -- sh -c "$(lesson_script 8 /dev/lesson8_c)"
	expect_status 0
	lesson_rows_are_recorded 8 lesson8_c
	sed -n '/^\/dev\/lesson8_c$/,/^rows/s/^  /&/p' "$tmp/out" >"$tmp/shown"
	(($(wc -l <"$tmp/shown") == 4)) || fail 'the demonstration says something else'
	! grep -vxFf "$(lesson_folder 8)/README.md" "$tmp/shown" || fail 'the driver in Rust does not say this line'
}

# lesson_page_shows_what_is_printed N: compares the README of lesson N with what the demonstration prints.
lesson_page_shows_what_is_printed() {
	lesson_shown "$1" >"$tmp/shown"
	(($(wc -l <"$tmp/shown") > 4)) || fail "lesson $1 shows nothing"
	! grep -vxFf "$(lesson_folder "$1")/README.md" "$tmp/shown" || fail "the page of lesson $1 does not show this line"
}

# lesson_shown N: prints what the demonstration of lesson N has printed.
lesson_shown() {
	awk -v "begin=end of lesson $(($1 - 1))" -v "n=$1" 'BEGIN { on = n == 1 || n == 8 } /^(rows|end of lesson) / { on = 0 } on; $0 == begin { on = 1 }' "$tmp/out"
}

test_lessons_stay_loaded_while_they_are_mapped() {
	((slowness == 1)) || skip "asks drivers, which do not depend on the kernel, and $kernel_name is slow"
	local n name program modules=() all=()
	build_program mmap-conformance
	"$top/qemu/enter" "${CROSS_COMPILE-}gcc" -static -Wall -Werror -I "$lessons" -x c -o "$build/lessons/hold" - <<-'END' ||
		#include "lesson.h"

		int main(int argc, char **argv)
		{
			int fd = open_node(argv[1]);
			char *mapping = map(fd, MAP_SHARED, 256, 0);

			for (size_t page = 0; page < 256; page++)
				mapping[page * PAGE] = 'h';
			close(fd);
			close(creat("/tmp/held", 0600));
			while (!access("/tmp/held", F_OK))
				usleep(100000);
			return argc != 2;
		}
	END
		fail 'no program'
	for n in {1..8}; do
		lesson_guest "$(lesson_folder "$n")" "$n" 2>"$tmp/said" || fail "lesson $n does not build"
		name=${nodes[-1]#/dev/}
		modules+=("$name")
		all+=(--copy "${lesson_built[$(lesson_folder "$n")/$name]}:/lessons/$name.ko")
	done
	lesson_guest "$lessons/in_c" 8 2>"$tmp/said" || fail 'no driver in C'
	modules+=(lesson5_c lesson8_c)
	# Beside the mapping, the suite runs twice at a time. Its rows disturb each other, but not the kernel.
	# shellcheck disable=SC2016 # the guest's variables
	guest --no-module --timeout 900 "${all[@]}" "${copies[@]}" --copy "$build/lessons/hold:/bin/hold" -- sh -c 'for name; do
		insmod /lessons/$name.ko || exit
		hold /dev/$name &
		held=$!
		until [ -e /tmp/held ]; do sleep 0.1; done
		rmmod $name 2>/dev/null && echo "$name was removed"
		case $name in lesson[1-5]*)
			mmap-conformance --row sharing --row areas --row concurrency /dev/$name >/dev/null 2>&1 &
			suite=$!
			mmap-conformance --row sharing --row areas --row concurrency /dev/$name >/dev/null 2>&1
			wait $suite
		esac
		rm /tmp/held
		wait $held || exit
		rmmod $name || exit
		echo $name
	done' sh "${modules[@]}"
	expect_status 0
	printf '%s\n' "${modules[@]}" | cmp -s - "$tmp/out" || fail "$(cat "$tmp/out")"
}

test_lesson_refuses_a_folder_that_is_no_driver() {
	local folder why
	mkdir "$tmp/empty" "$tmp/nothing" "$tmp/elsewhere"
	echo '# nothing' >"$tmp/nothing/Kbuild"
	cp "$(lesson_folder 1)/Kbuild" "$tmp/elsewhere"
	while read -r folder why; do
		status=0
		N=2 MINE=$tmp/$folder "$top/qemu/verbs/lesson" >"$tmp/out" 2>"$tmp/said" || status=$?
		expect_status 2
		expect_said "$why"
	done <<-'END'
		missing no such folder
		empty has no Kbuild
		nothing names no module
		elsewhere is not beside the lessons
	END
}

test_lesson_judges_a_driver_whose_demonstration_fails() {
	local mine
	mine=$(mktemp -d "$lessons/mine.XXXXXX")
	cp "$(lesson_folder 5)"/* "$mine"
	N=6 MINE=$mine "$top/qemu/verbs/lesson" >"$tmp/out" 2>"$tmp/said" || status=$?
	rm -r "$mine"
	expect_status 1
	grep -qx 'the demonstration ends here, with status 1' "$tmp/out" || fail "$(cat "$tmp/out")"
	grep -qx 'rows right: 183; in lesson 5: 183' "$tmp/out" || fail "$(cat "$tmp/out")"
	grep -qx 'not right yet, and right in docs/lessons/6_truncation:' "$tmp/out" || fail "$(cat "$tmp/out")"
}

test_lesson_says_what_is_not_right_yet() {
	# The driver of the step before lacks the new rows.
	(lesson_report 2 "$(lesson_folder 1)/rows") >"$tmp/out" && fail 'nothing is missing'
	grep -qx 'rows right: 64; in lesson 1: 64' "$tmp/out" || fail "$(cat "$tmp/out")"
	[[ $(tail -n 2 "$tmp/out") == 'not right yet, and right in docs/lessons/2_fault:
  lazy::touching_allocates_exactly_the_touched_pages' ]] || fail "$(cat "$tmp/out")"
	# Its own driver has them, and they are new.
	(lesson_report 2 "$(lesson_folder 2)/rows") >"$tmp/out" || fail "$(cat "$tmp/out")"
	[[ $(tail -n 2 "$tmp/out") == 'new:
  lazy::touching_allocates_exactly_the_touched_pages' ]] || fail "$(cat "$tmp/out")"
}
