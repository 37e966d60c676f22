# shellcheck shell=bash disable=SC2154,SC2034,SC2317
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the results that machines read.

# suite NUMBER NAME STATUS <<<LOG: adds the log of a program to the run in $run.
suite() {
	cat >"$run/$1-$2.log"
	echo "$3" >"$run/$1-$2.status"
}

# collected: collects the results of $run. Its closing lines are in $tmp/out.
collected() {
	status=0
	"$top/qemu/enter" "$top/qemu/results/collect" "$run" commit=abc kernel=stock began=2026-01-02T03:04:05Z \
		duration_s=42 T= SHARD=1/2 >"$tmp/out" || status=$?
}

# in_build: sets $run to an empty folder that the toolchain root can see, and removes it at the end.
in_build() {
	run=$(mktemp -d "$build/log/results.XXXXXX")
	# shellcheck disable=SC2064 # the present value of run
	trap "rm -rf '$run'" EXIT
	: >"$run/list"
}

# valid: checks results.json against its schema, and junit.xml against results.json.
valid() {
	"$top/qemu/checkers/run" check-jsonschema --schemafile "$top/qemu/results/schema.json" "$run/results.json" \
		>"$tmp/said" 2>&1 || fail 'results.json does not fit its schema'
	"$top/qemu/checkers/run" python3 - "$run" >"$tmp/said" 2>&1 <<-'END' || fail 'junitparser reads something else'
		import json, sys
		from junitparser import JUnitXml
		results = json.load(open(sys.argv[1] + "/results.json"))
		junit = JUnitXml.fromfile(sys.argv[1] + "/junit.xml")
		status = lambda case: "skipped" if case.is_skipped else "passed" if case.is_passed else "failed"
		have = [(case.classname, case.name, status(case)) for suite in junit for case in suite]
		want = [(test["suite"], test["name"], test["status"]) for test in results["tests"]]
		assert have == want, (have, want)
		totals = results["totals"]
		assert (junit.tests, junit.failures, junit.skipped) == (len(want), totals["failed"], totals["skipped"])
		assert all(test["reason"] for test in results["tests"] if test["status"] == "skipped")
	END
}

# field NAME KEY: prints a value of the result of the test NAME.
field() {
	"$top/qemu/enter" python3 -c 'import json, sys
for test in json.load(sys.stdin)["tests"]:
    if test["name"] == sys.argv[1]: print(test[sys.argv[2]])' "$1" "$2" <"$run/results.json"
}

test_every_selected_test_has_one_result() {
	in_build
	printf '%s\n' $'some\ta\thost' $'some\tb::c\thost' $'some\td\thost' >"$run/list"
	suite 1 some 101 <<-'END'
		KTAP version 1
		1..3
		# began 1.000000 a
		ok 1 a # took 0.500000
		# began 1.500000 b::c
		# left <right> & "centre", seed 7
		not ok 2 b::c # took 0.250000
		# began 1.750000 d
		ok 3 d # SKIP not here
	END
	suite 2 harness 0 <<<'ok 1 harness::x # took 1.000000'
	collected
	expect_status 1
	expect_out $'skipped: 1: not here\nfailed: some b::c\n2 passed, 1 failed, 1 skipped\n'
	valid
	[[ $(field b::c output) == 'left <right> & "centre", seed 7' && $(field b::c seed) == 7 ]] || fail "$(field b::c output)"
	[[ $(field a duration_s) == 0.5 && $(field b::c needs) == "['host']" ]] || fail 'other values'
	"$top/qemu/enter" "$top/qemu/results/page" "$run/results.json" >"$tmp/page"
	grep -q 'left &lt;right&gt; &amp;' "$tmp/page" || fail 'not in the page, or not escaped'
	grep -q '2 passed.*1 failed.*1 skipped' "$tmp/page" || fail 'no totals in the page'
}

