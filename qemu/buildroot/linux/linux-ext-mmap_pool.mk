################################################################################
#
# Additions to Buildroot's linux package, for a small kernel with Rust
#
################################################################################

# SPDX-License-Identifier: GPL-2.0

# Buildroot reads this file right before it evaluates that package.

# Buildroot puts the compiler and its flags into HOSTCC. For its Rust programs the kernel uses
# HOSTCC as the name of a linker, which has no blanks. So set the compiler and the flags apart.
# check-package disable TypoInPackageVariable
LINUX_MAKE_FLAGS += \
	HOSTCC="$(HOSTCC_NOCCACHE)" \
	HOSTCFLAGS="$(subst -I/,-isystem /,$(subst -I /,-isystem /,$(HOST_CFLAGS)))" \
	HOSTLDFLAGS="$(HOST_LDFLAGS)"

# For BR2_LINUX_KERNEL_DEFCONFIG="tiny", Buildroot asks for tiny_defconfig. The kernel calls it
# tinyconfig.
ifeq ($(LINUX_KCONFIG_DEFCONFIG),tiny_defconfig)
# check-package disable TypoInPackageVariable
LINUX_KCONFIG_DEFCONFIG = tinyconfig
endif

# Kconfig silently drops an option whose dependencies are not met.
ifeq ($(BR2_PACKAGE_MMAP_POOL),y)
define MMAP_POOL_CHECK_KERNEL_CONFIG
	echo CONFIG_RUST=y | $(BR2_EXTERNAL_MMAP_POOL_PATH)/../lib/config-kept \
		$(@D)/.config - $(LINUX_KCONFIG_FRAGMENT_FILES)
endef
# check-package disable TypoInPackageVariable
LINUX_PRE_BUILD_HOOKS += MMAP_POOL_CHECK_KERNEL_CONFIG
endif
