# shellcheck shell=bash disable=SC2154,SC2034,SC2317,SC2016
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the pages: each link leads somewhere, and what a page names exists. They need no guest.

# anchors FILE: prints the anchors of its headings, as forges make them.
anchors() {
	sed -nE 's/^#+ +(.*)/\1/p' "$1" | LC_ALL=C.UTF-8 sed -E 's/.*/\L&/; s/[^[:alnum:] _-]//g; s/ /-/g'
}

# broken_links FOLDER: prints each link of a page in FOLDER that leads to no file or no heading.
broken_links() {
	local page target file
	while IFS= read -r -d '' page; do
		while IFS= read -r target; do
			file=${target%%#*}
			case $file in
			'') file=$page ;;
			/*) file=$1$file ;;
			*) file=${page%/*}/$file ;;
			esac
			if [[ ! -e $file ]]; then
				printf '%s: no file %s\n' "$page" "$target"
			elif [[ $target == *#* && $file == *.md ]] && ! anchors "$file" | grep -qxF -e "${target#*#}"; then
				printf '%s: no heading %s\n' "$page" "$target"
			fi
		done < <(grep -oE '\]\([^)]+\)' "$page" | sed -E 's/^..(.*).$/\1/' | grep -vE '^[a-z]+:')
	done < <(find "$1" -name build -prune -o -name target -prune -o -name '*.md' -print0)
}

# unknown_tests: reads names, and prints those that are neither a test nor a wrong driver.
unknown_tests() {
	local name
	while IFS= read -r name; do
		case $name in
		*.c) [[ -e $top/tests/modules/wrong/$name ]] || printf 'no driver %s\n' "$name" ;;
		*) grep -rqE "fn $name\(" "$top/tests/src/scenarios" "$top/tests/tests" || printf 'no test %s\n' "$name" ;;
		esac
	done
}

# pairs: reads a text, and prints each `function` (file) of it without the marks.
pairs() { tr '\n' ' ' | grep -oE '`[a-z_0-9]+` \([a-z_0-9/-]+\.[a-z]+\)' | tr -d '`()'; }

# unknown_functions: reads pairs of a function and a file, and prints those that are not in the module's source or
# in the kernel's. A kernel's tree has the sources of some folders only. The pages are about one version of the
# kernel: in another one, a function may have moved.
unknown_functions() {
	local name file
	while read -r name file; do
		if [[ $file == src/* ]]; then
			grep -qE "\bfn $name\b" "$top/$file" || printf 'no function %s in %s\n' "$name" "$file"
			continue
		fi
		[[ $(<"$kernel/release") == 7.3.* ]] || continue
		[[ $(find "$kernel/tree/${file%/*}" -maxdepth 1 -name "*.${file##*.}" -print -quit 2>/dev/null) ]] || continue
		grep -qE "\b$name\(" "$kernel/tree/$file" 2>/dev/null || printf 'no function %s in %s\n' "$name" "$file"
	done
}

# paragraphs WORD FILE: prints the paragraphs that begin with WORD, each on a line.
paragraphs() { awk -v RS= -v "word=$1" 'index($0, word) == 1 { gsub("\n", " "); print }' "$2"; }

test_every_link_of_a_page_leads_somewhere() {
	local broken
	broken=$(broken_links "$top")
	[[ ! $broken ]] || fail "$broken"
	# The check itself notices a missing file and a missing heading.
	mkdir "$tmp/pages"
	printf '# A page: `x`\n[a](b.md) [c](#a-page-x) [d](#nowhere) [e](https://nowhere)\n' >"$tmp/pages/a.md"
	[[ $(broken_links "$tmp/pages") == "$tmp/pages/a.md: no file b.md"$'\n'"$tmp/pages/a.md: no heading #nowhere" ]] ||
		fail "$(broken_links "$tmp/pages")"
}

test_questions_name_tests_drivers_and_functions_that_exist() {
	local page=$top/docs/questions.md wrong nr
	sed -nE 's/^### ([0-9]+)\. .*/\1/p' "$page" >"$tmp/numbers"
	nr=$(wc -l <"$tmp/numbers")
	((nr >= 40)) || fail "only $nr questions"
	cmp "$tmp/numbers" <(seq "$nr") || fail 'the questions are not numbered in order'
	paragraphs 'Shown by:' "$page" >"$tmp/shown"
	paragraphs 'Kernel:' "$page" >"$tmp/kernel"
	(($(wc -l <"$tmp/shown") == nr)) || fail 'a question has no line "Shown by:"'
	(($(wc -l <"$tmp/kernel") == nr)) || fail 'a question has no line "Kernel:"'
	grep -oE '`[^`]+`' "$tmp/shown" | tr -d '`' >"$tmp/names"
	wrong=$(unknown_tests <"$tmp/names")
	[[ ! $wrong ]] || fail "$wrong"
	[[ $(printf 'no_such_test\nno_such.c\n' | unknown_tests) == $'no test no_such_test\nno driver no_such.c' ]] ||
		fail 'the check accepts what does not exist'
	pairs <"$tmp/kernel" >"$tmp/pairs"
	(($(wc -l <"$tmp/pairs") >= nr)) || fail 'a function has no file'
	wrong=$(unknown_functions <"$tmp/pairs")
	[[ ! $wrong ]] || fail "$wrong"
}

test_tour_names_functions_where_they_are() {
	local wrong
	pairs <"$top/docs/tour.md" >"$tmp/pairs"
	(($(wc -l <"$tmp/pairs") >= 40)) || fail 'the tour names few functions'
	wrong=$(unknown_functions <"$tmp/pairs")
	[[ ! $wrong ]] || fail "$wrong"
	# The figures are there, each with a text.
	(($(grep -cE '^!\[[^]]{20}' "$top/docs/tour.md") == $(find "$top/docs/pictures" -name '*.svg' | wc -l))) ||
		fail 'the tour does not show each figure'
	wrong=$(printf 'no_such src/pool.rs\nno_such mm/memory.c\n' | unknown_functions)
	[[ $wrong == 'no function no_such in src/pool.rs'* ]] || fail 'the check accepts what does not exist'
	[[ $(<"$kernel/release") != 7.3.* || ! -e $kernel/tree/mm/memory.c || $wrong == *'no_such in mm/memory.c' ]] ||
		fail 'the check accepts what the kernel does not have'
}
