# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A Debian kernel. The image comes from its package. The build tree is made from the source
# package and the configuration that Debian used.
#
# Debian's headers package has no rust/ folder, so Rust modules cannot be built against it.
# But the source of the same version, with .config and Module.symvers of the headers package
# and the same compilers, gives the same tree.

: "${package:?}" "${here:?}" "${top:?}" "${build:?}" "${name:?}"

# shellcheck disable=SC2034 # used by qemu/kernel
recipe_files=("$here/lib/debian-tree")
apt=("$here/enter" "$here/lib/apt")

# resolve: prints the version, then the packages to download.
#
# The packages of a kernel are linux-…-RELEASE. A version without linux-headers-RELEASE cannot be used.
# Only kernels of backports are new enough.
resolve() {
	step "package lists" "$build/log/apt.log" "${apt[@]}" update || return
	local found version release series
	found=$("${apt[@]}" versions "linux-headers-[0-9.]+\\+deb[0-9.]+-${package#linux-image-}" |
		awk '$2 ~ /bpo/' | pick) || return
	[[ $found ]] || die "Debian's package lists have no headers of $package"
	release=${found% *} version=${found#* }
	release=${release#linux-headers-}
	series=$(cut -d . -f 1,2 <<<"$release")
	printf '%s\n' "$version" "linux-source-$series=$version" \
		"linux-headers-$release=$version" "linux-binary-$release=$version" \
		"linux-modules-$release=$version"
}

# prepare FOUND FOLDER: makes a kernel folder from the packages that the file FOUND lists.
prepare() {
	local found=$1 into=$2
	mkdir "$into/debs" || return
	step "kernel $name: packages of $(head -n 1 "$found") (210 MB, once)" "$build/log/kernel-$name-fetch.log" \
		"${apt[@]}" fetch "$into/debs" "$(tail -n +2 "$found" | xargs)" || return
	step "kernel $name: build tree (once)" "$build/log/kernel-$name.log" \
		real_paths "$top" "$here/enter" "$(plain "$here")/lib/debian-tree" "$(plain "$into")"
}
