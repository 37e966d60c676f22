# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
#
# Counts tests: passed, failed and skipped.

passed=0 failed=0 skipped=0

# The names of the failed tests, and the reasons of the skipped ones.
failures=() reasons=()

# not_run NUMBER WHAT: says that NUMBER tests are not run, and why.
not_run() { say "not run ($1): $2"; }

# tally LOG COMMAND…: runs tests, shows their output and counts their results. A command that
# fails, but reports no failed test, counts as one failed test.
tally() {
	local log=$1 status=0 ok bad ignored
	shift
	"$@" 2>&1 | tee "$log" || status=$?
	read -r ok bad ignored < <(sed -n \
		-e 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' \
		-e 's/^mmap_pool: not run (\([0-9]*\)): .*/0 0 \1/p' "$log" |
		awk '{ ok += $1; bad += $2; ignored += $3 } END { print ok + 0, bad + 0, ignored + 0 }')
	mapfile -t -O ${#reasons[@]} reasons < <(sed -n \
		-e 's/^mmap_pool: not run (\([0-9]*\)): /\1: /p' \
		-e 's/^test \(.*\) \.\.\. ignored, /\1: /p' "$log")
	mapfile -t -O ${#failures[@]} failures < <(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log")
	if ((status != 0 && bad == 0)); then
		bad=1
		failures+=("$* (exit status $status)")
	fi
	passed=$((passed + ok))
	failed=$((failed + bad))
	skipped=$((skipped + ignored))
}

# summary: prints why tests were skipped, the names of the failed tests, and the numbers. The
# status is 0 if some tests passed and none failed.
summary() {
	((passed + failed + skipped)) || say "no test has '$filter' in its name"
	((!${#reasons[@]})) || printf 'skipped: %s\n' "${reasons[@]}"
	((!${#failures[@]})) || printf 'failed: %s\n' "${failures[@]}"
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	((passed > 0 && failed == 0))
}
