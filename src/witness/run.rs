//! The loop of the witness: one thread waits for datagrams and answers each where it came from.
//!
//! Owns: the socket, the watchdog's messages, and the order of the loop's work. Never
//! does: wait for a disk, a name or a service; the threads that do report through a bounded queue.
//! When the poll itself fails, the witness ends.

use crate::clusters::{self, Clusters};
use crate::config::WitnessFile;
use crate::io::poll::{Poll, Ready, Waker};
use crate::io::{clock, systemd};
use crate::options::{Options, RunError};
use crate::probes::Probes;
use crate::renewal::Renewer;
use crate::reports::{Report, Reports};
use crate::types::{MonoTime, NodeId};
use crate::wire::auth::MAX_DATAGRAM;
use sd_notify::NotifyState;
use std::io;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Longest time between two messages to the watchdog: less than half of the unit's WatchdogSec.
const ALIVE: Duration = Duration::from_secs(2);
/// Datagrams taken in one turn before the queue is read again.
const TURN: usize = 64;
/// Reports that can wait for the loop. Stores and checks block on a full queue; the loop never
/// does.
const REPORTS: usize = 1024;
/// Shortest time between two log lines about datagrams that were turned away.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Tokens of the poll.
const SOCKET: u64 = 0;
const QUEUE: u64 = 1;

/// Runs the witness of `options` until the process is killed.
///
/// # Errors
/// See [`RunError`].
pub fn run(options: &Options) -> Result<(), RunError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| RunError::Failed(format!("{what}: {error}"));
    let (queue, reports) = sync_channel(REPORTS);
    let waker = Waker::new().map_err(|error| failed("making a queue", &error))?;
    let sender = Reports::new(queue, waker.clone());
    // First, for whatever follows can wait for a disk: a SIGHUP waits in the queue meanwhile.
    let probes = Probes::start(&sender).map_err(|error| failed("starting the checks", &error))?;
    let mut file = WitnessFile::read(&options.config)?;
    let keys = clusters::keep_usable(&options.config, &mut file)?;
    let socket =
        UdpSocket::bind(file.listen).map_err(|error| failed(&format!("listening on {}", file.listen), &error))?;
    socket.set_nonblocking(true).map_err(|error| failed("preparing the socket", &error))?;
    let clusters = Clusters::open(options, (&file, &keys), probes, &sender)?;
    let poll = Poll::new().map_err(|error| failed("waiting", &error))?;
    poll.add(&socket, SOCKET).and_then(|()| poll.add(&waker, QUEUE)).map_err(|error| failed("waiting", &error))?;
    let (number, count) = (file.me.0 - NodeId::FIRST_WITNESS.0 + 1, file.clusters.len());
    tracing::info!("witness number {number} listens on {}; clusters: {count}", file.listen);
    systemd::notify(&[NotifyState::Ready]);
    let renewer = Renewer::new(options.clone(), file, sender);
    let mut witness =
        Witness { clusters, socket, poll, waker, reports, logged: clock::now(), turned_away: 0, renewer };
    witness.serve().map_err(|error| failed("waiting", &error))
}

/// Validates a file and the keys it names, and returns a sentence about it for `vipair witness
/// --check`.
///
/// # Errors
/// [`RunError::Configuration`] with everything that is wrong.
pub fn check_file(path: &std::path::Path) -> Result<String, RunError> {
    let file = WitnessFile::read(path)?;
    clusters::load_keys(path, &file)?;
    let names: Vec<&str> = file.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let checks: usize = file.clusters.iter().map(|cluster| cluster.checks.len()).sum();
    let number = file.me.0 - crate::types::NodeId::FIRST_WITNESS.0 + 1;
    Ok(format!(
        "{} is right: witness {number} on {} for {}, with {checks} service checks",
        path.display(),
        file.listen,
        names.join(", ")
    ))
}

/// Everything the loop works with.
struct Witness {
    clusters: Clusters,
    socket: UdpSocket,
    poll: Poll,
    waker: Waker,
    reports: Receiver<Report>,
    /// When the log last told of datagrams turned away, and their number up to then.
    logged: MonoTime,
    turned_away: u64,
    renewer: Renewer,
}

impl Witness {
    /// Handles reports and datagrams, and feeds the watchdog, for ever. Returns only when the poll
    /// fails.
    fn serve(&mut self) -> io::Result<()> {
        let mut ready = Ready::new();
        let mut buffer = [0; MAX_DATAGRAM + 1];
        let mut alive = clock::now();
        loop {
            self.poll.wait(&mut ready, Some(ALIVE))?;
            if self.waker.take() {
                while let Ok(report) = self.reports.try_recv() {
                    self.handle_report(report);
                }
            }
            for _ in 0..TURN {
                if !self.receive(&mut buffer) {
                    break;
                }
            }
            let now = clock::now();
            if now.since(alive) >= ALIVE / 2 {
                alive = now;
                systemd::notify(&[NotifyState::Watchdog]);
                self.log_turned_away(now);
            }
        }
    }

    /// Hands a report to the renewer or to its cluster.
    fn handle_report(&mut self, report: Report) {
        match report {
            Report::Hangup => self.renewer.start_reading(self.clusters.next_number()),
            Report::Renewed(renewal) => {
                if let Some(renewal) = self.renewer.handle_renewed(*renewal) {
                    self.clusters.apply_renewal(renewal);
                }
                self.renewer.read_again_if_asked(self.clusters.next_number());
            }
            other => self.clusters.handle_report(other),
        }
    }

    /// Takes one datagram and sends the answers to where it came from. False when no datagram
    /// waits.
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        let (length, from) = match self.socket.recv_from(buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // An earlier answer of ours was refused (its port is closed): nothing to do about it.
            // Or an administrator has destroyed the socket (`ss -K`), which costs a socket the
            // address of its peer; this one has no peer, and goes on (net/ipv4/udp.c, `udp_abort`).
            Err(_) => return true,
        };
        // Read after the datagram was taken: a promise that begins later ends later, which is the
        // safe side.
        let now = clock::now();
        if let Some(output) = self.clusters.handle_datagram(now, &buffer[..length], from) {
            for answer in output.datagrams() {
                // A full queue is a lost datagram; the next pulse gets an answer of its own.
                let _lost = self.socket.send_to(answer, from);
            }
        }
        true
    }

    /// Logs how many datagrams were turned away since the last such line, at most once per
    /// [`LOG_INTERVAL`].
    fn log_turned_away(&mut self, now: MonoTime) {
        let total = self.clusters.turned_away();
        if now.since(self.logged) >= LOG_INTERVAL && total > self.turned_away {
            tracing::warn!(
                "{} datagrams were turned away: {}",
                total - self.turned_away,
                self.clusters.turned_away_words()
            );
            (self.logged, self.turned_away) = (now, total);
        }
    }
}

#[cfg(test)]
mod tests;
