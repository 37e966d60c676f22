# SPDX-License-Identifier: GPL-2.0
#
# For the Kbuild of a lesson that uses the wrappers of src/: their C functions are compiled from
# where they are.

$(obj)/helpers.o: $(src)/../../../src/helpers.c FORCE
	$(call if_changed_rule,cc_o_c)
