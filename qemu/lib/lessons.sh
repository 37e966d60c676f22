# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# The lessons of docs/lessons: what a guest needs for one, and its rows. Source it after common.sh.

lessons=$top/docs/lessons

# lesson_folder N: prints the folder of lesson N.
lesson_folder() { compgen -G "$lessons/$1_*" || die "there is no lesson $1: N is a number from 1 to $(lesson_last)" 2; }

# lesson_last: prints the number of the last lesson.
lesson_last() { compgen -G "$lessons/[0-9]*_*" | wc -l; }

# lesson_modules FOLDER: prints the names of its modules. The last one is that of the lesson.
lesson_modules() { sed -n 's/^obj-m := //p' "$1/Kbuild" | sed 's/\.o\b//g'; }

# lesson_guest FOLDER N: builds the driver in FOLDER, and all that shows and judges it as lesson N.
# Sets $copies, the options of qemu/run, and $nodes, the devices to show. The last one is judged.
lesson_guest() {
	local folder=$1 n=$2 lesson name programs=$build/lessons
	mkdir -p "$programs"
	lesson=$(lesson_folder "$n")
	"$top/qemu/enter" "${CROSS_COMPILE-}gcc" -static -O0 -Wall -Wextra -Werror -o "$programs/judge" "$lessons/judge.c"
	"$top/qemu/enter" "${CROSS_COMPILE-}gcc" -static -O0 -Wall -Wextra -Werror -o "$programs/show$n" "$lesson/show.c"
	copies=(--copy "$build/cargo/$triplet/debug/mmap-conformance:/bin/mmap-conformance"
		--copy "$programs/judge:/bin/judge" --copy "$programs/show$n:/bin/show$n")
	# The last lesson needs a disk.
	! grep -q /dev/scratch "$lesson/show.c" || copies+=(--scratch 32M)
	nodes=()
	# A driver that fails comes first: one of the lesson's own, or the driver of the step before.
	if [[ $folder == "$lesson" && $(lesson_modules "$lesson") != *' '* ]]; then
		if ((n == 1)); then nodes=(/dev/null); else lesson_driver "$(lesson_folder $((n - 1)))"; fi || return
	fi
	for name in $(lesson_modules "$folder"); do lesson_driver "$folder" "$name" || return; done
}

# lesson_driver FOLDER [NAME]: builds a module of a lesson, by default that of the lesson, and adds it to
# $copies and $nodes.
declare -A lesson_built=()
lesson_driver() {
	local name=${2:-$(lesson_modules "$1" | sed 's/.* //')}
	[[ ${lesson_built[$1/$name]-} ]] ||
		lesson_built[$1/$name]=$("$top/qemu/module" "$kernel_name" "$1" "$name") || return
	copies+=(--copy "${lesson_built[$1/$name]}:/lessons/$name.ko")
	nodes+=("/dev/$name")
}

# lesson_script N NODE…: prints what the guest does for lesson N. The records of the rows come after a
# line with the name of the judged module. The rows are also judged if the demonstration fails.
lesson_script() {
	local n=$1 node
	shift
	for node; do [[ $node == /dev/null ]] || echo "insmod /lessons/${node#/dev/}.ko || exit"; done
	echo "shown=0; timeout 100 show$n $* || shown=\$?"
	echo "[ \$shown = 0 ] || echo \"the demonstration ends here, with status \$shown\""
	echo "echo 'rows ${node#/dev/}'"
	echo "judge $node || exit"
	for node; do [[ $node == /dev/null ]] || echo "rmmod ${node#/dev/} || exit"; done
	echo "[ \$shown = 0 ] || exit 1"
}

# lesson_rows: reduces the records of mmap-conformance to the rows and their words.
lesson_rows() { cut -f 1,2; }

# lesson_report N ROWS: says which of these rows are right, and which are new since the step before. The
# status is 1 if one is missing that the lesson has.
lesson_report() {
	local n=$1 rows=$2 lesson missing
	count() { grep -c "	$1\$" "$rows" || true; }
	lesson=$(lesson_folder "$n")
	printf 'rows right: %d' "$(count same)"
	((n == 1)) || printf '; in lesson %d: %d' $((n - 1)) "$(right "$(lesson_folder $((n - 1)))/rows" | wc -l)"
	printf '\nnot right: %d differ as such a device may, %d differ, %d cannot run\n' \
		"$(count allowed)" "$(count differs)" "$(count 'not run')"
	if ((n > 1)); then
		printf 'new:\n'
		grep -vxFf <(right "$(lesson_folder $((n - 1)))/rows") <(right "$rows") | sed 's/^/  /' || true
	fi
	missing=$(grep -vxFf <(right "$rows") <(right "$lesson/rows")) || return 0
	printf 'not right yet, and right in %s:\n' "${lesson#"$top/"}"
	printf '  %s\n' "${missing//$'\n'/$'\n  '}"
	return 1
}

# right ROWS: prints the names of the rows that are answered as by a file.
right() { sed -n 's/\tsame$//p' "$1"; }
