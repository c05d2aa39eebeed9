//! A turn of the engine: what is due after each event, always in the order watches, groups, leases,
//! pulses, disk.
//!
//! Owns: the order, and how wishes of a group reach the other rooms. Never does: decide; groups,
//! evidence and votes do.

use super::Engine;
use super::action::{Action, Actions};
use super::around::{Around, Requests, Wishes};
use super::evidence::Needs;
use super::group::{Group, Groups};
use super::notice::Notice;
use super::peer::{PeerAt, Post, Presence, Said};
use crate::durable::Durable;
use crate::types::{GroupId, MonoTime};

impl Engine {
    /// Does everything that is due at `now` or follows from the event that was just taken in.
    /// Nothing once the agent has stopped.
    pub(super) fn run(&mut self, now: MonoTime, out: &mut Actions) {
        if self.commands.stopped {
            return;
        }
        self.end_blindness(now);
        self.run_watches(now, out);
        self.run_reach(now, out);
        self.note_witnesses(now, out);
        self.note_double(now, out);
        let lagging = || self.poll.is_any_lagging(&self.setup, &self.peers, &self.leases, now);
        if self.groups.look_again || now >= self.groups.deadline || lagging() {
            self.groups.look_again = false;
            self.groups.alone.clear();
            self.step_groups(now, out);
            self.finish_commands(now, out);
            // Rows change only where groups are stepped; at rest, nothing here looks at every
            // group.
            self.publish_rows(now);
            self.sort_grants();
        } else if !self.groups.alone.is_empty() {
            self.step_alone(now, out);
        }
        self.poll.renew(&mut self.leases, &self.setup, &self.peers, now, out);
        let due = self.turn.take_pulse(now, self.leases.pulse_interval(&self.setup));
        if due {
            self.renew_leases(now, out);
            self.note_links(now, out);
        }
        self.post(now).send_due(due, out);
        if self.poll.take_question(&self.setup, now) {
            self.post(now).send_to_all(true, out);
        }
        self.persist(now, out);
        self.finish_stop(now, out);
    }

