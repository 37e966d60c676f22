# SPDX-License-Identifier: GPL-2.0
#
# The commands of the project: `make help` lists them. The scripts in qemu/ do the work.

ifneq ($(origin KDIR),undefined)

# Build the module alone, against the kernel build tree KDIR, with this machine's own tools.
# The targets are Kbuild's. An empty KDIR is an error.
.PHONY: modules modules_install clean rust-analyzer
modules modules_install clean rust-analyzer:
	@qemu/lib/kdir "$(KDIR)"
	+@MAKEFILES="$(CURDIR)/qemu/lib/module.mk" \
		$(MAKE) -C "$(KDIR)" KDIR="$(realpath $(KDIR))" M="$(CURDIR)" $@

else

PREFIX ?= /usr/local

# Each script in qemu/verbs/ is a verb, and its head is its entry in `make help`.
verbs := $(notdir $(wildcard qemu/verbs/*))

.PHONY: install-headers module $(verbs)
module: ; @qemu/module
$(verbs): ; @qemu/verbs/$@
install-headers:
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/include/linux" include/uapi/linux/mmap_pool.h
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/man/man4" docs/man/mmap_pool.4

endif
