# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What in a console log says that the kernel is not well.

# A message of the kernel's own begins right after the time stamp (and caller, if
# the kernel prints it); what user programs are told about themselves, such as
# `traps: prog[42] general protection fault`, begins with another word.
readonly stamp='^(\[ *[0-9]+\.[0-9]+\])?(\[ *[TC][0-9]+\])? *(\S+ )?'
readonly complaint="$stamp("\
'BUG: |BUG [a-z]|WARNING: |Oops: |Oops\b|Kernel panic|kernel BUG at|Internal error: '\
'|------------\[ cut here|general protection fault|Unable to handle kernel'\
'|INFO: task .* blocked for more than|INFO: possible |INFO: suspicious |INFO: inconsistent '\
'|INFO: trying to register non-static key|INFO: rcu_.* detected|rcu: INFO: |rcu: .*kthread starved'\
'|watchdog: BUG|DEBUG_LOCKS_WARN_ON|kmemleak: [0-9]+ new suspected|UBSAN: |KASAN: |KCSAN: |KFENCE: '\
'|list_(add|del) corruption|refcount_t: |page dumped because|rust_kernel: panicked'\
'|Slab .* error|stack segment|double fault|Bad rss-counter|bad: scheduling from'\
'|unregister_netdevice: waiting|Voluntary context switch within RCU'\
')|panicked at .*\.rs:|scheduling while atomic|sleeping function called from invalid context'\
'|Bad page (state|map|cache)|soft lockup|hard LOCKUP|DEBUG_LOCKS_WARN_ON|Bad rss-counter'

# complaints LOG: shows the first of them with context; fails if there are none.
complaints() {
	local found
	found=$(tr -d '\r' <"$1" | grep -a -n -m 40 -B 2 -A 12 -E "$complaint") || return 1
	head -n 60 <<<"$found"
}

# Taint that a module from outside the kernel's tree (O) without a signature (E)
# brings by being what it is.
# shellcheck disable=SC2034 # qemu/run asks
expected_taint=$(((1 << 12) | (1 << 13)))

# taint_letters MASK: the flags as the kernel prints them.
taint_letters() {
	local letters=PFSRMBUDAWCIOELKXTNJ out='' i
	for ((i = 0; i < ${#letters}; i++)); do
		(($1 >> i & 1)) && out+=${letters:i:1}
	done
	printf '%s' "$out"
}
