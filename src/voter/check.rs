//! Results of checks, counted: one failure is none. The nodes count theirs in the same way.

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

/// How a check stands, by its results so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    fall: u32,
    rise: u32,
    failing: bool,
    /// Results in a row that speak against how it stands.
    run: u32,
}

impl Tally {
    /// Of a check that does not fail until `fall` results in a row say so.
    #[must_use]
    pub fn new(fall: u32, rise: u32) -> Tally {
        Tally { fall, rise, failing: false, run: 0 }
    }

    /// Counts a result. True if the check stands otherwise now.
    pub fn count(&mut self, healthy: bool) -> bool {
        if healthy != self.failing {
            self.run = 0;
            return false;
        }
        self.run += 1;
        let enough = if self.failing { self.rise } else { self.fall };
        if self.run < enough {
            return false;
        }
        *self = Tally { failing: !self.failing, run: 0, ..*self };
        true
    }

    /// It fails, whatever was counted.
    pub fn fail(&mut self) {
        *self = Tally { failing: true, run: 0, ..*self };
    }

    /// It is well, whatever was counted.
    pub fn recover(&mut self) {
        *self = Tally { failing: false, run: 0, ..*self };
    }

    /// So many failures in a row, and not yet ended by successes.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// Results in a row that speak against how it stands.
    #[must_use]
    pub fn run(&self) -> u32 {
        self.run
    }
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
