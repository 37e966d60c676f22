# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# The console messages that count as complaints of the kernel. complaints.awk applies them.
#
# Source of the list: the messages of Linux 7.3 in mm, kernel, lib, fs, drivers/base and arch/x86.
# All messages of the levels emerg to crit were read; of the levels err and warning, those that a
# search for such words found. The list has the messages that report an error of the kernel itself,
# not of a program or a device. It does not have the message about a task that found no memory and
# cannot be killed (`Huh VM_FAULT_OOM leaked out`). A message with a stack needs no entry, because
# every unexplained stack is a complaint.
#
# How to update it: test_worst_messages_of_the_kernel_are_known (tests/harness/parts.sh) reads the
# messages of the levels emerg, alert and crit in the test kernel's source. It fails on a message
# that is neither in this list nor in its own list of ordinary messages. For the other levels,
# compare the output of
#	grep -rhoE '(pr_(err|warn)[a-z_]*|printk)\([^"]*"[^"]*"' mm kernel lib fs drivers/base
# in both versions of the source.
#
# The patterns are awk's. They match anywhere in a line, because a line can begin with half of
# another line. So a pattern must not match a message about a program, such as
# `traps: prog[42] general protection fault`.

# joined: makes one pattern from one pattern per line. # begins a comment.
joined() { sed '/^#/d; /^$/d' | paste -sd '|'; }

complaint=$(joined <<'END'
# Any report.
(^|[^E])BUG: 
BUG [^ ]+ \(
BUG (at|in) 
(^|[^ ]|[^:] )WARNING: 
Oops
PANIC: 
Kernel panic
Internal error: 
Unable to handle kernel
------------\[ cut here
---\[ end (trace|Kernel panic)
panicked at .*\.rs:
# Sanitizers.
(KASAN|KCSAN|KMSAN|KFENCE|UBSAN): 
CFI failure at 
pagealloc: (single bit error|memory corruption)
kmemleak: ([0-9]+ new suspected|.*( disabled|unknown object|Cannot insert|object by alias))
# Locks, RCU and scheduling.
INFO: (possible|suspicious|inconsistent|trying to register|lockdep is turned off)
DEBUG_LOCKS_WARN_ON
turning off the locking correctness validator
left hardirqs enabled
scheduling while atomic
scheduling (from the idle thread|in a non-blocking section)
sleeping function called from invalid context
assuming (atomic|non migratable) context
Voluntary context switch within RCU
exited with (irqs disabled|preempt_count)
entered softirq .* exited with 
enabled irq's!
blocked( in I/O wait)? for more than 
INFO: (task|rcu)
rcu: .*(detected (expedited )?stalls|kthread starved|wakeup didn't happen)
(soft lockup|hard LOCKUP|workqueue lockup)
need_resched set for > 
CSD lock \(#
psi: (task underflow|inconsistent task state)
# Memory. Offlining dumps a page that is in use: "isolation failed" (do_migrate_range()).
Bad (page (state|map|cache)|rss-counter|swap (file|offset) entry)
: bad (pte|pmd|pud|p4d|pgd) 
Corrupted page table at 
unrecognized swap entry
page dumped because: ([^i]|i[^s])
failed to unmap page
Reserved count may go negative
slabs counted but counter
integrity check failed
tree is corrupted: 
not lowest: t: 
vma iterator [0-9]
Thread overran stack|corrupted (shadow )?stack
Kernel memory .* attempt detected
Trying to free nonexistent 
(Read|Write)-error on swap-device
Decompression error from zswap
# Objects, files and modules.
list_(add|del) corruption
refcount_t: 
percpu_ref underflow
reference already released
cannot create duplicate filename
already (exists in '|present!)
with -EEXIST, don't try
tried to (init an initialized|add an uninitialized) object
sysctl (duplicate entry|table check failed)
Driver '.*' (was unable to register|is already registered)
class .* was not registered yet
the system may be unstable
ODEBUG disabled
Busy inodes after unmount
Leaked .*locks? on dev
EXT4-fs error
init suspiciously returned
Fatal kernel bug
capable\(\) called with invalid cap
Fixing recursive fault
unregister_netdevice: waiting
# Processor and interrupts.
kernel tried to execute|unable to execute userspace code
nobody cared
Disabling IRQ #
bogus return value
Failed to broadcast timer tick
NMI received for unknown reason|Dazed and confused
END
)

# Messages about a failed allocation. With --failures they are not complaints.
readonly no_memory=' page allocation failure: |vmalloc error: |page allocation stall |allocation failed, size=|Out of memory. ODEBUG disabled'
readonly complaint="$complaint|$no_memory"

# Messages that explain a stack in the next lines: a program asked for the stack, the kernel ran
# out of memory, or the machine lacks a register that the kernel tried to read.
explanation=$(joined <<'END'
 invoked oom-killer: 
FAULT_INJECTION: forcing a failure
sysrq: Show 
task:[^ ]+ +state:
MSR access error: 
END
)
readonly explanation

# complaints LOG [KNOWN-RACES [--failures]]: shows the first complaints with context, and their
# number. The status is 1 if there are none. KNOWN-RACES is a list as in qemu/kernels/kcsan: their
# reports are shown and counted, but are not complaints. With --failures, failed allocations are not
# complaints.
complaints() {
	local allowed=''
	[[ ${3-} != --failures ]] || allowed=$no_memory
	COMPLAINT=$complaint EXPLANATION=$explanation ALLOWED=$allowed KNOWN_RACES=${2-} LC_ALL=C \
		awk -f "${BASH_SOURCE[0]%/*}/complaints.awk" "$1"
}

# is_whole LOG TOKEN: checks that LOG is complete. It has the last line of init, with the token of
# the run, then the kernel's `Power down`; and the kernel has dropped no message.
is_whole() {
	LC_ALL=C awk -v words="mmap_pool: end of run $2" '
		/[0-9]+ printk messages dropped/ { is_dropped = 1 }
		index($0, words) { ends = 1 }
		ends && /Power down/ { is_off = 1 }
		END { exit !is_off || is_dropped }' "$1"
}

# The taint that every module from outside the kernel's tree (O) without a signature (E) sets.
# shellcheck disable=SC2034 # used by qemu/run
expected_taint=$(((1 << 12) | (1 << 13)))

# taint_letters MASK: prints the flags as the kernel does.
taint_letters() {
	local letters=PFSRMBUDAWCIOELKXTNJ out='' i
	for ((i = 0; i < ${#letters}; i++)); do
		(($1 >> i & 1)) && out+=${letters:i:1}
	done
	printf '%s' "$out"
}
