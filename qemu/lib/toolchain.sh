# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Whether a kernel's configuration and our compilers fit together.

# value CONFIG NAME: what the configuration says, without quotes.
value() { sed -n "s/^$2=//p" "$1" | tr -d '"'; }

has_rust() {
	has_option "$1" CONFIG_RUST ||
		{ say "this kernel was built without Rust (CONFIG_RUST): no module of ours can load"; return 1; }
}

# The version as Kconfig writes it: 1.85.1 is 108501, 14.2.0 is 140200.
as_number() {
	local major minor patch
	IFS=. read -r major minor patch <<<"$1"
	patch=${patch%%[!0-9]*}
	printf '%d\n' $((major * 10000 * ${2:-1} + minor * 100 + ${patch:-0}))
}

# same_rustc CONFIG RUSTC: rustc reads what it has compiled itself, and nothing else.
same_rustc() {
	local config=$1 want have
	want=$(value "$config" CONFIG_RUSTC_VERSION)
	have=$("$2" --version | cut -d ' ' -f 2)
	[[ $want == "$(as_number "$have" 10)" ]] || {
		say "this kernel was built with rustc number $want ($(value "$config" CONFIG_RUSTC_VERSION_TEXT)), here is rustc $have"
		return 1
	}
}

same_toolchain() {
	local config=$1 want have
	same_rustc "$config" rustc || return
	want=$(value "$config" CONFIG_GCC_VERSION)
	[[ ${want:-0} == 0 ]] && return
	have=$(gcc -dumpfullversion)
	[[ $want == "$(as_number "$have")" ]] || {
		say "this kernel was built with gcc number $want, here is gcc $have"
		return 1
	}
}
