# shellcheck shell=bash disable=SC2154,SC2034,SC2317,SC2016
# SPDX-License-Identifier: GPL-2.0
#
# Tests of parts of the harness that need no guest.

# The lines are from consoles, most of them shortened.
test_complaints_are_recognised() {
	local line
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	while read -r line; do
		printf '[    1.234567] %s\r\n' "$line" >"$tmp/log"
		complaints "$tmp/log" >/dev/null || fail "missed: $line"
		printf '[    1.234567][  T123] %s\n' "$line" >"$tmp/log"
		complaints "$tmp/log" >/dev/null || fail "missed with caller: $line"
		printf '[    1.234567] half of anoth[    1.234567] %s\n' "$line" >"$tmp/log"
		complaints "$tmp/log" >/dev/null || fail "missed behind half a line: $line"
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
		INFO: task cat:100 blocked in I/O wait for more than 120 seconds.
		mm/pgtable-generic.c:56: bad pmd ffff888012345678(8000000012345067)
		mm/pgtable-generic.c:44: bad pud ffff888012345678(8000000012345067)
		./include/linux/pgtable.h:1: bad p4d ffff888012345678(8000000012345067)
		./include/linux/pgtable.h:1: bad pgd ffff888012345678(8000000012345067)
		cat: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=(null)
		cat: vmalloc error: size 4096, failed to allocate pages, mode:0xcc0(GFP_KERNEL), nodemask=(null)
		sysfs: cannot create duplicate filename '/devices/virtual/misc/mmap_pool'
		kobject: kobject_add_internal failed for a with -EEXIST, don't try to register things with the same name in the same directory.
		debugfs: 'mmap_pool' already exists in '/'
		debugfs: Directory 'mmap_pool' with parent '/' already present!
		get_swap_device: Bad swap file entry 00000001
		get_swap_device: Bad swap offset entry 00000001
		note: cat[100] exited with irqs disabled
		note: cat[100] exited with preempt_count 1
		kmemleak: Kernel memory leak detector disabled
		kmemleak: Cannot insert 0x1 into the object search tree (overlaps existing)
		VFS: Busy inodes after unmount of mmap_pool (mmap_pool)
		traps: prog[42] general protection fault ip:40BUG: KCSAN: data-race in a / b
	END
}

test_any_number_of_complaints_is_found() {
	local size
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	for size in 100000 1600000; do
		{
			printf '[    1.234567] BUG: KCSAN: data-race in a / b\n%.0s' {1..60}
			yes '[    1.234567] an ordinary line' | head -c "$size" || true
		} >"$tmp/log"
		complaints "$tmp/log" >"$tmp/said" || fail "no complaint found in $size bytes"
		expect_said '^60 lines of complaints'
	done
}

# trace HEAD…: prints a console log in which a stack follows these lines.
trace() {
	printf '[    1.234567] %s\n' "$@" \
		'CPU: 0 UID: 0 PID: 42 Comm: prog Not tainted 7.3.4 #1' 'Hardware name: QEMU' 'Call Trace:' \
		' <TASK>' ' dump_stack_lvl+0x1/0x2' ' </TASK>'
}

test_stack_without_an_explanation_is_a_complaint() {
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	local oom='prog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0'
	trace "$oom" >"$tmp/log"
	! complaints "$tmp/log" || fail 'the stack of the OOM killer is a complaint'
	{ trace 'FAULT_INJECTION: forcing a failure.' 'name failslab, interval 1' && trace 'sysrq: Show backtrace'; } >"$tmp/log"
	! complaints "$tmp/log" || fail 'a stack that was requested is a complaint'
	trace 'a message of tomorrow' >"$tmp/log"
	complaints "$tmp/log" >/dev/null || fail 'missed: a stack without an explanation'
	# An explanation covers one stack.
	{ trace "$oom" && trace 'a message of tomorrow'; } >"$tmp/log"
	complaints "$tmp/log" >/dev/null || fail 'missed: a stack after an explained one'
}

