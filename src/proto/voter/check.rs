//! Service checks of a witness: results counted, and the verdict of each check.

use crate::rules::tally::Tally;
use crate::types::GroupKey;

/// The setup of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckSetup {
    /// The group whose service is checked.
    pub group: GroupKey,
    /// Number of failures in a row that are a fault.
    pub fall: u32,
    /// Number of successes in a row that end a fault.
    pub rise: u32,
}

/// A check of a group, with the count of its results.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) setup: CheckSetup,
    pub(super) tally: Tally,
}

impl Check {
    /// A check without results yet: the service counts as well.
    pub fn new(setup: &CheckSetup) -> Check {
        Check { setup: *setup, tally: Tally::new(setup.fall, setup.rise) }
    }

    pub fn group(&self) -> GroupKey {
        self.setup.group
    }

    /// Counts a result; returns the group if its fault may have changed.
    pub fn count(&mut self, healthy: bool) -> Option<GroupKey> {
        self.tally.count(healthy).then_some(self.setup.group)
    }

    /// Restarts the count: another node serves from now on, and the results were not about it.
    pub fn begin_again(&mut self) {
        *self = Check::new(&self.setup);
    }
}
