//! A running engine whose peer has the key and says anything: damaged memory, a bug, another
//! release.
//!
//! Nothing is promised about who is active then. But no claim, however absurd, stops this node or
//! makes it forget:
//! - it never panics, never wants to be called or written to disk without end at one instant, and
//!   answers one datagram with a bounded number of actions and bytes;
//! - it opens only with epochs of its own, each higher than the one before;
//! - what it wants durable never falls.

use super::Taken;
use super::input::Input;
use super::pulse::draw;
use super::rig::{CLUSTER, Node, PATHS, Rig, Wanted, ring};
use crate::durable::Durable;
use crate::engine::{Action, Command, Event, GateAction, Hook, Lacks};
use crate::types::{Epoch, GroupId, GroupKey, LinkId, MonoTime, NodeId};
use crate::wire::auth::{KeyRing, MAX_DATAGRAM};
use crate::wire::pulse::{Header, decode, encode};
use std::collections::HashMap;
use std::time::Duration;

const STEPS: usize = 48;
/// Bound on the actions of one event: more than two groups on three links need.
const ACTIONS: usize = 200;
/// Bound on ticks or writes at one instant.
const AT_ONCE: usize = 4;

/// The engine under test, what it has been seen to do, and what its peer knows of it.
struct Talk {
    now: MonoTime,
    ours: Node,
    ring: KeyRing,
    /// The header of our last datagram.
    heard: Option<Header>,
    /// The counter of the peer's last right pulse.
    counter: u64,
    /// The epoch that each group was opened with last.
    opened: HashMap<GroupId, Epoch>,
    /// The state that is on the engine's disk.
    durable: Durable,
    /// The hook that our engine wanted last.
    hook: Option<Wanted>,
    /// Whether our engine has said that its process may end.
    stopped: bool,
}

/// Checks one input: the first byte chooses the pair of [`Rig::get`], the rest are steps of up to
/// 255 ms, in which the peer sends a pulse or an operator or a service says something. Then the
/// engine runs on by itself. Accepted: the engine believed at least one pulse.
pub(super) fn run(bytes: &[u8]) -> Taken {
    let mut input = Input::new(bytes);
    let mut rig = Rig::get(input.byte());
    let durable = rig.ours.engine().view_durable();
    let mut talk = Talk {
        now: rig.now,
        ours: rig.ours,
        ring: ring(),
        heard: None,
        counter: 1 << 20,
        opened: HashMap::new(),
        durable,
        hook: None,
        stopped: false,
    };
    let mut believed = false;
    for _ in 0..STEPS {
        if input.is_empty() || talk.stopped {
            break;
        }
        talk.now = talk.now + Duration::from_millis(u64::from(input.byte()));
        talk.live(Event::Tick);
        let before = talk.received();
        talk.step(&mut input);
        believed |= talk.received() > before;
    }
    // Whatever it was told, the engine goes on.
    for _ in 0..64 {
        talk.now = talk.ours.engine().next_deadline().min(talk.now + Duration::from_secs(60));
        talk.live(Event::Tick);
    }
    Taken::of(believed)
}

impl Talk {
    /// Gives the engine the next event of the input.
    fn step(&mut self, input: &mut Input<'_>) {
        let (kind, path) = (input.byte(), PATHS[usize::from(input.byte()) % 3]);
        let link = LinkId { peer: NodeId(2), path };
        match kind % 8 {
            0 => self.live(Event::Command { id: 1, command: draw_command(input.byte()) }),
            1 => match kind >> 3 & 3 {
                0 => self.live(Event::Refused { link }),
                1 => self.live(draw_health(input.byte(), input.byte())),
                2 => self.live(draw_lacks(input.byte(), input.byte())),
                _ => {
                    let event = draw_hook_end(self.hook, input.byte(), u64::from(input.byte()));
                    self.live(event);
                }
            },
            _ => {
                let datagram = self.pulse(kind, input);
                self.live(Event::Datagram { link, bytes: &datagram });
            }
        }
    }

