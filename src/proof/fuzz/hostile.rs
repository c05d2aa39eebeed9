//! A running engine on a network that belongs to an attacker without the key (promise S6).
//!
//! Two copies of one engine live through the same time and get the same pulses of their peer. The
//! attacked copy also gets what the input makes up: noise, forgeries with the right beginning,
//! recordings of what the peer has sent, whole or damaged, and sealed bodies that are no pulse. At
//! each step the attacked copy decides what the undisturbed one decides, and allocates no more
//! memory. In the end both states are the same but for the counts of refused datagrams.

use super::auth::hmac;
use super::input::Input;
use super::rig::{ETH, Node, PATHS, Rig};
use super::{Taken, pulse};
use crate::engine::{Engine, Event};
use crate::types::{LinkId, LinkPath, MonoTime, NodeId};
use crate::wire::auth::{MAGIC, MAX_DATAGRAM, PREFIX_SIZE, TAG_SIZE, VERSION};
use crate::wire::pulse::decode;
use serde_json::Value;
use std::time::Duration;
use vipair_host::testing::measured;

const STEPS: usize = 64;

/// The two copies of the engine, their peer, and the instant that they have come to.
struct Siege {
    now: MonoTime,
    /// The node that is attacked.
    ours: Node,
    /// The same node, left alone.
    undisturbed: Node,
    peer: Node,
    /// Datagrams that the peer has sent and both copies have received.
    recorded: Vec<(LinkId, Vec<u8>)>,
}

/// Checks one input: the first byte chooses the pair of [`Rig::get`], the rest are steps of an
/// attack. Returns what [`besiege`] returns.
pub(super) fn run(bytes: &[u8]) -> Taken {
    let mut input = Input::new(bytes);
    let rig = Rig::get(input.byte());
    besiege(rig, input)
}

/// Attacks node 1 of `rig` in up to [`STEPS`] steps of the input, and panics when the attack
/// changes more than counters. Returns [`Taken::Accepted`] if no datagram of the attack was counted
/// as refused, so that the corpus is known to hold inputs of both kinds.
pub(super) fn besiege(rig: Rig, mut input: Input<'_>) -> Taken {
    let mut siege =
        Siege { now: rig.now, undisturbed: rig.ours.clone(), ours: rig.ours, peer: rig.peer, recorded: Vec::new() };
    let before = siege.turned_away();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        siege.now = siege.now + Duration::from_millis(u64::from(input.byte()) % 64);
        siege.exchange_pulses();
        siege.attack(&mut input);
    }
    siege.exchange_pulses();
    assert_eq!(state(siege.ours.engine()), state(siege.undisturbed.engine()), "only counters have changed");
    Taken::of(siege.turned_away() == before)
}

impl Siege {
    /// Lets every node do what is due now. The peer's pulses reach both copies and are recorded;
    /// the attacked copy's pulses reach the peer.
    fn exchange_pulses(&mut self) {
        self.both(Event::Tick);
        let mut answers = Vec::new();
        for (link, bytes) in self.ours.datagrams(NodeId(1)) {
            self.peer.handle(self.now, Event::Datagram { link, bytes: &bytes });
            answers.extend(self.peer.datagrams(NodeId(2)));
        }
        self.peer.handle(self.now, Event::Tick);
        answers.extend(self.peer.datagrams(NodeId(2)));
        for (link, bytes) in answers {
            self.both(Event::Datagram { link, bytes: &bytes });
            self.recorded.push((link, bytes));
        }
    }

    /// Gives both copies the same event, and tells them that what they want durable is stored.
    fn both(&mut self, event: Event<'_>) {
        self.ours.handle(self.now, event);
        self.undisturbed.handle(self.now, event);
        self.compare();
        if let Some((version, _)) = self.ours.persist() {
            self.both(Event::Stored { version });
        }
    }

    /// Checks that both copies have decided the same at their last event.
    fn compare(&mut self) {
        assert_eq!(self.ours.out.list, self.undisturbed.out.list, "the same actions");
        assert_eq!(self.ours.out.bytes, self.undisturbed.out.bytes, "the same datagrams");
        assert_eq!(
            self.ours.engine().next_deadline(),
            self.undisturbed.engine().next_deadline(),
            "the same deadline"
        );
    }

