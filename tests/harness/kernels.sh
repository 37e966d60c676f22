# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of kernels by name and version, of the lock file, and of the table of several kernels.

# lists PACKAGE=VERSION…: makes a checkout in $copy and a cache in $some for which Debian has only
# these packages, and nothing can be downloaded.
lists() {
	copy=$tmp/copy some=$tmp/some
	checkout "$copy"
	mkdir -p "$some"
	printf '%s\n' "${@/=/ }" >"$tmp/packages"
	# shellcheck disable=SC2016 # of the fake programs
	printf '#!/bin/bash\ncase $1 in update) ;; versions) grep -E "^($2) " %q | sort -V -k 2 ;; *) echo "asked: $*" >&2; exit 1 ;; esac\n' \
		"$tmp/packages" >"$copy/qemu/lib/apt"
	# shellcheck disable=SC2016 # of the fake program
	printf '#!/bin/bash\n[[ $1 != */compilers ]] || { echo compilers; exit; }\nexec "$@"\n' >"$copy/qemu/enter"
}

kernels() { printf 'linux-headers-%s+deb13-cloud-amd64=%s-1~bpo13+1\n' "$1" "$1"; }

# wants VERSION [NAME]: checks that the kernel NAME is of that version: its packages are asked for.
wants() {
	XDG_CACHE_HOME=$some answer "$copy/qemu/kernel" ${2:+"$2"}
	expect_said "asked: fetch .* linux-source-[0-9.]*=$1-1~bpo13+1 .*linux-binary-$1+deb13-cloud-amd64=$1-1~bpo13+1"
}

test_kernel_version_is_that_of_the_name_or_of_the_lock_file() {
	# shellcheck disable=SC2046 # words
	lists $(kernels 7.2.6 && kernels 7.2.12 && kernels 7.3.4 && kernels 7.3.10 && kernels 7.10.1)
	echo 'stock 7.3.4-1~bpo13+1' >"$copy/qemu/kernels.lock"
	wants 7.3.4
	wants 7.2.12 stock@7.2.12
	wants 7.2.12 stock@7.2
	wants 7.2.6 stock@7.2.6
	XDG_CACHE_HOME=$some answer "$copy/qemu/kernel" stock@7.1
	expect_said 'Debian has no version 7.1 of kernel stock: choose one of 7.2.6 7.2.12 7.3.4 7.3.10 7.10.1'
	XDG_CACHE_HOME=$some answer "$copy/qemu/kernel" stock@newest
	refused 2 "KERNEL=stock@newest: 'newest' is not a version"
	# Another lock file means another kernel, although one has been found.
	echo 'stock 7.2.6-1~bpo13+1' >"$copy/qemu/kernels.lock"
	wants 7.2.6
	# Debian no longer has it.
	echo 'stock 7.2.7-1~bpo13+1' >"$copy/qemu/kernels.lock"
	wants 7.10.1
	expect_said 'Debian no longer has version 7.2.7-1~bpo13+1; taking the newest'
}

test_update_moves_the_lock_file_and_says_what_changed() {
	# shellcheck disable=SC2046 # words
	lists $(kernels 7.3.4 && kernels 7.3.10) linux-source-7.3=7.3.4-1~bpo13+1
	printf '%s\n' '# Why.' 'own 7.3.4-1~bpo13+1' 'stock 7.3.4-1~bpo13+1' >"$copy/qemu/kernels.lock"
	XDG_CACHE_HOME=$some answer "$copy/qemu/verbs/update"
	expect_status 0
	expect_said 'kernel own: 7.3.4-1~bpo13+1 is the newest$'
	expect_said 'kernel stock: 7.3.4-1~bpo13+1 is now 7.3.10-1~bpo13+1$'
	cmp "$copy/qemu/kernels.lock" <(printf '%s\n' '# Why.' 'own 7.3.4-1~bpo13+1' 'stock 7.3.10-1~bpo13+1') || fail 'another lock file'
}

test_every_kernel_is_in_the_lock_file() {
	cmp <(cd "$top/qemu/kernels" && printf '%s\n' [!t]*) <(sed -n 's/^\([a-z].*\) .*/\1/p' "$top/qemu/kernels.lock" | sort) ||
		fail 'the lock file has other kernels'
}

