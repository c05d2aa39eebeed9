//! Ends what is left of a group's connections here: shortly before the end of the drain after a handover, so that the
//! resets still pass the gate; at once when the peer is active and nothing can go on. A group that was closed for another
//! reason may come back, and what is left of it waits until the peer tells its own connections to the group's addresses,
//! which it does when it is active: then the service here talks to nobody, and learns it.

use super::list::Lister;
use super::{Setup, Watched};
use crate::io::sockdiag::{BATCH, Destroyed, SockDiag};
use crate::types::{GroupKey, MonoTime};
use std::collections::{HashMap, HashSet};
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
    /// Groups that may come back with their connections, unless the peer turns out to be active; what is left of them
    /// is reset so long after that.
    given_up: Vec<(GroupKey, Duration)>,
    /// Groups that the peer has told of since they were opened here.
    told: HashSet<GroupKey>,
    /// What it tells of a group before this is what it carries to the end of a drain, or was told before.
    begins: HashMap<GroupKey, MonoTime>,
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

    /// It is not to be reset for what was known so far.
    fn cancel(&mut self, group: GroupKey) {
        self.waiting.retain(|(waiting, _)| *waiting != group);
        self.given_up.retain(|(given_up, _)| *given_up != group);
    }

    /// The group opened here; `drain` is how long the peer may still tell what it carries.
    pub fn opened(&mut self, group: GroupKey, at: MonoTime, drain: Duration) {
        self.cancel(group);
        self.told.remove(&group);
        self.begins.insert(group, at + drain + LATER);
    }

    /// As soon as the peer is active, and then `after` a while.
    pub fn when_lost(&mut self, group: GroupKey, after: Duration, now: MonoTime) {
        self.cancel(group);
        if self.told.contains(&group) {
            self.waiting.push((group, now + after));
        } else {
            self.given_up.push((group, after));
        }
    }

    /// The peer tells its connections of this group.
    pub fn peer_has(&mut self, group: GroupKey, now: MonoTime) {
        if self.begins.get(&group).is_some_and(|begins| now < *begins) {
            return;
        }
        self.told.insert(group);
        for (_, after) in self.given_up.extract_if(.., |(given_up, _)| *given_up == group) {
            self.waiting.push((group, now + after));
        }
    }

    /// Forgets groups that are not ours any more.
    pub fn keep(&mut self, is_ours: impl Fn(GroupKey) -> bool) {
        self.waiting.retain(|(group, _)| is_ours(*group));
        self.given_up.retain(|(group, _)| is_ours(*group));
        self.told.retain(|group| is_ours(*group));
        self.begins.retain(|group, _| is_ours(*group));
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
    let left = Lister::all_of(&mut diag, &chosen)?;
    let mut all = Vec::new();
    for (group, sockets) in left {
        let mut sum = Destroyed::default();
        for part in sockets.chunks(BATCH) {
            let done = diag.destroy(part)?;
            sum.reset += done.reset;
            sum.gone += done.gone;
            sum.refused += done.refused;
        }
        all.push((group, sum));
    }
    Ok(all)
}
