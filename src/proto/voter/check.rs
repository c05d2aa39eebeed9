//! Checks of a witness, and how each stands.

use crate::rules::tally::Tally;
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

/// A check of a group and how it stands.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) setup: CheckSetup,
    pub(super) tally: Tally,
}

impl Check {
    pub fn new(setup: &CheckSetup) -> Check {
        Check { setup: *setup, tally: Tally::new(setup.fall, setup.rise) }
    }

    pub fn group(&self) -> GroupKey {
        self.setup.group
    }

    /// Counts a result; the group whose fault may have changed with it.
    pub fn count(&mut self, healthy: bool) -> Option<GroupKey> {
        self.tally.count(healthy).then_some(self.setup.group)
    }

    /// Somebody else serves from now on: what was counted was not about it.
    pub fn begin_again(&mut self) {
        *self = Check::new(&self.setup);
    }
}
