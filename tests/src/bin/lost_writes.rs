// SPDX-License-Identifier: MIT OR GPL-2.0

//! `mmap-pool-lost-writes OBJECT ACT SECONDS`: counts lost writes while the kernel acts on the
//! page.

use std::env;
use std::time::Duration;

use mmap_pool_tests::lost_writes::{count, Until};
use mmap_pool_tests::{fail, Failure};

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [object, act, seconds] = &arguments[..] else {
        fail!(
            "usage: mmap-pool-lost-writes STRATEGY|memfd nothing|soft-offline|move|split SECONDS"
        );
    };
    let act: mmap_pool_tests::lost_writes::Act = act.parse()?;
    if let Some(reason) = act.is_missing() {
        fail!("{reason}");
    }
    let until = Until::Passed(Duration::from_secs(seconds.parse()?));
    println!("{}", count(object.parse()?, act, until)?);
    Ok(())
}
