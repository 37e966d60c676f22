# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Checks whether a kernel's configuration fits the compilers.

# value CONFIG NAME: prints the value of an option without quotes.
value() { sed -n "s/^$2=//p" "$1" | tr -d '"'; }

# has_rust CONFIG: checks that the kernel has Rust.
has_rust() {
	has_option "$1" CONFIG_RUST ||
		{ say "this kernel was built without Rust (CONFIG_RUST): it cannot load the module"; return 1; }
}

# as_number VERSION [FACTOR]: prints a version as Kconfig does: 14.2.0 is 140200 and, with the
# factor 10, 1.85.1 is 108501.
as_number() {
	local major minor patch
	IFS=. read -r major minor patch <<<"$1"
	patch=${patch%%[!0-9]*}
	printf '%d\n' $((major * 10000 * ${2:-1} + minor * 100 + ${patch:-0}))
}

# same_rustc CONFIG RUSTC: checks that RUSTC built the kernel. rustc can read only what the same
# version of rustc has compiled.
same_rustc() {
	local config=$1 want have
	want=$(value "$config" CONFIG_RUSTC_VERSION)
	have=$("$2" --version | cut -d ' ' -f 2)
	[[ $want == "$(as_number "$have" 10)" ]] || {
		say "this kernel was built with rustc number $want ($(value "$config" CONFIG_RUSTC_VERSION_TEXT)), but this is rustc $have: use the kernel's compiler"
		return 1
	}
}

# same_toolchain CONFIG: checks that the rustc and gcc on PATH built the kernel.
same_toolchain() {
	local config=$1 want have
	same_rustc "$config" rustc || return
	want=$(value "$config" CONFIG_GCC_VERSION)
	[[ ${want:-0} == 0 ]] && return
	have=$("${CROSS_COMPILE-}gcc" -dumpfullversion)
	[[ $want == "$(as_number "$have")" ]] || {
		say "this kernel was built with gcc number $want, but this is gcc $have: use the kernel's compiler"
		return 1
	}
}
