# SPDX-License-Identifier: GPL-2.0
#
# What one types; `make help` lists it. The work is done by the scripts in qemu/.

ifdef KDIR

# The module alone, for the kernel whose build tree KDIR is, with this machine's own
# tools and with Kbuild's usual verbs.
.PHONY: modules modules_install clean rust-analyzer
modules modules_install clean rust-analyzer:
	@qemu/verbs/kdir "$(KDIR)"
	+@$(MAKE) -C "$(KDIR)" M="$(CURDIR)" $@

else

.PHONY: module run test fuzz coverage check bench bench-compare profile shell update buildroot clean help
module: ; @qemu/module
run test fuzz coverage check bench bench-compare profile shell update buildroot: ; @qemu/verbs/$@
clean: ; rm -rf build
help: ; @qemu/verbs/help

endif
