//! A client that writes numbers into a database, one after the other, and remembers those
//! acknowledged.
//!
//! Owns: a thread, and one client program at a time in the clients' namespace (`psql`,
//! `redis-cli`), to which it gives a line for each number. A client program that answers too late,
//! or wrongly, is ended and another one started, as an application reconnects. Never does: writing
//! a number twice, so a number that is there twice or missing is the database's doing.

use super::socket::become_real_time;
use crate::lab::clock::now;
use crate::lab::{Lab, Port};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use vipair::types::MonoTime;

/// The words of a database: how a number is written, and how the answer is read.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// Client program and its arguments.
    pub command: &'static [&'static str],
    /// Command that writes a number.
    pub line: fn(u64) -> String,
    /// Number of lines in an answer.
    pub answers: usize,
    /// Reads the last line of the answer to a number.
    pub read: fn(&str, u64) -> Receipt,
}

/// What an answer acknowledges of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// Nothing: the answer is a refusal, or to something else.
    Nothing,
    /// The number is on the server.
    Taken,
    /// The number is on both servers.
    Copied,
}

/// A number that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// The number, from 1.
    pub number: u64,
    /// When the answer came.
    pub at: MonoTime,
    /// What the answer acknowledges.
    pub receipt: Receipt,
}

/// Longest wait for a line of an answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Time between two numbers, so that the test's disk is not what is measured.
const PACE: Duration = Duration::from_millis(5);

/// The running client.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Written>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts to write 1, 2, 3 and so on.
    pub fn start(lab: &Lab, language: Language) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (ended, list, door) = (stop.clone(), acknowledged.clone(), lab.host(Port::Client).door());
        let thread = std::thread::spawn(move || {
            door.enter();
            let mut client = None;
            for number in 1.. {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let mut connected = client.take().unwrap_or_else(|| Client::start(language));
                let receipt = connected.write_number(language, number);
                if receipt != Receipt::Nothing {
                    let written = Written { number, at: now(), receipt };
                    list.lock().unwrap_or_else(PoisonError::into_inner).push(written);
                    client = Some(connected);
                }
                std::thread::sleep(PACE);
            }
        });
        Writer { stop, acknowledged, thread: Some(thread) }
    }

    /// The numbers acknowledged so far, in order.
    pub fn acknowledged(&self) -> Vec<Written> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops writing; returns the numbers acknowledged, in order.
    pub fn finish(mut self) -> Vec<Written> {
        self.stop_thread();
        self.acknowledged()
    }

    /// Lets the thread write no more numbers, and waits until it has ended.
    fn stop_thread(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by itself, and shows as numbers that are missing.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop_thread();
    }
}

/// The longest time between two acknowledgements.
pub fn longest_gap(acknowledged: &[Written]) -> Duration {
    acknowledged.windows(2).map(|pair| pair[1].at.since(pair[0].at)).max().unwrap_or_default()
}

/// The running client program.
struct Client {
    child: Child,
    input: ChildStdin,
    /// Lines that the program has printed.
    lines: Receiver<String>,
}

impl Client {
    /// Starts the client program, and a thread that reads its lines.
    fn start(language: Language) -> Client {
        let mut child = Command::new(language.command[0])
            .args(&language.command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("start {:?}: {e}", language.command));
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        // At the bound the reader waits; no answer has so many lines.
        let (tell, lines) = sync_channel(64);
        // This thread ends with the client program's output.
        std::thread::spawn(move || {
            become_real_time();
            BufReader::new(output).lines().map_while(Result::ok).all(|line| tell.send(line).is_ok())
        });
        Client { child, input, lines }
    }

    /// Writes a number and returns what the answer acknowledges.
    fn write_number(&mut self, language: Language, number: u64) -> Receipt {
        let line = (language.line)(number) + "\n";
        if self.input.write_all(line.as_bytes()).and_then(|()| self.input.flush()).is_err() {
            return Receipt::Nothing;
        }
        let answers: Option<Vec<String>> =
            (0..language.answers).map(|_| self.lines.recv_timeout(LIMIT).ok()).collect();
        let last = answers.and_then(|mut answers| answers.pop());
        last.map_or(Receipt::Nothing, |answer| (language.read)(&answer, number))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