    /// A sealed pulse of node 2. Its rows are mostly about our groups, its echo is mostly right.
    fn pulse(&mut self, kind: u8, input: &mut Input<'_>) -> Vec<u8> {
        let session = u64::from(input.byte() % 4) + 1;
        let (mut header, mut rows) = draw(input);
        (header.sender, header.receiver, header.cluster) = (NodeId(2), NodeId(1), CLUSTER);
        if kind & 0x40 == 0 {
            self.counter += 1;
            (header.session, header.counter) = (session, self.counter);
        }
        if let Some(heard) = self.heard.filter(|_| kind & 0x80 == 0) {
            (header.echo_session, header.echo_counter) = (heard.session, heard.counter);
        }
        for (row, number) in rows.iter_mut().zip(1..).filter(|_| kind & 0x20 == 0) {
            row.group = GroupKey(number % 3);
        }
        let mut datagram = Vec::with_capacity(MAX_DATAGRAM);
        encode(&self.ring, &header, rows.into_iter(), &mut datagram);
        datagram
    }

    /// Gives the engine an event, and does each write to disk that it asks for at once.
    fn give(&mut self, event: Event<'_>) {
        self.ours.handle(self.now, event);
        self.check();
        for writes in 1.. {
            let Some((version, newer)) = self.ours.persist() else { break };
            assert!(writes < AT_ONCE, "wants to be written to disk again and again at {:?}", self.now);
            for (before, after) in self.durable.groups.iter().zip(&newer.groups) {
                assert_eq!(before.key, after.key);
                assert!(before.seen <= after.seen && before.held <= after.held, "{before:?} becomes {after:?}");
            }
            self.durable = newer;
            self.ours.handle(self.now, Event::Stored { version });
            self.check();
        }
    }

    /// Checks the actions of the last event: their number, and the epochs that gates open with.
    /// Keeps what later checks and pulses need of them.
    fn check(&mut self) {
        let out = &self.ours.out;
        assert!(out.list.len() <= ACTIONS && out.bytes.len() <= ACTIONS * MAX_DATAGRAM, "{} actions", out.list.len());
        for (_, bytes) in self.ours.datagrams(NodeId(1)) {
            let (header, _) = decode(self.ring.open(&bytes).expect("our own")).expect("our own");
            self.heard = Some(header);
        }
        self.stopped |= self.ours.out.list.contains(&Action::Stopped);
        self.hook = self.ours.hooks().last().or(self.hook);
        for action in &self.ours.out.list {
            if let Action::Gate(GateAction::Open { group, epoch }) = action {
                assert_eq!(epoch.node(), NodeId(1), "opens with {epoch}, which is not its own");
                let before = self.opened.insert(*group, *epoch);
                assert!(before.is_none_or(|before| before < *epoch), "opens with {epoch} after {before:?}");
            }
        }
    }

    /// Gives the engine an event, and the ticks that it asks for at once: a few at most, or the hot
    /// thread would never sleep.
    fn live(&mut self, event: Event<'_>) {
        self.give(event);
        let waking = (0..AT_ONCE).take_while(|_| {
            let due = !self.stopped && self.ours.engine().next_deadline() <= self.now;
            if due {
                self.give(Event::Tick);
            }
            due
        });
        assert!(waking.count() < AT_ONCE, "wants to be called again and again at {:?}", self.now);
    }

    /// Number of pulses that the engine has believed so far, on all links.
    fn received(&mut self) -> u64 {
        let report = self.ours.engine().report(self.now);
        report.peers.iter().flat_map(|peer| &peer.links).map(|link| link.received).sum()
    }
}

/// A command about one of the groups, or about none.
pub(super) fn draw_command(choice: u8) -> Command {
    let group = GroupId(u16::from(choice & 1));
    match choice % 8 {
        0 | 1 => Command::Switch(group),
        2 | 3 => Command::Pause(group),
        4 | 5 => Command::Resume(group),
        6 => Command::Abandon,
        _ => Command::Stop,
    }
}

/// An event about a service's health, more often one of the extremes.
pub(super) fn draw_health(choice: u8, health: u8) -> Event<'static> {
    let health = match choice >> 1 & 3 {
        0 => 0,
        1 => u8::MAX,
        _ => health,
    };
    Event::Health { group: GroupId(u16::from(choice & 1)), health }
}

