# SPDX-License-Identifier: GPL-2.0
#
# Selects tests by name. Each input line ends with a tab and the name of a test. Prints the lines
# whose test is called `name`: the whole name, or the part after the last `::`. If there are none,
# prints the lines whose test name contains `name`.

BEGIN { FS = "\t" }
$2 == name || index($2 "\t", "::" name "\t") { exact[++nr_exact] = $0 }
index($2, name) { part[++nr_part] = $0 }
END {
	for (i = 1; i <= nr_exact; i++) print exact[i]
	for (i = 1; i <= nr_part && !nr_exact; i++) print part[i]
}
