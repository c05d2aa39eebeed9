//! Flight recordings: what is written is read and flies again, what was changed is found, and what
//! was made to fit its checksums ends the replay and no more.
//!
//! The first byte of an input chooses what the rest is:
//! - events: an engine is told them while it is recorded. The file is read as it was written, byte
//!   for byte, and its replay decides what was decided in flight.
//! - a place: one byte of a good file there is another, or the file ends there. It is refused.
//! - records: a good file with these records, or with changes in those it had. Its replay ends, and
//!   tells a story.
//! - a file, as it is.

use super::Taken;
use super::input::Input;
use super::peer::{draw_command, draw_health, draw_hook_end, draw_lacks};
use super::pulse::draw;
use super::rig::{ETH, Node, PATHS, Rig, Wanted, ring};
use crate::engine::{Actions, Event};
use crate::flight::{
    Book, ENGINE, Header, Recorder, Recording, Ring, Segment, Story, Telling, Unreadable, queue, replay,
};
use crate::io::clock::WallTime;
use crate::types::{GroupKey, LinkId, MacAddr, MonoTime, NodeId};
use crate::wire::auth::MAX_DATAGRAM;
use crate::wire::frame::Sighting;
use crate::wire::pulse::encode;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const STEPS: usize = 40;

/// Checks one input, of the kind that the first byte chooses (see above). Accepted: a file was
/// read; changed records are accepted if their replay comes to an end.
pub(super) fn run(bytes: &[u8]) -> Taken {
    let mut input = Input::new(bytes);
    match input.byte() % 4 {
        0 => fly(&mut input),
        1 => change_a_byte(&mut input),
        2 => change_records(&mut input),
        _ => read(input.rest()),
    }
}

/// Checks that any bytes give a reason to refuse them, or a recording that is the same when it is
/// written again.
fn read(bytes: &[u8]) -> Taken {
    match Recording::read(bytes) {
        Ok(recording) => {
            assert_eq!(written(&recording), bytes, "what was read is written again");
            replay_agrees(&recording);
            Taken::Accepted
        }
        Err(Unreadable::Cut(offset, _) | Unreadable::Damaged(offset, _)) => {
            assert!(offset <= bytes.len(), "damaged at byte {offset} of {}", bytes.len());
            Taken::Refused
        }
        Err(Unreadable::Other | Unreadable::Format(_) | Unreadable::Engine { .. }) => Taken::Refused,
    }
}

/// The bytes of a recording's file.
fn written(recording: &Recording) -> Vec<u8> {
    let mut bytes = Vec::new();
    recording.write(&mut bytes).expect("a Vec takes everything");
    bytes
}

/// Replays a recording and tells its story, which must not panic. True if the replay agrees with
/// the flight in everything, `None` if the replay does not come to an end.
fn replay_agrees(recording: &Recording) -> Option<bool> {
    let mut story = Story::new(&recording.header, Telling::All);
    let comparison = replay(recording, |step| drop(story.report(step)));
    if let Some(last) = recording.segments.last() {
        drop(story.finish(last));
    }
    comparison.ok().map(|it| it.agrees() && it.snapshots == it.expected_snapshots)
}

/// Checks that a good file with one changed byte, or cut short, is refused.
fn change_a_byte(input: &mut Input<'_>) -> Taken {
    let good = base();
    let (offset, change) = (usize::try_from(input.word()).expect("64 bits") % good.len(), input.byte());
    let mut changed = good.to_vec();
    if change == 0 {
        changed.truncate(offset);
    } else {
        changed[offset] ^= change;
    }
    let refused = Recording::read(&changed).expect_err("a recording that was changed is read");
    if change == 0 {
        assert!(matches!(refused, Unreadable::Cut(place, _) if place == offset), "cut at {offset}: {refused}");
    }
    Taken::Refused
}

/// Replays a good file whose records were changed or replaced, under right checksums.
fn change_records(input: &mut Input<'_>) -> Taken {
    let mut recording = Recording::read(base()).expect("a good recording");
    let number = input.below(recording.segments.len());
    let mut segment = Segment::clone(&recording.segments[number]);
    if input.byte().is_multiple_of(2) {
        segment.records = input.rest().to_vec();
    } else {
        while !input.is_empty() && !segment.records.is_empty() {
            let place = input.below(segment.records.len());
            let end = segment.records.len().min(place + usize::from(input.byte() % 8));
            let count = usize::from(input.byte() % 8);
            segment.records.splice(place..end, input.take(count).iter().copied());
        }
    }
    recording.segments[number] = Arc::new(segment);
    let read = Recording::read(&written(&recording)).expect("its checksums fit");
    Taken::of(replay_agrees(&read).is_some())
}