/// An event about what a node lacks: any set of lacks.
pub(super) fn draw_lacks(choice: u8, set: u8) -> Event<'static> {
    let all = [Lacks::ADDRESS, Lacks::WAY_BACK, Lacks::ANSWER, Lacks::REACH];
    let drawn = all.into_iter().enumerate().filter(|(place, _)| set >> place & 1 == 1);
    let lacks = drawn.fold(Lacks::NONE, |sum, (_, lack)| sum.and(lack));
    Event::Lacks { group: GroupId(u16::from(choice & 1)), lacks }
}

/// The end of the hook that was wanted last, or of one that was not wanted.
pub(super) fn draw_hook_end(wanted: Option<Wanted>, choice: u8, number: u64) -> Event<'static> {
    let other = (GroupId(u16::from(choice & 1)), Hook::BeforeOpen, Epoch(number << 8 | 1));
    let (group, mut hook, mut epoch) = wanted.unwrap_or(other);
    if choice & 0x18 == 0x18 {
        epoch = other.2;
    }
    if choice & 0x60 == 0x60 {
        hook = Hook::BeforeClose;
    }
    Event::Hook { group, hook, epoch, ok: choice & 6 != 6 }
}

/// Pulses, orders and ends of hooks, with right, extreme and absurd numbers.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    // Milliseconds, kind, link, then for a pulse the choice of a session and what `draw` takes.
    let pulse = |kind: u8, flags: u8, fill: u8, rows: u8| {
        let mut step = vec![20, kind, 0, 0, 2, 1, flags];
        step.extend([fill; 32 + 20 + 32]);
        step.extend([0, rows]);
        step.extend([fill; 58].repeat(usize::from(rows)));
        step
    };
    // The whole table of the peer, with the highest epochs there can be.
    let last = |fill: u8| {
        let mut step = pulse(2, 0, fill, 2);
        let versions = step.len() - 2 * 58 - 2 - 32;
        step[versions..versions + 32].fill(0);
        step[versions + 7] = 9; // table_version
        step[versions + 23] = 9; // upto_version, from base_version 0
        step
    };
    let all = |rig: u8, steps: &[Vec<u8>]| [vec![rig], steps.concat()].concat();
    let order = |command: u8| vec![20, 0, 0, command];
    vec![
        ("silence", vec![0]),
        ("zeros", all(0, &[pulse(2, 0, 0, 2), pulse(2, 0, 0, 2), pulse(2, 0, 0, 2)])),
        ("ones", all(0, &[pulse(2, 0, 1, 2), pulse(2, 0, 1, 2), pulse(2, 0, 1, 2)])),
        ("all-bits", all(1, &[pulse(2, 7, 0xff, 2), pulse(2, 7, 0xff, 2), pulse(2, 7, 0xff, 2)])),
        ("highest-numbers", all(2, &[pulse(2, 0, 0xff, 18), pulse(2, 0, 0xff, 18), pulse(2, 0, 0, 1)])),
        ("foreign-echo", all(1, &[pulse(0x82, 1, 9, 1), pulse(0x82, 1, 9, 1)])),
        ("last-epoch", all(0, &vec![last(0xff); 4])),
        ("last-epoch-to-a-standby", all(1, &vec![last(0xff); 4])),
        ("orders", all(0, &[order(0), pulse(2, 0, 1, 2), order(2), pulse(2, 0, 1, 2), order(6)])),
        ("refused", all(1, &[vec![20, 1, 0], vec![20, 1, 1]])),
        ("services", all(0, &[vec![20, 9, 0, 2, 0], vec![20, 9, 0, 3, 0], pulse(2, 0, 1, 2), vec![9, 9, 0, 0, 0]])),
        (
            "hooks",
            all(1, &[vec![200, 17, 0, 0, 0], vec![200, 17, 0, 0, 0], vec![99, 17, 0, 0, 0], vec![9, 17, 0, 6, 9]]),
        ),
        (
            "hooks-of-others",
            all(0, &[order(1), vec![50, 17, 0, 0x78, 3], vec![50, 17, 0, 0, 0], vec![9, 17, 0, 0x60, 0]]),
        ),
    ]
}