    /// Everything that a step of a group may read.
    pub(super) fn around(&self, now: MonoTime) -> Around<'_> {
        Around {
            now,
            setup: &self.setup,
            rules: self.setup.rules(),
            turn: &self.turn,
            peers: &self.peers,
            evidence: &self.evidence,
            openable: &self.openable,
            leases: &self.leases,
            poll: &self.poll,
            commands: &self.commands,
            doubled: self.double.state(&self.turn, &self.setup.timing, now),
            counter: self.outbox.counter,
            given_before: None,
        }
    }

    /// The groups, to be changed, and everything around them.
    pub(super) fn groups_around(&mut self, now: MonoTime) -> (&mut Groups, Around<'_>) {
        let around = Around {
            now,
            setup: &self.setup,
            rules: self.setup.rules(),
            turn: &self.turn,
            peers: &self.peers,
            evidence: &self.evidence,
            openable: &self.openable,
            leases: &self.leases,
            poll: &self.poll,
            commands: &self.commands,
            doubled: self.double.state(&self.turn, &self.setup.timing, now),
            counter: self.outbox.counter,
            given_before: None,
        };
        (&mut self.groups, around)
    }

    /// The sender of datagrams, which borrows what it needs of the engine.
    pub(super) fn post(&mut self, now: MonoTime) -> Post<'_> {
        let said = Said {
            blind: self.leases.former.blind,
            stopped: self.commands.stopped,
            alone: self.poll.alone.said.is_some(),
            // Looked for only where somebody uses our number.
            doubled: self.double.state(&self.turn, &self.setup.timing, now).there
                && !self.groups.iter().any(Group::is_open),
        };
        Post {
            setup: &self.setup,
            turn: &self.turn,
            groups: &self.groups,
            said,
            peers: &mut self.peers,
            double: &mut self.double,
            outbox: &mut self.outbox,
            now,
        }
    }

    /// Lets one group act, and fulfils its wishes.
    pub(super) fn with_group(
        &mut self,
        id: GroupId,
        now: MonoTime,
        out: &mut Actions,
        act: impl FnOnce(&mut Group, Around<'_>, &mut Requests<'_>),
    ) {
        let (groups, mut around) = self.groups_around(now);
        let group = &mut groups[id];
        let before = group.may_be_opened_behind_us(around.peers);
        around.given_before = before;
        let mut requests = Requests::new(out);
        act(group, around, &mut requests);
        let wishes = requests.wishes;
        let (after, interface) = (group.may_be_opened_behind_us(around.peers), group.interface);
        self.openable.replace(before, after, interface);
        self.fulfil(id, &wishes, now, out);
    }

    /// Does what a group asks of other rooms.
    fn fulfil(&mut self, id: GroupId, wishes: &Wishes, now: MonoTime, out: &mut Actions) {
        let interface = self.groups[id].interface;
        self.store.wanted |= wishes.persist;
        self.groups.look_again |= wishes.look_again;
        self.poll.wanted |= wishes.word_of_witnesses;
        if let Some(until) = wishes.lease_until {
            self.leases[interface].until = until;
        }
        if let Some(isolated) = wishes.isolated {
            self.evidence[interface].note_isolation(isolated, now);
        }
        if wishes.void_probes {
            self.evidence.void_probes(interface, self.setup.rules());
        }
        if wishes.ask_segment {
            self.evidence.ask_anew(interface, self.setup.timing.patience.asking, now);
        }
        if wishes.announced {
            // Both forms, and a request to the gateway.
            let frames = self.setup.groups[usize::from(id.0)].addresses.len().saturating_mul(3);
            let each = self.setup.timing.patience.frame;
            self.evidence[interface].allowance.enter(u32::try_from(frames).unwrap_or(u32::MAX), each, now);
        }
        if let (Some(patience), Some(until)) = (self.commands.stopping.as_mut(), wishes.stop_not_before) {
            *patience = (*patience).max(until);
        }
        if let Some(place) = wishes.ask_everybody {
            let (decided, next) = (out.list.len(), self.outbox.next());
            self.post(now).send_to_all(true, out);
            out.list[place..].rotate_left(decided - place);
            // Where no link is open the next pulse is soon enough to try again.
            if self.outbox.next() != next {
                self.evidence.hurry(now);
            }
        }
    }

    /// Steps all groups.
    fn step_groups(&mut self, now: MonoTime, out: &mut Actions) {
        self.groups.deadline = MonoTime::FOREVER;
        self.poll.wanted = false;
        self.count_openable();
        for group in self.groups.ids() {
            self.step_group(group, now, out);
        }
        self.openable.forget();
        self.poll.note_asking(&self.groups, &self.setup, now);
    }

    /// Steps only the groups whose change concerns no other group, and publishes their rows.
    fn step_alone(&mut self, now: MonoTime, out: &mut Actions) {
        let mut alone = std::mem::take(&mut self.groups.alone);
        // Other groups may wait for a witness's word: that was found out when they were stepped.
        self.poll.wanted = self.poll.asking.is_some();
        self.count_openable();
        for &group in &alone {
            self.step_group(group, now, out);
        }
        self.openable.forget();
        self.poll.note_asking(&self.groups, &self.setup, now);
        self.finish_commands(now, out);
        for group in alone.drain(..) {
            let mut table = self.outbox.table;
            let (groups, around) = self.groups_around(now);
            groups[group].publish(around, &mut table);
            self.outbox.table = table;
        }
        self.groups.alone = alone;
        self.sort_grants();
    }

    /// Steps one group, and notes its next deadline.
    fn step_group(&mut self, id: GroupId, now: MonoTime, out: &mut Actions) {
        self.with_group(id, now, out, Group::step);
        self.groups.deadline = self.groups.deadline.min(self.groups[id].timers.next());
    }

    /// Counts what silent peers may have opened, for the groups that are about to be stepped. Not
    /// needed while no peer is silent.
    fn count_openable(&mut self) {
        if self.evidence.is_watching() {
            let size = (self.peers.len(), self.leases.len());
            self.openable.count(self.groups.given(&self.peers), size);
        }
    }

    /// Writes what is now true into the rows; a changed row gets a new version and is sent at once.
    pub(super) fn publish_rows(&mut self, now: MonoTime) {
        let mut table = self.outbox.table;
        let (groups, around) = self.groups_around(now);
        groups.publish(around, &mut table);
        self.outbox.table = table;
    }

    /// Sorts the open groups by who grants them, where there are votes.
    pub(super) fn sort_grants(&mut self) {
        if self.setup.votes.is_some() {
            self.poll.sort(&self.groups);
        }
    }

    /// Ends blindness once every gate of a former life is found or closed. From then on peers may
    /// take our table for whole, which a new version tells them.
    fn end_blindness(&mut self, now: MonoTime) {
        if self.leases.end_blindness(self.setup.rules(), now) {
            self.outbox.table += 1;
            self.groups.look_again = true;
        }
    }

    /// Starts and ends watches, and asks when it is time.
    fn run_watches(&mut self, now: MonoTime, out: &mut Actions) {
        for peer in self.peers.nodes() {
            let around = self.around(now);
            let presence = around.presence(peer);
            match presence {
                Presence::Heard => self.evidence.end_watch(peer),
                Presence::Left if around.has_left_lately(peer) => self.evidence.end_watch(peer),
                Presence::Left | Presence::Unknown | Presence::Suspicious | Presence::Silent => {
                    self.run_watch(peer, now, out);
                }
            }
            let known = &mut self.peers[peer];
            if presence == Presence::Silent && !known.silence_told {
                known.silence_told = true;
                let silence = known.silence(&self.turn, now);
                out.notice(Notice::PeerSilent { peer: known.id, silence });
            }
        }
        self.refresh_anchors(now, out);
    }

    /// Asks a peer that is not heard, if it is time.
    fn run_watch(&mut self, peer: PeerAt, now: MonoTime, out: &mut Actions) {
        if !self.evidence.is_due(peer, &self.setup, now) {
            return;
        }
        let leases = &self.leases;
        let can_open = |group: &Group| !group.is_open() && group.is_serviceable(&leases[group.interface]);
        let needs = Needs {
            openable: self.groups.iter().any(can_open),
            anew: self.groups.iter().any(|group| group.service.asks_anew()),
            lease: self.peers[peer].lease(),
        };
        let asked = self.evidence.take_turn(peer, needs, &self.setup, now);
        self.groups.look_again = true;
        if asked {
            self.post(now).send(peer, true, out);
            for interface in self.leases.ids() {
                if self.leases[interface].facts.is_serviceable() {
                    self.ask_silent(peer, interface, needs.anew, now, out);
                }
            }
        }
    }

    /// Tells people when single links fall silent or are heard again.
    fn note_links(&mut self, now: MonoTime, out: &mut Actions) {
        let timing = &self.setup.timing;
        let bound = timing.silence.max(timing.pulse * 3);
        let segment = bound.max(timing.patience.segment * 5 / 2);
        for peer in self.peers.iter_mut() {
            peer.note_links((bound, segment), now, |link, heard| out.notice(Notice::Link { link, heard }));
        }
    }

    /// Sends the state to the disk if something in it has changed. Not while the state of a group
    /// is damaged: the next life would take the little that is known of it for the whole.
    fn persist(&mut self, now: MonoTime, out: &mut Actions) {
        if !self.store.wanted || self.groups.iter().any(|group| group.epochs.damaged) {
            return;
        }
        let version = self.store.next_version();
        self.groups.iter_mut().for_each(|group| group.epochs.note_version(version));
        self.leases.former.note_sent(&self.setup.timing, now);
        out.push(Action::Persist { version, state: self.durable_state() });
    }

    /// What must be made durable.
    pub(super) fn durable_state(&self) -> Durable {
        let groups = self.groups.iter().map(Group::durable).chain(self.store.former.iter().copied());
        let lease = self.leases.former.lease_for_disk(&self.setup.timing, self.turn.last);
        Durable { lease: Some(lease), groups: groups.collect() }
    }
}
