# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of a new user's first steps: unusual paths, a damaged cache, a wrong kernel tree, an own
# module. Each works, or ends with one line that says why not.

# answer COMMAND…: runs COMMAND. Its output is in $tmp/out, its messages are in $tmp/said, and its
# status is in $status.
answer() {
	status=0
	"$@" </dev/null >"$tmp/out" 2>"$tmp/said" || status=$?
}

# refused STATUS WORDS: checks that the last command had that status, one line of messages with
# these words, and no output.
refused() {
	expect_status "$1"
	(($(wc -l <"$tmp/said") == 1)) || fail 'the message is not one line'
	expect_said "$2"
	[[ ! -s $tmp/out ]] || fail 'there is output'
}

# as_root_of_mounts COMMAND…: runs COMMAND in its own mount namespace, where it may mount.
as_root_of_mounts() {
	local user=()
	((EUID == 0)) || user=(--user --map-root-user)
	unshare "${user[@]}" --mount "$@"
}

# checkout FOLDER: copies this checkout to FOLDER, without the build folder.
checkout() {
	mkdir -p "$1"
	tar -c -C "$top" --exclude=./build --exclude=./.git --exclude=./.cache . | tar -x -C "$1"
}

test_module_is_built_where_paths_have_spaces() {
	local copy="$tmp/a b's & c:d"
	checkout "$copy"
	mkdir "$tmp/e f"
	ln -s "$cache" "$tmp/e f/mmap_pool"
	XDG_CACHE_HOME="$tmp/e f" answer "$copy/qemu/module" "$kernel_name" "$copy/tests/modules/example" example
	expect_status 0
	expect_out "$copy/build/module/$kernel_name/example/example.ko"$'\n'
	[[ -s $(cat "$tmp/out") ]] || fail 'there is no module'
	answer "$copy/qemu/run" --kernel "$kernel_name" --no-module --copy "$(cat "$tmp/out"):/x y.ko" -- insmod '/x y.ko'
	expect_status 0
	# The compiler's message has the path that the user knows.
	echo 'nonsense' >>"$copy/tests/modules/example/example.rs"
	answer "$copy/qemu/module" "$kernel_name" "$copy/tests/modules/example" example
	expect_status 125
	grep -qF -e "$copy/tests/modules/example/example.rs:" "$tmp/said" || fail 'the message does not have the path of the source'
	! grep -q -e '/mmap_pool\.' "$tmp/said" || fail 'the message has a path that does not exist here'
}

test_build_folder_can_be_elsewhere() {
	BUILD="$tmp/some where" answer "$top/qemu/module" "$kernel_name" "$top/tests/modules/example" example
	expect_status 0
	expect_out "$tmp/some where/module/$kernel_name/example/example.ko"$'\n'
	[[ -s "$tmp/some where/log/module-$kernel_name-example.log" ]] || fail 'the log is not in the build folder'
	# make clean removes this build folder, but no other folder.
	answer make -C "$top" clean BUILD="$tmp/some where"
	expect_status 0
	[[ ! -e "$tmp/some where" ]] || fail 'the build folder was not removed'
	mkdir "$tmp/mine"
	answer make -C "$top" clean BUILD="$tmp/mine"
	expect_status 2
	expect_said 'was not made by this project'
	[[ -e $tmp/mine ]] || fail 'a foreign folder was removed'
	# A folder with other files stays, even after a build in it.
	touch "$tmp/mine/letter"
	BUILD=$tmp/mine "$top/qemu/enter" true
	answer make -C "$top" clean BUILD="$tmp/mine"
	expect_status 2
	[[ -e $tmp/mine/letter ]] || fail 'a foreign file was removed'
}

