//! The pure heart: `handle(now, event)` gives actions, `next_deadline` says when it wants to be called again.
//!
//! Owns: who is active, and on what evidence. Never does: read a clock, open a socket or file, start a thread, ask
//! for randomness. Time comes with the event and is the time the event was received. The same code runs in the
//! agent, in its tests and in the simulator.
//!
//! | file | noun |
//! |---|---|
//! | `setup` | what an engine is built from |
//! | `event`, `action`, `notice` | what comes in, what goes out, what people are told |
//! | `peer` | a peer: session, links, rows, silence |
//! | `receive`, `send` | pulses in, pulses out |
//! | `watch` | suspicion: queries, probes, anchors |
//! | `openable` | what a silent peer may have opened |
//! | `lease` | the node's lease on each interface, and the gate |
//! | `group` | a group's state and what may be said of it |
//! | `step` | the role table: what a group does next |
//! | `conflict` | two that are active: who gives way |
//! | `promote` | claims, and when a gate may open |
//! | `candidate` | who would like a group |
//! | `consent` | what the node agrees to, and with witnesses what it promises |
//! | `vote` | votes counted, and the deadlines that follow |
//! | `elect` | claims while votes decide |
//! | `alone` | `strict = false`: the pair without its witnesses |
//! | `reserve` | epochs on disk ahead of need |
//! | `former` | what a former life left open, and what a later one must know |
//! | `health` | how the service does on either node, and what follows |
//! | `hook` | what is run before a group is opened or handed over |
//! | `command` | what operators ask |
//! | `report` | what `status` shows |
//! | `reconfigure` | another configuration while running |
//! | `snapshot` | an engine between two events, to be kept and gone on with |
//! | `inspect` | what the simulator may look at |
//! | `index` | which group an address or a key belongs to |
//!
//! # How a gate comes to open
//! While a peer is heard, nothing opens without its consent: a node *claims* its reserved epoch in its row, the peer
//! *consents* in its own row, which says at once that its gate is closed and that it will open only with a higher
//! epoch. When a peer is silent, evidence takes the place of consent (see `watch`). A claim is sent one probe
//! interval before the gate opens, so that an active which can hear us, but whom we cannot hear, closes first.
//!
//! With witnesses votes take the place of both: a gate opens, and stays open, for as long as a majority of {node, node,
//! witnesses} has promised to vote for nobody else (see `vote`, `consent`, `elect`).

use crate::durable::{Durable, GroupState, Loaded};
use crate::mutant::Mutant;
use crate::types::{GroupId, InterfaceId, MonoTime, NodeId};
use crate::wire::table::Excerpt;
use std::sync::Arc;

mod action;
mod alone;
mod candidate;
#[cfg(any(test, feature = "proof"))]
mod canon;
mod command;
mod conflict;
mod consent;
mod elect;
mod event;
mod former;
mod group;
mod health;
mod hook;
mod index;
#[cfg(any(test, feature = "proof"))]
mod inspect;
mod lease;
mod notice;
mod openable;
mod peer;
mod promote;
mod receive;
mod reconfigure;
mod report;
mod reserve;
mod send;
mod setup;
mod snapshot;
mod step;
#[cfg(test)]
mod tests;
mod vote;
mod watch;

pub use action::{Action, Actions, GateAction, Outcome};
pub use event::{Command, Event, InterfaceFacts};
pub use hook::{Hook, HookEnd};
pub use notice::{Cause, Notice};
pub use peer::{PeerConfig, Presence};
pub use report::{GroupReport, LinkReport, PeerReport, Report, VotesReport, Waiting};
pub use setup::{GroupSetup, PeerSetup, Reconfiguration, Setup, Votes};
pub use snapshot::Snapshot;

use former::Leases;
use group::Group;
use index::Index;
use lease::Interface;
use openable::Openable;
use peer::Peer;
use watch::Segment;

