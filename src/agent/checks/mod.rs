//! Health checks of the services behind the groups, on this node.
//!
//! A task for each check, all on one runtime thread of their own, far below the one that pulses; nothing here is ever waited
//! for by that one. A task tries, counts, and tells a [`Verdict`] when it comes to another one. [`Board`] keeps the
//! verdicts and makes one number for each group of them. What cannot be tried (no systemd, no such user) is a failure with
//! a reason like any other.
//!
//! | file | noun |
//! |---|---|
//! | `board` | all verdicts, and a group's health |
//! | `run` | one check, tried again and again |
//! | `standing` | results in a row, counted |
//! | `tcp`, `http` | a connection, a page |
//! | `process` | a process, found and held |
//! | `units` | systemd, over its bus |

mod board;
mod http;
mod process;
mod run;
mod standing;
#[cfg(test)]
mod tests;

pub use board::{Board, Changed, Shown};
pub use process::Processes;
pub use run::Tools;

use crate::config::Check;
use crate::types::GroupKey;
use std::time::Duration;

/// Names one running check. Never used twice in a life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CheckId(pub u64);

/// What a check has come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Which.
    pub check: CheckId,
    /// It succeeds, or fails, and why.
    pub result: Result<(), String>,
}

/// A check to be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    /// Its name from now on.
    pub id: CheckId,
    /// Whose check it is.
    pub group: GroupKey,
    /// What to do.
    pub check: Check,
    /// How long to wait before the first attempt, so that a thousand do not begin in one moment.
    pub phase: Duration,
}
