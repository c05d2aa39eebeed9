//! Evidence: asking a silent peer on every link, probing the address, and asking neighbours whether
//! the segment is alive.
//!
//! A watch runs per silent peer. Its evidence is kept per interface, because all groups of a peer
//! on one interface share one lease there: one answered probe vetoes them all, three in a row
//! without an answer speak for all.
//!
//! Owns: watches, and what is known of each clients' segment. Never does: open or close anything;
//! `evident` says what the evidence allows, and groups act on it. Evidence of nobody is forged
//! evidence at worst: it delays for a bounded time (S6).
//!
//! | file | noun |
//! |---|---|
//! | `watch` | the asking of one peer |
//! | `segment` | a clients' segment and its neighbours |
//! | `inside` | machines inside this server, who are heard on its segments |
//! | `ask` | which question goes out on a segment, and when |
//! | `allowance` | how much may be sent on a segment |
//! | `evident` | what a peer's silence allows |
//! | `reach` | whether anybody on a segment can be reached |

use super::action::Actions;
use super::notice::Notice;
use super::peer::{PeerAt, Peers};
use super::setup::Setup;
use super::turn::Turn;
use crate::rules::Rules;
use crate::types::{GroupId, InterfaceId, MacAddr, MonoTime};
use std::net::IpAddr;
use std::ops::{Index, IndexMut};
use std::time::Duration;

mod allowance;
mod ask;
mod evident;
mod inside;
mod reach;
mod segment;
mod watch;

pub(super) use evident::Evident;
#[cfg(any(test, feature = "proof"))]
pub(super) use reach::Doubt;
pub(super) use reach::Reach;
#[cfg(any(test, feature = "proof"))]
pub(super) use segment::Neighbour;
pub(super) use segment::Segment;
pub(super) use watch::{ProbeTurn, Probes, Watch};

/// Watches by peer, segments by interface.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Evidence {
    watches: Vec<Option<Watch>>,
    segments: Vec<Segment>,
    /// By interface.
    reaches: Vec<Reach>,
    /// When a segment is to be asked whether anybody can be reached there.
    reach_due: MonoTime,
    /// Hardware addresses of this server's interfaces, in order.
    own_macs: Vec<MacAddr>,
}

impl Index<InterfaceId> for Evidence {
    type Output = Segment;

    fn index(&self, interface: InterfaceId) -> &Segment {
        &self.segments[usize::from(interface.0)]
    }
}

impl IndexMut<InterfaceId> for Evidence {
    fn index_mut(&mut self, interface: InterfaceId) -> &mut Segment {
        &mut self.segments[usize::from(interface.0)]
    }
}

impl Evidence {
    /// Nothing is known yet.
    pub fn new(peers: usize, interfaces: usize, now: MonoTime) -> Evidence {
        Evidence {
            watches: vec![None; peers],
            segments: vec![Segment::new(now); interfaces],
            reaches: vec![Reach::default(); interfaces],
            reach_due: MonoTime::FOREVER,
            own_macs: Vec::new(),
        }
    }

    /// Notes the hardware addresses of this server's interfaces.
    pub fn note_own_macs(&mut self, macs: &[MacAddr]) {
        self.own_macs = macs.to_vec();
        self.own_macs.sort_unstable();
    }

    /// True if an interface of this server has this hardware address.
    pub fn is_own_mac(&self, mac: MacAddr) -> bool {
        self.own_macs.binary_search(&mac).is_ok()
    }

    /// The watch on a peer, while it is asked.
    pub fn watch(&self, peer: PeerAt) -> Option<&Watch> {
        self.watches[peer.number()].as_ref()
    }

    /// Whether anybody can be reached on a segment.
    pub fn reach(&self, interface: InterfaceId) -> &Reach {
        &self.reaches[usize::from(interface.0)]
    }

    /// Notes that somebody was heard on a segment, if there is such a segment: the frame's link says
    /// which, and in a damaged recording that is any number.
    pub fn note_reached(&mut self, interface: InterfaceId, now: MonoTime) {
        if let Some(reach) = self.reaches.get_mut(usize::from(interface.0)) {
            reach.since = now;
        }
    }

    /// The same, to be changed.
    pub fn reach_mut(&mut self, interface: InterfaceId) -> &mut Reach {
        &mut self.reaches[usize::from(interface.0)]
    }

    /// True while any peer is asked.
    pub fn is_watching(&self) -> bool {
        self.watches.iter().any(Option::is_some)
    }

