// SPDX-License-Identifier: MIT OR GPL-2.0

//! A real 32-bit program, `tests/compat/compat.c`.

use crate::given::{compiled, run, Given};

#[test]
fn a_32_bit_program_can_do_all() {
    Given::node(4, |given| {
        run(given.program(&compiled("compat")).arg(given.path));
    });
}
