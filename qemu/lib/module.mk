# SPDX-License-Identifier: GPL-2.0
#
# make reads this file first (MAKEFILES) when it builds a module against the tree KDIR.
#
# A Rust module depends on sources that the build of the tree has generated. Kbuild considers
# them out of date and would write them again, into the tree. This rule stops that.

$(KDIR)/rust/kernel/generated_%.rs: ;
