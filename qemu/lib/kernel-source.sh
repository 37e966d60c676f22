# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel of our own: Debian's newest kernel source, tinyconfig, and the fragments in
# qemu/config that the description names.

: "${here:?}" "${top:?}" "${build:?}" "${cache:?}" "${name:?}" "${config:?}" "${arch:?}"
# shellcheck source=qemu/arch/x86_64
. "$here/arch/$arch"

# shellcheck disable=SC2034 # qemu/kernel asks
recipe_files=("$here/lib/source-tree")
for fragment in $config; do recipe_files+=("$here/config/$fragment"); done
apt=("$here/enter" "$here/lib/apt")

# resolve: prints the version, then the packages to fetch.
resolve() {
	step "package lists" "$build/log/apt.log" "${apt[@]}" update || return
	local package version
	package=$("${apt[@]}" sources) || return
	[[ $package ]] || die "no kernel source in the toolchain root's sources"
	version=$("${apt[@]}" newest "$package") || return
	printf '%s\n' "$version" "$package=$version"
}

# prepare FOUND FOLDER: fills FOLDER with what FOUND names.
#
# The build goes on where an earlier one was interrupted: its folder stays until it
# is done.
prepare() {
	local found=$1 into=$2 work
	work=${folder:?}.work
	if [[ ! -d $work/debs ]]; then
		mkdir -p "$work.debs" || return
		step "kernel $name: source $(head -n 1 "$found") (160 MB, once)" \
			"$build/log/kernel-$name-fetch.log" \
			"${apt[@]}" fetch "$work.debs" "$(tail -n +2 "$found" | xargs)" || return
		mkdir -p "$work" && mv "$work.debs" "$work/debs" || return
	fi
	step "kernel $name: build (10 to 20 minutes on 2 cores, once)" "$build/log/kernel-$name.log" \
		real_paths "$top" "$here/enter" "$(plain "$here")/lib/source-tree" "$(plain "$work")" \
		"${image_in_tree:?}" "$config" "${make_flags-}" || return
	mv "$work"/* "$into" && rmdir "$work"
}
