# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of mmap-conformance: it says nothing against correct drivers, and names the mistake of each
# wrong one (tests/modules/wrong).

# judge SCRIPT…: runs a script of the guest with the program and the drivers.
judge() {
	local program drivers
	build_program mmap-conformance
	drivers=$("$top/qemu/module" "$kernel_name" "$top/tests/modules/wrong" correct 2>"$tmp/said") || fail 'no drivers'
	# Another test may build there at the same time.
	mkdir "$tmp/wrong"
	cp "${drivers%/*}"/*.ko "$tmp/wrong/"
	guest --no-module --timeout 600 --copy "$program:/bin/mmap-conformance" --copy "$tmp/wrong:/wrong" -- sh -c "$1"
}

test_conformance_says_nothing_against_correct_drivers() {
	((slowness == 1)) || skip "judges drivers, which do not depend on the kernel, and $kernel_name is slow"
	# shellcheck disable=SC2016 # the guest's variables
	judge 'for driver in correct bare; do
		insmod /wrong/$driver.ko
		printf "before" | dd of=/dev/$driver bs=6 seek=1 conv=notrunc 2>/dev/null
		mmap-conformance --time-limit 600 /dev/$driver | grep -vE "^(allowed| )"
		[ $driver = bare ] || dd if=/dev/$driver bs=6 skip=1 count=1 2>/dev/null
		echo
		rmmod $driver
	done'
	expect_status 0
	! grep -q DIFFERS "$tmp/out" || fail "$(cat "$tmp/out")"
	(($(grep -c '^[0-9]* rows answer as a file does, [0-9]* differ as its kind may, 0 differ, ' "$tmp/out") == 2)) ||
		fail "$(cat "$tmp/out")"
	# It runs most rows, and puts back what was there.
	(($(sed -n 's/ rows answer as a file.*//p' "$tmp/out" | head -n 1) > 150)) || fail 'too few rows'
	grep -qx before "$tmp/out" || fail 'the bytes of the driver are gone'
}

test_conformance_changes_nothing_if_it_may_only_read() {
	((slowness == 1)) || skip "judges drivers, which do not depend on the kernel, and $kernel_name is slow"
	judge 'insmod /wrong/correct.ko
	tr "\\0" x </dev/zero | head -c 1048576 >/dev/correct
	md5sum </dev/correct >/tmp/before
	mmap-conformance --read-only --time-limit 600 /dev/correct
	echo status $?
	md5sum </dev/correct | cmp - /tmp/before && echo unchanged'
	expect_status 0
	(($(grep -cxE 'status 0|unchanged' "$tmp/out") == 2)) || fail "$(cat "$tmp/out")"
	(($(sed -n 's/ rows answer as a file.* 0 differ, .*//p' "$tmp/out") > 20)) || fail "$(cat "$tmp/out")"
	grep -q ' not run: .*writ' "$tmp/out" || fail 'no row is missing'
}

test_conformance_puts_back_what_it_writes_to_a_disk() {
	((slowness == 1)) || skip "judges the kernel's own objects, and $kernel_name is slow"
	local program
	build_program mmap-conformance
	guest --no-module --timeout 600 --scratch 32M --copy "$program:/bin/mmap-conformance" -- sh -c 'yes >/dev/scratch 2>/dev/null
		md5sum </dev/scratch >/tmp/before
		mmap-conformance --row lazy --row sharing --row io --row backed --verbose /dev/scratch
		md5sum </dev/scratch | cmp - /tmp/before && echo unchanged'
	expect_status 0
	grep -qx unchanged "$tmp/out" || fail 'the bytes of the disk are gone'
	(($(grep -c '^not run  backed::.*put back$' "$tmp/out") == 2)) || fail "$(grep backed:: "$tmp/out")"
}

test_conformance_believes_the_size_that_is_given() {
	((slowness == 1)) || skip "judges drivers, which do not depend on the kernel, and $kernel_name is slow"
	judge 'insmod /wrong/bare.ko
	mmap-conformance --row signals::reading_past --row sharing::two_mappings /dev/bare
	echo status $?
	mmap-conformance --size 524288 --row sharing::two_mappings /dev/bare
	echo status $?
	mmap-conformance --size 1052672 --row signals::reading_past /dev/bare
	echo status $?'
	expect_status 0
	grep -E '^(status|/dev/bare)' "$tmp/out" | cut -d ';' -f 1 | cmp - <(printf '%s\n' \
		'/dev/bare: a device of 1048576 bytes' 'status 0' '/dev/bare: a device of 524288 bytes' 'status 0' \
		'/dev/bare: a device of 1052672 bytes' 'status 2') || fail "$(cat "$tmp/out")"
}

test_conformance_names_the_mistake_of_each_wrong_driver() {
	((slowness == 1)) || skip "judges drivers, which do not depend on the kernel, and $kernel_name is slow"
	# shellcheck disable=SC2016 # the guest's variables
	judge 'rows="--row sharing --row cow::private_write --row cow::giving --row permissions --row signals
		--row areas::mremap"
	for driver in ignores_offset offset_in_32_bits past_the_end another_area no_page no_zeroing frees_on_close \
		no_open no_growth vm_shared maywrite private_is_shared private_pfn no_reference; do
		insmod /wrong/$driver.ko
		mmap-conformance --time-limit 600 $rows /dev/$driver >/tmp/said 2>&1
		status=$?
		sed -n "s/^MISTAKE  /$driver $status /p" /tmp/said
		rmmod $driver
	done'
	expect_status 0
	cut -d : -f 1 "$tmp/out" >"$tmp/named"
	cmp "$tmp/named" - <<-'END' || fail "$(cat "$tmp/out")"
		ignores_offset 1 the offset is ignored
		offset_in_32_bits 1 an offset is cut to 32 bits
		past_the_end 1 a page past the end
		another_area 1 the area of another mapping
		no_page 1 a fault is never resolved
		no_zeroing 1 pages are not zeroed
		frees_on_close 1 memory is freed on close
		no_open 1 no .open beside .close
		no_growth 1 SIGBUS where an area has grown
		vm_shared 1 VM_SHARED instead of VM_MAYSHARE
		maywrite 1 VM_MAYWRITE on a read-only device
		private_is_shared 1 private writes reach the object
		private_pfn 1 private mappings of frames
		no_reference 1 a page without a reference
	END
}
