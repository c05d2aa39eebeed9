//! How one check stands: results in a row, and what was told of them.

use crate::rules::tally::Tally;

/// Letters of a reason that are kept.
const MAX_REASON: usize = 200;

/// A check between its attempts.
#[derive(Debug)]
pub(super) struct Standing {
    tally: Tally,
    told: Option<Result<(), String>>,
    /// One success is enough.
    anew: bool,
}

impl Standing {
    pub fn new(fall: u32, rise: u32) -> Standing {
        Standing { tally: Tally::new(fall, rise), told: None, anew: false }
    }

    /// Counts an attempt; what is to be told, if it is something new.
    pub fn count(&mut self, result: Result<(), String>) -> Option<Result<(), String>> {
        self.tally.count(result.is_ok());
        if result.is_ok() && std::mem::take(&mut self.anew) {
            self.tally.recover();
        }
        self.news(result)
    }

    /// What is tried may have been started anew: the next success is enough, as the first one was.
    pub fn begin_anew(&mut self) {
        self.anew = true;
    }

    /// It fails at once.
    pub fn fail(&mut self, reason: String) -> Option<Result<(), String>> {
        self.tally.fail();
        self.news(Err(reason))
    }

    /// The last attempt agreed with the verdict.
    pub fn is_settled(&self) -> bool {
        self.told.is_some() && self.tally.run() == 0
    }

    fn news(&mut self, result: Result<(), String>) -> Option<Result<(), String>> {
        let verdict = match (self.tally.is_failing(), result) {
            (false, Ok(())) => Ok(()),
            (true, Err(reason)) => Err(shortened(&reason)),
            // An attempt that does not decide: what was told stands.
            (false, Err(_)) | (true, Ok(())) => return None,
        };
        if self.told.as_ref() == Some(&verdict) {
            return None;
        }
        self.told = Some(verdict.clone());
        Some(verdict)
    }
}

fn shortened(reason: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    reason.trim().chars().take(MAX_REASON).map(plain).collect()
}
