// SPDX-License-Identifier: MIT OR GPL-2.0

//! `fork` and `exit`.

use super::expected::Expected;
use super::state::Model;

impl Model {
    pub(super) fn fork(&mut self, p: usize, child: u8) -> Option<Expected> {
        let c = usize::from(child);
        if self.processes.get(c)?.is_some() {
            return None;
        }
        let mut process = self.process(p).clone();
        process.pages.retain(|_, page| !page.stays);
        for page in process.pages.values_mut() {
            page.is_locked = false;
        }
        self.processes[c] = Some(process);
        Expected::of(0)
    }

    pub(super) fn exit(&mut self, p: usize) -> Option<Expected> {
        if self.processes.iter().flatten().count() == 1 {
            return None;
        }
        self.processes[p] = None;
        Expected::of(0)
    }
}
