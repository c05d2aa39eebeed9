//! Health checks of the services behind the groups, on this node.
//!
//! Owns: a task for each check, all on the service thread, which checks and hooks share and whose
//! priority is below the hot thread's. Never does: make the hot thread wait. A task tries its
//! check, counts the results, and reports a [`Verdict`] when the verdict changes. [`Board`] keeps
//! all verdicts, and makes one number of those of each group. A check that cannot be tried (no
//! systemd, no such user) fails with a reason like any other.
//!
//! | file | noun |
//! |---|---|
//! | `board` | all verdicts, and a group's health |
//! | `run` | one check, tried again and again |
//! | `standing` | results in a row, counted |
//! | `http` | one page |
//! | `process` | a process, found and held |
//!
//! Connections are dialled by `io::dial`, systemd is asked by `io::units`.

mod board;
mod http;
mod process;
mod run;
mod standing;
#[cfg(test)]
mod tests;

pub use board::{Board, Change, Changed, Shown};
pub use process::Processes;
pub use run::Tools;

use crate::config::{Check, CheckKind};
use crate::types::GroupKey;
use std::time::Duration;

/// Number of one running check. Never used twice in a life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CheckId(pub u64);

/// Present result of a check, after enough attempts in a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Check that came to the verdict.
    pub check: CheckId,
    /// Success, or the reason of the failure.
    pub result: Result<(), String>,
}

/// A check to be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    /// Number of the check from now on.
    pub id: CheckId,
    /// Group that the check belongs to.
    pub group: GroupKey,
    /// Configuration of the check.
    pub check: Check,
    /// Wait before the first attempt, so that a thousand checks do not begin in one moment.
    pub phase: Duration,
}

/// Longest time from a fault to the verdict of a check, on a node that has `programs` checks of kind
/// "exec" in all. Each of them may wait until as many of the others as begin together have begun. An
/// attempt that takes longer than the interval skips beats; the fault may come just after a beat.
#[must_use]
pub fn noticed_within(check: &Check, programs: usize) -> Duration {
    let waits = match check.kind {
        CheckKind::Exec { .. } => run::longest_wait(programs),
        CheckKind::Tcp { .. } | CheckKind::Http(_) | CheckKind::Unit { .. } | CheckKind::Process(_) => Duration::ZERO,
    };
    let attempt = waits + check.timeout;
    let beats = attempt.as_nanos().div_ceil(check.interval.as_nanos().max(1)).max(1);
    let period = check.interval.saturating_mul(u32::try_from(beats).unwrap_or(u32::MAX));
    check.interval.saturating_add(period.saturating_mul(check.fall.saturating_sub(1))).saturating_add(attempt)
}