test_failed_allocation_is_no_complaint_with_failures() {
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	trace 'insmod: vmalloc error: size 4096, failed to allocate pages, mode:0xcc0(GFP_KERNEL)' >"$tmp/log"
	! complaints "$tmp/log" '' --failures || fail 'a failed allocation is a complaint with --failures'
	complaints "$tmp/log" >/dev/null || fail 'missed: a failed allocation without --failures'
	echo '[ 1.2] insmod: page allocation failure: orderBUG: Bad page state in process cat  pfn:01234' >>"$tmp/log"
	complaints "$tmp/log" '' --failures >/dev/null || fail 'missed: a complaint behind half a line'
}

# race LINE FRAME…: prints a report of KCSAN about a race with one known side.
race() {
	local line=$1
	shift
	printf '[    9.876543] %s\n' '==================================================================' \
		"BUG: KCSAN: data-race in $line" '' \
		'race at unknown origin, with read to 0xffff888012345678 of 8 bytes by task 42 on cpu 1:' \
		"${@/#/ }" '' 'value changed: 0x0000000000000001 -> 0x0000000000000002' '' \
		'Reported by Kernel Concurrency Sanitizer on:' \
		'CPU: 1 UID: 0 PID: 42 Comm: prog Tainted: G           O        7.3.4 #1' \
		'==================================================================' 'an ordinary line'
}

test_only_known_races_are_no_complaints() {
	local known frames
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	known=$(sed -n 's/^# race: //p' "$top/qemu/kernels/kcsan")
	frames=(blake2s_update+0x1d3/0x2a0 _mix_pool_bytes+0x3f/0x60 add_device_randomness+0x8b/0xd0
		release_task+0x7b4/0xa30 wait_task_zombie+0x2a7/0x8c0 do_syscall_64+0x9a/0x2c0)
	{ race "${frames[0]}" "${frames[@]}" && race "${frames[0]}" "${frames[@]}"; } >"$tmp/log"
	! complaints "$tmp/log" "$known" >"$tmp/said" || fail 'a known race is a complaint'
	expect_said '^2 reports of known data races of the core'
	expect_said 'add_device_randomness'
	complaints "$tmp/log" >/dev/null || fail 'the race is known on a kernel without a list'

	refused() { complaints "$tmp/log" "$known" >/dev/null || fail "no complaint: a race $1"; }
	race "${frames[0]}" "${frames[@]:0:3}" other_task+0x1/0x2 >"$tmp/log"
	refused 'called by another function'
	race "blake2s_final+0x1/0x2" "${frames[@]}" >"$tmp/log"
	refused 'in another function'
	race 'blake2s_update / other' "${frames[@]}" >"$tmp/log"
	refused 'with a known other side'
	race "${frames[0]}" "${frames[@]}" 'f+0x1/0x2 [mmap_pool]' >"$tmp/log"
	refused 'with the module in its stack'
	race "${frames[0]}" "${frames[@]}" | sed '/value changed/s/.*/BUG: Bad page state in process cat/' >"$tmp/log"
	refused 'with something else in between'
	race "${frames[0]}" "${frames[@]}" | head -n 8 >"$tmp/log"
	refused 'without an end'
}

