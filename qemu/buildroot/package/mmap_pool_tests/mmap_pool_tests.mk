################################################################################
#
# mmap_pool_tests
#
################################################################################

# SPDX-License-Identifier: GPL-2.0

MMAP_POOL_TESTS_SITE = $(BR2_EXTERNAL_MMAP_POOL_PATH)/../..
MMAP_POOL_TESTS_SITE_METHOD = local
MMAP_POOL_TESTS_LICENSE = MIT or GPL-2.0
MMAP_POOL_TESTS_LICENSE_FILES = LICENSES/MIT.txt LICENSES/GPL-2.0.txt
MMAP_POOL_TESTS_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude=/build

# This is not a cargo-package: that would download another Rust than the kernel's, and it
# vendors only a source that it has downloaded.
#
# RUSTFLAGS replaces the flags of .cargo/config.toml, so the programs use the image's C library.
# It does not apply to build scripts, which run on the build machine. Buildroot's compiler
# refuses library paths below /usr, where rustc's libraries are; so it gets a link to them.
MMAP_POOL_TESTS_CARGO = \
	cd $(@D) && \
	$(TARGET_MAKE_ENV) \
	CARGO_TARGET_DIR=$(@D)/target \
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$(INSTALL) -D -m 755" \
	RUSTFLAGS="--sysroot $(@D)/rust -C target-feature=-crt-static -C linker=$(TARGET_CC)" \
	cargo test --offline --locked --target x86_64-unknown-linux-gnu \
		--package mmap-pool-tests --test guest

define MMAP_POOL_TESTS_BUILD_CMDS
	ln -sfn "$$(rustc --print sysroot)" $(@D)/rust
	$(MMAP_POOL_TESTS_CARGO) --no-run
endef

# Only cargo knows the path of the test program. So its runner, which cargo calls with that
# path, is a program that installs it.
define MMAP_POOL_TESTS_INSTALL_TARGET_CMDS
	$(MMAP_POOL_TESTS_CARGO) -- $(TARGET_DIR)/usr/bin/mmap-pool-guest
	$(INSTALL) -D -m 755 $(@D)/target/x86_64-unknown-linux-gnu/debug/mmap-pool-table \
		$(TARGET_DIR)/usr/bin/mmap-pool-table
endef

$(eval $(generic-package))
