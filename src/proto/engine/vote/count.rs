//! Votes counted: what a pulse grants, and the deadlines that follow.
//!
//! Owns: ballots' grants and floors, peers' granted and promised times, and renewals by votes.
//! Never does: decide who may claim. What is not granted any more was granted up to now, and ends
//! then.

use super::poll::{granted_until, margin};
use super::{Grants, Poll};
use crate::engine::Engine;
use crate::engine::action::{Action, Actions, GateAction};
use crate::engine::around::{Around, Requests};
use crate::engine::group::{Group, Groups};
use crate::engine::lease::Leases;
use crate::engine::peer::{PeerAt, Peers, micros};
use crate::engine::setup::Setup;
use crate::engine::turn::Turn;
use crate::rules::vote::ask;
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::Header;
use std::time::Duration;

impl Group {
    /// How long a majority lets the group's gate be open.
    pub fn votes_until(&self, setup: &Setup, turn: &Turn, peers: &Peers) -> MonoTime {
        if !setup.rules().needs_votes_of_others(self.ballot.asks) {
            return turn.last + setup.timing.lease;
        }
        self.ballot.floor.max(granted_until(self.ballot.granted, setup, peers))
    }

    /// How many votes the group has now, our own included.
    pub fn support(&self, around: Around<'_>) -> u8 {
        let runs = |peer: &PeerAt| self.ballot.granted.contains(*peer) && around.peers[*peer].granted > around.now;
        let others = around.peers.all().filter(runs).count();
        u8::try_from(others + usize::from(self.ballot.asks != Epoch::NONE)).unwrap_or(u8::MAX)
    }

    /// True if the group has to be closed now, so that its interface's lease can be renewed for the
    /// others.
    pub fn has_lost_majority(&self, around: Around<'_>) -> bool {
        let end = self.votes_until(around.setup, around.turn, around.peers);
        let last = |ends: (MonoTime, MonoTime)| ends.1;
        let deadlines = || around.poll.deadlines_on(self.interface, around.setup, around.peers);
        around.votes_decide()
            && end.back(margin(around.setup)) <= around.now
            && deadlines().map(last).is_some_and(|last| last > end)
    }

    /// Shortens the lease of the interface before the group is opened: it must not be longer than
    /// the group's votes allow.
    pub fn shorten_lease(&self, around: Around<'_>, requests: &mut Requests<'_>) {
        if !around.votes_decide() {
            return;
        }
        let until = self.votes_until(around.setup, around.turn, around.peers);
        if until < around.leases[self.interface].until {
            requests.wishes.lease_until = Some(until);
            requests.push(Action::Gate(GateAction::Renew { interface: self.interface, until }));
        }
    }
}

impl Groups {
    /// Forgets what a voter has acknowledged of our rows: it has to be told anew.
    pub fn forget_known(&mut self, peer: PeerAt) {
        self.iter_mut().for_each(|group| group.ballot.known.remove(peer));
    }

    /// Keeps what was granted until now granted for as long, whoever grants from now on.
    pub fn keep_deadlines(&mut self, setup: &Setup, turn: &Turn, peers: &Peers) {
        for group in self.iter_mut().filter(|group| group.ballot.asks != Epoch::NONE) {
            group.ballot.floor = group.votes_until(setup, turn, peers);
        }
    }

    /// Counts which groups a peer grants. What is not granted any more was granted up to now; new
    /// grants count only if the pulse tells the voter's whole table: `whole`.
    fn recount(&mut self, peer: PeerAt, whole: bool, setup: &Setup, peers: &Peers) {
        let (me, rules, voter) = (setup.me, setup.rules(), &peers[peer]);
        for group in self.iter_mut() {
            let row = voter.row(group.id);
            let ballot = &mut group.ballot;
            // Our row may have changed before it was told: then the voter has not learned of
            // `asks`.
            let asked = ask(me, &group.row).is_some_and(|asked| asked.epoch() == ballot.asks);
            if asked && voter.acked >= group.row_version {
                ballot.known.insert(peer);
            }
            let grants = ballot.known.contains(peer) && row.is_some_and(|row| row.consent == ballot.asks);
            if grants && whole {
                ballot.granted.insert(peer);
            } else if !grants && rules.withdrawn_grants_end() {
                ballot.granted.remove(peer);
            }
            if row.is_none() {
                // The voter does not have the group any more, and closes it at a time that we do
                // not know.
                ballot.freeze(peer, voter.promised);
            }
        }
    }

    /// Renews nothing that a peer was promised any more.
    pub fn freeze_promises(&mut self, peer: PeerAt, until: MonoTime) {
        self.iter_mut().for_each(|group| group.ballot.freeze(peer, until));
    }
}