    /// Sends one copy a hostile datagram drawn from the input, lets the other one tick, and checks
    /// that both have done the same with the same memory.
    fn attack(&mut self, input: &mut Input<'_>) {
        let kind = input.byte();
        let link = LinkId { peer: NodeId(2), path: path(input.byte()) };
        let length = input.below(MAX_DATAGRAM + 100);
        let hostile = match kind % 5 {
            0 => input.take(length).to_vec(),
            1 => [&[MAGIC[0], MAGIC[1], VERSION, 1], input.take(length)].concat(),
            2 => self.recording(length).map(|(_, bytes)| bytes).unwrap_or_default(),
            3 => self.damaged(length, input.byte()),
            _ => sealed_nonsense(input.take(length)),
        };
        let now = self.now;
        let ((), under_attack) = measured(|| self.ours.handle(now, Event::Datagram { link, bytes: &hostile }));
        let ((), at_rest) = measured(|| self.undisturbed.handle(now, Event::Tick));
        assert_eq!(under_attack, at_rest, "what nobody sealed costs no memory");
        self.compare();
        if let Some((version, _)) = self.ours.persist() {
            self.both(Event::Stored { version });
        }
    }

    /// A datagram that the peer has sent before, and its link; `None` if it has sent none.
    fn recording(&self, number: usize) -> Option<(LinkId, Vec<u8>)> {
        let count = self.recorded.len().max(1);
        self.recorded.get(number % count).cloned()
    }

    /// A recording with one bit flipped.
    fn damaged(&self, number: usize, bit: u8) -> Vec<u8> {
        let (_, mut bytes) = self.recording(number).unwrap_or((LinkId { peer: NodeId(2), path: PATHS[0] }, vec![0]));
        let position = (number * 256 + usize::from(bit)) % (bytes.len() * 8);
        bytes[position / 8] ^= 1 << (position % 8);
        bytes
    }

    /// Number of datagrams that the attacked copy has refused so far.
    fn turned_away(&mut self) -> u64 {
        let now = self.now;
        self.ours.engine().report(now).rejects.total()
    }
}

/// A link that exists, or one that does not.
fn path(choice: u8) -> LinkPath {
    match choice % 5 {
        0 => LinkPath::Udp(0),
        1 => LinkPath::Udp(1),
        2 => LinkPath::Segment(ETH),
        _ => LinkPath::Udp(choice),
    }
}

/// A datagram under the right seal whose body is no pulse. The datagram is empty if the body
/// happens to be a pulse.
fn sealed_nonsense(body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(MAX_DATAGRAM - PREFIX_SIZE - TAG_SIZE)];
    if decode(body).is_ok() {
        return Vec::new();
    }
    let mut datagram = [&[MAGIC[0], MAGIC[1], VERSION, 1], body].concat();
    let tag = hmac(&hmac(&[0x77; 32], b"vipair 1rig"), &datagram);
    datagram.extend(tag);
    datagram
}

/// The state of an engine without its counts of refused datagrams.
fn state(engine: &Engine) -> Value {
    let mut state = serde_json::to_value(engine.snapshot()).expect("a snapshot can be written");
    forget_counts(&mut state);
    state
}

/// Removes the counts of refused datagrams from a state.
fn forget_counts(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.remove("turned_away");
            entries.remove("rejected");
            entries.values_mut().for_each(forget_counts);
        }
        Value::Array(elements) => elements.iter_mut().for_each(forget_counts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Attacks of each kind on each of the pairs.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    // Rig; then for each step: milliseconds, kind, link, length or number (2), bytes.
    let step = |kind: u8, link: u8, number: u16, bytes: &[u8]| {
        let number = number.to_be_bytes();
        [&[11, kind, link, number[0], number[1]], bytes].concat()
    };
    let idle = step(0, 0, 0, &[]).repeat(12);
    let with = |rig: u8, steps: &[Vec<u8>]| [vec![rig], idle.clone(), steps.concat()].concat();
    let foreign = pulse::datagram(1);
    let body = &foreign[PREFIX_SIZE..foreign.len() - TAG_SIZE];
    vec![
        ("no-attack", vec![0]),
        ("nothing-in-it", with(0, &[])),
        ("noise-at-a-standby", with(1, &[step(0, 0, 8, b"noisenoi"), step(0, 2, 8, b"noisenoi")])),
        ("forgeries", with(0, &[step(1, 0, 196, &[7; 196]), step(1, 3, 36, &[7; 36])])),
        ("another-clusters-pulse", with(1, &[step(0, 0, 188, &foreign)])),
        ("recordings", with(2, &[step(2, 0, 0, &[]), step(2, 1, 1, &[]), step(2, 2, 2, &[])])),
        ("damaged-recordings", with(0, &[step(3, 0, 0, &[3]), step(3, 1, 1, &[99])])),
        ("sealed-nonsense", with(1, &[step(4, 0, 60, &[9; 60]), step(4, 0, 151, &body[1..])])),
    ]
}
