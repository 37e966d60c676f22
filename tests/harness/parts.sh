# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Parts of the harness that need no guest.

# Lines of consoles; the real thing is longer.
test_complaints_are_recognised() {
	local line
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	while read -r line; do
		printf '[    1.234567] %s\r\n' "$line" >"$tmp/log"
		complaints "$tmp/log" >/dev/null || fail "missed: $line"
		printf '[    1.234567][  T123] %s\n' "$line" >"$tmp/log"
		complaints "$tmp/log" >/dev/null || fail "missed with caller: $line"
	done <<-'END'
		BUG: kernel NULL pointer dereference, address: 0000000000000000
		BUG: Bad page state in process cat  pfn:01234
		BUG: Bad page map in process cat  pte:8000000012345067 pmd:12345067
		BUG: Bad rss-counter state mm:(____ptrval____) type:MM_FILEPAGES val:1
		BUG: non-zero pgtables_bytes on freeing mm: 4096
		BUG: sleeping function called from invalid context at mm/memory.c:1
		BUG: scheduling while atomic: cat/100/0x00000002
		BUG: KASAN: slab-use-after-free in folio_put+0x1/0x2
		BUG: KCSAN: data-race in a / b
		BUG: KFENCE: use-after-free read in a+0x1/0x2
		BUG: spinlock bad magic on CPU#0, cat/1
		BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 30s!
		BUG kmalloc-64 (Not tainted): Poison overwritten
		BUG: soft lockup - CPU#0 stuck for 26s! [cat:100]
		watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [cat:100]
		watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0
		WARNING: CPU: 0 PID: 1 at mm/filemap.c:1 f+0x1/0x2
		WARNING: mm/filemap.c:1 at f+0x1/0x2, CPU#0: cat/1
		WARNING: possible circular locking dependency detected
		WARNING: possible recursive locking detected
		WARNING: suspicious RCU usage
		WARNING: inconsistent lock state
		WARNING: lock held when returning to user space!
		DEBUG_LOCKS_WARN_ON(1)
		INFO: task cat:100 blocked for more than 120 seconds.
		INFO: rcu_preempt detected stalls on CPUs/tasks:
		rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
		rcu: INFO: rcu_preempt self-detected stall on CPU
		rcu: rcu_preempt kthread starved for 5250 jiffies!
		INFO: trying to register non-static key.
		Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP
		Oops: 0002 [#1] SMP NOPTI
		Oops: int3: 0000 [#1]
		Internal error: Oops: 96000046 [#1] SMP
		Unable to handle kernel NULL pointer dereference at virtual address 0
		kernel BUG at mm/filemap.c:1!
		Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b
		UBSAN: array-index-out-of-bounds in a.c:1:2
		list_add corruption. next->prev should be prev
		refcount_t: underflow; use-after-free.
		kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
		page dumped because: nonzero mapcount
		rust_kernel: panicked at rust/kernel/a.rs:1:2:
		------------[ cut here ]------------
	END
}

test_ordinary_lines_are_no_complaints() {
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	sed 's/^/[    1.234567] /' >"$tmp/log" <<-'END'
		traps: prog[42] general protection fault ip:401000 sp:7ffc0000 error:0 in prog[401000+1000]
		traps: prog[42] trap invalid opcode ip:401000 sp:7ffc0000 error:0
		prog[42]: segfault at 0 ip 0000000000401000 sp 00007ffc00000000 error 6 in prog[401000+1000]
		mmap_pool: loading out-of-tree module taints kernel.
		mmap_pool: module verification failed: signature and/or required key missing - tainting kernel
		prog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
		Memory cgroup out of memory: Killed process 42 (prog) total-vm:4096kB
		Spectre V2 : WARNING text of a kind that boots show: mitigations are off
		MCE: Fixed DEBUG: nothing
		rcu: Hierarchical RCU implementation.
		kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)
		ACPI BIOS Warning (bug): Optional FADT field Pm2ControlBlock has zero address
	END
	! complaints "$tmp/log" || fail 'a false complaint'
}

test_made_once_is_whole_or_not_there() {
	make_half() { touch "$1/half"; return 1; }
	make_whole() { sleep 0.5; touch "$1/whole"; echo made >>"$tmp/makers"; }
	! make_once "$tmp/thing" make_half || fail 'success without success'
	[[ ! -e $tmp/thing ]] || fail 'half a thing is there'
	mkdir "$tmp/thing.new.1" # as an interrupted maker leaves it
	make_once "$tmp/thing" make_whole & make_once "$tmp/thing" make_whole & wait
	[[ -e $tmp/thing/whole && $(wc -l <"$tmp/makers") == 1 ]] || fail 'not made just once'
	[[ ! -e $tmp/thing.new.1 ]] || fail 'leavings stay'
}

test_missing_symbol_is_named() {
	local status=0
	"$top/qemu/module" "$kernel_name" "$top/tests/modules/needy" needy >/dev/null 2>"$tmp/said" || status=$?
	((status == 5)) || fail "status $status"
	expect_said "does not export what module needy needs: mmap_pool_nobody_exports_this"
}

test_kernel_without_rust_is_refused() {
	local status=0
	mkdir -p "$tmp/tree/include/generated"
	touch "$tmp/tree/Makefile" "$tmp/tree/include/generated/autoconf.h"
	echo '# CONFIG_RUST is not set' >"$tmp/tree/.config"
	"$top/qemu/verbs/kdir" "$tmp/tree" 2>"$tmp/said" || status=$?
	((status == 3)) || fail "status $status"
	expect_said 'without Rust (CONFIG_RUST)'
}

test_other_compilers_are_refused() {
	printf 'CONFIG_RUST=y\nCONFIG_RUSTC_VERSION=109001\nCONFIG_GCC_VERSION=140200\n' >"$tmp/config"
	! "$top/qemu/enter" bash -c '. qemu/lib/common.sh; . qemu/lib/toolchain.sh; same_toolchain /dev/stdin' \
		<"$tmp/config" 2>"$tmp/said" || fail 'accepted'
	expect_said 'built with rustc number 109001'
}

test_unsafe_lint_finds_what_it_should() {
	mkdir -p "$tmp/src/mm"
	printf '#![forbid(unsafe_code)]\nfn f() { g() } // unsafe\n' >"$tmp/src/pool.rs"
	printf '// SAFETY: Fine.\nlet x =\n    unsafe { f() };\n' >"$tmp/src/mm/good.rs"
	"$top/tests/lint/unsafe" "$tmp/src" >"$tmp/said" || fail 'found what is not there'
	printf 'f();\nunsafe { g() };\n' >"$tmp/src/mm/bare.rs"
	printf '#![forbid(unsafe_code)]\nunsafe fn f() {}\n' >"$tmp/src/device.rs"
	printf 'fn f() {}\n' >"$tmp/src/lax.rs"
	! "$top/tests/lint/unsafe" "$tmp/src" >"$tmp/said" || fail 'found nothing'
	expect_said 'mm/bare.rs:2: unsafe without a SAFETY comment'
	expect_said 'device.rs:2: unsafe outside mm and fs'
	expect_said 'lax.rs: does not say'
}
