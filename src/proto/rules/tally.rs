//! Results of checks, counted: one failure is none. Nodes and witnesses count theirs in the same way.

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
