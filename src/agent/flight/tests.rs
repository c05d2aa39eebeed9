//! Tests of the flight recorder from end to end: a pair of engines flies, the second one is
//! recorded, and the recording is written, read, replayed and told.

use super::pack::{Record, Unpacker};
use super::*;
use crate::engine::{Command, Event};
use crate::timing::{Profile, Timing};
use crate::types::{GroupId, LinkId, LinkPath, NodeId};
use pair::{Pair, group, ms, setup};
use std::sync::Arc;
use std::time::Duration;

mod cost;
mod files;
mod pair;

/// The recording as it is written to a file.
fn bytes(recording: &Recording) -> Vec<u8> {
    let mut bytes = Vec::new();
    recording.write(&mut bytes).unwrap();
    bytes
}

/// The recording after it was written to bytes and read from them.
fn read_again(recording: &Recording) -> Recording {
    let read = Recording::read(&bytes(recording)).unwrap();
    assert_eq!(read.header, recording.header);
    assert_eq!(read.segments.len(), recording.segments.len());
    read
}

/// The replay's comparison with the flight, and the lines of the brief story.
fn replayed(recording: &Recording) -> (Comparison, Vec<Line>) {
    let mut story = Story::new(&recording.header, Telling::Brief);
    let mut lines = Vec::new();
    let comparison = replay(recording, |step| lines.extend(story.report(step))).unwrap();
    lines.extend(story.finish(recording.segments.last().unwrap()));
    (comparison, lines)
}

/// The lines of a story and their grounds, a line each.
fn text_of(lines: &[Line]) -> String {
    lines.iter().flat_map(|line| std::iter::once(&line.text).chain(&line.because)).fold(
        String::new(),
        |mut text, it| {
            text.push_str(it);
            text.push('\n');
            text
        },
    )
}

#[test]
fn a_replayed_takeover_is_the_flown_one_and_says_what_it_rests_on() {
    let mut pair = Pair::settled(Profile::Lan);
    pair.run(Duration::from_secs(2));
    pair.engines[0] = None;
    pair.run(Duration::from_secs(1));
    let recording = read_again(&pair.recording());
    let (comparison, lines) = replayed(&recording);
    assert!(comparison.agrees(), "{:#?}", comparison.partings);
    assert_eq!(comparison.decisions, pair.decisions.len() as u64);
    assert_eq!((comparison.snapshots, comparison.expected_snapshots), (1, 1));
    assert!(pair.decisions.iter().any(|it| matches!(it, Decision::Gate(crate::engine::GateAction::Open { .. }))));
    let text = text_of(&lines);
    for part in [
        "the agent has just started",
        "alpha says of web: active",
        "asks the peer on every link",
        "web: standby → active",
        "link 0 to alpha: last heard 1",
        "questions to the peer, none answered",
        "probes for the address, none answered",
        "the clients' segment is alive",
        "our claim of epoch",
        "gate: web opens with epoch",
        "pulses heard on link 1 to alpha",
    ] {
        assert!(text.contains(part), "\"{part}\" is not told:\n{text}");
    }
    let takeover = lines.iter().find(|line| line.text.contains("standby → active")).unwrap();
    assert_eq!(crate::io::clock::WallTime(takeover.wall).to_string()[..17], *"2026-03-01T00:00:");
}

#[test]
fn an_engine_that_decides_otherwise_is_found() {
    let mut pair = Pair::settled(Profile::Lan);
    pair.engines[0] = None;
    pair.run(Duration::from_secs(1));
    let mut recording = read_again(&pair.recording());
    for segment in &mut recording.segments {
        let mut other = Segment::clone(segment);
        Arc::make_mut(&mut other.setup).timing.silence = ms(300);
        *segment = Arc::new(other);
    }
    let (comparison, _) = replayed(&recording);
    assert!(!comparison.agrees());
}

#[test]
fn a_state_that_differs_from_the_next_snapshot_is_found() {
    let mut pair = Pair::settled(Profile::Lan);
    pair.run(Duration::from_secs(61));
    let mut recording = read_again(&pair.recording());
    let count = recording.segments.len();
    assert!(count >= 2);
    // One tick more or less changes nothing but the time of the last event.
    let mut first = Segment::clone(&recording.segments[0]);
    let mut last_tick = 0;
    let mut records = Unpacker::new(&first.records, first.span.begin);
    let mut offset = 0;
    while let Some((_, record)) = records.next().unwrap() {
        if matches!(record, Record::Tick) {
            last_tick = offset;
        }
        offset = records.position();
    }
    first.records.truncate(last_tick);
    recording.segments[0] = Arc::new(first);
    let (comparison, _) = replayed(&recording);
    assert_eq!(comparison.partings.len(), 1, "{:?}", comparison.partings);
    assert_eq!(comparison.snapshots + 1, comparison.expected_snapshots);
}