/// The engine of one node.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Engine {
    #[serde(skip, default = "snapshot::no_setup")]
    setup: Arc<Setup>,
    peers: Vec<Peer>,
    interfaces: Vec<Interface>,
    segments: Vec<Segment>,
    groups: Vec<Group>,
    /// What must stay durable of groups that are configured no more.
    former: Vec<GroupState>,
    leases: Leases,
    #[serde(skip)]
    index: Arc<Index>,
    #[serde(skip)]
    openable: Openable,
    pending: Vec<command::Pending>,
    /// Own session number.
    session: u64,
    /// Counter of the last datagram sent.
    counter: u64,
    /// Version of the group table.
    table: u64,
    /// Version of the table when rows were last sent to everybody.
    sent_table: u64,
    next_pulse: MonoTime,
    /// Since when this process has been running without a stall: silence is never counted from before.
    resumed: MonoTime,
    last: MonoTime,
    /// Our first counter since then: a consent counts once the peer has echoed it. What lay in a socket's buffer
    /// during a stall may be from before the peer changed its mind.
    proof: u64,
    /// Our first counter since a hook has ended last.
    hooked: u64,
    /// Something changed that a group may have to act on.
    dirty: bool,
    /// Groups that something happened to that concerns no others.
    stirred: Vec<usize>,
    /// The earliest deadline of any group.
    group_deadline: MonoTime,
    persist_version: u64,
    persist_wanted: bool,
    store_failing: bool,
    stopping: Option<MonoTime>,
    stopped: bool,
    poll: vote::Poll,
    /// Scratch for the rows of a datagram.
    #[serde(skip)]
    excerpt: Excerpt,
    /// Scratch for one datagram.
    #[serde(skip)]
    datagram: Vec<u8>,
    rejects: crate::wire::auth::Rejects,
}

impl Engine {
    /// An engine that has just begun to listen.
    #[must_use]
    pub fn new(mut setup: Setup, now: MonoTime) -> Engine {
        let session = send::session_number(&setup.seed);
        let peers = setup.peers.iter().map(|peer| Peer::new(peer, &setup, session)).collect();
        // Used once: neither is to be found in a copy of this engine.
        setup.seed = [0; 32];
        let leases = Leases::new(&setup, now);
        let former = match &mut setup.loaded {
            Loaded::State(state) => std::mem::take(&mut state.groups),
            Loaded::Fresh | Loaded::Damaged => Vec::new(),
        };
        let index = Arc::new(Index::new(&setup));
        let interfaces = usize::from(setup.interfaces);
        let mut engine = Engine {
            peers,
            interfaces: vec![Interface::default(); interfaces],
            segments: vec![Segment::new(now); interfaces],
            groups: Vec::new(),
            former,
            leases,
            index,
            openable: Openable::default(),
            pending: Vec::new(),
            session,
            counter: 0,
            table: 1,
            sent_table: 0,
            next_pulse: now,
            resumed: now,
            last: now,
            proof: 0,
            hooked: 0,
            dirty: true,
            stirred: Vec::new(),
            group_deadline: now,
            persist_version: 0,
            persist_wanted: false,
            store_failing: false,
            stopping: None,
            stopped: false,
            poll: vote::Poll::default(),
            excerpt: Excerpt::default(),
            datagram: Vec::new(),
            rejects: crate::wire::auth::Rejects::default(),
            setup: Arc::new(setup),
        };
        let setup = Arc::clone(&engine.setup);
        for group in &setup.groups {
            let state = engine.recall(group.key);
            engine.groups.push(Group::new(group, state, &setup, now));
        }
        engine.reserve_all();
        engine.want_lease_durable();
        engine
    }

    /// Takes one event and appends what follows from it to `out`. `now` is the time of its receipt and never falls.
    pub fn handle(&mut self, now: MonoTime, event: Event<'_>, out: &mut Actions) {
        let now = now.max(self.last);
        self.note_stall(now, out);
        self.check_leases(now, out);
        match event {
            Event::Tick => {}
            Event::Datagram { link, bytes } => self.handle_datagram(link, bytes, now, out),
            Event::Refused { link } => self.handle_refused(link),
            Event::Link { link, open } => self.handle_link(link, open),
            Event::Seen { interface, sighting } => self.handle_sighting(interface, sighting, now, out),
            Event::Interface { interface, facts } => self.handle_interface(interface, facts, now, out),
            Event::Adopted { interface, until, generation, refused, open } => {
                let lease = lease::Adopted { until, generation, refused };
                self.handle_adopted(interface, lease, open, now, out);
            }
            Event::LeaseRefused { .. } if self.is_mutant(Mutant::RefusalIgnored) => {}
            Event::LeaseRefused { interface } => self.handle_lapse(interface, now, out),
            Event::Anchor { interface, address, mac } => {
                self.segments[usize::from(interface.0)].note_gateway(address, mac);
            }
            Event::Installed { interface } => self.handle_installed(interface, now),
            Event::GateReplaced { interface } => self.handle_gate_replaced(interface, now, out),
            Event::Stored { version } => self.handle_stored(version, out),
            Event::StoreFailed => self.handle_store_failed(out),
            Event::Command { id, command } => self.handle_command(id, command, now, out),
            Event::Health { group, health } => return self.handle_health(usize::from(group.0), health),
            Event::Hook { group, hook, epoch, ok } => {
                return self.handle_hook(usize::from(group.0), (hook, epoch), ok, now);
            }
        }
        self.run(now, out);
        if self.is_mutant(Mutant::ConsentBeforeClosing) {
            out.close_last();
        }
    }

