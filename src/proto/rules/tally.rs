//! Tallies: results of checks, counted, so that one failure alone changes nothing. Nodes and
//! witnesses count in the same way.

/// The verdict of a check by its results so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    fall: u32,
    rise: u32,
    failing: bool,
    /// Number of results in a row that speak against the verdict.
    run: u32,
}

impl Tally {
    /// The tally of a check that is well until `fall` results in a row say otherwise; `rise`
    /// results in a row end a failure.
    #[must_use]
    pub fn new(fall: u32, rise: u32) -> Tally {
        Tally { fall, rise, failing: false, run: 0 }
    }

    /// Counts a result. True if it changes the verdict.
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

    /// Sets the verdict to failing, whatever was counted.
    pub fn fail(&mut self) {
        *self = Tally { failing: true, run: 0, ..*self };
    }

    /// Sets the verdict to well, whatever was counted.
    pub fn recover(&mut self) {
        *self = Tally { failing: false, run: 0, ..*self };
    }

    /// Whether the verdict is failing.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// Number of results in a row that speak against the verdict.
    #[must_use]
    pub fn run(&self) -> u32 {
        self.run
    }
}
