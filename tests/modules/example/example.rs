// SPDX-License-Identifier: GPL-2.0

//! A small module, to begin one's own with. It says something when it is loaded and when it
//! is removed.

use kernel::prelude::*;

module! {
    type: Example,
    name: "example",
    authors: ["The mmap_pool authors"],
    description: "A small module to begin with",
    license: "GPL",
}

struct Example;

impl kernel::Module for Example {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("hello\n");
        Ok(Self)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        pr_info!("goodbye\n");
    }
}
