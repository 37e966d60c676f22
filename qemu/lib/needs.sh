# shellcheck shell=bash disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0
#
# Reads the requirements of the tests from their source files:
#
#	//! needs: `WORD…`	at the head of a target's first file: all tests of the target
#	/// needs: `WORD…`	above a function: the tests that it makes; above a module: its tests;
#				config= alone
#
#	config=OPTION		a kernel with OPTION, built in or as a module; others do not run the tests
#	mem=M smp=N nodes=N timeout=S append=WORD failures
#				the options of qemu/run with these names
#	scratch=SIZE		an empty disk, /dev/scratch
#	insmod=NAME		a module of the kernel, if it is not built in
#	disk			the disk of qemu/programs/disk, on /disk
#	programs		what qemu/programs/compile makes, in /programs
#
# The harness reads them here, and nowhere else. A new word needs a line in guest_for.

# needs_of FILE: the words at the head of a target.
needs_of() { sed -n 's|^//! needs: ||p' "$1" | tr -d '`'; }

# needs_of_tests FILE…: a line for each word above a function or a module: its name, the word.
needs_of_tests() {
	awk '$1 == "///" && $2 == "needs:" { gsub(/`/, ""); for (i = 3; i <= NF; i++) words[++nr] = $i; next }
		match($0, /(^| )(fn|mod) [a-z0-9_]+/) {
			name = substr($0, RSTART, RLENGTH)
			sub(/.* /, "", name)
			for (i = 1; i <= nr; i++) print name, words[i]
			nr = 0
		}' "$@"
}

# sources PROGRAM: the files that cargo built it from, the first one first.
sources() { sed -n "s|^\([^ ]*\.rs\):\$|$top/\1|p" "$1.d"; }

# list_needs: for each input line, a program, a tab and a test, prints the program's suite, the test
# and what it needs.
list_needs() {
	local program test last='' files needs name word words_of_test
	local -A words
	while IFS=$'\t' read -r program test; do
		[[ $program ]] || continue
		if [[ $program != "$last" ]]; then
			last=$program needs=host words=()
			if [[ $program == */guest[-_]* ]]; then
				mapfile -t files < <(sources "$program")
				needs="guest $(needs_of "${files[0]}" | xargs)"
				while read -r name word; do
					words[$name]+=" $word"
				done < <(needs_of_tests "${files[@]}")
			fi
		fi
		words_of_test=''
		for name in ${test//::/ }; do words_of_test+=${words[$name]-}; done
		printf '%s\t%s\t%s\n' "$(suite "$program")" "$test" "${needs% }$words_of_test"
	done
}

# guest_for FILE: sets $options to the options of qemu/run for this target.
guest_for() {
	local word path
	options=()
	for word in $(needs_of "$1"); do
		case $word in
		config=*) ;;
		mem=* | smp=* | nodes=* | timeout=* | append=* | scratch=* | insmod=*) options+=("--${word%%=*}" "${word#*=}") ;;
		failures) options+=(--failures) ;;
		disk) path=$("$top/qemu/programs/disk") && options+=(--disk "$path") || return ;;
		programs) path=$("$top/qemu/programs/compile") && options+=(--copy "$path:/programs") || return ;;
		*) die "needs: $word: no such word (qemu/lib/needs.sh)" ;;
		esac
	done
}

# lacks WORD: whether the kernel lacks what the word names; sets $reason.
lacks() {
	local kernel
	if [[ ${ARCH-} && $1 =~ ^(disk|programs)$ ]]; then
		reason="needs the disk of real programs, which is for x86-64"
		return
	fi
	[[ $1 == config=* ]] || return
	kernel=$("$top/qemu/kernel") || exit "$NOT_SET_UP"
	[[ -f $kernel/config ]] || die "the kernel $kernel_name has no configuration"
	! grep -qx "${1#*=}=[ym]" "$kernel/config" || return
	reason="needs a kernel with ${1#*=}, and $kernel_name has none"
}