# A test may print anything, but only a line of its own is a result.
test_output_of_a_test_is_no_result() {
	in_build
	printf 'some\t%s\tguest\n' a 'b<&>"é' >"$run/list"
	suite 1 some 101 < <(
		printf '%s\n' 'mmap_pool: guest: kernel stock 7.3.4, TCG (why)' '1..2' '# began 1.000000 a'
		printf '# cut%bok 3 a\n' '\r' '\v' '\f' '\x1c' '\xc2\x85' '\xe2\x80\xa8' '\0' '\xff'
		printf '%s\n' '# ok 4 a' '# # ok 5 a' '# mmap_pool: guest: kernel other 1.2.3, magic (why)' '# 1..7' \
			'not ok 1 a # took 0.500000' '# began 1.500000 b<&>"é' 'ok 2 b<&>"é # took 0.250000'
	)
	collected
	expect_status 1
	expect_out $'failed: some a\n1 passed, 1 failed, 0 skipped\n'
	valid
	[[ $(field a output | wc -l) == 11 ]] || fail "$(field a output | cat -A)"
	[[ $(field a kernel) == "{'name': 'stock', 'release': '7.3.4', 'accel': 'TCG'}" ]] || fail "$(field a kernel)"
}

test_only_a_run_that_passed_is_a_success() {
	in_build
	suite 1 some 0 <<<'ok 1 a # took 0.500000'
	collected
	expect_status 0
	expect_out $'1 passed, 0 failed, 0 skipped\n'
	# The kernel complained after the tests.
	suite 1 some 123 <<-'END'
		mmap_pool: guest: kernel stock 7.3.4, TCG (why)
		ok 1 a # took 0.500000
		mmap_pool: the kernel complained; console log: /nowhere
	END
	collected
	expect_status 1
	expect_out $'failed: some exit status 123 (the kernel complained; console log: /nowhere)\n1 passed, 1 failed, 0 skipped\n'
	valid
	[[ $(field a kernel) == "{'name': 'stock', 'release': '7.3.4', 'accel': 'TCG'}" ]] || fail "$(field a kernel)"
	# Nothing ran, or everything was skipped.
	suite 1 some 0 </dev/null
	collected
	expect_status 1
	suite 1 some 0 <<<'ok 1 a # SKIP no luck'
	collected
	expect_status 1
	expect_out $'skipped: 1: no luck\n0 passed, 0 failed, 1 skipped\n'
}

test_tests_that_did_not_run_have_failed() {
	in_build
	printf 'some\t%s\thost\n' a b c d >"$run/list"
	suite 1 some 0 <<-'END'
		1..4
		# began 1.000000 a
		ok 1 a # took 0.500000
		# began 1.500000 b
	END
	collected
	expect_status 1
	expect_out "failed: some b (the guest or the program ended in this test)
failed: some: 2 tests did not run
1 passed, 3 failed, 0 skipped
"
	valid
	# Without a list, the plan says how many there are.
	: >"$run/list"
	collected
	expect_status 1
	expect_out $'failed: some: 1 tests did not run\n1 passed, 1 failed, 0 skipped\n'
}

# The console of a guest that prints 1000 lines in 20 s and complains in line 500.
test_excerpt_has_the_complaint_or_the_time_of_the_test() {
	in_build
	awk 'BEGIN { for (i = 1; i <= 1000; i++) printf "[%12.6f] line %d\n", i / 50, i }' >"$run/console.log"
	suite 1 some 123 <<-END
		# began 2.000000 a
		not ok 1 a # took 0.010000
		mmap_pool: the kernel complained; console log: $run/console.log
	END
	collected
	[[ $(field a console | sed -n '1p; $p' | xargs) == '[ 1.500000] line 75 [ 2.500000] line 125' ]] || fail "$(field a console)"
	# Many lines.
	sed -i '2s/.*/not ok 1 a # took 30.000000/' "$run/1-some.log"
	collected
	[[ $(field a console | tail -n 1) == *'line 1000' ]] || fail 'not the last lines'
	printf '%s\n' 'a heading' '500:[   10.000000] line 500' >"$run/complaints"
	collected
	[[ $(field a console | head -n 1) == *'line 500' ]] || fail 'not from the complaint'
	# A test without a result.
	sed -i 2d "$run/1-some.log"
	printf 'some\ta\tguest\n' >"$run/list"
	collected
	[[ $(field a console | head -n 1) == *'line 500' ]] || fail 'not from the complaint'
	# The guest itself.
	sed -i 1d "$run/1-some.log"
	echo 'ok 1 a # took 1.000000' >>"$run/1-some.log"
	collected
	[[ $(field 'exit status 123' console | head -n 1) == *'line 500' ]] || fail 'not from the complaint'
}