/// A small good file.
fn base() -> &'static [u8] {
    static BASE: OnceLock<Vec<u8>> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut flight = Flight::begin(1);
        let link = LinkId { peer: NodeId(2), path: PATHS[0] };
        for step in 0..24_u64 {
            flight.now = flight.now + Duration::from_millis(17);
            flight.give(Event::Tick);
            flight.give(Event::Datagram { link, bytes: &super::pulse::datagram(1) });
            let pulse = flight.pulses.pop();
            if let Some((link, bytes)) = pulse.filter(|_| step < 12) {
                flight.give(Event::Datagram { link, bytes: &bytes });
            }
            if step == 11 {
                flight.cut();
            }
        }
        written(&flight.land())
    })
}

/// Records an engine under the events of the input, and checks file and replay.
fn fly(input: &mut Input<'_>) -> Taken {
    let mut flight = Flight::begin(input.byte());
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        flight.now = flight.now + Duration::from_millis(u64::from(input.byte()));
        flight.step(input);
    }
    let recording = flight.land();
    let bytes = written(&recording);
    let read = Recording::read(&bytes).expect("what was written is read");
    assert_eq!(written(&read), bytes, "what was read is written again");
    assert_eq!(read.header, recording.header);
    assert_eq!(replay_agrees(&read), Some(true), "the replay decides what was decided in flight");
    Taken::Accepted
}

/// An engine that is recorded, its peer, and what travels between them.
struct Flight {
    now: MonoTime,
    begun: MonoTime,
    ours: Node,
    peer: Node,
    recorder: Recorder,
    ring: Ring,
    /// Datagrams that the peer has sent and our engine has not received.
    pulses: Vec<(LinkId, Vec<u8>)>,
    /// The hook that our engine wanted last.
    hook: Option<Wanted>,
}

impl Flight {
    /// A flight of the pair that [`Rig::get`] has for `choice`.
    fn begin(choice: u8) -> Flight {
        let Rig { now, mut ours, peer } = Rig::get(choice);
        let (mut recorder, tape) = queue();
        recorder.end_turn(now, ours.engine());
        Flight { now, begun: now, ours, peer, recorder, ring: Ring::new(tape), pulses: Vec::new(), hook: None }
    }

