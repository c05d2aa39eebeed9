//! The agent's side of the control socket, over a real one, against a client that sends anything in
//! any pieces.
//!
//! Every line is answered with one response, in order, until the client ends or a line is too long.
//! A line that is too long is answered, too, and is the last. Nothing that the client sends keeps
//! the server.

use super::Taken;
use super::input::Input;
use crate::control::protocol::{LineBuffer, decode_request};
use crate::control::protocol::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Outcome, Request, Response, decode_response};
use crate::control::server::{Answer, Call, converse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc};

/// The agent's answer to a request that it understood.
const DONE: &str = "done";

/// Checks one input: eight bytes say into which pieces the client cuts its stream, one whether the
/// stream is repeated, and the rest is the stream. Accepted: at least one line was understood.
pub(super) fn run(bytes: &[u8]) -> Taken {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    let mut input = Input::new(bytes);
    let (pieces, repeat) = (input.long(), usize::from(input.byte() % 16 == 15) * 40 + 1);
    // Repeated, an input makes a line beyond the bound, or many lines.
    let stream = input.rest().repeat(repeat);
    let responses = RUNTIME.with(|runtime| runtime.block_on(conversation(&stream, pieces)));
    check(&stream, &responses)
}

/// Checks that `responses` are one answer to each line of the stream, in order. Accepted: at least
/// one line was to be understood.
fn check(stream: &[u8], responses: &[Response]) -> Taken {
    let mut expected = Vec::new();
    let mut lines = stream.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        if line.len() >= MAX_REQUEST_BYTES {
            expected.push(false);
            break;
        }
        if lines.peek().is_some() {
            expected.push(decode_request(line).is_ok());
        }
    }
    let answered: Vec<bool> = responses.iter().map(is_done).collect();
    assert_eq!(answered, expected, "one answer to each line");
    Taken::of(expected.contains(&true))
}

/// Whether a response says that a request was understood. Responses that nothing here sends panic.
fn is_done(response: &Response) -> bool {
    match response {
        Response::Outcome(outcome) => outcome.ok,
        Response::End => true,
        Response::Status(_) | Response::Recorded { .. } | Response::Running(_) | Response::Event(_) => {
            panic!("nobody said {response:?}")
        }
    }
}

/// Plays the client of one conversation: sends a stream in pieces, whose sizes in bytes come from
/// `pieces`, and returns every response.
async fn conversation(stream: &[u8], pieces: u64) -> Vec<Response> {
    let (client, agent) = UnixStream::pair().expect("two sockets");
    let (calls, asked) = mpsc::channel(1);
    let (mut read, write) = client.into_split();
    let talk = async {
        let mut write = write;
        let mut rest = stream;
        let mut size = pieces;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(usize::try_from(size % 8191 + 1).expect("small").min(rest.len()));
            (rest, size) = (later, size.rotate_left(13));
            // After a line that is too long the agent is gone.
            if write.write_all(now).await.is_err() {
                break;
            }
        }
    };
    let listen = async {
        let mut lines = LineBuffer::new(MAX_RESPONSE_BYTES);
        let mut responses = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = read.read(&mut buffer).await {
            lines.extend(&buffer[..length]);
            while let Some(line) = lines.next_line().expect("responses are short") {
                responses.push(decode_response(&line).expect("the agent's own words"));
            }
        }
        responses
    };
    let places = Semaphore::new(1);
    let (_ended, (), (), responses) = tokio::join!(converse(agent, calls, &places), answer(asked), talk, listen);
    responses
}

/// Answers calls in place of the slow side of the agent.
async fn answer(mut calls: mpsc::Receiver<Call>) {
    while let Some(Call { request, answer, .. }) = calls.recv().await {
        let done = Response::Outcome(Outcome { ok: true, message: DONE.to_owned() });
        let said = match request {
            Request::Events { .. } => Answer::Events(Vec::new(), None),
            Request::Status
            | Request::Record
            | Request::Running
            | Request::Reload
            | Request::Leave
            | Request::Switch { .. }
            | Request::Pause { .. }
            | Request::Resume { .. } => Answer::One(Box::new(done)),
        };
        // A client that is gone waits for nothing.
        let _unheard = answer.send(said);
    }
}

/// Streams of requests, whole, in small pieces, cut off, and with a line that is too long.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    // Written forty-one times, a line beyond the bound of 64 KiB.
    let long = "x".repeat(1700);
    let pieces = |size: u8| vec![0, 0, 0, 0, 0, 0, size, size];
    let all: [(&str, Vec<u8>, u8, &str); 7] = [
        ("status", pieces(0), 0, "{\"command\":\"status\"}\n"),
        ("in-small-pieces", pieces(1), 0, "{\"command\":\"switch\",\"group\":\"web\"}\n{}\n"),
        ("two-at-once", pieces(9), 0, "{\"command\":\"events\"}\n{\"command\":\"status\"}\n"),
        ("nonsense", pieces(3), 0, "\n\nhello\n[1]\n"),
        ("no-newline", pieces(9), 0, "{\"command\":\"status\"}"),
        ("many", pieces(7), 15, "{\"command\":\"status\"}\n"),
        ("too-long", pieces(9), 15, &long),
    ];
    let seed = |(name, pieces, repeat, text): (_, Vec<u8>, u8, &str)| {
        (name, [&pieces[..], &[repeat], text.as_bytes()].concat())
    };
    all.into_iter().map(seed).collect()
}
