//! Tests of bytes that are no recording: cut, changed, forged. All are refused.

use super::pair::{Pair, ms};
use super::{bytes, replayed};
use crate::flight::{Recording, Segment, Unreadable, replay};
use crate::timing::Profile;
use proptest::prelude::*;
use std::sync::Arc;

/// A recording of 60 ms of a settled pair.
fn short_recording() -> Recording {
    let mut pair = Pair::settled(Profile::Lan);
    pair.recording();
    pair.run(ms(60));
    let mut recording = pair.recording();
    recording.segments.drain(..1);
    recording
}

#[test]
fn every_cut_is_found() {
    let whole = bytes(&short_recording());
    assert!(Recording::read(&whole).is_ok());
    for length in 0..whole.len() {
        match Recording::read(&whole[..length]) {
            Err(Unreadable::Cut(offset, _)) => assert_eq!(offset, length),
            other => panic!("cut to {length} of {}: {other:?}", whole.len()),
        }
    }
}

#[test]
fn every_changed_byte_is_found_and_told_where() {
    let whole = bytes(&short_recording());
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 0x41;
        match Recording::read(&changed) {
            Err(Unreadable::Damaged(place, _)) => assert!(place <= index, "byte {index} is reported as {place}"),
            // A length that is longer than the file.
            Err(Unreadable::Cut(..)) => {}
            Err(Unreadable::Other) => assert!(index < 8),
            Err(Unreadable::Format(_)) => assert!((8..12).contains(&index)),
            other => panic!("byte {index}: {other:?}"),
        }
    }
    let more = [whole.as_slice(), b"more"].concat();
    assert!(matches!(Recording::read(&more), Err(Unreadable::Damaged(offset, _)) if offset == whole.len()));
}

#[test]
fn the_recording_of_another_engine_or_format_is_refused_in_clear_words() {
    let mut recording = short_recording();
    recording.header.engine = "0123456789abcdef".to_owned();
    recording.header.version = "7.8.9".to_owned();
    let text = Recording::read(&bytes(&recording)).unwrap_err().to_string();
    assert!(text.contains("7.8.9") && text.contains("0123456789abcdef"), "{text}");
    let mut whole = bytes(&short_recording());
    whole[11] = 2;
    let text = Recording::read(&whole).unwrap_err().to_string();
    assert!(text.contains("format 2"), "{text}");
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    let mut recording = short_recording();
    for cut in 0..recording.segments[0].snapshot.len() {
        let mut segment = Segment::clone(&recording.segments[0]);
        segment.snapshot.truncate(cut);
        let damaged = Recording { header: recording.header.clone(), segments: vec![Arc::new(segment)] };
        assert!(replay(&damaged, |_| {}).is_err(), "cut to {cut}");
    }
    let mut segment = Segment::clone(&recording.segments[0]);
    Arc::make_mut(&mut segment.setup).groups.clear();
    recording.segments = vec![Arc::new(segment)];
    assert!(replay(&recording, |_| {}).is_err());
}

proptest! {
    #[test]
    fn random_bytes_are_no_recording(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Recording::read(&tail).is_err());
        let framed = [b"vipairF\n\0\0\0\x01".as_slice(), &tail].concat();
        prop_assert!(Recording::read(&framed).is_err());
    }
}

/// An intruder who can write files can make checksums fit.
#[test]
fn records_that_make_no_sense_end_the_replay_and_no_more() {
    let recording = short_recording();
    let (comparison, _) = replayed(&recording);
    assert!(comparison.agrees());
    let records = &recording.segments[0].records;
    let mut refused = 0;
    for at in 0..records.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut segment = Segment::clone(&recording.segments[0]);
            segment.records[at] ^= flip;
            let changed = Recording { header: recording.header.clone(), segments: vec![Arc::new(segment)] };
            refused += usize::from(replay(&changed, |_| {}).is_err());
        }
    }
    assert!(refused > 0, "of {} changed bytes", records.len());
}
