//! Standing of one check: results in a row, and the verdict that was reported of them.
//!
//! Owns: when a verdict changes. Never does: try the check. Pure.

use crate::rules::tally::Tally;

/// Characters of a reason that are kept.
const MAX_REASON: usize = 200;

/// State of a check between its attempts.
#[derive(Debug)]
pub(super) struct Standing {
    tally: Tally,
    /// Verdict that was reported last.
    reported: Option<Result<(), String>>,
    /// Whether one success is enough for a success as verdict.
    starts_over: bool,
}

impl Standing {
    /// A check without a verdict. `fall` failures or `rise` successes in a row change a verdict.
    pub fn new(fall: u32, rise: u32) -> Standing {
        Standing { tally: Tally::new(fall, rise), reported: None, starts_over: false }
    }

    /// Counts an attempt; returns the verdict if it is to be reported.
    pub fn count(&mut self, result: Result<(), String>) -> Option<Result<(), String>> {
        self.tally.count(result.is_ok());
        if result.is_ok() && std::mem::take(&mut self.starts_over) {
            self.tally.recover();
        }
        self.take_news(result)
    }

    /// Lets the next success be enough, as the first one was: the service may have been restarted.
    pub fn start_over(&mut self) {
        self.starts_over = true;
    }

    /// Makes the check fail at once, without counting; returns the verdict if it is to be reported.
    pub fn fail(&mut self, reason: String) -> Option<Result<(), String>> {
        self.tally.fail();
        self.take_news(Err(reason))
    }

    /// Whether the last attempt agreed with the reported verdict.
    pub fn is_settled(&self) -> bool {
        self.reported.is_some() && self.tally.run() == 0
    }

    /// The verdict, if `result` decides one that was not reported yet; it counts as reported from
    /// here.
    fn take_news(&mut self, result: Result<(), String>) -> Option<Result<(), String>> {
        let verdict = match (self.tally.is_failing(), result) {
            (false, Ok(())) => Ok(()),
            (true, Err(reason)) => Err(shortened(&reason)),
            // An attempt that does not decide: the reported verdict stands.
            (false, Err(_)) | (true, Ok(())) => return None,
        };
        if self.reported.as_ref() == Some(&verdict) {
            return None;
        }
        self.reported = Some(verdict.clone());
        Some(verdict)
    }
}

/// A reason on one line, at most [`MAX_REASON`] characters.
fn shortened(reason: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    reason.trim().chars().take(MAX_REASON).map(plain).collect()
}
