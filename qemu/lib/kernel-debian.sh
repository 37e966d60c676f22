# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A packaged Debian kernel: the image from its package, the build tree put together
# from the source package and the configuration it was built with.
#
# Debian's headers package has no rust/ folder, so Rust modules cannot be built
# against it. But the source of the same version, with the headers package's
# .config and Module.symvers and made with the same compilers, gives the same tree.

: "${package:?}" "${here:?}" "${top:?}" "${build:?}" "${name:?}"

# shellcheck disable=SC2034 # qemu/kernel asks
recipe_files=("$here/lib/debian-tree")
apt=("$here/enter" "$here/lib/apt")

# resolve: prints the version, then the packages to fetch.
#
# The image package depends on linux-image-RELEASE; all else follows from RELEASE.
resolve() {
	step "package lists" "$build/log/apt.log" "${apt[@]}" update || return
	local version release series
	version=$("${apt[@]}" newest "$package") || return
	[[ $version ]] || die "no package $package in the toolchain root's sources"
	release=$("${apt[@]}" depends "$package=$version" |
		sed -n 's/.*Depends: linux-image-\([0-9][^ ]*\).*/\1/p' | head -n 1)
	[[ $release ]] || die "$package $version does not say which kernel it means"
	series=$(cut -d . -f 1,2 <<<"$release")
	printf '%s\n' "$version" "linux-source-$series=$version" \
		"linux-headers-$release=$version" "linux-binary-$release=$version" \
		"linux-modules-$release=$version"
}

# prepare FOUND FOLDER: fills FOLDER with what FOUND names.
prepare() {
	local found=$1 into=$2
	mkdir "$into/debs" || return
	step "kernel $name: packages of $(head -n 1 "$found") (210 MB, once)" "$build/log/kernel-$name-fetch.log" \
		"${apt[@]}" fetch "$into/debs" "$(tail -n +2 "$found" | xargs)" || return
	step "kernel $name: build tree (once)" "$build/log/kernel-$name.log" \
		real_paths "$top" "$here/enter" "$(plain "$here")/lib/debian-tree" "$(plain "$into")"
}
