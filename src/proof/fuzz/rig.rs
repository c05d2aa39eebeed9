//! Two engines that know each other, for the targets about engines: node 1 is under test and active
//! or standby, node 2 is its peer. Every pulse is delivered at once, and every write to disk
//! succeeds at once. The second of the two groups has hooks.

use crate::durable::{Durable, Loaded};
use crate::engine::{Action, Actions, Engine, Event, GroupSetup, Hook, InterfaceFacts, PeerSetup, Setup};
use crate::mutant::Mutants;
use crate::timing::{Profile, Promote, Timing};
use crate::types::{Epoch, GroupId, GroupKey, InterfaceId, LinkId, LinkPath, MacAddr, MonoTime, NodeId};
use crate::wire::auth::KeyRing;
use crate::wire::pulse::Digests;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The clients' interface of both nodes.
pub(super) const ETH: InterfaceId = InterfaceId(0);
/// The cluster's number, as pulses carry it.
pub(super) const CLUSTER: u32 = 7;
/// The paths between the nodes: two links, and the segment.
pub(super) const PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

/// The ring of both engines, which no input knows.
pub(super) fn ring() -> KeyRing {
    KeyRing::new("rig", &[(1, [0x77; 32])])
}

/// One engine, and the buffers of actions that the agent would keep for it.
#[derive(Debug, Default)]
pub(super) struct Node {
    engine: Option<Engine>,
    /// What the engine wants done after its last event.
    pub out: Actions,
}

impl Clone for Node {
    /// A copy of the node, with buffers as large as the agent's are after some time.
    fn clone(&self) -> Node {
        let (list, bytes) = (Vec::with_capacity(256), Vec::with_capacity(64 << 10));
        Node { engine: self.engine.clone(), out: Actions { list, bytes } }
    }
}

impl Node {
    /// The engine; panics before the node was started.
    pub fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("it has been started")
    }

    /// Lets the engine handle an event; what follows is in `out`.
    pub fn handle(&mut self, now: MonoTime, event: Event<'_>) {
        self.out.clear();
        let engine = self.engine.as_mut().expect("it has been started");
        engine.handle(now, event, &mut self.out);
    }

    /// The newest state that `out` wants durable, if any, and its version.
    pub fn persist(&self) -> Option<(u64, Durable)> {
        let state = |action: &Action| match action {
            Action::Persist { version, state } => Some((*version, state.clone())),
            Action::Send { .. }
            | Action::Gate(_)
            | Action::Probe { .. }
            | Action::Announce { .. }
            | Action::Notice(_)
            | Action::Reply { .. }
            | Action::Hook { .. }
            | Action::Stopped => None,
        };
        self.out.list.iter().filter_map(state).max_by_key(|(version, _)| *version)
    }

    /// The hooks that `out` wants run, in order.
    pub fn hooks(&self) -> impl Iterator<Item = Wanted> + '_ {
        let wanted = |action: &Action| match action {
            Action::Hook { group, hook, epoch, cause: _ } => Some((*group, *hook, *epoch)),
            Action::Persist { .. }
            | Action::Gate(_)
            | Action::Probe { .. }
            | Action::Announce { .. }
            | Action::Notice(_)
            | Action::Reply { .. }
            | Action::Send { .. }
            | Action::Stopped => None,
        };
        self.out.list.iter().filter_map(wanted)
    }

    /// The datagrams in `out` as the peer receives them from `from`.
    pub fn datagrams(&self, from: NodeId) -> Vec<(LinkId, Vec<u8>)> {
        let sent = |action: &Action| match action {
            Action::Send { link, bytes, .. } => {
                Some((LinkId { peer: from, path: link.path }, self.out.bytes[bytes.clone()].to_vec()))
            }
            Action::Persist { .. }
            | Action::Gate(_)
            | Action::Probe { .. }
            | Action::Announce { .. }
            | Action::Notice(_)
            | Action::Reply { .. }
            | Action::Hook { .. }
            | Action::Stopped => None,
        };
        self.out.list.iter().filter_map(sent).collect()
    }
}

/// A hook that an engine wants run.
pub(super) type Wanted = (GroupId, Hook, Epoch);

/// Both nodes at one instant; `ours` is node 1, `peer` node 2.
#[derive(Clone, Debug)]
pub(super) struct Rig {
    pub now: MonoTime,
    pub ours: Node,
    pub peer: Node,
}

