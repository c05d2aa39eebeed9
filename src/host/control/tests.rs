//! Tests of the control socket's language and of its client, without an agent.

use super::client::{Client, ClientError};
use super::protocol::*;
use crate::config::KeyPrint;
use proptest::prelude::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

#[test]
fn requests_are_what_operators_can_type_into_a_socket() {
    let pairs = [
        (r#"{"command":"status"}"#, Request::Status),
        (r#"{"command":"switch","group":"web"}"#, Request::Switch { group: "web".to_owned() }),
        (r#"{"command":"pause","group":"web"}"#, Request::Pause { group: "web".to_owned() }),
        (r#"{"command":"resume","group":"web"}"#, Request::Resume { group: "web".to_owned() }),
        (r#"{"command":"events","follow":true}"#, Request::Events { follow: true }),
    ];
    for (text, request) in pairs {
        assert_eq!(decode_request(text.as_bytes()).expect("it is right"), request);
        assert_eq!(encode(&request, MAX_REQUEST_BYTES).expect("it is short"), format!("{text}\n").as_bytes());
    }
    let short = decode_request(br#"{"command":"events"}"#).expect("follow has a default");
    assert_eq!(short, Request::Events { follow: false });
}

#[test]
fn what_is_no_request_is_refused_with_a_reason() {
    for wrong in ["", "status", "{}", r#"{"command":"open"}"#, r#"{"command":"switch"}"#, "[1]", "{\"command\":5}"] {
        let error = decode_request(wrong.as_bytes()).expect_err("it is wrong").to_string();
        assert!(error.starts_with("not understood: "), "{error}");
    }
}

/// An event with this sentence for people, and a detail.
fn event(text: &str) -> Event {
    Event {
        time: rfc3339(Duration::from_secs(1)),
        sequence: 1,
        severity: Severity::Info,
        kind: "start".to_owned(),
        group: None,
        text: text.to_owned(),
        fields: [("epoch".to_owned(), "1.1".to_owned())].into(),
    }
}

#[test]
fn every_response_is_decoded_as_it_was_encoded() {
    let report = StatusReport {
        groups: vec![GroupStatus { name: "web".to_owned(), ..GroupStatus::default() }],
        links: vec![LinkStatus { last_heard_ms: Some(1.5), ..LinkStatus::default() }],
        ..StatusReport::default()
    };
    for response in [
        Response::Status(Box::new(report)),
        Response::Outcome(Outcome { ok: true, message: "beta is active".to_owned() }),
        Response::Event(event("line\nbreak and \"quotes\"")),
        Response::Running(Box::new(Running {
            file: "/etc/vipair/vipair.toml".to_owned(),
            node: "alpha".to_owned(),
            named: false,
            text: "cluster = \"web\"\n# \u{e4}\n".to_owned(),
            keys: vec![KeyPrint { id: 1, print: "0123456789abcdef".to_owned() }],
        })),
        Response::Recorded { path: "/var/lib/vipair/flight/1".to_owned() },
        Response::End,
    ] {
        let line = encode(&response, MAX_RESPONSE_BYTES).expect("it is short");
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one message is one line");
        assert_eq!(decode_response(&line).expect("it is right"), response);
    }
}

#[test]
fn fields_of_a_later_version_are_ignored() {
    let line = br#"{"response":"outcome","ok":true,"message":"done","colour":"blue"}"#;
    assert!(matches!(decode_response(line), Ok(Response::Outcome(Outcome { ok: true, .. }))));
}

#[test]
fn the_largest_status_fits_the_bound() {
    let long = "x".repeat(64);
    let group = GroupStatus {
        name: long.clone(),
        peer: long.clone(),
        active: Some(long.clone()),
        reason: long.repeat(4),
        addresses: vec!["2001:0db8:0000:0000:0000:0000:0000:0001".to_owned(); MAX_SHOWN_ADDRESSES],
        counters: (0..40).map(|n| (format!("a_counter_with_a_name_{n}"), u64::MAX)).collect(),
        ..GroupStatus::default()
    };
    let report = StatusReport { groups: vec![group; 1024], ..StatusReport::default() };
    let line = encode(&Response::Status(Box::new(report)), MAX_RESPONSE_BYTES).expect("1,024 groups fit");
    assert!(line.len() > 1_000_000, "the test is about a large one: {}", line.len());
}

#[test]
fn a_message_beyond_the_bound_is_not_sent() {
    let request = Request::Switch { group: "x".repeat(MAX_REQUEST_BYTES) };
    assert!(matches!(encode(&request, MAX_REQUEST_BYTES), Err(ProtocolError::TooLong(MAX_REQUEST_BYTES))));
}

#[test]
fn a_line_of_exactly_the_bound_passes_and_one_more_byte_does_not() {
    let mut lines = LineBuffer::new(4);
    lines.extend(b"abc\nde");
    assert_eq!(lines.next_line().expect("short"), Some(b"abc".to_vec()));
    assert_eq!(lines.next_line().expect("short"), None);
    lines.extend(b"f\nabcd\n");
    assert_eq!(lines.next_line().expect("short"), Some(b"def".to_vec()));
    assert!(matches!(lines.next_line(), Err(ProtocolError::TooLong(4))));
    let mut endless = LineBuffer::new(4);
    endless.extend(b"abcd");
    assert!(matches!(endless.next_line(), Err(ProtocolError::TooLong(4))), "no newline can come in time");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_come_out_as_they_went_in_however_they_are_cut(
        lines in prop::collection::vec("[a-z]{0,20}", 0..20),
        cuts in prop::collection::vec(1..30_usize, 1..40),
    ) {
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let mut buffer = LineBuffer::new(64);
        let (mut rest, mut found) = (text.as_bytes(), Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            buffer.extend(now);
            while let Some(line) = buffer.next_line().expect("no line is long") {
                found.push(String::from_utf8(line).expect("it was text"));
            }
            rest = later;
        }
        prop_assert_eq!(found, lines);
    }

    #[test]
    fn random_lines_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _either = decode_request(&bytes);
        let _either = decode_response(&bytes);
    }
}

#[test]
fn wall_time_is_written_as_calendars_have_it() {
    // Each as `date -u -d @N +%FT%T` says.
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399, "2000-02-28T23:59:59.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (951_868_800, "2000-03-01T00:00:00.000Z"),
        (1_735_689_599, "2024-12-31T23:59:59.000Z"),
        (1_735_689_600, "2025-01-01T00:00:00.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(rfc3339(Duration::from_secs(seconds)), expected);
    }
    assert_eq!(rfc3339(Duration::from_millis(1_999)), "1970-01-01T00:00:01.999Z");
    assert!(rfc3339(Duration::MAX).starts_with("9999-12-31T"));
}

#[test]
fn an_agent_that_hangs_is_not_waited_for_for_ever() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("s");
    let _listener = UnixListener::bind(&path).expect("it can listen, and never accepts");
    let mut client = Client::connect(&path).expect("the kernel queues it");
    let error = client.ask(&Request::Status).expect_err("nobody answers");
    assert!(matches!(error, ClientError::Timeout), "{error}");
}

/// A fake agent on a thread of its own: a listener that takes one line from the first connection,
/// answers with `answer`, and closes it. Returns the directory of the socket, which must be kept,
/// the socket's path, and the thread, whose result is the line.
fn agent_that_says(answer: Vec<u8>) -> (tempfile::TempDir, std::path::PathBuf, std::thread::JoinHandle<Vec<u8>>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).expect("it can listen");
    let agent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client comes");
        let mut request = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte).expect("it can be read") == 1 && byte[0] != b'\n' {
            request.push(byte[0]);
        }
        stream.write_all(&answer).expect("the client reads");
        request
    });
    (directory, path, agent)
}