#[test]
fn garbage_commands_and_another_configuration_are_replayed_alike() {
    let mut pair = Pair::settled(Profile::Lan);
    let link = LinkId { peer: NodeId(1), path: LinkPath::Udp(0) };
    let known = pair.tags.len();
    for length in [0, 3, 35, 36, 126, 1200, 1201, 2048] {
        let mut garbage = vec![0; length];
        pair.handle(1, Event::Datagram { link, bytes: &garbage });
        if let Some(cluster) = garbage.get_mut(8..12) {
            cluster.copy_from_slice(&setup(1, Timing::of(Profile::Lan)).cluster.to_be_bytes());
        }
        // Our first bytes without a key of ours; then an unknown key number; then another version.
        for first in [[0x76, 0xa9, 3, 3], [0x76, 0xa9, 3, 77], [0x76, 0xa9, 9, 3]] {
            let count = length.min(4);
            garbage[..count].copy_from_slice(&first[..count]);
            pair.handle(1, Event::Datagram { link, bytes: &garbage });
        }
    }
    assert_eq!(pair.tags.len(), known + 32);
    pair.handle(1, Event::Refused { link });
    pair.handle(1, Event::Command { id: 7, command: Command::Pause(GroupId(0)) });
    pair.run(ms(500));
    pair.handle(1, Event::Command { id: 8, command: Command::Resume(GroupId(0)) });
    pair.reconfigure(vec![group(1), group(0)]);
    pair.place_addresses(1);
    pair.run(Duration::from_secs(1));
    let rejects = *pair.engines[1].as_ref().unwrap().rejects();
    let counts = [rejects.too_short, rejects.too_long, rejects.magic, rejects.version, rejects.key_id, rejects.tag];
    assert!(counts.iter().all(|count| *count > 0), "{rejects:?}");
    let recording = read_again(&pair.recording());
    let (comparison, lines) = replayed(&recording);
    assert!(comparison.agrees(), "{:#?}", comparison.partings);
    assert_eq!(comparison.decisions, pair.decisions.len() as u64);
    assert!(comparison.snapshots >= 2, "{comparison:?}");
    let text = text_of(&lines);
    for part in ["operator: pause web", "another configuration was taken over", "datagrams turned away"] {
        assert!(text.contains(part), "\"{part}\" is not told:\n{text}");
    }
}

#[test]
fn a_full_queue_leaves_a_gap_that_is_told_and_nothing_else() {
    let mut pair = Pair::settled(Profile::Fast);
    pair.drain();
    pair.drains = false;
    // The slow side takes no records for longer than the queue holds.
    pair.run(Duration::from_secs(30));
    pair.drains = true;
    pair.drain();
    pair.engines[0] = None;
    pair.run(Duration::from_secs(1));
    let recording = read_again(&pair.recording());
    let cut: Vec<bool> = recording.segments.iter().map(|segment| segment.span.cut).collect();
    assert_eq!(cut, [true, false, false]);
    assert_eq!(recording.segments[1].span.start, Start::Gap);
    let lost = recording.segments[1].span.begin.since(recording.segments[0].span.end);
    assert!(lost > Duration::from_secs(5), "only {lost:?} are missing");
    let (comparison, lines) = replayed(&recording);
    assert!(comparison.agrees(), "{:#?}", comparison.partings);
    assert_eq!((comparison.snapshots, comparison.expected_snapshots), (1, 1));
    let text = text_of(&lines);
    assert!(text.contains("records are missing from here on"), "{text}");
    assert!(text.contains("goes on after a gap"), "{text}");
    assert!(text.contains("standby → active"), "{text}");
}

#[test]
fn the_ring_keeps_the_last_minutes_in_bounded_space() {
    let mut pair = Pair::settled(Profile::Fast);
    pair.run(Duration::from_secs(420));
    let segments = pair.ring.segments();
    let size: usize = segments.iter().map(|segment| segment.snapshot.len() + segment.records.len()).sum();
    assert!(size <= (2 << 20) + (256 << 10), "{size} bytes");
    let first = segments.first().unwrap().span;
    let kept = pair.now.since(first.begin);
    assert!(
        kept >= Duration::from_secs(240) && kept <= Duration::from_secs(370),
        "{kept:?} are kept in {size} bytes"
    );
    let recording = pair.recording();
    let (comparison, _) = replayed(&recording);
    assert!(comparison.agrees(), "{:#?}", comparison.partings);
    assert_eq!(comparison.snapshots + 1, recording.segments.len());
}

#[test]
fn no_key_no_tag_and_no_seed_is_in_a_recording() {
    let mut pair = Pair::settled(Profile::Lan);
    pair.reconfigure(vec![group(0), group(1)]);
    pair.run(ms(500));
    let file = bytes(&pair.recording());
    let has = |secret: &[u8]| file.windows(8).any(|window| secret.windows(8).any(|part| part == window));
    assert!(has(b"beta\x04test"), "the search finds what is there");
    assert!(!has(&pair::KEY) && !has(&pair::SEED));
    assert!(pair.tags.len() > 20);
    assert!(pair.tags.iter().filter(|tag| tag.len() == 32).all(|tag| !has(tag)), "a tag is in the file");
}
