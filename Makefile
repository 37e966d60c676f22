# SPDX-License-Identifier: GPL-2.0
#
# What one types; `make help` lists it. The work is done by the scripts in qemu/.

ifneq ($(origin KDIR),undefined)

# The module alone, for the kernel whose build tree KDIR is, with this machine's own
# tools and with Kbuild's usual verbs. An empty KDIR is refused.
.PHONY: modules modules_install clean rust-analyzer
modules modules_install clean rust-analyzer:
	@qemu/verbs/kdir "$(KDIR)"
	+@MAKEFILES="$(CURDIR)/qemu/lib/module.mk" \
		$(MAKE) -C "$(KDIR)" KDIR="$(realpath $(KDIR))" M="$(CURDIR)" $@

else

PREFIX ?= /usr/local

.PHONY: install-headers module run test fuzz coverage check bench bench-compare profile shell update buildroot doctor clean help
module: ; @qemu/module
run test fuzz coverage check bench bench-compare profile shell update buildroot doctor clean help: ; @qemu/verbs/$@
install-headers:
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/include/linux" include/uapi/linux/mmap_pool.h
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/man/man4" docs/man/mmap_pool.4

endif
