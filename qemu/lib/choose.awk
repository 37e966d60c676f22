# SPDX-License-Identifier: GPL-2.0
#
# Of lines that end with a tab and the name of a test, those that were asked for: that have
# `name`, whole or after their last `::`, or if there is none, those with it in their name.

BEGIN { FS = "\t" }
$2 == name || index($2 "\t", "::" name "\t") { exact[++nr_exact] = $0 }
index($2, name) { part[++nr_part] = $0 }
END {
	for (i = 1; i <= nr_exact; i++) print exact[i]
	for (i = 1; i <= nr_part && !nr_exact; i++) print part[i]
}