impl Rig {
    /// A pair that has been running for some time, node 1 active (`0`), node 1 standby (`1`), or
    /// both just started.
    pub fn get(choice: u8) -> Rig {
        static RIGS: OnceLock<[Rig; 3]> = OnceLock::new();
        let rigs = RIGS.get_or_init(|| [0, 1, 2].map(|choice| Rig::with(choice, Mutants::NONE)));
        rigs[usize::from(choice) % rigs.len()].clone()
    }

    /// The pair that [`Rig::get`] has for `choice`, made anew, with rules broken.
    pub fn with(choice: u8, mutants: Mutants) -> Rig {
        let (prefer, rounds) = [(NodeId(1), 400), (NodeId(2), 400), (NodeId(1), 8)][usize::from(choice) % 3];
        Rig::running(prefer, rounds, mutants)
    }

    /// A pair that was started and ran for `rounds` of 10 ms each; `prefer` is the node that all
    /// groups prefer.
    fn running(prefer: NodeId, rounds: u32, mutants: Mutants) -> Rig {
        let now = MonoTime(1_000_000_000);
        let engine = |me: u8| Some(Engine::new(setup(me, prefer, mutants), now));
        let start = |me: u8| Node { engine: engine(me), out: Actions::default() };
        let mut rig = Rig { now, ours: start(1), peer: start(2) };
        for (me, other) in [(1, 2), (2, 1)] {
            for path in PATHS {
                rig.give(me, Event::Link { link: LinkId { peer: NodeId(other), path }, open: true });
            }
            let mac = MacAddr([2, 0, 0, 0, 0, me]);
            let facts = InterfaceFacts { exists: true, enslaved: false, carrier: true, mac, gate: true };
            rig.give(me, Event::Interface { interface: ETH, facts });
            for group in [GroupId(0), GroupId(1)] {
                rig.give(me, Event::Addresses { group, there: true });
            }
        }
        for _ in 0..rounds {
            rig.now = rig.now + Duration::from_millis(10);
            rig.exchange();
        }
        rig
    }

    /// Lets both nodes tick, and delivers what they send.
    fn exchange(&mut self) {
        self.give(1, Event::Tick);
        self.give(2, Event::Tick);
    }

    /// Gives node `me` an event, ends its hooks, does its writes, and delivers every datagram that
    /// follows from it at either node.
    fn give(&mut self, me: u8, event: Event<'_>) {
        let now = self.now;
        let node = if me == 1 { &mut self.ours } else { &mut self.peer };
        node.handle(now, event);
        let mut waiting = node.datagrams(NodeId(me));
        // Hooks take no time, and end well.
        let end = |(group, hook, epoch)| Event::Hook { group, hook, epoch, ok: true };
        let ends: Vec<Event<'static>> = node.hooks().map(end).collect();
        let stored = node.persist().map(|(version, _)| Event::Stored { version });
        let asked = !ends.is_empty();
        for event in ends.into_iter().chain(stored).chain(asked.then_some(Event::Tick)) {
            node.handle(now, event);
            waiting.extend(node.datagrams(NodeId(me)));
        }
        for (link, bytes) in waiting {
            self.give(3 - me, Event::Datagram { link, bytes: &bytes });
        }
    }
}

/// The setup of engine `me`: two groups of two addresses, no witness, the profile `lan`.
fn setup(me: u8, prefer: NodeId, mutants: Mutants) -> Setup {
    let group = |number: u8| {
        let addresses = [
            IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + number)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 100 + u16::from(number))),
        ];
        GroupSetup {
            key: GroupKey(u64::from(number) + 1),
            interface: ETH,
            addresses: Arc::from(addresses),
            prefer,
            preempt: false,
            preempt_delay: Duration::from_millis(500),
            drain: Duration::from_millis(200),
            promote: Promote::Peer,
            health: 0,
            before_open: (number == 1).then_some(Duration::from_millis(100)),
            before_close: (number == 1).then_some(Duration::from_millis(100)),
            addresses_digest: 1 + u32::from(number),
            policy_digest: 1,
        }
    };
    Setup {
        me: NodeId(me),
        cluster: CLUSTER,
        timing: Timing::of(Profile::Lan),
        keys: Arc::new(ring().mutated(mutants)),
        seed: [me; 32],
        epoch_floor: 1,
        loaded: Loaded::Fresh,
        digests: Digests::default(),
        peers: vec![PeerSetup { id: NodeId(3 - me), links: PATHS.to_vec() }],
        votes: None,
        interfaces: 1,
        groups: (0..2).map(group).collect(),
        mutants,
    }
}