test_read_only_checkout_is_reported_in_one_line() {
	checkout "$tmp/copy"
	local command
	for command in run verbs/test; do
		# shellcheck disable=SC2016 # the inner shell's
		answer as_root_of_mounts sh -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
			exec "$1/qemu/$2" -- true' sh "$tmp/copy" "$command"
		refused 125 "cannot write to $tmp/copy/build: set BUILD=DIR to use another build folder"
	done
	# shellcheck disable=SC2016 # the inner shell's
	BUILD=$tmp/made answer as_root_of_mounts sh -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
		exec "$1/qemu/module" "$2" "$1/tests/modules/example" example' sh "$tmp/copy" "$kernel_name"
	expect_status 0
	expect_out "$tmp/made/module/$kernel_name/example/example.ko"$'\n'
}

# attacked: makes a second cache in $spoilt, with hard links to the files of the real one.
attacked() {
	local thing
	spoilt=$(mktemp -d "$cache/attacked.XXXXXX")
	# shellcheck disable=SC2064 # the present value of spoilt
	trap "rm -rf '$spoilt'" EXIT
	mkdir -p "$spoilt/mmap_pool/kernels"
	for thing in "$cache"/root-* "$cache"/guest-*; do
		[[ $thing == *.lock ]] || cp -al "$thing" "$spoilt/mmap_pool/"
	done
}