# Each message of the kernel's worst levels is either a complaint or an ordinary message. A new kernel
# may have new messages: add each to the list here or to qemu/lib/complaints.sh.
test_worst_messages_of_the_kernel_are_known() {
	local line nr=0
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	sed '/^#/d; s/^\t\t//' >"$tmp/ordinary" <<'END'
# Lines that follow a complaint.
		 lock: %pS, .magic: %08x, .owner: %s/%d, 
		#PF: %s %s in %s mode
		#PF: error_code(0x%04lx) - %s
		%s at %pS
		%s: 0x%hx -- GDT entry is not readable
		%s: 0x%hx -- base=0x%lx limit=0x%x
		%s: 0x%hx -- out of bounds
		%s: NULL
		CFI: mismatch non-fatal!
		CPU#%d Detect HardIRQ Time exceeds %d%%. Most frequent HardIRQs:
		CPU#%d Utilization every %llums during lockup:
		File: %s PID: %d Comm: %.20s
		IDT: 0x%lx (limit=0x%hx) GDT: 0x%lx (limit=0x%hx)
		Kernel Offset: 0x%lx from 0x%lx (relocation range: 0x%lx-0x%lx)
		Kernel Offset: disabled
		Press Stop-A (L1-A) from sun keyboard or send break
		Rebooting in %d seconds..
		There is not page extension available.
		\t#%d: %3u%% system,\t%3u%% softirq,\t
		\t#%u: %-10u\tirq#%d
		addr:%px vm_flags:%08lx anon_vma:%px mapping:%px
		file:%pD fault:%ps mmap:%ps mmap_prepare: %ps read_folio:%ps
		issue in %s
		mm %px task_size %lu
		page has been migrated, last migrate reason: %s
		page last allocated via order %u, migratetype %s, gfp_mask %#x(%pGg), pid %d, tgid %d (%s), ts %llu
		page last free pid %d tgid %d ts %llu stack trace:
		page_owner allocation stack trace missing
		page_owner free stack trace missing
		page_owner info is not present (never set?)
		page_owner tracks the page as allocated
		page_owner tracks the page as freed
		panic: Redirected from CPU %d, skipping stack dump.
		panic: Redirecting from CPU %d to CPU %d for crash kernel.
		pgd:%s
		pgd:%s p4d:%s
		pgd:%s p4d:%s pud:%s
		pgd:%s p4d:%s pud:%s pmd:%s
		tree range: %px start %lx end %lx
		vma %px start %px end %px mm %px
# Messages about the machine.
		%s: CPU %d: %s%s%s
		%s: last activity: %lu jiffies ago.
		CPU#%d: Machine Check Exception:  0x%8X (type 0x%8X).
		CPU#%d: Possible thermal failure (CPU on fire ?).
		CPU0: Machine Check Exception.
		CPUs not responding to MCE broadcast (may include false positives): %*pbl
		Couldn't allocate MCE records pool!
		HARDWARE PROTECTION %s (%s)
		Hardware protection %s failed. Trying emergency restart
		Hardware protection timed-out. Trying forced %s
		MSR access error: RDMSR from 0x%x at rIP: 0x%lx (%pS)
		MSR access error: WRMSR to 0x%x (tried to write 0x%08x%08x) at rIP: 0x%lx (%pS)
		NMI: PCI system error (SERR) for reason %02x on CPU %d.
		No irq handler for %d.%u
		No max_register specified for RAM regmap
		PNPBIOS fault.. attempting recovery.
		RDRAND is not reliable on this platform; disabling.
		RDSEED is not reliable on this platform; disabling.
		RDSEED32 is broken. Disabling the corresponding CPUID bit.
		UV: error: undefined MMR: %s
		sched_clock on CPU %d went backward by %llu ns
		x86/fpu: Giving up, no FPU found and no math emulation present
# Messages that a user has requested, or an option at boot.
		        Depth    Size   Location    (%d entries)
		%3ld) %8d   %5d   %pS
		%s%s Tree SRCU g%ld state %d (%s)
		%s: Limited prio to %d from %d
		%s: Wait complete
		%s: Waiting %lu jiffies
		ERROR: earlyprintk= %s already used
		Invalid parameters for execmem allocator, module loading will fail
		Kernel compiled without mitigations, ignoring 'mitigations'; system may still be vulnerable
		Power down
		Power down manually
		Power off not available: System halted instead
		Restarting system
		Restarting system with command '%s'
		Shutting down cpus with NMI
		System halted
		Unsupported mitigations options %s
		Unsupported mitigations=%s, system may still be vulnerable
		allocation of page_ext failed.
		can't handle more than one group
		cpu_possible_mask=%*pb
		failed to initialize, %s
