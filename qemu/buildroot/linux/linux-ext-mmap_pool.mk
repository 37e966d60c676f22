################################################################################
#
# What Buildroot's linux package lacks for a kernel with Rust as small as ours
#
################################################################################

# SPDX-License-Identifier: GPL-2.0

# Buildroot reads this file right before it evaluates that package.

# It puts the flags for the build machine's compiler into HOSTCC. The kernel's Rust takes
# HOSTCC for the name of a linker, which has no blanks; its C takes the flags from here too.
# check-package disable TypoInPackageVariable
LINUX_MAKE_FLAGS += \
	HOSTCC="$(HOSTCC_NOCCACHE)" \
	HOSTCFLAGS="$(subst -I/,-isystem /,$(subst -I /,-isystem /,$(HOST_CFLAGS)))" \
	HOSTLDFLAGS="$(HOST_LDFLAGS)"

# BR2_LINUX_KERNEL_DEFCONFIG="tiny": all configurations but this one end in _defconfig.
ifeq ($(LINUX_KCONFIG_DEFCONFIG),tiny_defconfig)
# check-package disable TypoInPackageVariable
LINUX_KCONFIG_DEFCONFIG = tinyconfig
endif

# Kconfig drops in silence what it cannot have.
ifeq ($(BR2_PACKAGE_MMAP_POOL),y)
define MMAP_POOL_CHECK_KERNEL_CONFIG
	echo CONFIG_RUST=y | $(BR2_EXTERNAL_MMAP_POOL_PATH)/../lib/config-kept \
		$(@D)/.config - $(LINUX_KCONFIG_FRAGMENT_FILES)
endef
# check-package disable TypoInPackageVariable
LINUX_PRE_BUILD_HOOKS += MMAP_POOL_CHECK_KERNEL_CONFIG
endif
