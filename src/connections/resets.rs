//! Ends what is left of a group's connections here: shortly before the end of the drain after a handover, so that the
//! resets still pass the gate; at once when the peer is active and nothing can go on.

use super::list::Lister;
use super::{Setup, Watched};
use crate::io::sockdiag::{BATCH, Destroyed, SockDiag};
use crate::types::{GroupKey, MonoTime};
use std::io;
use std::time::Duration;

/// Time before the end of the drain: some, and some for each connection.
const MARGIN: Duration = Duration::from_millis(20);
const MARGIN_EACH: Duration = Duration::from_micros(20);
/// A drain in which there is no time for that.
const SHORT: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_millis(500);
/// Groups that were handed over at almost the same time are dealt with in one reading of the kernel's table.
const TOGETHER: Duration = Duration::from_millis(20);

/// What is to be reset, and when.
#[derive(Debug, Default)]
pub(super) struct Resets {
    waiting: Vec<(GroupKey, MonoTime)>,
}

impl Resets {
    /// After a handover: at the end of the drain. One that is too short for that carries no reset; then this only ends the
    /// service's side, after the new active has taken the list.
    pub fn at_the_end_of(
        &mut self,
        group: GroupKey,
        closed: MonoTime,
        drain: Duration,
        known: usize,
        took: Duration,
    ) {
        let margin = MARGIN + MARGIN_EACH * u32::try_from(known).unwrap_or(u32::MAX) + took;
        let at = closed + if drain < SHORT { LATER } else { drain.saturating_sub(margin.min(drain / 4)) };
        self.cancel(group);
        self.waiting.push((group, at));
    }

    /// As soon as possible.
    pub fn now(&mut self, group: GroupKey, now: MonoTime) {
        self.cancel(group);
        self.waiting.push((group, now));
    }

    /// The group is open here again, with its connections.
    pub fn cancel(&mut self, group: GroupKey) {
        self.waiting.retain(|(waiting, _)| *waiting != group);
    }

    /// When a turn is due.
    pub fn due(&self) -> MonoTime {
        self.waiting.iter().map(|(_, at)| *at).min().unwrap_or(MonoTime::FOREVER)
    }

    /// The groups whose time has come, and those whose time comes while they are dealt with.
    pub fn next(&mut self, now: MonoTime) -> Vec<GroupKey> {
        if now < self.due() {
            return Vec::new();
        }
        let is_due = |(_, at): &(GroupKey, MonoTime)| *at <= now + TOGETHER;
        let due = self.waiting.iter().filter(|waiting| is_due(waiting)).map(|(group, _)| *group).collect();
        self.waiting.retain(|waiting| !is_due(waiting));
        due
    }
}

/// Resets all connections of these groups.
///
/// # Errors
/// When the kernel does not tell them.
pub(super) fn reset(setup: &Setup, groups: &[GroupKey]) -> io::Result<Vec<(GroupKey, Destroyed)>> {
    let chosen: Vec<&Watched> = setup.groups.iter().filter(|watched| groups.contains(&watched.key)).collect();
    let mut diag = SockDiag::open()?;
    let mut left = Lister::all_of(&mut diag, &chosen)?;
    let mut all = Vec::new();
    for (group, connections) in &mut left {
        let mut sum = Destroyed::default();
        for part in connections.chunks(BATCH) {
            let done = diag.destroy(part)?;
            sum.reset += done.reset;
            sum.gone += done.gone;
            sum.refused += done.refused;
        }
        all.push((*group, sum));
    }
    Ok(all)
}
