//! Ends what is left of a group's connections here: shortly before the end of the drain after a handover, so that the
//! resets still pass the gate; at once when the peer is active and nothing can go on.

use super::Setup;
use super::list::Lister;
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

    /// The next group whose time has come.
    pub fn next(&mut self, now: MonoTime) -> Option<GroupKey> {
        let at = self.waiting.iter().position(|(_, at)| *at <= now)?;
        Some(self.waiting.swap_remove(at).0)
    }
}

/// Resets all connections of a group.
///
/// # Errors
/// When the kernel does not tell them.
pub(super) fn reset(setup: &Setup, group: GroupKey) -> io::Result<Destroyed> {
    let mut all = Destroyed::default();
    let Some(watched) = setup.groups.iter().find(|watched| watched.key == group) else { return Ok(all) };
    let mut diag = SockDiag::open()?;
    let left = Lister::all_of(&mut diag, &watched.addresses)?;
    for part in left.chunks(BATCH) {
        let done = diag.destroy(part)?;
        all.reset += done.reset;
        all.gone += done.gone;
        all.refused += done.refused;
    }
    Ok(all)
}
