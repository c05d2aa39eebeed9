//! Two engines and a wire between them; the second engine is recorded as the agent records its own.

use crate::durable::Loaded;
use crate::engine::{
    Action, Actions, Engine, Event, GroupSetup, InterfaceFacts, OwnAddress, PeerSetup, Reconfiguration, Setup,
};
use crate::flight::{Book, Decision, ENGINE, Header, Recorder, Recording, Ring, queue};
use crate::io::clock::WallTime;
use crate::mutant::Mutants;
use crate::testing::{Counting, measured};
use crate::timing::{Profile, Promote, Timing};
use crate::types::{GroupId, GroupKey, InterfaceId, LinkId, LinkPath, MacAddr, MonoTime, NodeId, Vip};
use crate::wire::auth::KeyRing;
use crate::wire::frame::Sighting;
use crate::wire::pulse::Digests;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static HEAP: Counting = Counting;

pub const ETH: InterfaceId = InterfaceId(0);
pub const KEY: [u8; 32] = *b"thirty-two bytes that are secret";
pub const SEED: [u8; 32] = *b"and thirty-two that were random!";
/// Time of the wall clock at the start: 2026-03-01T00:00:00Z.
const WALL: u64 = 1_772_323_200_000;
const START: MonoTime = MonoTime(1_000_000_000);

/// A span of so many milliseconds.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Number of the node at an index of `engines`.
fn id(node: usize) -> NodeId {
    NodeId(u8::try_from(node).unwrap() + 1)
}

/// Hardware address of a node on the segment.
pub fn mac(node: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, u8::try_from(node).unwrap() + 1])
}

/// Address of the group with this number.
pub fn vip(number: u8) -> Vip {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100 + number))
}

/// A group with one address that prefers node 1 and has no hooks. `number` makes key and address.
pub fn group(number: u8) -> GroupSetup {
    GroupSetup {
        key: GroupKey(u64::from(number) + 1),
        interface: ETH,
        addresses: Arc::from([vip(number)]),
        prefer: NodeId(1),
        preempt: false,
        preempt_delay: ms(500),
        drain: ms(200),
        promote: Promote::Peer,
        health: 0,
        before_open: None,
        before_close: None,
        addresses_digest: 1,
        policy_digest: 1,
    }
}

/// What arrives at an engine later: a datagram, a sighting on the segment, the end of a write.
enum Due {
    Datagram { to: usize, link: LinkId, bytes: Vec<u8> },
    Sighting { to: usize, sighting: Sighting },
    Stored { to: usize, version: u64 },
}

/// Two engines with virtual time between them; index 0 is node 1, `alpha`; index 1 is node 2,
/// `beta`, which is recorded. A node is stopped by setting its engine to `None`.
pub struct Pair {
    pub now: MonoTime,
    timing: Timing,
    pub engines: Vec<Option<Engine>>,
    pub recorder: Recorder,
    pub ring: Ring,
    /// Decisions of the recorded engine.
    pub decisions: Vec<Decision>,
    /// Tags of the datagrams that the recorded engine received.
    pub tags: Vec<Vec<u8>>,
    /// Whether the slow side takes records from the queue.
    pub drains: bool,
    /// Number of allocations by both engines and the recorder.
    pub heap: u64,
    /// Longest time that the recorded engine took for one event.
    pub longest: Duration,
    out: Actions,
    due: BTreeMap<(MonoTime, u64), Due>,
    sequence: u64,
}

impl Pair {
    /// A pair after its start, with node 1 active and node 2 recorded.
    pub fn settled(profile: Profile) -> Pair {
        Pair::of(profile, &[group(0)])
    }