test_schema_refuses_other_results() {
	in_build
	suite 1 some 0 <<<'ok 1 a # SKIP no luck'
	collected
	"$top/qemu/checkers/run" python3 - "$top/qemu/results/schema.json" "$run/results.json" >"$tmp/said" 2>&1 <<-'END' || fail 'other results are accepted'
		import copy, json, sys
		import jsonschema
		schema, results = (json.load(open(path)) for path in sys.argv[1:])
		check = jsonschema.Draft202012Validator(schema)
		check.validate(results)
		for change in ('test["reason"] = None', 'test["status"] = "perhaps"', 'del test["duration_s"]',
		               'test["more"] = 1', 'other["totals"]["passed"] = -1', 'del other["kernel"]'):
		    other = copy.deepcopy(results)
		    test = other["tests"][0]
		    exec(change)
		    assert not check.is_valid(other), change
	END
}

# A guest dies in the second of three tests.
test_dead_guest_is_a_failure_of_the_test_that_ran() {
	local ktap=$build/cargo/$triplet/debug/mmap-pool-ktap
	[[ -x $ktap ]] || "$top/qemu/enter" cargo test --locked --workspace --no-run --test ktap 2>"$tmp/said" ||
		fail 'cannot build mmap-pool-ktap'
	in_build
	printf 'some\t%s\tguest\n' one two three >"$run/list"
	cat >"$tmp/program" <<-'END'
		#!/bin/sh
		echo '{ "type": "suite", "event": "started", "test_count": 3 }'
		echo '{ "type": "test", "event": "started", "name": "one" }'
		echo '{ "type": "test", "name": "one", "event": "ok", "exec_time": 0.1 }'
		echo '{ "type": "test", "event": "started", "name": "two" }'
		sleep 1
		insmod /misbehave.ko how=panic
	END
	chmod +x "$tmp/program"
	status=0
	"$top/qemu/run" --kernel "$kernel_name" --no-module --copy "$misbehave:/misbehave.ko" --copy "$ktap:/bin/ktap" \
		--copy "$tmp/program:/bin/program" -- ktap program >"$tmp/log" 2>&1 || status=$?
	expect_status 122
	grep -qx 'KTAP version 1' "$tmp/log" || fail 'the guest writes no KTAP'
	suite 1 some 122 <"$tmp/log"
	collected
	expect_status 1
	expect_out "failed: some two (the guest or the program ended in this test)
failed: some: 1 tests did not run
1 passed, 2 failed, 0 skipped
"
	valid
	[[ $(field two console) == *'Kernel panic - not syncing: on purpose'* ]] || fail "$(field two console)"
}

# A shard runs the tests that the list names, each once, and its results are those of its last line.
test_shard_runs_what_the_list_says() {
	local chosen=(T=lint_finds SHARD=2/2)
	answer env "${chosen[@]}" "$top/qemu/verbs/test"
	expect_status 0
	sed -n 's/^ok [0-9]* \(.*\) # took .*/\1/p' "$tmp/out" | sort >"$tmp/ran"
	[[ -s $tmp/ran ]] || fail 'nothing ran'
	cmp "$tmp/ran" <(selection "${chosen[@]}" | cut -f 2 | sort) || fail "ran: $(xargs <"$tmp/ran")"
	[[ $(tail -n 1 "$tmp/out") == "$(wc -l <"$tmp/ran") passed, 0 failed, 0 skipped" ]] || fail "$(tail -n 1 "$tmp/out")"
	# The toolchain root does not see the folder of this test.
	in_build
	cp "$RESULTS"/{results.json,junit.xml} "$run/"
	valid
	cmp "$tmp/ran" <(sed -n 's/^ *"name": "\(.*\)",$/\1/p' "$run/results.json" | sort) || fail 'other results'
	answer "$top/qemu/verbs/report"
	expect_status 0
	[[ -s $RESULTS/report.html ]] || fail 'there is no page'
	RESULTS=$tmp answer "$top/qemu/verbs/report"
	refused 2 "there is no $tmp/results.json: run make test first"
}
