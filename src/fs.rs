// SPDX-License-Identifier: GPL-2.0

//! Files: what `kernel::fs` and `kernel::miscdevice` do not offer yet.

pub(crate) mod chardev;
pub(crate) mod pseudo;