impl Poll {
    /// Sorts the open groups by who grants them.
    pub fn sort(&mut self, groups: &Groups) {
        self.grants.clear();
        for group in groups.iter().filter(|group| group.is_open()) {
            let ballot = &group.ballot;
            let alike =
                |grants: &&mut Grants| grants.interface == group.interface && grants.granted == ballot.granted;
            match self.grants.iter_mut().find(alike) {
                Some(grants) => grants.floor = grants.floor.min(ballot.floor),
                None => {
                    let (interface, granted, floor) = (group.interface, ballot.granted, ballot.floor);
                    self.grants.push(Grants { interface, granted, floor });
                }
            }
        }
    }

    /// Notes, after groups were looked at, whether there are claims that wait for votes.
    pub fn note_asking(&mut self, groups: &Groups, setup: &Setup, now: MonoTime) {
        if setup.votes.is_none() {
            return;
        }
        let claims = groups.iter().any(|group| group.claim.epoch != Epoch::NONE);
        let wanted = std::mem::take(&mut self.wanted) || claims;
        let before = self.asking;
        self.asking = wanted.then(|| before.unwrap_or(now));
        if wanted && before.is_none() {
            // The rows that claim go out at once; the first question follows them.
            self.next_ask = now + setup.timing.probe;
        }
    }

    /// Writes later deadlines where votes allow it.
    pub fn renew(&self, leases: &mut Leases, setup: &Setup, peers: &Peers, now: MonoTime, out: &mut Actions) {
        if !self.decides(setup) {
            return;
        }
        for interface in leases.ids() {
            let Some((first, last)) = self.deadlines_on(interface, setup, peers) else { continue };
            let until = setup.rules().votes_end(first, last, now).min(now + leases.span(setup));
            if until > leases[interface].until {
                leases[interface].renew(interface, until, out);
            }
        }
    }
}

impl Grants {
    /// Interface, granting peers as bits, and floor: for the reduction of a state (`canon`).
    #[cfg(any(test, feature = "proof"))]
    pub(in crate::engine) fn parts(&self) -> (u8, u64, MonoTime) {
        (self.interface.0, self.granted.bits(), self.floor)
    }
}

impl Engine {
    /// Counts what a pulse grants, once its rows are taken. `newest`: it was not overtaken on the
    /// way.
    pub(in crate::engine) fn count_votes(&mut self, peer: PeerAt, header: &Header, newest: bool, now: MonoTime) {
        if self.setup.votes.is_none() {
            return;
        }
        let (setup, voter) = (&*self.setup, &self.peers[peer]);
        let rules = setup.rules();
        let is_whole = newest && rules.is_table_whole(voter.copy.is_complete());
        let is_whole = is_whole && header.echo_counter <= self.outbox.counter;
        let sent = if is_whole { self.outbox.sent.deadline(header.echo_counter) } else { None };
        let until = sent.map(|sent| rules.granted_until(sent, now + setup.timing.lease));
        let counted = (voter.copy.have(), voter.acked);
        let changed = voter.counted != counted;
        if changed || until.is_some_and(|until| until < voter.granted) {
            self.groups.keep_deadlines(setup, &self.turn, &self.peers);
        }
        if changed {
            self.groups.recount(peer, until.is_some(), setup, &self.peers);
            self.groups.look_again = true;
        }
        if let Some(until) = until {
            self.peers[peer].granted = until;
            self.peers[peer].counted = counted;
        }
        self.renew_promises(peer, header, newest, now);
    }

    /// Renews what was promised to a peer that asks for it.
    fn renew_promises(&mut self, peer: PeerAt, header: &Header, newest: bool, now: MonoTime) {
        let known = &self.peers[peer];
        // An overtaken pulse's lease must be promised, too, and that of the newest, which our next
        // pulse will echo.
        let stated = if newest { header.lease_us } else { known.lease_us().max(header.lease_us) };
        if !known.id.is_witness() && !self.note_stated(Duration::from_micros(u64::from(stated))) {
            // Nothing may be granted for longer than a later life of this node abstains.
            self.freeze_promises(peer, now);
        }
        let timing = &self.setup.timing;
        let span = self.setup.rules().promised_for(stated, micros(timing.lease), timing.drift_ppm);
        let known = &mut self.peers[peer];
        known.promised = known.promised.max(now + span);
    }

    /// Notes the lease for which another node asks votes. True if a promise for it may be given:
    /// the disk knows a lease that long.
    fn note_stated(&mut self, lease: Duration) -> bool {
        let (known, wanted) = self.leases.former.note_stated(lease, &self.setup.timing);
        self.store.wanted |= wanted;
        known
    }

    /// Renews nothing any more that a peer was promised, and whatever it is told from now on grants
    /// nothing: what our rows said until now must not be in the answer to what it has just sent.
    pub(in crate::engine) fn freeze_promises(&mut self, peer: PeerAt, now: MonoTime) {
        if self.setup.votes.is_some() {
            self.groups.freeze_promises(peer, self.peers[peer].promised);
            self.publish_rows(now);
        }
    }
}
