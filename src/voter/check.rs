//! Results of service checks, counted: one failure is none.

use crate::types::GroupKey;

/// One check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckSetup {
    /// Of which group.
    pub group: GroupKey,
    /// So many failures in a row are a fault.
    pub fall: u32,
    /// So many successes in a row end it.
    pub rise: u32,
}

/// A check and how it stands.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) setup: CheckSetup,
    pub failing: bool,
    /// Results in a row that speak against how it stands.
    pub(super) run: u32,
}

impl Check {
    pub fn new(setup: &CheckSetup) -> Check {
        Check { setup: *setup, failing: false, run: 0 }
    }

    pub fn group(&self) -> GroupKey {
        self.setup.group
    }

    /// Counts a result; the group whose fault may have changed with it.
    pub fn count(&mut self, healthy: bool) -> Option<GroupKey> {
        if healthy != self.failing {
            self.run = 0;
            return None;
        }
        self.run += 1;
        let enough = if self.failing { self.setup.rise } else { self.setup.fall };
        if self.run < enough {
            return None;
        }
        *self = Check { failing: !self.failing, ..Check::new(&self.setup) };
        Some(self.setup.group)
    }

    /// Somebody else serves from now on: what was counted was not about it.
    pub fn begin_again(&mut self) {
        *self = Check::new(&self.setup);
    }
}
