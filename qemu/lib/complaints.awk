# SPDX-License-Identifier: GPL-2.0
#
# Reads a whole console log and shows the kernel's complaints. The status is 1 if there are none.
# complaints.sh calls this script and passes the patterns in the environment.

BEGIN {
	complaint = ENVIRON["COMPLAINT"]
	explanation = ENVIRON["EXPLANATION"]
	allowed = ENVIRON["ALLOWED"]
	nr_known = split(ENVIRON["KNOWN_RACES"], known, "\n")
	most = 60 # lines to show
}

{ gsub(/\r/, "") }

# Hold a report of KCSAN until its last line: its stacks decide whether it counts.
held == 0 && /BUG: KCSAN: data-race in / {
	hold($0)
	next
}
held > 0 {
	hold($0)
	if (/==========$/ || held > 200)
		release()
	next
}
{ judge($0, NR) }

END {
	release()
	if (nr_shown > most)
		printf "… and %d lines more\n", nr_shown - most
	if (nr_races)
		printf "%d reports of known data races of the core, which do not count\n", nr_races
	if (nr_complaints)
		printf "%d lines of complaints\n", nr_complaints
	exit nr_complaints == 0
}

function hold(line) {
	block[++held] = line
}

function release(   i, first, lines) {
	first = NR - held + 1
	lines = held
	held = 0
	if (lines > 0 && is_known(lines)) {
		nr_races++
		for (i = 1; i <= lines; i++)
			show(block[i], first + i - 1)
		return
	}
	for (i = 1; i <= lines; i++)
		judge(block[i], first + i - 1)
}

# is_known: checks whether the report in `block` is of a known race. Its functions are those of
# an entry, its stacks contain the entry's other functions and no module, and no other complaint is
# in between.
function is_known(lines,   i, j, nr, words, racing, stacks) {
	if (block[lines] !~ /==========$/)
		return 0
	racing = block[1]
	sub(/.*BUG: KCSAN: data-race in /, "", racing)
	gsub(/\+0x[0-9a-f]+\/0x[0-9a-f]+/, "", racing)
	gsub(/ /, "", racing)
	stacks = " "
	for (i = 2; i <= lines; i++) {
		if (block[i] ~ complaint || block[i] ~ /\+0x[0-9a-f]+\/0x[0-9a-f]+ \[/)
			return 0
		if (match(block[i], /[A-Za-z_][A-Za-z0-9_.]*\+0x[0-9a-f]+\/0x/))
			stacks = stacks substr(block[i], RSTART, index(substr(block[i], RSTART), "+") - 1) " "
	}
	for (i = 1; i <= nr_known; i++) {
		nr = split(known[i], words, " ")
		if (nr == 0 || words[1] != racing)
			continue
		for (j = 2; j <= nr && index(stacks, " " words[j] " "); j++)
			;
		if (j > nr)
			return 1
	}
	return 0
}

# judge: decides whether a line is a complaint. A complaint is shown with two lines before it and
# twelve after it.
function judge(line, nr,   i, rest, complains) {
	rest = line
	if (line ~ explanation || (allowed != "" && gsub(allowed, "", rest)))
		explained_until = nr + 10
	complains = rest ~ complaint
	if (line ~ /Call [Tt]race:/) {
		if (nr > explained_until)
			complains = 1
		explained_until = 0
	}
	if (complains) {
		nr_complaints++
		for (i = 2; i >= 1; i--)
			if (nr - i > last_shown && (nr - i) in before)
				show(before[nr - i], nr - i)
		show_until = nr + 12
	}
	if (nr <= show_until)
		show(line, nr)
	before[nr] = line
	delete before[nr - 3]
}

function show(line, nr) {
	last_shown = nr
	if (++nr_shown <= most)
		printf "%d:%s\n", nr, line
}
