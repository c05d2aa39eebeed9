//! The engine of a node: `handle(now, event)` gives actions, `next_deadline` says when it wants to
//! be called again.
//!
//! Owns: who is active, and on what evidence. Never does: read a clock, open a socket or file,
//! start a thread, ask for randomness. Time comes with the event and is the time the event was
//! received. The same code runs in the agent, in its tests and in the simulator.
//!
//! | room | noun |
//! |---|---|
//! | `setup` | what an engine is built from |
//! | `event`, `action`, `notice` | what comes in, what goes out, what people are told |
//! | `facts` | what follows at once from a fact of the host |
//! | `run` | a turn: the order of everything |
//! | `turn` | the engine's own time |
//! | `timers` | what a group waits for, by name |
//! | `around` | what a decision about a group may read, and ask of other rooms |
//! | `peer` | a peer: session, links, rows, silence; datagrams in and out |
//! | `evidence` | suspicion: queries, probes, anchors |
//! | `openable` | what a silent peer may have opened |
//! | `lease` | the node's lease on each interface, and those of a former life |
//! | `vote` | votes, promises, elections |
//! | `group` | a group: roles, claims, epochs, hooks, commands |
//! | `commands` | what operators have asked for |
//! | `store` | what is to be made durable |
//! | `report` | what `status` shows |
//! | `reconfigure` | another configuration while running |
//! | `seen` | snapshots, and what simulator and model may look at |
//! | `index` | which group an address or a key belongs to |
//!
//! A room's type owns its state and changes it by its own methods. A step of a group writes that
//! group alone; what it asks of other rooms the engine fulfils when the step is over (`around`).
//! Methods of [`Engine`] itself are few: they take events apart and keep the order.
//!
//! # How a gate comes to open
//! While a peer is heard, nothing opens without its consent: a node *claims* its reserved epoch in
//! its row, the peer *consents* in its own row, which says at once that its gate is closed and that
//! it will open only with a higher epoch. When a peer is silent, evidence takes the place of
//! consent (see `evidence`). A claim is sent one probe interval before the gate opens, so that an
//! active which can hear us, but whom we cannot hear, closes first.
//!
//! With witnesses votes take the place of both: a gate opens, and stays open, for as long as a
//! majority of {node, node, witnesses} has promised to vote for nobody else (see `vote`).

use crate::durable::Loaded;
use crate::types::{InterfaceId, MacAddr, MonoTime};
use crate::wire::session::Sessions;
use std::net::IpAddr;
use std::sync::Arc;

mod action;
mod around;
mod commands;
mod event;
mod evidence;
mod facts;
mod group;
mod index;
mod lacks;
mod lease;
mod notice;
mod openable;
mod peer;
mod reconfigure;
mod report;
mod run;
mod seen;
mod setup;
mod store;
#[cfg(test)]
mod tests;
mod timers;
mod turn;
mod vote;

pub use action::{Action, Actions, GateAction, Outcome};
pub use event::{Command, Event, Hook, InterfaceFacts, OwnAddress};
pub use lacks::Lacks;
pub use notice::{Cause, HookEnd, Notice};
pub use peer::Presence;
pub use report::{GroupReport, LinkReport, PeerReport, Report, VotesReport, Waiting};
pub use seen::Snapshot;
pub use setup::{GroupSetup, PeerSetup, Reconfiguration, Setup, Votes};
pub use timers::Timer;

use commands::Commands;
use evidence::Evidence;
use group::{Group, Groups};
use index::Index;
use lease::Leases;
use openable::Openable;
use peer::{Double, Outbox, Peer, Peers, TurnedAway};
use store::Persistence;
use turn::Turn;
use vote::Poll;

/// The engine of one node.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Engine {
    #[serde(skip, default = "seen::no_setup")]
    setup: Arc<Setup>,
    #[serde(skip)]
    index: Arc<Index>,
    turn: Turn,
    peers: Peers,
    evidence: Evidence,
    leases: Leases,
    groups: Groups,
    #[serde(skip)]
    openable: Openable,
    poll: Poll,
    outbox: Outbox,
    store: Persistence,
    commands: Commands,
    /// Another machine that uses our number.
    double: Double,
    turned_away: TurnedAway,
}

impl Engine {
    /// An engine that has just begun to listen.
    #[must_use]
    pub fn new(mut setup: Setup, now: MonoTime) -> Engine {
        let outbox = Outbox::new(&setup.seed);
        let session = outbox.session;
        // Used once: neither is to be found in a copy of this engine.
        setup.seed = [0; 32];
        let former = match &mut setup.loaded {
            Loaded::State(state) => std::mem::take(&mut state.groups),
            Loaded::Fresh | Loaded::Damaged => Vec::new(),
        };
        let peers = setup.peers.iter().map(|peer| Peer::new(peer, &setup, outbox.session)).collect();
        let witnesses = setup.votes.map_or(0, |votes| usize::from(votes.witnesses));
        let setup = Arc::new(setup);
        let mut engine = Engine {
            index: Arc::new(Index::new(&setup)),
            turn: Turn::new(now),
            evidence: Evidence::new(setup.peers.len(), usize::from(setup.interfaces), now),
            peers: Peers::new(peers, witnesses),
            leases: Leases::new(&setup, now),
            groups: Groups::new(now),
            openable: Openable::default(),
            poll: Poll::default(),
            outbox,
            store: Persistence::new(former),
            commands: Commands::default(),
            double: Double::new(Sessions::new(session).mutated(setup.mutants)),
            turned_away: TurnedAway::default(),
            setup: Arc::clone(&setup),
        };
        for (id, group) in (0..).map(crate::types::GroupId).zip(&setup.groups) {
            let state = engine.store.recall(group.key);
            engine.groups.list.push(Group::new(id, group, state, &setup, now));
            // No two rows have one version: a datagram may end after any of them.
            engine.outbox.table = u64::from(id.0) + 1;
            engine.groups[id].row_version = engine.outbox.table;
        }
        engine.store.wanted |= engine.groups.reserve_all(&setup);
        engine.store.wanted |= engine.leases.former.wants_durable(&setup.timing);
        engine
    }

