# SPDX-License-Identifier: GPL-2.0
#
# Selects the tests that a file lists: awk -f listed.awk FILE -. A line of FILE begins with a program
# and the name of a test, as `make list` prints them, or `cargo nextest list -T oneline`, which calls
# a program PACKAGE, PACKAGE::TARGET or PACKAGE::bin/TARGET. A line of the input has the path of a
# program, a tab and a name. The status is 2 if a test is not in the input.

# key: a program's own name, and the name of the test.
function key(program, test) {
	sub(/.*[:\/]/, "", program)
	gsub(/-/, "_", program)
	return program " " test
}

BEGIN { FS = "\t" }
NR == FNR {
	if (!index($0, "\t")) sub(/ /, "\t")
	if (NF > 1) wanted[key($1, $2)]
	next
}
{
	program = $1
	# The hash that cargo adds.
	sub(/-[^-]*$/, "", program)
	test = key(program, $2)
	if (!(test in wanted)) next
	print
	found[test]
}
END {
	for (test in wanted)
		if (!(test in found)) {
			print "mmap_pool: there is no test " test >"/dev/stderr"
			lost = 1
		}
	exit lost * 2
}