# Messages about the fault of a program.
		%s[%d] control protection ip:%lx sp:%lx ssp:%lx error:%lx(%s)%s
		Page cache invalidation failure on direct I/O.  Possible data corruption due to collision with buffered I/O!
END
	while IFS= read -r line; do
		nr=$((nr + 1))
		grep -qxF -e "$line" "$tmp/ordinary" && continue
		# Replace the formats to get the line as the kernel prints it.
		printf '[    1.234567] %s\n' "$line" | sed 's/%[-+ #0-9.*]*[a-z]*[a-zA-Z]/1/g' >"$tmp/log"
		complaints "$tmp/log" >/dev/null || printf '%s\n' "$line" >>"$tmp/said"
	done < <(cd "$kernel/tree" && worst_messages)
	((nr > 100)) || fail "only $nr messages in the source"
	[[ ! -s $tmp/said ]] || fail 'neither complaints nor ordinary messages:'
}

# worst_messages: prints the format strings of the levels emerg, alert and crit.
worst_messages() {
	find mm kernel lib fs drivers/base arch/x86/mm arch/x86/kernel -name '*.c' ! -path '*test*' ! -path '*/debug/*' \
		! -path 'fs/*/*' ! -name '*torture*' ! -name '*scale.c' ! -name 'mmio-mod.c' ! -name 'kmmio.c' ! -name 'vm86_32.c' -print0 |
		xargs -0 cat | tr '\n' ' ' |
		grep -oE '(pr_(emerg|alert|crit)[a-z_]*\(|printk(_ratelimited|_once)?\( *KERN_(EMERG|ALERT|CRIT)) *"([^"\\]|\\.)*"' |
		sed -E 's/^[^"]*"//; s/(\\n)?"$//' | sort -u
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
		Huh VM_FAULT_OOM leaked out to the #PF handler. Retrying PF
		prog invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
		Memory cgroup out of memory: Killed process 42 (prog) total-vm:4096kB
		Spectre V2 : WARNING text of a kind that boots show: mitigations are off
		MCE: Fixed DEBUG: nothing
		rcu: Hierarchical RCU implementation.
		kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)
		ACPI BIOS Warning (bug): Optional FADT field Pm2ControlBlock has zero address
		Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible via Spectre v2 BHB attacks!
		Memory failure: 0x1234: recovery action for dirty LRU page: Recovered
		INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.234 msecs
		failed to isolate pfn 611f8
		page dumped because: isolation failed
	END
	! complaints "$tmp/log" || fail 'an ordinary line is a complaint'
}

test_make_once_makes_a_complete_folder_or_none() {
	make_half() { touch "$1/half"; return 1; }
	make_whole() { sleep 0.5; touch "$1/whole"; echo made >>"$tmp/makers"; }
	! make_once "$tmp/thing" make_half || fail 'make_once succeeded although its command failed'
	[[ ! -e $tmp/thing ]] || fail 'an incomplete folder exists'
	mkdir "$tmp/thing.new.1" # left by an interrupted process
	make_once "$tmp/thing" make_whole & make_once "$tmp/thing" make_whole & wait
	[[ -e $tmp/thing/whole && $(wc -l <"$tmp/makers") == 1 ]] || fail 'the folder was not made exactly once'
	[[ ! -e $tmp/thing.new.1 ]] || fail 'the folder of the interrupted process was not removed'
}

test_missing_symbol_is_named() {
	local status=0
	"$top/qemu/module" "$kernel_name" "$top/tests/modules/needy" needy >/dev/null 2>"$tmp/said" || status=$?
	((status == 5)) || fail "status $status"
	expect_said "module needy needs symbols that kernel $kernel_name does not export: mmap_pool_nobody_exports_this"
}