    /// Takes one event and appends what follows from it to `out`. `now` is the time of its receipt
    /// and never falls.
    pub fn handle(&mut self, now: MonoTime, event: Event<'_>, out: &mut Actions) {
        let now = now.max(self.turn.last);
        self.begin_turn(now, out);
        match event {
            Event::Tick => {}
            Event::Datagram { link, bytes } => self.handle_datagram(link, bytes, now, out),
            Event::Refused { link } => self.handle_refused(link, now),
            Event::Link { link, open } => self.handle_link(link, open),
            Event::TooLarge { link, bytes } => self.handle_too_large(link, bytes, now, out),
            Event::Seen { interface, sighting } => self.handle_sighting(interface, sighting, now, out),
            Event::Interface { interface, facts } => self.handle_interface(interface, facts, now, out),
            Event::Adopted { interface, until, generation, refused, open } => {
                let lease = lease::Adopted { until, generation, refused };
                self.handle_adopted(interface, lease, open, now, out);
            }
            Event::LeaseRefused { interface } => {
                if self.setup.rules().refusal_ends_lease() {
                    self.handle_lapse(interface, now, out);
                }
            }
            Event::Anchor { interface, address, mac } => self.evidence[interface].note_gateway(address, mac),
            Event::Addresses { group, there } => self.handle_addresses(group, there, now),
            Event::OwnMacs { macs } => self.evidence.note_own_macs(macs),
            Event::InsideMacs { interface, macs } => self.evidence.note_inside(interface, macs, now),
            Event::OwnAddresses { interface, own } => self.evidence[interface].note_own(own),
            Event::GateReplaced { interface } => self.handle_gate_replaced(interface, now, out),
            Event::Stored { version } => self.handle_stored(version, out),
            Event::StoreFailed => self.handle_store_failed(out),
            Event::Command { id, command } => self.handle_command(id, command, now, out),
            // These two are acted upon with the next event, which is asked for at once: a thousand
            // cost as much as one.
            Event::Health { group, health } => return self.handle_health(group, health),
            Event::Lacks { group, lacks } => return self.handle_lacks(group, lacks),
            Event::Hook { group, hook, epoch, ok } => return self.handle_hook(group, (hook, epoch), ok, now),
        }
        self.run(now, out);
        if !self.setup.rules().closes_in_order() {
            out.close_last();
        }
    }

    /// When [`Engine::handle`] wants to be called with [`Event::Tick`] if nothing else happens
    /// before.
    #[must_use]
    pub fn next_deadline(&self) -> MonoTime {
        if !self.groups.alone.is_empty() {
            return self.turn.last;
        }
        let votes = self.poll.next_deadline(&self.setup, &self.peers, &self.leases);
        let evidence = self.evidence.next_deadline(&self.peers, &self.setup, &self.turn);
        let blind = self.leases.former.blind_deadline();
        let double = self.double.until(&self.turn, &self.setup.timing).filter(|_| self.double.told);
        let double = double.unwrap_or(MonoTime::FOREVER);
        [self.turn.next_pulse, self.groups.deadline, evidence, blind, double].into_iter().fold(votes, MonoTime::min)
    }

    /// Addresses of those who were seen on the segment of an interface and are no peers, at most 16.
    pub fn neighbours(&self, interface: InterfaceId) -> impl Iterator<Item = IpAddr> + '_ {
        self.evidence.seen_on(interface)
    }

    /// True if the machine with this hardware address is inside this server, on the segment of an
    /// interface: what it says is no sign that the segment is alive.
    #[must_use]
    pub fn is_inside(&self, interface: InterfaceId, mac: MacAddr) -> bool {
        self.evidence[interface].is_inside(mac)
    }

    /// Notes the time, and what ran out before it.
    fn begin_turn(&mut self, now: MonoTime, out: &mut Actions) {
        let (pulse, next) = (self.setup.timing.pulse, self.outbox.next());
        if let Some(stall) = self.turn.begin(now, pulse, next, self.setup.rules()) {
            // The evidence begins anew, as silence does.
            self.evidence.end_watches();
            // Another may have been active meanwhile, and will say so.
            self.groups.iter_mut().for_each(|group| group.announcing.postpone(now + pulse));
            out.notice(Notice::Stalled { stall });
        }
        self.check_leases(now, out);
    }
}
