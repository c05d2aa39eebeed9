//! A watch: the asking of one silent peer, with its evidence for each interface.

use super::segment::Segment;
use crate::engine::group::{Group, Groups};
use crate::engine::peer::Peer;
use crate::rules::Rules;
use crate::rules::evidence::PROBES;
use crate::types::{GroupId, InterfaceId, MacAddr, MonoTime, Vip};
use std::time::Duration;

/// Somebody on the segment must have been heard within this many questions: six rounds of asking.
const FRESH: u32 = 12;

/// Probes of one interface, in one watch.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Probes {
    /// Probes sent since the last answer.
    pub unanswered: u32,
    /// When the newest of them was sent.
    pub last_sent: MonoTime,
    /// When the first of them was sent.
    pub first_sent: MonoTime,
    pub last_answer: Option<MonoTime>,
    pub veto_told: bool,
    /// Position of the group whose turn is next.
    pub cursor: u16,
    /// The group whose address was answered last: it is asked again until it falls silent.
    pub answered: Option<GroupId>,
}

impl Probes {
    /// Probes in a row that had their time and got no answer. `wait` is the time that an answer may take.
    pub fn mature(&self, now: MonoTime, wait: Duration) -> u32 {
        if self.last_sent + wait <= now { self.unanswered } else { self.unanswered.saturating_sub(1) }
    }

    /// Takes the turn of the next group that might be taken over from `peer` on an interface: its address is to be probed.
    /// Returns the address, and to whom the probe goes if not to everybody.
    pub fn next(
        &mut self,
        peer: &Peer,
        interface: InterfaceId,
        groups: &Groups,
        rules: Rules,
        now: MonoTime,
    ) -> Option<(Vip, Option<MacAddr>)> {
        let here = |group: &&Group| group.interface == interface && !group.is_open();
        let may_serve = |group: &&Group| peer.is_active(group.id) || group.may_be_opened_by(peer.id);
        // Only an address that the peer may answer for can tell anything: the silence of others means nothing.
        let answered = self.answered.and_then(|group| groups.get(group));
        let again = answered.filter(|group| self.unanswered < PROBES && here(group));
        let likely = again.or_else(|| groups.from(self.cursor).filter(here).find(may_serve));
        let likely = likely.filter(|_| rules.probes_served_addresses());
        let Some(group) = likely.or_else(|| groups.from(self.cursor).find(here)) else {
            // Nothing is to be asked here: what was found out before must not count when there is again.
            *self = Probes::default();
            return None;
        };
        self.cursor = group.id.0 + 1;
        if self.unanswered == 0 {
            self.first_sent = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.last_sent = now;
        // Unicast reaches the peer whatever its switch thinks of broadcasts; every second one goes to all, in
        // case its hardware address has changed.
        let mac = peer.row(group.id).map(|row| row.mac).filter(|mac| !mac.is_zero());
        Some((group.addresses.probe, mac.filter(|_| self.unanswered % 2 == 1)))
    }
}

/// The asking of one peer.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Watch {
    pub since: MonoTime,
    pub next: MonoTime,
    /// Time between two questions at present.
    pub interval: Duration,
    /// By interface.
    pub probes: Vec<Probes>,
    pub round: u32,
}

impl Watch {
    pub fn new(now: MonoTime, interval: Duration, interfaces: usize) -> Watch {
        Watch { since: now, next: now, interval, probes: vec![Probes::default(); interfaces], round: 0 }
    }

    /// Since when somebody on a segment must have been heard to have been heard while we asked, and lately.
    pub fn asked_since(&self, now: MonoTime) -> MonoTime {
        self.since.max(now.back(self.interval * FRESH))
    }

    /// The evidence of an interface.
    pub fn on(&self, interface: InterfaceId) -> &Probes {
        &self.probes[usize::from(interface.0)]
    }

    /// The same, to be changed.
    pub fn on_mut(&mut self, interface: InterfaceId) -> &mut Probes {
        &mut self.probes[usize::from(interface.0)]
    }

    /// True if somebody on the segment was heard since `start`, while this watch asked.
    pub fn hears(&self, segment: &Segment, start: MonoTime, now: MonoTime) -> bool {
        segment.is_alive(start.max(self.asked_since(now)))
    }
}