    /// Gives the engine the next event of the input.
    fn step(&mut self, input: &mut Input<'_>) {
        let (kind, choice) = (input.byte(), input.byte());
        let link = LinkId { peer: NodeId(2), path: PATHS[usize::from(choice) % 3] };
        match kind % 8 {
            0 => self.give(Event::Tick),
            1 => self.give(Event::Command { id: u64::from(choice), command: draw_command(choice) }),
            2 => match kind >> 3 & 3 {
                0 => self.give(Event::Refused { link }),
                1 => self.give(draw_health(choice, choice.rotate_left(3))),
                2 => self.give(draw_lacks(choice, choice.rotate_left(3))),
                _ => self.give(draw_hook_end(self.hook, choice, u64::from(choice))),
            },
            3 => {
                let mac = MacAddr([2, 0, 0, 0, 0, choice % 4]);
                let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 98 + choice % 8));
                let nameless = (choice & 16 != 0).then_some(mac);
                let claims = Sighting::Claim { address, mac, nameless };
                let sighting = if choice < 0x80 { claims } else { Sighting::Presence { mac } };
                self.give(Event::Seen { interface: ETH, sighting });
            }
            4 => {
                let length = input.below(MAX_DATAGRAM + 2);
                let noise = input.take(length).to_vec();
                self.give(Event::Datagram { link, bytes: &noise });
            }
            5 => {
                let (mut header, rows) = draw(input);
                (header.sender, header.receiver) = (NodeId(choice % 4 + 1), NodeId(choice / 4 % 4 + 1));
                let mut datagram = Vec::new();
                if header.sender != header.receiver {
                    encode(&ring(), &header, rows.into_iter(), &mut datagram);
                }
                self.give(Event::Datagram { link, bytes: &datagram });
            }
            6 => self.cut(),
            _ => {
                if let Some((link, bytes)) = self.pulses.pop() {
                    self.give(Event::Datagram { link, bytes: &bytes });
                }
            }
        }
    }

    /// Gives the engine an event and records both; does the write that the engine asks for, and
    /// keeps at most eight answers of the peer in `pulses`.
    fn give(&mut self, event: Event<'_>) {
        let now = self.now;
        let mut out = Actions::default();
        let engine = self.ours.engine();
        engine.handle(now, event, &mut out);
        self.recorder.note(now, event, engine.rejects().unopened(), &out.list);
        self.ours.out = out;
        self.hook = self.ours.hooks().last().or(self.hook);
        if let Some((version, _)) = self.ours.persist() {
            let mut more = Actions::default();
            let (engine, event) = (self.ours.engine(), Event::Stored { version });
            engine.handle(now, event, &mut more);
            self.recorder.note(now, event, engine.rejects().unopened(), &more.list);
        }
        let engine = self.ours.engine().clone();
        self.recorder.end_turn(now, &engine);
        for (link, bytes) in self.ours.datagrams(NodeId(1)) {
            self.peer.handle(now, Event::Datagram { link, bytes: &bytes });
            self.pulses.extend(self.peer.datagrams(NodeId(2)));
        }
        self.peer.handle(now, Event::Tick);
        self.pulses.extend(self.peer.datagrams(NodeId(2)));
        self.pulses.truncate(8);
        self.drain();
    }

    /// Ends the segment and begins another.
    fn cut(&mut self) {
        self.recorder.want_segment();
        let engine = self.ours.engine().clone();
        self.recorder.end_turn(self.now, &engine);
        self.drain();
    }

    /// Moves what is on the recorder's tape to the ring.
    fn drain(&mut self) {
        let begun = self.begun;
        let wall = |now: MonoTime| WallTime(u64::try_from(now.since(begun).as_millis()).expect("short"));
        let _long_enough = self.ring.drain(self.now, wall);
    }

    /// The recording of the whole flight.
    fn land(mut self) -> Recording {
        self.cut();
        let book = Book {
            me: Some(NodeId(1)),
            nodes: vec![("alpha".into(), Vec::new()), ("beta".into(), Vec::new())],
            interfaces: vec!["eth0".into()],
            groups: vec![(GroupKey(1), "web".into())],
        };
        let header = Header {
            version: "0".into(),
            engine: ENGINE.into(),
            node: "alpha".into(),
            cluster: "rig".into(),
            written: 0,
            reason: "asked".into(),
            book,
        };
        Recording { header, segments: self.ring.segments() }
    }
}

/// Flights of each pair, and changes of a good file of each kind.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let fly = |rig: u8, steps: &[[u8; 3]]| [&[0, rig], steps.concat().as_slice()].concat();
    let quiet = [[50, 0, 0], [0, 7, 0], [0, 7, 0]].repeat(8);
    let silence = [[50, 0, 0], [20, 3, 200], [5, 2, 1]].repeat(8);
    let orders = [[50, 1, 0], [50, 7, 0], [9, 6, 0], [50, 1, 2], [50, 7, 0], [9, 3, 3]].repeat(3);
    let services = [[50, 10, 2], [9, 7, 0], [50, 10, 3], [9, 7, 0], [50, 18, 0], [9, 7, 0]].repeat(4);
    let prepared = [[200, 0, 0], [200, 0, 0], [100, 18, 0], [9, 7, 0], [50, 18, 0x18]].repeat(4);
    vec![
        ("quiet-active", fly(0, &quiet)),
        ("takeover", fly(1, &silence)),
        ("orders", fly(0, &orders)),
        ("just-started", fly(2, &quiet)),
        ("services", fly(0, &services)),
        ("prepared-takeover", fly(1, &prepared)),
        ("unopened", [fly(0, &quiet[..6]), vec![1, 4, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]].concat()),
        ("changed-header", vec![1, 0, 0, 0, 30, 0x41]),
        ("changed-snapshot", vec![1, 0, 0, 4, 0, 0x80]),
        ("cut", vec![1, 0, 0, 1, 0, 0]),
        ("no-records", vec![2, 0, 0, 0]),
        ("tick-records", vec![2, 0, 0, 0, 1, 10, 1, 10, 1, 0xff, 0xff, 3]),
        ("changed-records", vec![2, 0, 1, 1, 0, 40, 2, 3, 7, 8, 9, 0, 90, 1, 0]),
        ("magic", [&[3], &b"vipairF\n\0\0\0\x01\x01\0\0\0\x04abcd"[..]].concat()),
        ("nothing", Vec::new()),
    ]
}
