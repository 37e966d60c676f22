// SPDX-License-Identifier: MIT OR GPL-2.0

//! Strategies: when a pool gets its pages, and in what pieces.

use mmap_pool::{Errno, Pool, Strategy};
use mmap_pool_tests::module::{self, FreshModule, LoadError};

#[test]
fn a_pool_has_the_strategy_it_was_created_with_and_page_is_the_default() {
    let module = FreshModule::load("size_mb=1").unwrap();
    let strategy = |pool: Pool| pool.info().unwrap().strategy();
    assert_eq!(
        strategy(Pool::create().create().unwrap()),
        Some(Strategy::Page)
    );
    for expected in Strategy::ALL {
        let pool = Pool::create().strategy(expected).create().unwrap();
        assert_eq!(strategy(pool), Some(expected));
    }
    module.unload().unwrap();
}

#[test]
fn the_parameter_sets_the_strategy_of_the_default_pool() {
    for expected in Strategy::ALL {
        let parameters = format!("size_mb=1 strategy={}", expected as u32);
        let module = FreshModule::load(&parameters).unwrap();
        let info = Pool::open().unwrap().info().unwrap();
        assert_eq!(info.strategy(), Some(expected));
        module.unload().unwrap();
    }
}

#[test]
fn an_unknown_strategy_does_not_load() {
    let without = module::without_module().unwrap();
    for strategy in ["4", "-1", "huge", "", "4294967295"] {
        let parameters = format!("strategy={strategy}");
        let refused = Err(LoadError(Errno::INVAL));
        assert_eq!(module::load(&parameters), refused, "{parameters}");
    }
    drop(without);
}
