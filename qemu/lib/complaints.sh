# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What in a console log says that the kernel is not well. complaints.awk decides.
#
# Where the list comes from: the messages of Linux 7.3 in mm, kernel, lib, fs, drivers/base and
# arch/x86, read at the levels emerg to warning. Here is each that says that the kernel itself is
# wrong, not a program or a device. A message that comes with a stack needs no entry: a stack that
# nothing explains is a complaint of its own.
#
# How to renew it: test_worst_messages_of_the_kernel_are_known (tests/harness/parts.sh) goes
# through the messages of level emerg, alert and crit in the test kernel's source, and fails if it
# knows one neither from here nor from its own list of ordinary ones. For the others, compare
#	grep -rhoE '(pr_(err|warn)[a-z_]*|printk)\([^"]*"[^"]*"' mm kernel lib fs drivers/base
# in the sources of both versions.
#
# The patterns are awk's. They match anywhere in a line, as a line can begin with half of another
# one. So each has to be something that no program is told about itself, such as
# `traps: prog[42] general protection fault`.

# joined: one pattern of those that come a line each; # begins a comment.
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
# Memory.
Bad (page (state|map|cache)|rss-counter|swap (file|offset) entry)
: bad (pte|pmd|pud|p4d|pgd) 
Corrupted page table at 
unrecognized swap entry
page dumped because
failed to unmap page
VM_FAULT_OOM leaked out
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

# What says that there was no memory. It is no complaint of a guest in which memory is made to fail.
readonly no_memory=' page allocation failure: |vmalloc error: |page allocation stall |allocation failed, size=|VM_FAULT_OOM leaked out|Out of memory. ODEBUG disabled'
readonly complaint="$complaint|$no_memory"

# What explains a stack that follows in the next lines: somebody has asked for it, the kernel shows
# how memory came to an end, or the machine lacks what the kernel looked for.
explanation=$(joined <<'END'
 invoked oom-killer: 
FAULT_INJECTION: forcing a failure
sysrq: Show 
task:[^ ]+ +state:
MSR access error: 
END
)
readonly explanation

# complaints LOG [KNOWN-RACES [OPTION]]: shows the first of them with context, and how many there
# are; status 1 if there are none. KNOWN-RACES is as in qemu/kernels/kcsan: those reports are
# shown and counted, too, and are none. OPTION is --failures: memory is made to fail.
complaints() {
	local allowed=''
	[[ ${3-} != --failures ]] || allowed=$no_memory
	COMPLAINT=$complaint EXPLANATION=$explanation ALLOWED=$allowed KNOWN_RACES=${2-} LC_ALL=C \
		awk -f "${BASH_SOURCE[0]%/*}/complaints.awk" "$1"
}

# is_whole LOG TOKEN: whether it has all that the kernel said: to init's last words, which have the
# token of the run, and to the kernel's own. Messages for which the kernel had no room are missing.
is_whole() {
	LC_ALL=C awk -v words="mmap_pool: end of run $2" '
		/[0-9]+ printk messages dropped/ { is_dropped = 1 }
		index($0, words) { ends = 1 }
		ends && /Power down/ { is_off = 1 }
		END { exit !is_off || is_dropped }' "$1"
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