    /// A pair as `settled`, with these groups.
    pub fn of(profile: Profile, groups: &[GroupSetup]) -> Pair {
        let (recorder, tape) = queue();
        let timing = Timing::of(profile);
        let mut pair = Pair {
            now: START,
            timing,
            engines: (0..2)
                .map(|node| Some(Engine::new(Setup { groups: groups.to_vec(), ..setup(node, timing) }, START)))
                .collect(),
            recorder,
            ring: Ring::new(tape),
            decisions: Vec::new(),
            tags: Vec::new(),
            drains: true,
            heap: 0,
            longest: Duration::ZERO,
            out: Actions::default(),
            due: BTreeMap::new(),
            sequence: 0,
        };
        pair.recorder.end_turn(START, pair.engines[1].as_ref().unwrap());
        for node in 0..2 {
            let facts = InterfaceFacts { exists: true, enslaved: false, carrier: true, mac: mac(node), gate: true };
            pair.handle(node, Event::Interface { interface: ETH, facts });
            let own = OwnAddress { address: Ipv4Addr::new(10, 0, 0, 201).into(), prefix: 8 };
            pair.handle(node, Event::OwnAddresses { interface: ETH, own: &[own] });
            pair.place_addresses(node);
            for path in paths() {
                pair.handle(node, Event::Link { link: LinkId { peer: id(1 - node), path }, open: true });
            }
        }
        pair.run(timing.listen * 2 + ms(500));
        pair
    }

    /// Tells an engine that the addresses of all its groups are in place.
    pub fn place_addresses(&mut self, node: usize) {
        let count = self.engines[node].as_ref().map_or(0, |engine| engine.setup().groups.len());
        for group in (0..).map(GroupId).take(count) {
            self.handle(node, Event::Addresses { group, there: true });
        }
    }

    /// Gives an engine an event now, and carries out its actions; the second engine is recorded. A
    /// stopped engine takes nothing.
    pub fn handle(&mut self, node: usize, event: Event<'_>) {
        let Some(engine) = self.engines[node].as_mut() else { return };
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        if node == 1 {
            let begin = Instant::now();
            let ((), usage) = measured(|| {
                engine.handle(self.now, event, &mut out);
                self.recorder.note(self.now, event, engine.rejects().unopened(), &out.list);
            });
            self.longest = self.longest.max(begin.elapsed());
            self.heap += usage.calls;
            if let Event::Datagram { bytes, .. } = event {
                self.tags.push(bytes[bytes.len().saturating_sub(32)..].to_vec());
            }
        } else {
            let ((), usage) = measured(|| engine.handle(self.now, event, &mut out));
            self.heap += usage.calls;
        }
        self.carry_out(node, &out);
        self.out = out;
    }

    /// Carries out the actions of an engine: datagrams arrive at the other engine after 50 µs; a
    /// probe is answered after 90 µs by a bystander, and for the address by the other node if it is
    /// active; a write takes 2 ms. Everything else is passed over.
    fn carry_out(&mut self, node: usize, out: &Actions) {
        if node == 1 {
            self.decisions.extend(out.list.iter().filter_map(Decision::of));
            let engine = self.engines[1].as_ref().unwrap();
            self.recorder.end_turn(self.now, engine);
        }
        for action in &out.list {
            match action {
                Action::Send { link, bytes, .. } => {
                    let link = LinkId { peer: id(node), path: link.path };
                    let bytes = out.bytes[bytes.clone()].to_vec();
                    self.later(Due::Datagram { to: 1 - node, link, bytes }, Duration::from_micros(50));
                }
                Action::Probe { address, .. } => {
                    let bystander = Sighting::Presence { mac: mac(8) };
                    self.later(Due::Sighting { to: node, sighting: bystander }, Duration::from_micros(90));
                    let active = self.engines[1 - node].as_ref().is_some_and(|engine| {
                        engine.report(self.now).groups[0].role == crate::wire::pulse::Role::Active
                    });
                    if active {
                        let claim = Sighting::Claim { address: *address, mac: mac(1 - node), nameless: None };
                        self.later(Due::Sighting { to: node, sighting: claim }, Duration::from_micros(90));
                    }
                }
                Action::Persist { version, .. } => self.later(Due::Stored { to: node, version: *version }, ms(2)),
                Action::Gate(_)
                | Action::Announce { .. }
                | Action::Notice(_)
                | Action::Reply { .. }
                | Action::Hook { .. }
                | Action::Stopped => {}
            }
        }
    }

