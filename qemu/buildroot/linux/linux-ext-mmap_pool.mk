# SPDX-License-Identifier: GPL-2.0
#
# What Buildroot's linux package lacks for a kernel with Rust. Buildroot reads this file
# right before it evaluates that package.

# It puts the flags for the build machine's compiler into HOSTCC. The kernel's Rust takes
# HOSTCC for the name of a linker, which has no blanks; its C takes the flags from here too.
LINUX_MAKE_FLAGS += \
	HOSTCC="$(HOSTCC_NOCCACHE)" \
	HOSTCFLAGS="$(subst -I/,-isystem /,$(subst -I /,-isystem /,$(HOST_CFLAGS)))" \
	HOSTLDFLAGS="$(HOST_LDFLAGS)"

# Kconfig drops in silence what it cannot have.
define MMAP_POOL_CHECK_KERNEL_CONFIG
	$(BR2_EXTERNAL_MMAP_POOL_PATH)/../lib/config-kept $(@D)/.config \
		$(LINUX_KCONFIG_FILE) $(LINUX_KCONFIG_FRAGMENT_FILES)
endef
LINUX_PRE_BUILD_HOOKS += MMAP_POOL_CHECK_KERNEL_CONFIG