    /// When [`Engine::handle`] wants to be called with [`Event::Tick`] if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> MonoTime {
        if !self.stirred.is_empty() {
            return self.last;
        }
        let waits = self.vote_deadline().min(self.blind_deadline());
        self.next_pulse.min(self.group_deadline).min(self.watch_deadline()).min(waits)
    }

    /// What must be made durable for [`Action::Persist`].
    #[must_use]
    pub fn durable_state(&self) -> Durable {
        let groups = self.groups.iter().map(Group::durable).chain(self.former.iter().copied());
        Durable { lease: Some(self.longest_lease()), groups: groups.collect() }
    }

    fn run(&mut self, now: MonoTime, out: &mut Actions) {
        if self.stopped {
            return;
        }
        self.end_blindness(now);
        self.run_watches(now, out);
        self.note_witnesses(now, out);
        if self.dirty || now >= self.group_deadline || self.is_any_lagging(now) {
            self.dirty = false;
            self.stirred.clear();
            self.step_groups(now, out);
            self.finish_commands(now, out);
            // Rows change only where groups are stepped; at rest, nothing here looks at every group.
            self.publish_rows();
            self.tally();
        } else if !self.stirred.is_empty() {
            self.step_stirred(now, out);
        }
        self.renew_by_votes(now, out);
        let due = now >= self.next_pulse;
        if due {
            let interval = self.pulse_interval();
            self.next_pulse = self.next_pulse + interval;
            if self.next_pulse <= now {
                self.next_pulse = now + interval;
            }
            self.renew_leases(now, out);
            self.note_links(now, out);
        }
        self.send_pulses(due, now, out);
        self.ask_for_votes(now, out);
        // What is known of a group whose state was damaged is too little to be taken for a state.
        if self.persist_wanted && !self.groups.iter().any(|group| group.state_damaged) {
            self.persist_wanted = false;
            self.persist_version += 1;
            self.note_persist();
            self.note_lease_sent();
            out.push(Action::Persist { version: self.persist_version });
        }
        self.finish_stop(now, out);
    }

    /// A process that did not run heard nothing: silence begins anew, and so does the evidence.
    fn note_stall(&mut self, now: MonoTime, out: &mut Actions) {
        let stall = now.since(self.last);
        self.last = now;
        if stall < self.setup.timing.pulse * 2 || self.is_mutant(Mutant::StallNotNoticed) {
            return;
        }
        self.resumed = now;
        self.proof = self.counter + 1;
        for peer in &mut self.peers {
            peer.watch = None;
        }
        out.notice(Notice::Stalled { stall });
    }

    /// True if this rule is broken on purpose. In what ships it is a constant.
    fn is_mutant(&self, mutant: Mutant) -> bool {
        self.setup.mutants.is_on(mutant)
    }

    fn peer_at(&self, id: NodeId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.id == id)
    }

    fn presence(&self, peer: usize, now: MonoTime) -> Presence {
        let timing = &self.setup.timing;
        self.peers[peer].presence(self.resumed, now, timing.suspicion, timing.silence)
    }

    /// True while a goodbye stands for closed gates: a later life of the peer may have opened them, and whoever was cut
    /// off or stopped meanwhile has not heard of it. Then its silence is judged like any other.
    fn has_left_lately(&self, peer: usize, now: MonoTime) -> bool {
        let known = &self.peers[peer];
        let lately = known.heard.is_some_and(|heard| now.since(heard) < self.setup.timing.silence);
        known.left && (self.is_mutant(Mutant::OldGoodbyeCounts) || (lately && self.is_proven(peer)))
    }

    /// True if what a peer grants was said after it had heard of us since we were stopped, or did not hear it: an older
    /// word may have waited in a buffer, or been held back by somebody, until the peer had changed its mind. One datagram
    /// that was sent since then is not enough: the row that matters may come with the next.
    fn is_proven(&self, peer: usize) -> bool {
        let known = &self.peers[peer];
        known.current >= self.proof.max(known.proof)
    }

    fn is_serviceable(&self, interface: InterfaceId) -> bool {
        self.interfaces[usize::from(interface.0)].facts.is_serviceable()
    }
}

/// The identifier of the group at a position of the table; the configuration allows at most 1,024.
fn group_id(at: usize) -> GroupId {
    GroupId(u16::try_from(at).unwrap_or(u16::MAX))
}