test_truncated_archive_of_the_guest_is_detected() {
	local base
	attacked
	base=$(XDG_CACHE_HOME=$spoilt "$top/qemu/enter" "$top/qemu/lib/base") || fail 'the copied cache is not intact'
	head -c 100000 "$base" >"$tmp/cut"
	rm "$base"
	cp "$tmp/cut" "$base"
	XDG_CACHE_HOME=$spoilt answer "$top/qemu/run" --kernel "$kernel_name" --no-module -- true
	refused 125 "damaged: $base has changed; remove the folder: rm -rf ${base%/*}\$"
	# A file of the right length with other contents.
	truncate -s "$(awk '/base.cpio/ { print $1; exit }' "${base%/*}.contents")" "$base"
	XDG_CACHE_HOME=$spoilt answer "$top/qemu/run" --kernel "$kernel_name" --no-module -- true
	refused 125 "damaged: $base"
}

test_missing_compiler_is_detected() {
	local root
	attacked
	root=$(XDG_CACHE_HOME=$spoilt "$top/qemu/root/build") || fail 'the copied cache is not intact'
	mv "$root/usr/bin/rustc" "$tmp/rustc"
	XDG_CACHE_HOME=$spoilt answer "$top/qemu/enter" true
	refused 125 "damaged: $root/usr/bin/rustc has changed; remove the folder: rm -rf $root\$"
	XDG_CACHE_HOME=$spoilt answer "$top/qemu/verbs/doctor"
	expect_status 1
	grep -q "^WRONG   toolchain root: the cache is damaged: .* rm -rf $root\$" "$tmp/out" || fail "$(cat "$tmp/out")"
	# gcc is a link to a compiler.
	mv "$tmp/rustc" "$root/usr/bin/rustc"
	rm "$root/usr/bin/gcc"
	XDG_CACHE_HOME=$spoilt answer "$top/qemu/enter" true
	refused 125 "damaged: $root/usr/bin/gcc has changed"
}

test_garbage_instead_of_a_version_is_detected() {
	local found
	attacked
	found=$(echo "$cache"/kernels/"$kernel_name".*.found)
	found=${found##* }
	head -c 300 "$kernel/image" | tail -c 200 >"$spoilt/mmap_pool/kernels/${found##*/}"
	XDG_CACHE_HOME=$spoilt MMAP_POOL_LOOK=1 answer "$top/qemu/kernel" "$kernel_name"
	refused 1 "${found##*/} is damaged: looking for the newest kernel again"
	[[ ! -e $spoilt/mmap_pool/kernels/${found##*/} ]] || fail 'the damaged file was not removed'
}

test_doctor_changes_nothing() {
	mkdir "$tmp/cache"
	XDG_CACHE_HOME=$tmp/cache BUILD=$tmp/made answer "$top/qemu/verbs/doctor"
	grep -q '^ok      toolchain root: does not exist yet; make run makes it$' "$tmp/out" || fail "$(cat "$tmp/out")"
	[[ ! -e $tmp/cache/mmap_pool && ! -e $tmp/made ]] || fail 'doctor made a folder'
	BUILD=/proc/1/nowhere answer "$top/qemu/verbs/doctor"
	expect_status 1
	grep -q "^ok      kernel $kernel_name: $kernel\$" "$tmp/out" || fail "$(cat "$tmp/out")"
	grep -q '^WRONG   build folder: cannot write to .*; set BUILD=DIR' "$tmp/out" || fail "$(cat "$tmp/out")"
}

# kernel_tree VERSION-CODE OPTION…: makes $tmp/tree, which looks like a prepared kernel tree.
kernel_tree() {
	rm -rf "$tmp/tree"
	mkdir -p "$tmp/tree"/{rust,include/generated/uapi/linux}
	touch "$tmp/tree"/{Makefile,include/generated/autoconf.h,rust/libkernel.rmeta}
	echo "#define LINUX_VERSION_CODE $1" >"$tmp/tree/include/generated/uapi/linux/version.h"
	printf '%s\n' "${@:2}" >"$tmp/tree/.config"
}

test_unsuitable_kernel_trees_are_refused_in_one_line() {
	local rust=(CONFIG_RUST=y CONFIG_RUSTC_VERSION=108501)
	printf '#!/bin/sh\necho "rustc 1.85.1 (abc 2025-03-15)"\n' >"$tmp/rustc"
	printf '#!/bin/sh\necho "rustc 1.99.0-nightly"\n' >"$tmp/other"
	chmod +x "$tmp/rustc" "$tmp/other"
	kernel_tree 459264 "${rust[@]}"
	RUSTC=$tmp/rustc CC=true answer "$top/qemu/lib/kdir" "$tmp/tree"
	expect_status 0
	RUSTC=no-rustc CC=true answer "$top/qemu/lib/kdir" "$tmp/tree"
	refused 4 'no-rustc is not on PATH; install it'
	RUSTC=$tmp/rustc CC=no-gcc answer "$top/qemu/lib/kdir" "$tmp/tree"
	refused 4 'no-gcc is not on PATH; install it'
	RUSTC=$tmp/other CC=true answer "$top/qemu/lib/kdir" "$tmp/tree"
	refused 4 "built with rustc number 108501 .*, but this is rustc 1.99.0-nightly: use the kernel's compiler"
	kernel_tree 459264 "${rust[@]}" CONFIG_CC_IS_CLANG=y
	RUSTC=$tmp/rustc CC=true answer "$top/qemu/lib/kdir" "$tmp/tree"
	refused 4 'was built by clang: add LLVM=1'
	kernel_tree 459263 "${rust[@]}"
	answer "$top/qemu/lib/kdir" "$tmp/tree"
	refused 5 'is Linux 7.1: the module needs 7.2 or newer'
	mkdir "$tmp/a b"
	touch "$tmp/a b/Makefile"
	answer "$top/qemu/lib/kdir" "$tmp/a b"
	refused 2 'make cannot handle a space or colon in a path: move '
}

test_buildroot_in_a_path_with_spaces_is_refused() {
	mkdir -p "$tmp/a b/support/kconfig"
	touch "$tmp/a b/Makefile"
	BUILDROOT="$tmp/a b" answer "$top/qemu/image"
	refused 2 "Buildroot cannot handle a space or colon in a path: move $tmp/a b"
}

test_empty_kdir_is_refused() {
	answer make -s -C "$top" KDIR=
	expect_status 2
	expect_said 'KDIR is empty: set KDIR=/path'
	[[ ! -s $tmp/out ]] || fail 'it built a module'
}

# A verb of make is one file in qemu/verbs/. Makefile and `make help` find it there.
test_every_verb_of_make_is_run_and_listed() {
	local verb
	checkout "$tmp/copy"
	printf '%s\n' '#!/bin/sh' '# A licence.' '#' '# make nothing  Do nothing.' '#' '# A detail.' 'echo done' \
		>"$tmp/copy/qemu/verbs/nothing"
	chmod +x "$tmp/copy/qemu/verbs/nothing"
	answer make -s -C "$tmp/copy" nothing
	expect_status 0
	expect_out $'done\n'
	answer make -s -C "$tmp/copy" help
	expect_status 0
	for verb in "$tmp"/copy/qemu/verbs/*; do
		(($(grep -cE "^make ${verb##*/}( |\$)" "$tmp/out") == 1)) || fail "make help does not list ${verb##*/} once"
	done
	! grep -q 'detail' "$tmp/out" || fail 'make help shows more than the first paragraph'
	[[ $(sed -nE 's/^make ([a-z-]+)( .*)?$/\1/p' "$tmp/out" | xargs) == \
		'run lesson test list report matrix test-all kselftest-package lava fuzz coverage check bench bench-compare profile mutants drivers pictures buildroot install-headers shell doctor update clean help nothing'* ]] ||
		fail "make help has another order: $(grep '^make' "$tmp/out")"
}

# Runs the long list with a fake make, which prints its arguments and fails for the words in $WRONG.
test_long_list_continues_after_a_failure_and_an_interruption() {
	local list
	mkdir "$tmp/bin"
	checkout "$tmp/copy"
	# shellcheck disable=SC2016 # the variables of the fake make
	printf '#!/bin/sh\necho "make $*"\ncase "$*" in *$WRONG*) exit 1 ;; *$KILL*) kill -$SIGNAL $PPID ;; esac\n' >"$tmp/bin/make"
	chmod +x "$tmp/bin/make"
	list() {
		PATH=$tmp/bin:$PATH WRONG=${1:-none} KILL=${2:-none} SIGNAL=${3:-TERM} \
			answer env --default-signal=INT "$tmp/copy/qemu/verbs/test-all"
	}
	list coverage
	expect_status 1
	[[ $(tail -n 1 "$tmp/out") == 'failed: make coverage' ]] || fail "$(tail -n 1 "$tmp/out")"
	grep -q '^make test KERNEL=generic ' "$tmp/out" || fail 'a kernel is missing'
	(($(grep -c '^make fuzz ' "$tmp/out") > 1)) || fail 'the list ended after the failure'
	! grep -q SEED "$tmp/out" || fail 'the list sets a fixed seed'
	# Only what failed runs again, and what was interrupted is not done.
	list none bench
	expect_status 0
	expect_out $'make coverage\n'
	rm -r "$tmp/copy/build/test-all"
	list none check INT
	expect_status 130
	expect_out $'make check\n'
	list none coverage
	expect_status 143
	[[ $(tail -n 1 "$tmp/out") == 'make coverage' ]] || fail 'it goes on after its end'
	list
	expect_status 0
	[[ $(head -n 1 "$tmp/out") == 'make coverage' ]] || fail 'it begins elsewhere'
	# With another file it begins again.
	touch "$tmp/copy/new"
	list
	[[ $(head -n 1 "$tmp/out") == 'make check' ]] || fail 'what passed with other files is not run'
}

test_workflow_lint_finds_each_mistake() {
	broken_workflow() {
		rm -rf "$tmp/files"
		mkdir -p "$tmp/files"
		cp -r "$top"/{.github,.gitlab-ci.yml,.ci,Containerfile} "$tmp/files/"
		(cd "$tmp/files" && "$@")
		run=$(mktemp -d "$build/log/lint.XXXXXX")
		cp -r "$tmp/files/." "$run/"
		status=0
		"$top/qemu/enter" "$top/tests/lint/workflows" "$run" >"$tmp/said" 2>&1 || status=1
		rm -rf "$run"
		((status))
	}
	! broken_workflow true || fail 'the lint fails on correct files'
	broken_workflow sed -i 's/make check/make chekc/' .gitlab-ci.yml || fail 'not found: a verb that does not exist'
	expect_said 'there is no verb chekc of make'
	broken_workflow sed -i s/matrix.shard/matrix.shrad/ .github/workflows/ci.yml || fail 'not found: a wrong expression'
	expect_said 'shrad'
	broken_workflow sed -i 's/^check:/check: {scrpt: x}\nother:/; s/git make/curl | sh/; s/timeout: 1h/timeout: [1]/' .gitlab-ci.yml Containerfile ||
		fail 'not found: two mistakes'
	expect_said 'Containerfile: not a package'
	expect_said 'Schema validation errors'
}

# README.md names the files that an own driver needs.
test_own_driver_needs_no_more_than_the_readme_says() {
	local folder=$build/own-driver log=$build/log/module-$kernel_name-memory.log
	local -a files
	mapfile -t files < <(sed -n 's/^cp -r \(.*\) \.\.\/mine$/\1/p' "$top/README.md" | tail -n 1 | xargs -n 1)
	((${#files[@]} > 1)) || fail 'README.md names no files'
	rm -rf "$folder"
	cp -r "$top/tests/modules/memory" "$folder"
	(cd "$top" && cp -r "${files[@]}" "$folder")
	answer "$top/qemu/module" "$kernel_name" "$folder" memory
	expect_status 0
	! grep -q '^warning' "$log" || fail "$(grep -A 5 '^warning' "$log")"
	"$top/qemu/enter" gcc -static -Wall -Werror -o "$folder/map" "$folder/map.c"
	guest --no-module --copy "$(cat "$tmp/out"):/memory.ko" --copy "$folder/map:/bin/map" -- \
		sh -c 'insmod /memory.ko && map && rmmod memory'
	expect_status 0
}

# example WHERE: copies the example of an own module.
example() { cp -r "$top/tests/modules/example" "$1"; }

test_own_module_is_built_and_loaded() {
	example "$tmp/own"
	touch "$tmp/before"
	(cd "$tmp/own" && BUILD=../made answer "$top/qemu/module" "$kernel_name" . example && expect_status 0) || exit
	[[ ! $(find "$tmp/own" -newer "$tmp/before") ]] || fail 'the source folder was written'
	guest --no-module --copy "$(cat "$tmp/out"):/example.ko" -- \
		sh -c 'insmod /example.ko && rmmod example && dmesg | grep -oE "example: (hello|goodbye)"'
	expect_status 0
	expect_out $'example: hello\nexample: goodbye\n'
}

test_module_folder_can_have_any_path() {
	local name
	mkdir "$tmp/work"
	example "$tmp/work/below"
	example "$tmp/outside"
	for name in below ./below "$tmp/work/below" ../outside "$tmp/outside"; do
		(cd "$tmp/work" && BUILD=$tmp/made answer "$top/qemu/module" "$kernel_name" "$name" example && expect_status 0) || exit
		expect_out "$tmp/made/module/$kernel_name/example/example.ko"$'\n'
	done
	answer "$top/qemu/module" "$kernel_name" "$tmp/none" example
	refused 125 "there is no folder $tmp/none: name the folder with the module's Kbuild"
	answer "$top/qemu/module" "$kernel_name" "$tmp/work" example
	refused 125 "$tmp/work has no Kbuild: name the folder that has it"
	BUILD=$tmp/made answer "$top/qemu/module" "$kernel_name" "$tmp/outside" sample
	expect_status 125
	expect_said "$tmp/outside builds no module sample: it builds example.ko"
}

test_module_build_writes_only_its_output() {
	touch "$tmp/before"
	# The module is built already. A second build once wrote generated sources into the tree.
	answer "$top/qemu/module" "$kernel_name"
	expect_status 0
	[[ ! $(find "$kernel/tree" -newer "$tmp/before" -print -quit) ]] || fail "the kernel tree was written: $(find "$kernel/tree" -newer "$tmp/before")"
	mkdir "$tmp/bad"
	cat >"$tmp/bad/Kbuild" <<-'END'
		$(shell for f in $(objtree)/written $(src)/written; do touch $$f && echo "written: $$f" >&2; done)
		obj-m := bad.o
	END
	echo '#include <linux/module.h>' >"$tmp/bad/bad.c"
	echo 'MODULE_DESCRIPTION("Bad"); MODULE_LICENSE("GPL");' >>"$tmp/bad/bad.c"
	answer "$top/qemu/module" "$kernel_name" "$tmp/bad" bad
	expect_status 0
	! grep -q 'written: ' "$build/log/module-$kernel_name-bad.log" || fail 'the build could write to the tree or the source'
	grep -q 'Read-only file system' "$build/log/module-$kernel_name-bad.log" || fail 'the build has not tried to write'
}

test_folder_is_copied_with_the_libraries_of_its_programs() {
	mkdir -p "$tmp/my programs/bin"
	cp "$(type -P bash)" "$tmp/my programs/bin/bash"
	# shellcheck disable=SC2016 # the guest's bash
	printf '#!/opt/p/bin/bash\necho "${BASH_VERSION:+yes}"\n' >"$tmp/my programs/script"
	chmod +x "$tmp/my programs/script"
	guest --no-module --copy "$tmp/my programs:/opt/p" -- /opt/p/script
	expect_status 0
	expect_out $'yes\n'
}

test_whole_name_selects_one_test() {
	local list=$'a\tsize::grow\nb\tio::grow\nb\tio::grow_twice\nc\tregrow'
	chosen() { awk -v "name=$1" -f "$top/qemu/lib/choose.awk" <<<"$list" | cut -f 2 | xargs; }
	[[ $(chosen io::grow) == io::grow ]] || fail "$(chosen io::grow)"
	[[ $(chosen grow) == 'size::grow io::grow' ]] || fail "$(chosen grow)"
	[[ $(chosen gro) == 'size::grow io::grow io::grow_twice regrow' ]] || fail "$(chosen gro)"
	[[ $(chosen shrink) == '' ]] || fail "$(chosen shrink)"
}

test_one_test_builds_only_its_programs() {
	# Another test may build userspace at the same time, so this one has its own build folder.
	BUILD=$tmp/made T=ordinary_lines_are_no_complaints answer "$top/qemu/verbs/test"
	expect_status 0
	expect_said 'T=ordinary_lines_are_no_complaints: 1 of the tests'
	grep -q '^ok 1 harness::ordinary_lines_are_no_complaints # took' "$tmp/out" || fail 'the test did not run'
	[[ $(tail -n 1 "$tmp/out") == '1 passed, 0 failed, 0 skipped' ]] || fail "$(tail -n 1 "$tmp/out")"
	[[ ! -e $tmp/made/cargo/$triplet ]] || fail 'userspace was built'
}

test_lesson_without_a_number_is_refused_in_one_line() {
	answer "$top/qemu/verbs/lesson"
	refused 2 'which lesson? make lesson N=1 is the first of '
	N=99 answer "$top/qemu/verbs/lesson"
	refused 2 'which lesson?'
	N=1 MINE=$tmp/none answer "$top/qemu/verbs/lesson"
	refused 2 "MINE=$tmp/none: there is no such folder"
	N=1 MINE=$tmp answer "$top/qemu/verbs/lesson"
	refused 2 "MINE=$tmp has no Kbuild: copy the folder of a lesson"
}

# selection SETTING…: what `make test` would run with these settings, in order.
selection() { env "$@" "$top/qemu/verbs/list" 2>"$tmp/said" || fail "$*: $(cat "$tmp/said")"; }

test_shards_are_disjoint_and_complete() {
	local whole k
	whole=$(selection)
	(($(wc -l <<<"$whole") > 800)) || fail 'the list is short'
	for k in 1 2; do selection "SHARD=$k/2" >"$tmp/$k"; done
	(($(wc -l <"$tmp/1") - $(wc -l <"$tmp/2") < 2)) || fail 'the shards have different sizes'
	cmp <(sort <<<"$whole") <(sort "$tmp/1" "$tmp/2") || fail 'the shards are not the whole'
	[[ ! $(sort "$tmp/1" "$tmp/2" | uniq -d) ]] || fail 'a test is in two shards'
	for k in 0/2 3/2 2 1/0 a/b; do
		SHARD=$k answer "$top/qemu/verbs/list"
		refused 2 "SHARD=$k is not a part of the tests"
	done
}

# cargo nextest selects tests, and one guest runs them.
test_partition_of_nextest_runs_in_one_guest() {
	local k chosen
	((slowness == 1)) || skip "does not depend on the kernel, and $kernel_name is slow"
	for k in 1 2; do
		"$top/qemu/checkers/run" cargo nextest list --locked -T oneline --test guest -E 'test(lazy::)' --partition "count:$k/2" \
			>"$tmp/$k" 2>"$tmp/said" || fail 'nextest lists nothing'
	done
	sed 's/.* //' "$tmp"/[12] | sort | cmp - <(selection 'T=lazy::*' | cut -f 2 | sort) || fail 'the partitions are not the whole'
	chosen=T=@$tmp/2
	answer env "$chosen" "$top/qemu/verbs/test"
	expect_status 0
	(($(grep -c '^mmap_pool: guest: ' "$RESULTS"/*.log) == 1)) || fail 'not one guest'
	sed -n 's/^ok [0-9]* \(.*\) # took .*/\1/p' "$tmp/out" | sort | cmp - <(sed 's/.* //' "$tmp/2" | sort) || fail "ran: $(xargs <"$tmp/out")"
}

test_file_lists_tests() {
	local all=$'/b/guest-12ab\ta::b\n/b/mmap_pool_bench-0f\tc\ndoc\tx/y.rs - z::Z (line 3)\nharness\tharness::d'
	listed() { awk -f "$top/qemu/lib/listed.awk" "$tmp/tests" - <<<"$all" >"$tmp/out" 2>"$tmp/said"; }
	printf '%s\n' 'mmap-pool-bench::bin/mmap-pool-bench c' 'mmap-pool-tests::guest a::b' \
		$'doc\tx/y.rs - z::Z (line 3)\thost' $'harness\tharness::d\thost' >"$tmp/tests"
	listed || fail 'not found'
	expect_out "$all"$'\n'
	sed -i '1d; 3,4d' "$tmp/tests"
	listed || fail 'not found'
	expect_out $'/b/guest-12ab\ta::b\n'
	# A program has the test of another one.
	echo 'guest c' >>"$tmp/tests"
	! listed || fail 'a test that does not exist is not reported'
	expect_said '^mmap_pool: there is no test guest c$'
	T=@$tmp/none answer "$top/qemu/verbs/list"
	refused 2 "T=@$tmp/none: cannot read the file $tmp/none"
}

test_glob_compares_the_whole_name() {
	local list
	list=$(selection 'T=harness::glob_*')
	[[ $list == $'harness\tharness::glob_compares_the_whole_name\thost' ]] || fail "$list"
	[[ ! $(selection 'T=glob_*') ]] || fail 'a part of a name'
}

test_list_says_what_a_test_needs() {
	local list
	list=$(selection T=gup_test_pins_pages)
	grep -qx $'guest_programs\t.*gup_test_pins_pages\tguest disk programs .* config=CONFIG_GUP_TEST' <<<"$list" || fail "$list"
}

# Unit tests are in modules of this name, in several packages.
test_all_tests_of_a_module_can_be_chosen() {
	T=tests:: answer "$top/qemu/verbs/test"
	expect_status 0
	expect_said 'T=tests::: [0-9]* of the tests'
	grep -qx '[1-9][0-9]* passed, 0 failed, [0-9]* skipped' "$tmp/out" || fail "$(tail -n 1 "$tmp/out")"
}

test_relative_cache_is_refused() {
	local status=0
	(cd "$tmp" && XDG_CACHE_HOME=cache "$top/qemu/run" --no-module -- true 2>said) || status=$?
	((status == 125)) || fail "status $status"
	expect_said 'XDG_CACHE_HOME=cache is not an absolute path: set one that begins with /'
	[[ ! -e $tmp/cache ]] || fail 'the cache folder was made'
}