# The tree that the test kernel's modules are built against, with its image.
test_kernel_can_be_a_build_tree_of_ones_own() {
	local own=$build/own-tree image folder
	# shellcheck source=qemu/arch/x86_64
	image=$(. "$top/qemu/arch/x86_64" && printf '%s' "$image_in_tree")
	rm -rf "$own"
	mkdir "$own"
	# Only the folders above the image are real.
	for folder in . arch arch/x86 arch/x86/boot; do
		rm -f "$own/$folder" 2>/dev/null || true
		mkdir -p "$own/$folder"
		find "$kernel/tree/$folder" -mindepth 1 -maxdepth 1 -exec ln -s -t "$own/$folder" {} +
	done
	answer "$top/qemu/kernel" "$own"
	refused 2 "KERNEL=$own has no $image: build the kernel there"
	cp "$kernel/image" "$own/$image"
	# The second build of a module may not write to the tree either.
	for _ in 1 2; do
		answer "$top/qemu/module" "$own" "$top/tests/modules/example" example
		expect_status 0
	done
	answer "$top/qemu/run" --kernel "$own" --no-module --copy "$(cat "$tmp/out"):/example.ko" -- \
		sh -c 'insmod /example.ko && uname -r'
	expect_status 0
	expect_out "$(cat "$kernel/release")"$'\n'
	rm -rf "$own"
	answer "$top/qemu/run" --kernel "$own" -- true
	refused 125 "KERNEL=$own: there is no such folder"
}

test_modules_are_loaded_after_those_that_they_need() {
	[[ -d $kernel/modules ]] || skip "needs a kernel with modules, and $kernel_name has none"
	in_build
	"$top/qemu/enter" "$top/qemu/lib/kernel-modules" "$kernel" "$run/modules" nf_nat
	(($(find "$run/modules" -name '*.ko' | wc -l) > 1)) || fail 'the module needs no other'
	# shellcheck disable=SC2016 # the guest's shell
	guest --no-module --copy "$run/modules:/modules" -- \
		sh -c 'for file in /modules/*; do insmod "$file" || exit; done && grep -c "^nf_nat " /proc/modules'
	expect_status 0
	expect_out $'1\n'
}

test_matrix_is_one_table() {
	in_build
	mkdir "$run/a" "$run/b" "$run/c"
	local test='"suite": "s", "needs": [], "kernel": {"name": "k", "release": "7.3.4", "accel": "TCG"}'
	echo '{"arch": "x86_64", "page_kib": 4, "totals": {"passed": 2, "failed": 0, "skipped": 0}, "duration_s": 1.6, "tests": [{'"$test"', "name": "x", "status": "passed"},
		{'"$test"', "name": "y", "status": "passed"}]}' >"$run/a/results.json"
	sed '$s/passed/skipped/; s/7.3.4/7.2.12/; s/x86_64/arm64/; s/"page_kib": 4/"page_kib": 16/; s/"passed": 2, "failed": 0, "skipped": 0/"passed": 1, "failed": 0, "skipped": 1/' \
		"$run/a/results.json" >"$run/b/results.json"
	answer "$top/qemu/enter" "$top/qemu/results/table" "a=$run/a" "b@7.2=$run/b"
	expect_status 0
	expect_out 'kernel  arch    page    release  accel  passed  failed  skipped  seconds
a       x86_64  4 KiB   7.3.4    TCG         2       0        0        2
b@7.2   arm64   16 KiB  7.2.12   TCG         1       0        1        2
s y: a: passed; b@7.2: skipped
'
	answer "$top/qemu/enter" "$top/qemu/results/table" "a=$run/a" "c=$run/c"
	expect_status 1
	grep -qx 'c                      no results' "$tmp/out" || fail "$(cat "$tmp/out")"
	sed -i 's/"failed": 0/"failed": 1/' "$run/b/results.json"
	answer "$top/qemu/enter" "$top/qemu/results/table" "a=$run/a" "b=$run/b"
	expect_status 1
}