    /// Addresses of those who were seen on a segment.
    pub fn seen_on(&self, interface: InterfaceId) -> impl Iterator<Item = IpAddr> + '_ {
        self[interface].neighbours.iter().map(|known| known.address)
    }

    /// All segments.
    #[cfg(any(test, feature = "proof"))]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// True if the tables fit the numbers of peers and interfaces; those of a state from a file may
    /// not.
    pub fn is_whole(&self, peers: usize, interfaces: usize) -> bool {
        self.watches.len() == peers
            && self.segments.len() == interfaces
            && self.reaches.len() == interfaces
            && self.watches.iter().flatten().all(|watch| watch.probes.len() == interfaces)
    }

    /// Ends the watch on a peer that was heard.
    pub fn end_watch(&mut self, peer: PeerAt) {
        self.watches[peer.number()] = None;
    }

    /// Ends all watches: the evidence begins anew.
    pub fn end_watches(&mut self) {
        self.watches.iter_mut().for_each(|watch| *watch = None);
    }

    /// Gives what the watches know of groups their new numbers.
    pub fn renumber(&mut self, number: impl Fn(GroupId) -> Option<GroupId>) {
        let watches = self.watches.iter_mut().flatten();
        watches.flat_map(|watch| &mut watch.probes).for_each(|probes| probes.renumber(&number));
    }

    /// Lets every watch ask now.
    pub fn hurry(&mut self, now: MonoTime) {
        self.watches.iter_mut().flatten().for_each(|watch| watch.next = watch.next.min(now));
    }

    /// Notes that a peer was heard: no segment is isolated. True if one was.
    pub fn end_isolation(&mut self) -> bool {
        let isolated =
            self.segments.iter_mut().filter_map(|segment| std::mem::take(&mut segment.isolated).then_some(()));
        isolated.count() > 0
    }

    /// Forgets a neighbour that turned out to be a peer.
    pub fn forget_neighbour(&mut self, mac: MacAddr) {
        self.segments.iter_mut().for_each(|segment| segment.forget(mac));
    }

    /// Voids probes that nobody could hear: when the segment is heard again, counting begins anew.
    pub fn void_probes(&mut self, interface: InterfaceId, rules: Rules) {
        if rules.unheard_probes_are_void() {
            self.watches.iter_mut().flatten().for_each(|watch| watch.on_mut(interface).void());
        }
    }

    /// Lets every watch begin a series of questions on an interface as soon as it may, and ask it
    /// swiftly for `asking`.
    pub fn ask_anew(&mut self, interface: InterfaceId, asking: Duration, now: MonoTime) {
        for watch in self.watches.iter_mut().flatten() {
            watch.wanted = now + asking;
            let probes = watch.on_mut(interface);
            probes.next = probes.next.min(now);
        }
    }

    /// How many probes the nodes among the peers have left unanswered until now on an interface.
    pub fn unanswered(&self, interface: InterfaceId, peers: &Peers) -> u32 {
        let watches = peers.nodes().filter_map(|peer| self.watch(peer));
        watches.map(|watch| watch.on(interface).unanswered).max().unwrap_or_default()
    }

    /// True if it is time to ask a peer that is not heard. Begins its watch if there is none.
    pub fn is_due(&mut self, peer: PeerAt, setup: &Setup, now: MonoTime) -> bool {
        let interfaces = self.segments.len();
        let begin = || Watch::new(now, setup.timing.probe, interfaces);
        now >= self.watches[peer.number()].get_or_insert_with(begin).next
    }

    /// Takes the turn of a peer that is due, and sets the next one. Returns whether the peer is to
    /// be asked. It is not once it was silent for long and no group could be opened by us.
    pub fn take_turn(&mut self, peer: PeerAt, needs: Needs, setup: &Setup, now: MonoTime) -> bool {
        let Some(watch) = self.watches[peer.number()].as_mut() else { return false };
        let timing = &setup.timing;
        // A dead peer's kernel may answer for as long as the lease that the peer has told.
        let asking = timing.patience.asking.max(needs.lease * 2);
        // The lease may be longer than we were told; it has ended when the first probe stays
        // unanswered.
        let ends = watch.probes.iter().any(|probes| probes.falls_silent(setup.groups.len()));
        let eager = now.since(watch.since) < asking || now < watch.wanted || needs.anew || ends;
        let eager = needs.openable && eager;
        watch.interval = if eager { timing.probe } else { timing.pulse };
        watch.next = now + watch.interval;
        // If no group could be opened by us, the pulses themselves ask often enough.
        let idle = !needs.openable && now.since(watch.since) > timing.silence * 10;
        !idle
    }

    /// The probes of the watch on a peer on an interface, while the peer is asked.
    pub fn probes(&mut self, peer: PeerAt, interface: InterfaceId) -> Option<&mut Probes> {
        self.watches[peer.number()].as_mut().map(|watch| watch.on_mut(interface))
    }

    /// Notes an answer for one of our groups' addresses: it counts against every watch it can
    /// concern.
    pub fn note_answer(
        &mut self,
        group: GroupId,
        (interface, mac): (InterfaceId, MacAddr),
        peers: &Peers,
        (setup, now): (&Setup, MonoTime),
        out: &mut Actions,
    ) {
        if !setup.rules().answers_veto() {
            return;
        }
        for (peer, watch) in peers.iter().zip(&mut self.watches) {
            // Before the peer has told us its hardware address here, anybody may be it. To be heard
            // is not enough: the answer to a restarted node carries no rows.
            let mut rows = peer.copy.rows().iter().zip(&setup.groups);
            let named =
                rows.any(|(row, group)| group.interface == interface && row.is_some_and(|row| !row.mac.is_zero()));
            if named && !peer.has_mac(mac) {
                continue;
            }
            let Some(watch) = watch.as_mut() else { continue };
            let late = now.since(watch.since) >= setup.timing.silence;
            let probes = watch.on_mut(interface);
            probes.note_answer(group, now);
            if !probes.veto_told && late {
                probes.veto_told = true;
                out.notice(Notice::Veto { interface, mac });
            }
        }
    }

    /// The next time a watch or the refresh of anchors has something to do.
    pub fn next_deadline(&self, peers: &Peers, setup: &Setup, turn: &Turn) -> MonoTime {
        let refresh = self.segments.iter().map(|segment| segment.next_refresh);
        let watches = peers.nodes().map(|peer| {
            let (known, timing) = (&peers[peer], &setup.timing);
            match (self.watch(peer), known.left) {
                (Some(watch), _) => watch.next,
                (None, true) => known.last_heard(turn) + timing.silence,
                (None, false) => known.last_heard(turn) + timing.suspicion,
            }
        });
        refresh.chain(watches).fold(self.reach_due, MonoTime::min)
    }
}

/// What a peer is asked for.
#[derive(Clone, Copy)]
pub(super) struct Needs {
    /// Some group could be opened by us.
    pub openable: bool,
    /// A group waits for what is said, or not, since its hook has ended.
    pub anew: bool,
    /// The lease that the peer has told.
    pub lease: std::time::Duration,
}
