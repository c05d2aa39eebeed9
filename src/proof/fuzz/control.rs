//! The control socket's language: the lines in a stream, and the requests and responses in lines.
//!
//! - However the stream is cut into reads, the same lines come out as when it is split at its
//!   newlines, until one is too long; the buffer never holds more than a line's bound and one read.
//! - What is understood is the same when it is written and read again, in the same bytes. What is
//!   not is answered with an error that fits a response.
//! - Reading a line takes memory in proportion to its length.

use super::Taken;
use super::input::Input;
use crate::control::protocol::{
    LineBuffer, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Outcome, ProtocolError, Response, decode_request,
    decode_response, encode,
};
use serde::Serialize;
use std::fmt::Debug;
use vipair_host::testing::measured;

/// Bytes of memory for each byte of a line: the parser keeps an element of an array that it will
/// ignore as a value of 32 bytes, in a list that doubles as it grows.
const PER_BYTE: u64 = 128;
/// Bytes of memory for a line of no length: tables for a status, an error's text.
const AT_LEAST: u64 = 8 << 10;

/// Checks one input: `bytes` are a stream that is cut into reads, and again one line, read as a
/// request and as a response. Accepted: the line was understood as either.
pub(super) fn run(bytes: &[u8]) -> Taken {
    check_lines(&mut Input::new(bytes));
    let request = check_line(bytes, MAX_REQUEST_BYTES, decode_request);
    let response = check_line(bytes, MAX_RESPONSE_BYTES, decode_response);
    Taken::of(request || response)
}

/// Checks one line of requests or responses, by `decode`; true if the line is understood. A line of
/// `limit` bytes or more may be refused with more words than a response has room for.
fn check_line<T: Serialize + PartialEq + Debug>(
    line: &[u8],
    limit: usize,
    decode: fn(&[u8]) -> Result<T, ProtocolError>,
) -> bool {
    let (decoded, usage) = measured(|| decode(line));
    let length = u64::try_from(line.len()).expect("64 bits");
    assert!(usage.peak <= AT_LEAST + PER_BYTE * length, "{} bytes of memory for {length}", usage.peak);
    match &decoded {
        Ok(message) => {
            let written = encode(message, usize::MAX).expect("it can be written");
            let again = decode(&written[..written.len() - 1]).expect("what we write we read");
            assert_eq!(&again, message, "the same message");
            assert_eq!(encode(&again, usize::MAX).expect("it can be written"), written, "the same bytes");
            assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1, "one message is one line");
        }
        Err(error) => {
            let refusal = Response::Outcome(Outcome { ok: false, message: error.to_string() });
            let fits = line.len() >= limit || encode(&refusal, MAX_RESPONSE_BYTES).is_ok();
            assert!(fits, "the refusal is too long to be sent");
        }
    }
    decoded.is_ok()
}

/// Checks that a stream, however it is cut into reads, gives the lines between its newlines, until
/// a line is too long. The input's first byte is the bound of a line, eight more say how long the
/// reads are, and the rest is the stream.
fn check_lines(input: &mut Input<'_>) {
    let (limit, reads) = (usize::from(input.byte()) + 1, input.long());
    let stream = input.rest();
    let mut expected = Vec::new();
    let mut too_long = false;
    let mut lines = stream.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        too_long = line.len() >= limit;
        if too_long {
            break;
        }
        if lines.peek().is_some() {
            expected.push(line.to_vec());
        }
    }
    let mut buffer = LineBuffer::new(limit);
    let (mut found, mut rest, mut read) = (Vec::new(), stream, reads);
    let failed = loop {
        let ((), usage) = measured(|| {
            let (now, later) = rest.split_at(usize::try_from(read % 61 + 1).expect("small").min(rest.len()));
            (rest, read) = (later, read.rotate_left(7));
            buffer.extend(now);
        });
        assert!(usage.peak <= 4 * (256 + 61), "{} bytes for one read", usage.peak);
        match drain(&mut buffer, &mut found) {
            Ok(()) if rest.is_empty() => break false,
            Ok(()) => {}
            Err(()) => break true,
        }
    };
    assert_eq!(failed, too_long, "a line of {limit} bytes or more ends the conversation, nothing else does");
    assert_eq!(found, expected, "the lines of the stream");
    if failed {
        assert_eq!(drain(&mut buffer, &mut Vec::new()), Err(()), "and stays the end");
    }
}

/// Moves every whole line of a buffer to `found`; `Err` when a line is too long.
fn drain(buffer: &mut LineBuffer, found: &mut Vec<Vec<u8>>) -> Result<(), ()> {
    loop {
        match buffer.next_line() {
            Ok(Some(line)) => found.push(line),
            Ok(None) => return Ok(()),
            Err(ProtocolError::TooLong(_) | ProtocolError::Malformed(_)) => return Err(()),
        }
    }
}

/// Requests, responses and streams that are right, and some with one thing wrong.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let status = r#"{"response":"status","node":"alpha","cluster":"web","version":"0.1.0","uptime_ms":5,"timing":
        {"profile":"lan","pulse_ms":50.0,"silence_ms":180.0,"lease_ms":250.5},"groups":[{"name":"web","role":"active",
        "epoch":257,"peer":"beta","peer_role":"standby","ready":true,"reason":"","since":"","active":null,
        "interface":"eth0","address_count":1,"addresses":["10.0.0.100"],"counters":{"answered":1}}],"links":[{"peer":
        "beta","path":"0","local":"10.0.0.1","remote":"10.0.0.2","state":"up","last_heard_ms":1.25,"received":1,
        "sent":2,"rejected":0}],"differences":[],"warnings":["a"]}"#;
    let event = r#"{"response":"event","time":"1970-01-01T00:00:01.000Z","sequence":1,"severity":"info","kind":"start",
        "text":"line\nbreak","fields":{"epoch":"1.1"}}"#;
    let all = [
        ("status", r#"{"command":"status"}"#),
        ("switch", r#"{"command":"switch","group":"web"}"#),
        ("pause", r#"{"command":"pause","group":"\u0000\ud83d\ude00"}"#),
        ("resume", r#"{"group":"web","command":"resume"}"#),
        ("events", r#"{"command":"events","follow":true}"#),
        ("events-without-follow", r#"{"command":"events"}"#),
        ("unknown-command", r#"{"command":"open"}"#),
        ("key-of-a-later-version", r#"{"command":"status","colour":[1,{"a":null}]}"#),
        ("deep", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
        ("status-report", status),
        ("outcome", r#"{"response":"outcome","ok":true,"message":"done"}"#),
        ("event", event),
        ("end", r#"{"response":"end"}"#),
        ("lines", "\u{20}12345678one\ntwo\n\nthree"),
        ("a-line-too-long", "\u{4}12345678one\nfour-five"),
    ];
    all.into_iter().map(|(name, text)| (name, text.as_bytes().to_vec())).collect()
}