    /// Lets something arrive after `delay`.
    fn later(&mut self, due: Due, delay: Duration) {
        self.sequence += 1;
        self.due.insert((self.now + delay, self.sequence), due);
    }

    /// Runs both engines for `span`.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut drained = self.now;
        loop {
            let wake = self.engines.iter().flatten().map(Engine::next_deadline).min().unwrap();
            let due = self.due.keys().next().map_or(MonoTime::FOREVER, |(when, _)| *when);
            let next = wake.min(due);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            while self.due.keys().next().is_some_and(|(when, _)| *when <= self.now) {
                match self.due.pop_first().unwrap().1 {
                    Due::Datagram { to, link, bytes } => self.handle(to, Event::Datagram { link, bytes: &bytes }),
                    Due::Sighting { to, sighting } => self.handle(to, Event::Seen { interface: ETH, sighting }),
                    Due::Stored { to, version } => self.handle(to, Event::Stored { version }),
                }
            }
            for node in 0..2 {
                if self.engines[node].as_ref().is_some_and(|engine| engine.next_deadline() <= self.now) {
                    self.handle(node, Event::Tick);
                }
            }
            if self.now.since(drained) >= ms(250) {
                drained = self.now;
                self.drain();
            }
        }
        self.now = end;
    }

    /// Takes the records from the queue, as the slow side does now and then.
    pub fn drain(&mut self) {
        let wall = |now: MonoTime| WallTime(WALL + u64::try_from(now.since(START).as_millis()).unwrap());
        if self.drains && self.ring.drain(self.now, wall) {
            self.recorder.want_segment();
        }
    }

    /// Gives the recorded node another configuration.
    pub fn reconfigure(&mut self, groups: Vec<GroupSetup>) {
        let digests = Digests { nodes: 0, groups: u32::try_from(groups.len()).unwrap() };
        let keys = Arc::new(KeyRing::new("test", &[(3, KEY), (4, [9; 32])]));
        let change = Reconfiguration { timing: self.timing, keys, epoch_floor: 1, digests, groups };
        let mut out = Actions::default();
        let engine = self.engines[1].as_mut().unwrap();
        engine.reconfigure(change.clone(), self.now, &mut out);
        self.recorder.note_reconfigured(self.now, change, &out.list);
        self.carry_out(1, &out);
        self.handle(1, Event::Tick);
    }

    /// Takes the recording as the agent does.
    pub fn recording(&mut self) -> Recording {
        self.recorder.want_segment();
        self.recorder.end_turn(self.now, self.engines[1].as_ref().unwrap());
        self.drain();
        let book = Book {
            me: Some(id(1)),
            nodes: vec![("alpha".into(), vec![vip(1)]), ("beta".into(), vec![vip(2)])],
            interfaces: vec!["eth0".into()],
            groups: vec![(GroupKey(1), "web".into()), (GroupKey(2), "mail".into())],
        };
        let header = Header {
            version: "test".into(),
            engine: ENGINE.into(),
            node: "beta".into(),
            cluster: "test".into(),
            written: WALL,
            reason: "asked".into(),
            book,
        };
        Recording { header, segments: self.ring.segments() }
    }
}

/// Paths between the two nodes.
fn paths() -> [LinkPath; 3] {
    [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)]
}

/// Setup of an engine of the pair, with one group and without witnesses.
pub fn setup(node: usize, timing: Timing) -> Setup {
    Setup {
        me: id(node),
        cluster: 7,
        timing,
        keys: Arc::new(KeyRing::new("test", &[(3, KEY)])),
        seed: if node == 0 { [1; 32] } else { SEED },
        epoch_floor: 1,
        loaded: Loaded::Fresh,
        digests: Digests::default(),
        peers: vec![PeerSetup { id: id(1 - node), links: paths().to_vec() }],
        votes: None,
        interfaces: 1,
        groups: vec![group(0)],
        mutants: Mutants::NONE,
    }
}
