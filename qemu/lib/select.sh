# shellcheck shell=bash disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0
#
# Selects tests for `make list` and `make test`, in an order that never changes: the tests that run
# on this machine, those of the guests, those of the harness. Source it after needs.sh.

# Name or glob, and part of the tests.
filter=${T-} shard=${SHARD-}

[[ ! $shard ]] || { [[ $shard =~ ^([1-9][0-9]{0,3})/([1-9][0-9]{0,3})$ ]] && ((BASH_REMATCH[1] <= BASH_REMATCH[2])); } ||
	die "SHARD=$shard is not a part of the tests: use for example SHARD=2/5 for the second of five" 2

# The program that makes KTAP of the results.
ktap=$build/mmap-pool-ktap

# build_tests OPTION…: builds the tests that cargo's options name: all, or some targets. Their programs
# are in $programs. Builds $ktap, too, without debugging information because guests load it.
build_tests() {
	(($# == 1)) || set -- "$@" --test=ktap
	[[ ! ${ARCH-} ]] || say "ARCH=$ARCH: without the tests of the harness"
	# Another run may build at the same time, so each has its own log.
	local log=$build/log/userspace-$$.log
	step 'userspace and its tests' "$log" \
		"$here/enter" cargo test --locked "$@" --no-run || exit "$NOT_SET_UP"
	local built=$build/cargo/$triplet/debug/mmap-pool-ktap
	[[ $ktap -nt $built ]] || { "$here/enter" "${CROSS_COMPILE-}strip" -o "$ktap.$$" "$built" && mv "$ktap.$$" "$ktap"; }
	# `make check` runs the test public_api.
	mapfile -t programs < <(sed -n 's/.*Executable .* (\(.*\)).*/\1/p' "$log" |
		grep -v '/public_api-' | LC_ALL=C sort)
	rm "$log"
	((${#programs[@]})) || die 'there are no tests'
}

# suite PROGRAM: the target of cargo's that it was built from.
suite() { local name=${1##*/} && printf '%s\n' "${name%-*}"; }

# T=@FILE: the tests that FILE lists.
is_file() { [[ $filter == @* ]]; }
! is_file || [[ -r ${filter#@} ]] || die "T=$filter: cannot read the file ${filter#@}" 2
! is_file || filter=@$(realpath -- "${filter#@}")

is_glob() { [[ $filter == *[*?[]* ]] && ! is_file; }

# likely: prints cargo's options for the targets that may have a test that T= selects. The name of a
# test comes from a function, a module, a file, or the list of a macro. The options name targets of
# the whole workspace: for single packages, cargo would build all dependencies again.
likely() {
	local folder options word=${filter%::}
	word=${word##*::}
	while read -r folder options; do
		[[ $word == *[!A-Za-z0-9_]* ]] ||
			[[ $(find "$folder"/{src,tests,corpus} -path "$folder/*$word*" 2>/dev/null) ]] ||
			grep -rqsE "((fn|mod) |[{] |[0-9] )[a-z0-9_ ]*$word|^ *[a-z0-9_]*${word}[a-z0-9_]*;?\$" "$folder"/{src,tests} ||
			continue
		xargs -n 1 <<<"$options"
	done <<-'END'
		userspace/mmap-pool --lib --test=uapi_agrees
		userspace/bench --bin=mmap-pool-bench
		tests --lib --test=guest --test=guest_backed --test=guest_big --test=guest_failures --test=guest_kunit --test=guest_nodes --test=guest_programs
		tests/coverage --bin=mmap-pool-coverage
		tests/fuzz --lib --test=guest_fuzz --test=guest_fuzz_ext4 --test=syzkaller
		tests/loom --lib
		tests/ktap --bin=mmap-pool-ktap --test=ktap
	END
}

doc=("$here/enter" cargo test --locked --workspace --exclude mmap-pool-tests --doc --)

# all_tests: prints a line for each test: the program, a tab, the name. Programs that need a guest
# can list their tests here, too.
all_tests() {
	((!${#programs[@]})) || list_programs || return
	[[ ${ARCH-} ]] || "$top/tests/harness/run" --list | sed 's/^/harness\t/'
}

list_programs() {
	local in_guest=() on_host=() program log=$build/log/list.log
	for program in "${programs[@]}"; do
		if [[ $(suite "$program") == guest* ]]; then in_guest+=("$program"); else on_host+=("$program"); fi
	done
	names_in "${on_host[@]}" || return
	# Examples in the documentation of libraries.
	[[ ! $has_doc ]] || "${doc[@]}" --list 2>"$log" | sed -n 's/\(.*\): test$/doc\t\1/p' ||
		{ cat "$log" >&2 && return 1; }
	names_in "${in_guest[@]}"
}

# names_in PROGRAM…: prints such lines for the tests of these programs.
names_in() {
	# shellcheck disable=SC2016 # the inner shell's
	"$here/enter" bash -c 'set -o pipefail
		emulate=$0
		for program; do
			"$emulate" "$program" --list | sed -n "s|\(.*\): test\$|$program\t\1|p" || exit
		done' "$here/lib/emulate" "$@"
}

# choose: prints those of its input lines that T= selects.
choose() {
	local line
	if is_file; then
		awk -f "$here/lib/listed.awk" "${filter#@}" -
		return
	elif ! is_glob; then
		awk -v "name=$filter" -f "$here/lib/choose.awk"
		return
	fi
	while IFS= read -r line; do
		# shellcheck disable=SC2053 # a glob
		[[ ${line#*$'\t'} != $filter ]] || printf '%s\n' "$line"
	done
}

# part: prints those of its input lines that belong to SHARD=K/N: the Kth of every N.
part() { awk -v "k=${shard%/*}" -v "n=${shard#*/}" '!n || (NR - 1) % n == k - 1'; }

# select_tests: builds the programs of the tests that T= and SHARD= select. Sets $all to the tests of
# these programs and $chosen to the selected ones: lines of all_tests.
select_tests() {
	local options=() has_doc=1
	programs=()
	if [[ $filter ]] && ! is_glob && ! is_file; then
		# Several packages may have the same option.
		mapfile -t options < <(likely | sort -u)
		[[ " ${options[*]} " == *' --lib '* ]] || has_doc=''
		((!${#options[@]})) || build_tests --workspace "${options[@]}"
		all=$(all_tests)
		chosen=$(choose <<<"$all" | part)
		[[ ! $chosen ]] || return 0
		has_doc=1
	fi
	build_tests --workspace
	all=$(all_tests)
	chosen=$(choose <<<"$all" | part)
}

# tests_of PROGRAM <<<LINES: prints the names of the tests of PROGRAM.
tests_of() { awk -F '\t' -v "program=$1" '$1 == program { print $2 }'; }