#[test]
fn a_client_asks_and_gets_the_answer() {
    let (_directory, path, agent) =
        agent_that_says(b"{\"response\":\"outcome\",\"ok\":false,\"message\":\"no\"}\n".into());
    let answer = Client::connect(&path).expect("it listens").ask(&Request::Status).expect("it answers");
    assert_eq!(answer, Response::Outcome(Outcome { ok: false, message: "no".to_owned() }));
    let line = agent.join().expect("it ended well");
    assert_eq!(super::protocol::decode_request(&line).expect("a request"), Request::Status);
    let (until, now) = (super::protocol::decode_deadline(&line).expect("it tells"), crate::io::clock::now());
    assert!(until > now && until < now + super::client::ANSWER_TIMEOUT, "before the client gives up: {until:?}");
    assert_eq!(super::protocol::decode_deadline(br#"{"command":"status"}"#), None, "older clients tell nothing");
}

#[test]
fn a_client_is_told_what_is_wrong_with_the_agent() {
    let missing = Client::connect(std::path::Path::new("/nonexistent/s")).expect_err("nobody listens");
    assert!(matches!(missing, ClientError::NotRunning { .. }), "{missing}");
    let long = std::path::PathBuf::from(format!("/run/{}", "s".repeat(103)));
    let told = "its path has 108 bytes, and that of a socket at most 107: name a shorter one";
    let error = Client::connect(&long).expect_err("no socket has this path").to_string();
    assert_eq!(error, format!("{}: {told}, with --socket", long.display()));
    assert_eq!(super::server::bind(&long).expect_err("no socket has this path").to_string(), told);
    for (answer, expected) in [
        (Vec::new(), "closed the connection before it answered"),
        (b"{\"response\":\"out".to_vec(), "closed the connection before it answered"),
        (b"hello\n".to_vec(), "may be of different versions"),
    ] {
        let (_directory, path, agent) = agent_that_says(answer);
        let error = Client::connect(&path).expect("it listens").ask(&Request::Status).expect_err("no answer");
        assert!(error.to_string().contains(expected), "{error}");
        agent.join().expect("it ended well");
    }
}

/// A server on a thread of its own that says "done" to every request but `events`, which it follows. The
/// directory of the socket must be kept.
fn serving() -> (tempfile::TempDir, std::path::PathBuf) {
    use super::server::{Answer, Call, bind, serve};
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("s");
    let (ready, made) = std::sync::mpsc::sync_channel(1);
    let at = path.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = bind(&at).expect("it can listen");
            ready.send(()).expect("the test waits");
            let (calls, mut arriving) = tokio::sync::mpsc::channel(8);
            let (events, _) = tokio::sync::broadcast::channel(1);
            let answer = async {
                while let Some(Call { request, answer, .. }) = arriving.recv().await {
                    let done = Response::Outcome(Outcome { ok: true, message: "done".to_owned() });
                    let said = match request {
                        Request::Events { .. } => Answer::Events(Vec::new(), Some(events.subscribe())),
                        _ => Answer::One(Box::new(done)),
                    };
                    drop(answer.send(said));
                }
            };
            tokio::join!(serve(listener, calls), answer);
        });
    });
    made.recv().expect("it listens");
    (directory, path)
}

// Whoever holds connections open keeps nobody from giving an order
#[test]
fn silent_clients_and_followers_leave_places_to_orders() {
    let (_directory, path) = serving();
    let ask = |request: &Request| Client::connect(&path).expect("it listens").ask(request).expect("an answer");
    let done = Response::Outcome(Outcome { ok: true, message: "done".to_owned() });
    let order = Request::Switch { group: "web".to_owned() };

    let follow = Request::Events { follow: true };
    let followers: Vec<Client> = (0..super::server::FOLLOWERS)
        .map(|_| {
            let mut client = Client::connect(&path).expect("it listens");
            client.send(&follow).expect("it reads");
            client
        })
        .collect();
    assert_eq!(ask(&order), done, "an order beside them");
    let Response::Outcome(refused) = ask(&follow) else { panic!("one follower too many") };
    assert!(!refused.ok && refused.message.contains("follow events already"), "{}", refused.message);
    drop(followers);

    let silent: Vec<Client> =
        (0..super::server::CONNECTIONS).map(|_| Client::connect(&path).expect("it listens")).collect();
    assert_eq!(ask(&order), done, "an order beside as many silent ones as there are places");
    drop(silent);
}
