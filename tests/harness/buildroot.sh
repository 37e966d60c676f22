# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the Buildroot tree that need no Buildroot.

test_missing_buildroot_is_reported_in_one_line() {
	local path status
	for path in '' /nonexistent "$tmp"; do
		status=0
		BUILDROOT=$path "$top/qemu/image" >"$tmp/out" 2>"$tmp/said" || status=$?
		((status == 2)) || fail "status $status"
		(($(wc -l <"$tmp/said") == 1)) || fail 'the message is not one line'
		[[ ! -s $tmp/out ]] || fail 'it printed a path'
	done
	BUILDROOT='' "$top/qemu/verbs/buildroot" >/dev/null 2>"$tmp/said" || true
	expect_said 'BUILDROOT is not set: unpack .*/buildroot-2026.05.1.tar.xz and set BUILDROOT=/path/to/buildroot$'
}

test_archives_that_cannot_be_downloaded_are_listed() {
	local made=$cache/buildroot/mmap_pool_rootfs-${tmp##*/} status=0
	mkdir -p "$tmp/support/kconfig"
	cat >"$tmp/Makefile" <<-END
		export BR2_VERSION := ${tmp##*/}
		%_defconfig: ; cp \$(BR2_EXTERNAL)/configs/\$@ \$(O)/.config
		.PHONY: source
		source: one two
		one two: ; echo "wget -O 'x' 'https://sources.buildroot.net/\$@/\$@-1.0.tar.xz'"; false
	END
	DEFCONFIG=mmap_pool_rootfs BUILDROOT=$tmp "$top/qemu/image" >"$tmp/out" 2>"$tmp/said" || status=$?
	rm -rf "$made"-*
	expect_status 125
	expect_said "put them into $cache/buildroot/dl: one/one-1.0.tar.xz two/two-1.0.tar.xz\$"
	[[ ! -s $tmp/out ]] || fail 'an answer'
}

test_image_without_files_is_no_verdict() {
	guest --image "$tmp" -- true
	expect_status 125
	expect_said "there is no rootfs.cpio in $tmp; qemu/image builds one"
}

test_lost_option_is_named() {
	printf 'CONFIG_A=y\nCONFIG_C=y\n' >"$tmp/config"
	printf '# Why.\nCONFIG_A=y\n# CONFIG_B is not set\n' >"$tmp/fragment"
	"$top/qemu/lib/config-kept" "$tmp/config" "$tmp/fragment" 2>"$tmp/said" || fail 'no option is lost, but it failed'
	printf 'CONFIG_B=y\n# CONFIG_C is not set\n' >>"$tmp/fragment"
	! "$top/qemu/lib/config-kept" "$tmp/config" "$tmp/fragment" 2>"$tmp/said" || fail 'lost options were not found'
	expect_said 'not in the final .config: CONFIG_B=y'
	expect_said 'still in the final .config: CONFIG_C'
}

# broken COMMAND…: runs COMMAND in a copy of the tree, and checks that the lint then fails.
broken() {
	rm -rf "$tmp/qemu"
	mkdir "$tmp/qemu"
	cp -r "$top"/qemu/{buildroot,config,init,kernels,lib} "$tmp/qemu/"
	(cd "$tmp/qemu/buildroot" && "$@")
	"$top/tests/lint/buildroot" "$tmp/qemu" >"$tmp/said" 2>&1 && return 1 || return 0
}

test_buildroot_lint_finds_each_mistake() {
	! broken true || fail 'the lint fails on a correct tree'
	broken rm board/mmap_pool/post-image || fail 'not found: a missing script'
	expect_said 'there is no /board/mmap_pool/post-image'
	broken rm package/mmap_pool/mmap_pool.mk || fail 'not found: a package without its makefile'
	expect_said 'no mmap_pool.mk'
	broken sed -i /_tests/d Config.in || fail 'not found: a package without a menu entry'
	expect_said 'Config.in: nothing of package/mmap_pool_tests'
	broken sed -i 's,/config/tests,/config/base,' configs/mmap_pool_full_defconfig || fail 'not found: another kernel configuration'
	expect_said "configuration is 'base base', and 'base tests'"
	broken sh -c 'echo CONFIG_FTRACE=y >board/mmap_pool/linux.config' || fail 'not found: kernel options of its own'
	expect_said 'kernel options of its own'
	broken chmod -x board/mmap_pool/post-build || fail 'not found: a script that is not executable'
	expect_said 'post-build: not executable'
	broken sh -c 'echo endef >>external.mk' || fail 'not found: a syntax error of make'
	expect_said '^make: '
}
