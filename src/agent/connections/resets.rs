//! Resets: the ends of connections that are left of a group that closed here.
//!
//! Owns: when each group's connections are reset. Never does: reset a connection that may go on.
//! After a handover the resets come shortly before the end of the drain, so that they still pass
//! the gate; when the peer is active and nothing can go on, they come at once. A group that closed
//! for another reason may come back: its connections wait until the peer lists its own connections
//! to the group's addresses, which it does when it is active. Then the service here talks to no
//! client, and learns so. A refusal by the kernel is reported; connections that are left end by
//! their own timeouts.

use super::list;
use super::{Setup, Watched};
use crate::io::sockdiag::{BATCH, Destroyed, SockDiag};
use crate::types::{GroupKey, MonoTime};
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

/// Time between the resets and the end of the drain, without the time for each connection.
const MARGIN: Duration = Duration::from_millis(20);
/// Time between the resets and the end of the drain for each known connection.
const MARGIN_EACH: Duration = Duration::from_micros(20);
/// A shorter drain has no time for resets.
const SHORT: Duration = Duration::from_millis(100);
/// Time from the closing to the resets after a short drain; and from the end of a drain to the
/// first list of the peer that counts.
const LATER: Duration = Duration::from_millis(500);
/// Groups due within this time of each other are reset after one reading of the kernel's table.
const TOGETHER: Duration = Duration::from_millis(20);

/// Plan of resets.
#[derive(Debug, Default)]
pub(super) struct Resets {
    /// Groups to be reset, each with its instant.
    planned: Vec<(GroupKey, MonoTime)>,
    /// Groups that may come back with their connections, unless the peer turns out to be active;
    /// each with the time from then to the reset.
    held_back: Vec<(GroupKey, Duration)>,
    /// Groups that the peer has listed since they were opened here.
    peer_has: HashSet<GroupKey>,
    /// Instant of each group before which the peer's list does not count: until then the peer lists
    /// what it carries to the end of a drain.
    counts_from: HashMap<GroupKey, MonoTime>,
}

impl Resets {
    /// Plans the resets after a handover: shortly before the end of the drain. After a drain that
    /// is too short, the resets come later, do not pass the gate and end the service's side only;
    /// the new active has taken the list by then.
    pub fn plan_before_end_of_drain(
        &mut self,
        group: GroupKey,
        closed: MonoTime,
        drain: Duration,
        known: usize,
        took: Duration,
    ) {
        let margin = MARGIN + MARGIN_EACH * u32::try_from(known).unwrap_or(u32::MAX) + took;
        let when = closed + if drain < SHORT { LATER } else { drain.saturating_sub(margin.min(drain / 4)) };
        self.cancel(group);
        self.planned.push((group, when));
    }

    /// Plans the resets for the next turn.
    pub fn plan_now(&mut self, group: GroupKey, now: MonoTime) {
        self.cancel(group);
        self.planned.push((group, now));
    }

    /// Forgets the plan for a group.
    fn cancel(&mut self, group: GroupKey) {
        self.planned.retain(|(planned, _)| *planned != group);
        self.held_back.retain(|(held_back, _)| *held_back != group);
    }

    /// Cancels the resets of a group that opened here. Until `drain` is over the peer may list what
    /// it carries.
    pub fn handle_opened(&mut self, group: GroupKey, when: MonoTime, drain: Duration) {
        self.cancel(group);
        self.peer_has.remove(&group);
        self.counts_from.insert(group, when + drain + LATER);
    }

    /// Plans the resets for `after` the moment that the peer turns out to be active, or has done
    /// so.
    pub fn plan_when_peer_has(&mut self, group: GroupKey, after: Duration, now: MonoTime) {
        self.cancel(group);
        if self.peer_has.contains(&group) {
            self.planned.push((group, now + after));
        } else {
            self.held_back.push((group, after));
        }
    }

    /// Releases resets that are held back, because the peer lists connections of this group.
    pub fn handle_peer_list(&mut self, group: GroupKey, now: MonoTime) {
        if self.counts_from.get(&group).is_some_and(|from| now < *from) {
            return;
        }
        self.peer_has.insert(group);
        for (_, after) in self.held_back.extract_if(.., |(held_back, _)| *held_back == group) {
            self.planned.push((group, now + after));
        }
    }

    /// Forgets groups that are not ours any more.
    pub fn keep(&mut self, is_ours: impl Fn(GroupKey) -> bool) {
        self.planned.retain(|(group, _)| is_ours(*group));
        self.held_back.retain(|(group, _)| is_ours(*group));
        self.peer_has.retain(|group| is_ours(*group));
        self.counts_from.retain(|group, _| is_ours(*group));
    }

    /// Instant of the next reset.
    pub fn due(&self) -> MonoTime {
        self.planned.iter().map(|(_, when)| *when).min().unwrap_or(MonoTime::FOREVER)
    }

    /// Takes the groups to be reset now, with those that are due within [`TOGETHER`].
    pub fn take_due(&mut self, now: MonoTime) -> Vec<GroupKey> {
        if now < self.due() {
            return Vec::new();
        }
        let is_due = |(_, when): &(GroupKey, MonoTime)| *when <= now + TOGETHER;
        let due = self.planned.iter().filter(|planned| is_due(planned)).map(|(group, _)| *group).collect();
        self.planned.retain(|planned| !is_due(planned));
        due
    }
}

/// Resets all connections of these groups in the kernel; returns for each group how many were
/// reset, were gone already, or were refused.
///
/// # Errors
/// When the kernel does not list them, or refuses altogether.
pub(super) fn reset(setup: &Setup, groups: &[GroupKey]) -> io::Result<Vec<(GroupKey, Destroyed)>> {
    let chosen: Vec<&Watched> = setup.groups.iter().filter(|watched| groups.contains(&watched.key)).collect();
    let mut diag = SockDiag::open()?;
    let left = list::sockets_of(&mut diag, &chosen)?;
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
