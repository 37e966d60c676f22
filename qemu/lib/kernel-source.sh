# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel built from Debian's newest kernel source, with tinyconfig and the fragments of
# qemu/config that its description names.

: "${here:?}" "${top:?}" "${build:?}" "${cache:?}" "${name:?}" "${config:?}" "${arch:?}"
# shellcheck source=qemu/arch/x86_64
. "$here/arch/$arch"

# shellcheck disable=SC2034 # used by qemu/kernel
recipe_files=("$here/lib/source-tree")
for fragment in $config; do recipe_files+=("$here/config/$fragment"); done
apt=("$here/enter" "$here/lib/apt")

# resolve: prints the version, then the packages to download.
resolve() {
	step "package lists" "$build/log/apt.log" "${apt[@]}" update || return
	local found
	found=$("${apt[@]}" versions 'linux-source-[0-9]+\.[0-9]+' | pick) || return
	[[ $found ]] || die "Debian's package lists have no kernel source"
	printf '%s\n' "${found#* }" "${found% *}=${found#* }"
}

# prepare FOUND FOLDER: builds a kernel folder from the packages that the file FOUND lists.
#
# An interrupted build continues later: its work folder stays until the build is complete.
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
