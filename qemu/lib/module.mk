# SPDX-License-Identifier: GPL-2.0
#
# Make reads this first (MAKEFILES) when it builds a module against the tree KDIR.
#
# A Rust module depends on sources that the tree's own build has generated. For Kbuild,
# which knows only how the module's build would make them, they are out of date: it would
# write them again, into the tree.

$(KDIR)/rust/kernel/generated_%.rs: ;