test_missing_wrappers_are_explained() {
	local status=0
	mkdir "$tmp/needy"
	cp "$top"/tests/modules/needy/* "$tmp/needy"
	sed -i 's/mmap_pool_nobody_exports_this/mmap_pool_cond_resched/' "$tmp/needy/needy.c"
	"$top/qemu/module" "$kernel_name" "$tmp/needy" needy >/dev/null 2>"$tmp/said" || status=$?
	((status == 125)) || fail "status $status"
	expect_said 'add it to'
}

test_kernel_without_rust_is_refused() {
	local status=0
	kernel_tree 459264 '# CONFIG_RUST is not set'
	"$top/qemu/lib/kdir" "$tmp/tree" 2>"$tmp/said" || status=$?
	((status == 3)) || fail "status $status"
	expect_said 'without Rust (CONFIG_RUST)'
}

test_other_compilers_are_refused() {
	printf 'CONFIG_RUST=y\nCONFIG_RUSTC_VERSION=109001\nCONFIG_GCC_VERSION=140200\n' >"$tmp/config"
	! "$top/qemu/enter" bash -c '. qemu/lib/common.sh; . qemu/lib/toolchain.sh; same_toolchain /dev/stdin' \
		<"$tmp/config" 2>"$tmp/said" || fail 'other compilers were accepted'
	expect_said 'built with rustc number 109001'
}

test_unsafe_lint_finds_each_mistake() {
	mkdir -p "$tmp/src/mm"
	printf '%s\n' '#![deny(unsafe_code)]' '#[forbid(unsafe_code)]' 'mod pool;' 'mod mm;' >"$tmp/src/mmap_pool_main.rs"
	printf '#![allow(unsafe_code)]\n' >"$tmp/src/mm.rs"
	printf 'fn f() { g() } // unsafe\ntype F = unsafe extern "C" fn(u8);\n' >"$tmp/src/pool.rs"
	printf '// SAFETY: Fine.\nlet x =\n    unsafe { f() };\n' >"$tmp/src/mm/good.rs"
	"$top/tests/lint/unsafe" "$tmp/src" >"$tmp/said" || fail 'the lint fails on correct files'
	printf 'f();\nunsafe { g() };\n' >"$tmp/src/mm/bare.rs"
	printf '\nunsafe fn f() {}\nunsafe extern "C" fn f() {}\n' >"$tmp/src/device.rs"
	printf '#![allow(unsafe_code)]\n' >"$tmp/src/lax.rs"
	printf 'mod lax;\n' >"$tmp/src/mmap_pool_main.rs"
	! "$top/tests/lint/unsafe" "$tmp/src" >"$tmp/said" || fail 'the lint accepts wrong files'
	expect_said 'mm/bare.rs:2: unsafe without a SAFETY comment'
	expect_said 'device.rs:2: unsafe outside mm and fs'
	expect_said 'device.rs:3: unsafe outside mm and fs'
	expect_said 'lax.rs:1: allows unsafe code'
	expect_said 'mmap_pool_main.rs: does not say'
	expect_said 'mmap_pool_main.rs:1: does not forbid unsafe code in this module'
}

test_helpers_lint_finds_each_mistake() {
	mkdir -p "$tmp/src"
	cat >"$tmp/src/helpers.h" <<-'END'
		struct folio *mmap_pool_a(struct folio *folio, unsigned long index);
		void mmap_pool_b(void);
	END
	cat >"$tmp/src/helpers.rs" <<-'END'
		pub(crate) fn mmap_pool_a(folio: *mut folio, index: c_ulong) -> *mut folio;
		pub(crate) fn mmap_pool_b();
	END
	lint() { "$top/tests/lint/helpers" "$tmp/src" >"$tmp/said"; }
	lint || fail 'the lint fails on correct files'
	sed -i 's/c_ulong/c_uint/' "$tmp/src/helpers.rs"
	! lint || fail 'not found: another type'
	expect_said 'helpers.rs: fn mmap_pool_a(.mut folio, c_uint)'
	sed -i 's/c_uint/c_ulong/; /mmap_pool_b/d' "$tmp/src/helpers.rs"
	! lint || fail 'not found: a missing function'
	expect_said 'helpers.rs: nothing'
}

test_incomplete_log_is_detected() {
	# shellcheck source=qemu/lib/complaints.sh
	. "$top/qemu/lib/complaints.sh"
	printf '[    1.234567] %s\r\n' 'Linux version' 'mmap_pool: end of run 0123456789abcdef' \
		'ACPI: PM: Preparing to enter system sleep state S5' 'reboot: Power down' >"$tmp/whole"
	is_whole "$tmp/whole" 0123456789abcdef || fail 'a complete log is refused'
	! is_whole "$tmp/whole" 1123456789abcdef || fail 'accepted: the log of another run'
	head -n 3 "$tmp/whole" >"$tmp/log"
	! is_whole "$tmp/log" 0123456789abcdef || fail 'accepted: a log without its end'
	grep -v 'end of run' "$tmp/whole" >"$tmp/log"
	! is_whole "$tmp/log" 0123456789abcdef || fail "accepted: a log without init's last line"
	{ echo '[    1.234567] ** 42 printk messages dropped **' && cat "$tmp/whole"; } >"$tmp/log"
	! is_whole "$tmp/log" 0123456789abcdef || fail 'accepted: a log with dropped messages'
}

# runner TARGET TEST…: the runner, with a program of these tests, a kernel without anything, and a guest
# that shows how it is called.
runner() {
	local program=$tmp/$1-1
	qemu=$tmp/top/qemu
	mkdir -p "$qemu/programs" "$tmp/kernel"
	cp -r "$top/qemu/lib" "$top/qemu/cargo-runner" "$qemu/"
	printf '#!/bin/sh\necho "$@"\n' | tee "$qemu/run" "$qemu/programs/disk" >"$qemu/programs/compile"
	printf '#!/bin/sh\necho %s\n' "$tmp/kernel" >"$qemu/kernel"
	{ echo '#!/bin/sh' && printf 'echo "%s: test"\n' "${@:2}"; } >"$program"
	chmod +x "$qemu/run" "$qemu/kernel" "$qemu"/programs/* "$program"
	printf '%s: main.rs part.rs\n\nmain.rs:\npart.rs:\n' "$program" >"$program.d"
	: >"$tmp/kernel/config"
	: >"$tmp/top/main.rs"
	: >"$tmp/top/part.rs"
}

test_test_that_the_kernel_cannot_run_is_said() {
	runner guest_some part::node::gup_test_pins_pages part::created::gup_test_pins_pages other::gup_test_pins_pages_too
	printf '%s\n' '/// needs: `config=CONFIG_GUP_TEST`' 'fn gup_test_pins_pages(given: &Given) {' >"$tmp/top/part.rs"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said"
	expect_said '^mmap_pool: not run (2): gup_test_pins_pages, which needs a kernel with CONFIG_GUP_TEST, and'
	grep -q -e ' --skip part::node::gup_test_pins_pages --skip part::created::gup_test_pins_pages$' "$tmp/out" ||
		fail 'run nevertheless'
	echo 'CONFIG_GUP_TEST=y' >"$tmp/kernel/config"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said"
	[[ ! -s $tmp/said ]] || fail 'run and not run'
	! grep -q -e --skip "$tmp/out" || fail 'not run'
	# All tests that a skip matches are counted, whatever the arguments.
	runner guest_some one::reading one::reading_a_hole two::other
	printf '%s\n' '/// needs: `config=CONFIG_GUP_TEST`' 'fn reading() {' >"$tmp/top/part.rs"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said"
	expect_said '^mmap_pool: not run (1): reading,'
	grep -q -e ' --exact --skip one::reading$' "$tmp/out" || fail "$(cat "$tmp/out")"
	"$qemu/cargo-runner" "$tmp/guest_some-1" --nocapture >"$tmp/out" 2>"$tmp/said"
	expect_said '^mmap_pool: not run (2): reading,'
	# A module of tests, and a module of the kernel.
	runner guest_some part::xfs::reading part::xfs::writing part::ext4::reading part::xfstests
	printf '%s\n' '    /// needs: `config=CONFIG_XFS_FS`' '    mod xfs {' 'fn reading() {' >"$tmp/top/part.rs"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said"
	expect_said '^mmap_pool: not run (2): xfs, which needs a kernel with CONFIG_XFS_FS, and'
	grep -q -e ' --exact --skip part::xfs::reading --skip part::xfs::writing$' "$tmp/out" || fail "$(cat "$tmp/out")"
	echo 'CONFIG_XFS_FS=m' >"$tmp/kernel/config"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said"
	[[ ! -s $tmp/said ]] || fail 'run and not run'
	# No kernel is no reason to skip.
	local status=0
	printf '#!/bin/sh\nexit 125\n' >"$qemu/kernel"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said" || status=$?
	expect_status 125
}

test_no_guest_is_booted_for_tests_that_the_kernel_cannot_run() {
	runner guest_some one::test two::test
	printf '%s\n' '//! Head.' '//!' '//! needs: `mem=512M config=CONFIG_KUNIT`' >"$tmp/top/main.rs"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said"
	expect_said '^mmap_pool: not run (2): guest_some, which needs a kernel with CONFIG_KUNIT, and'
	[[ ! -s $tmp/out ]] || fail 'a guest'
	MMAP_POOL_KTAP=/ktap "$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said"
	grep -qx "ok 2 two::test # SKIP needs a kernel with CONFIG_KUNIT, and $kernel_name has none" "$tmp/out" || fail "$(cat "$tmp/out")"
	printf '%s\n' '/// needs: `config=CONFIG_GUP_TEST`' 'fn test() {' >"$tmp/top/main.rs"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said"
	expect_said '^mmap_pool: not run (2): test, which'
	[[ ! -s $tmp/out ]] || fail 'a guest for no test'
}

test_nextest_may_list_tests_but_not_boot_a_guest_for_each() {
	runner guest_some one::test two::test
	NEXTEST=1 answer "$qemu/cargo-runner" "$tmp/guest_some-1" --list --format terse
	expect_status 0
	expect_out $'one::test: test\ntwo::test: test\n'
	NEXTEST=1 answer "$qemu/cargo-runner" "$tmp/guest_some-1" --exact one::test --nocapture
	refused 125 'run make test T=@FILE$'
}

test_guest_is_what_the_tests_need() {
	local status=0
	runner guest_some one::test
	printf '%s\n' '//! needs: `nodes=2 mem=2048M`' '//! needs: `disk failures append=a=b`' '//! needed: smp=7' >"$tmp/top/main.rs"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out"
	grep -q -e '^--nodes 2 --mem 2048M --disk .*--failures --append a=b --copy ' "$tmp/out" || fail "$(cat "$tmp/out")"
	echo '//! needs: `luck`' >"$tmp/top/main.rs"
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said" || status=$?
	expect_status 125
	expect_said 'needs: luck: no such word'
	[[ ! -s $tmp/out ]] || fail 'a guest'
	# One guest runs all tests of a target: a test alone cannot choose it.
	printf '%s\n' '/// needs: `mem=4096M`' 'fn test() {' >"$tmp/top/main.rs"
	status=0
	"$qemu/cargo-runner" "$tmp/guest_some-1" >"$tmp/out" 2>"$tmp/said" || status=$?
	expect_status 125
}

# Checks the heads of the real targets: without its head, a target gets the default guest. A line that
# is not read, or an option that no kernel has, would go unnoticed.
test_every_guest_target_says_what_it_needs() {
	local file nr=0
	# shellcheck source=qemu/lib/needs.sh
	. "$top/qemu/lib/needs.sh"
	for file in "$top"/tests/tests/guest*/main.rs "$top"/tests/fuzz/tests/guest*.rs; do
		[[ $(needs_of "$file") ]] || fail "${file#"$top"/} says nothing"
		nr=$((nr + 1))
	done
	((nr == 9)) || fail "$nr targets"
	! grep -rnE '^[ \t]*//.*needs:' "$top/tests" --include='*.rs' |
		grep -vE ':(//!|[ \t]*///) needs: `[^`]*`$' >"$tmp/said" || fail "not read: $(cat "$tmp/said")"
	grep -rhoE 'needs: `.*config=CONFIG_[A-Z0-9_]+' "$top/tests" --include='*.rs' | sed 's/.*config=//' | sort -u >"$tmp/options"
	while read -r option; do
		# Debian's kernel has more options than the project chooses.
		grep -rqw "$option" "$top/qemu/config" "$top/qemu/kernels" || grep -qx "$option" <<-'END' || fail "no kernel has $option"
			CONFIG_XFS_FS
			CONFIG_CGROUP_WRITEBACK
			CONFIG_PAGE_SIZE_4KB
			CONFIG_USERFAULTFD_RWP
		END
	done <"$tmp/options"
	needs_of_tests "$top"/tests/tests/guest*/*.rs >"$tmp/said"
	expect_said '^gup_test_pins_pages config=CONFIG_GUP_TEST$'
}

# make run, with a guest and a table that only show what they are given.
test_run_shows_one_screen_and_keeps_the_status() {
	local qemu=$tmp/top/qemu build=$tmp/made table expected
	table=$build/cargo/$triplet/debug/mmap-pool-table
	mkdir -p "$qemu/verbs" "${table%/*}"
	cp -r "$top/qemu/lib" "$qemu/"
	cp "$top/qemu/verbs/run" "$qemu/verbs/"
	printf '#!/bin/sh\n[ "$1" = cargo ] || exec "$@"\n' >"$qemu/enter"
	printf '#!/bin/sh\nprintf "%%s" "$RECORDS"\nexit $STATUS\n' >"$qemu/run"
	printf '#!/bin/sh\necho "$1 of $(cat "$2")"\nexit $WRONG\n' >"$table"
	chmod +x "$qemu/enter" "$qemu/run" "$table"
	for expected in 0 1 122 123 137; do
		status=0
		BUILD=$build RECORDS=x STATUS=$expected WRONG=$((expected > 0)) "$qemu/verbs/run" >"$tmp/out" 2>"$tmp/said" || status=$?
		expect_status "$expected"
		if ((expected > 1)); then
			expect_said "the run failed with status $expected"
			[[ $(tail -n 1 "$tmp/said") == *"status $expected"* ]] || fail 'not the last line'
		fi
		expect_out "--overview of x
the whole table: $build/table.txt (make run V=1 shows it)
$build/table.html
"
		[[ $(cat "$build/table.txt" "$build/table.html") == $'--whole of x\n--html of x' ]] || fail 'not the table'
	done
	status=0
	V=1 BUILD=$build RECORDS=x STATUS=0 WRONG=1 "$qemu/verbs/run" >"$tmp/out" 2>"$tmp/said" || status=$?
	expect_status 1
	[[ $(head -n 2 "$tmp/out") == $'--whole of x\n--overview of x' ]] || fail 'not the whole table'
	# A guest that tried nothing leaves the table of an earlier run alone.
	status=0
	BUILD=$build RECORDS='' STATUS=125 "$qemu/verbs/run" >"$tmp/out" 2>"$tmp/said" || status=$?
	expect_status 125
	[[ ! -s $tmp/out && -s $build/table.txt ]] || fail 'a table of nothing'
	status=0
	BUILD=$build RECORDS='' STATUS=0 "$qemu/verbs/run" >"$tmp/out" 2>"$tmp/said" || status=$?
	expect_status 125
	# A table that cannot be made does not hide the status of the run.
	status=0
	BUILD=$build RECORDS=x STATUS=123 WRONG=2 "$qemu/verbs/run" >"$tmp/out" 2>"$tmp/said" || status=$?
	expect_status 123
}
