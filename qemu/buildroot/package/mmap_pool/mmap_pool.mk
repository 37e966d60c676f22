################################################################################
#
# mmap_pool
#
################################################################################

# SPDX-License-Identifier: GPL-2.0

MMAP_POOL_SITE = $(BR2_EXTERNAL_MMAP_POOL_PATH)/../..
MMAP_POOL_SITE_METHOD = local
MMAP_POOL_LICENSE = GPL-2.0
MMAP_POOL_LICENSE_FILES = LICENSES/GPL-2.0.txt
# Do not copy the results of builds for other kernels.
MMAP_POOL_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude=/build --exclude='*.o' --exclude='*.ko' --exclude='.*.cmd'

# The tests load the module from this path on every kernel.
define MMAP_POOL_LINK_MODULE
	ln -sf $(LINUX_VERSION_PROBED)/updates/mmap_pool.ko \
		$(TARGET_DIR)/lib/modules/mmap_pool.ko
endef

$(eval $(kernel-module))
MMAP_POOL_POST_INSTALL_TARGET_HOOKS += MMAP_POOL_LINK_MODULE
$(eval $(generic-package))
