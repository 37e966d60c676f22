# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# Counting tests: those that passed, those that failed, and those that were not run.

passed=0 failed=0 skipped=0

# What failed, a name each.
failures=()

# not_run NUMBER WHAT: says that so many tests are not run, and why.
not_run() { say "not run ($1): $2"; }

# tally LOG COMMAND…: run tests, show what they say, count what they report. A run that
# fails without saying so in numbers has failed once.
tally() {
	local log=$1 status=0 ok bad ignored
	shift
	"$@" 2>&1 | tee "$log" || status=$?
	read -r ok bad ignored < <(sed -n \
		-e 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' \
		-e 's/^mmap_pool: not run (\([0-9]*\)): .*/0 0 \1/p' "$log" |
		awk '{ ok += $1; bad += $2; ignored += $3 } END { print ok + 0, bad + 0, ignored + 0 }')
	mapfile -t -O ${#failures[@]} failures < <(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log")
	if ((status != 0 && bad == 0)); then
		bad=1
		failures+=("$* (exit status $status)")
	fi
	passed=$((passed + ok))
	failed=$((failed + bad))
	skipped=$((skipped + ignored))
}

# summary: the last lines, and the verdict.
summary() {
	((passed + failed + skipped)) || say "no test has a name with '$filter' in it"
	((!${#failures[@]})) || printf 'failed: %s\n' "${failures[@]}"
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	((passed > 0 && failed == 0))
}
