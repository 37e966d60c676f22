# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# A kernel build tree of one's own (KERNEL=FOLDER): built in place, by the compilers of the toolchain
# root. It is used where it is, and nothing is written to it.

: "${here:?}" "${arch:?}"
# shellcheck source=qemu/arch/x86_64
. "$here/arch/$arch"

own_tree=${MMAP_POOL_TREE:-}
[[ $own_tree ]] || die 'KERNEL=tree is no kernel by itself: set KERNEL=/path/to/kernel/build/tree' 2

# kdir looks at the tree with these words of make.
own_flags=''
! grep -qsx CONFIG_CC_IS_CLANG=y "$own_tree/.config" || own_flags=LLVM=1
# shellcheck disable=SC2086 # words
"$here/enter" env $own_flags "$here/lib/kdir" "$own_tree" || exit
[[ -f $own_tree/${image_in_tree:?} ]] || die "KERNEL=$own_tree has no $image_in_tree: build the kernel there" 2

recipe_files=()
# Another build in the tree makes another kernel.
recipe_words=$(printf '%s\n' "$own_tree" && cksum "$own_tree"/{.config,Module.symvers,"$image_in_tree"})

resolve() { cat "$own_tree/include/config/kernel.release"; }

# prepare FOUND FOLDER: makes a kernel folder that refers to the tree.
prepare() {
	ln -s "$own_tree" "$2/tree"
	cp "$own_tree/$image_in_tree" "$2/image"
	cp "$own_tree/.config" "$2/config"
	cp "$own_tree/include/config/kernel.release" "$2/release"
	printf '%s\n' "$own_flags" >"$2/make_flags"
}
