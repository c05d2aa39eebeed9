//! The loop of the witness: one thread waits for datagrams and answers each where it came from.
//!
//! Nothing in it waits for a disk, a name or a service. Beside it: a thread per cluster that makes promises durable, and
//! one that tries the services. What they find comes back through a queue.

use crate::config::WitnessFile;
use crate::courts::Courts;
use crate::io::poll::{Poll, Ready, Waker};
use crate::io::{clock, systemd};
use crate::options::{Options, RunError};
use crate::probes::Probes;
use crate::renewal::Renewer;
use crate::reports::{Report, Reports};
use crate::types::{MonoTime, NodeId};
use crate::wire::auth::MAX_DATAGRAM;
use crate::{courts, words};
use sd_notify::NotifyState;
use std::io;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// How often the watchdog is told at the least. Half of what the unit's WatchdogSec grants, and less.
const ALIVE: Duration = Duration::from_secs(2);
/// Datagrams taken in one go before the queue is looked at again.
const TURN: usize = 64;
/// Reports that wait for the loop. Disks and checks block on a full queue; the loop never does.
const REPORTS: usize = 1024;
/// How often datagrams that were turned away are told of.
const TELLING: Duration = Duration::from_secs(60);

const SOCKET: u64 = 0;
const QUEUE: u64 = 1;

/// Votes until it is killed.
///
/// # Errors
/// See [`RunError`].
pub fn run(options: &Options) -> Result<(), RunError> {
    let file = WitnessFile::read(&options.config)?;
    let failed = |what: &str, error: &dyn std::fmt::Display| RunError::Failed(format!("{what}: {error}"));
    let (queue, reports) = sync_channel(REPORTS);
    let waker = Waker::new().map_err(|error| failed("making a queue", &error))?;
    let sender = Reports::new(queue, waker.clone());
    let socket =
        UdpSocket::bind(file.listen).map_err(|error| failed(&format!("listening on {}", file.listen), &error))?;
    socket.set_nonblocking(true).map_err(|error| failed("preparing the socket", &error))?;
    let probes = Probes::start(&sender).map_err(|error| failed("starting the checks", &error))?;
    let courts = Courts::open(options, &file, probes, &sender)?;
    let poll = Poll::new().map_err(|error| failed("waiting", &error))?;
    poll.add(&socket, SOCKET).and_then(|()| poll.add(&waker, QUEUE)).map_err(|error| failed("waiting", &error))?;
    let (number, clusters) = (file.me.0 - NodeId::FIRST_WITNESS.0 + 1, file.clusters.len());
    tracing::info!("witness number {number} listens on {}; clusters: {clusters}", file.listen);
    systemd::notify(&[NotifyState::Ready]);
    let renewer = Renewer::new(options.clone(), file, sender);
    let mut witness = Witness { courts, socket, poll, waker, reports, told: clock::now(), turned_away: 0, renewer };
    witness.serve().map_err(|error| failed("waiting", &error))
}

/// Validates a file and the keys it names, and says what it is.
///
/// # Errors
/// [`RunError::Configuration`] with everything that is wrong.
pub fn checked(path: &std::path::Path) -> Result<String, RunError> {
    let file = WitnessFile::read(path)?;
    courts::load_keys(path, &file)?;
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

struct Witness {
    courts: Courts,
    socket: UdpSocket,
    poll: Poll,
    waker: Waker,
    reports: Receiver<Report>,
    told: MonoTime,
    turned_away: u64,
    renewer: Renewer,
}

impl Witness {
    fn serve(&mut self) -> io::Result<()> {
        let mut ready = Ready::new();
        let mut buffer = [0; MAX_DATAGRAM + 1];
        let mut alive = clock::now();
        loop {
            self.poll.wait(&mut ready, Some(ALIVE))?;
            if self.waker.take() {
                while let Ok(report) = self.reports.try_recv() {
                    self.note(report);
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
                self.tell(now);
            }
        }
    }

    fn note(&mut self, report: Report) {
        match report {
            Report::Hangup => self.renewer.begin(self.courts.next()),
            Report::Renewed(renewal) => {
                if let Some(renewal) = self.renewer.judged(*renewal) {
                    self.courts.renew(renewal);
                }
                self.renewer.go_on(self.courts.next());
            }
            other => self.courts.note(other),
        }
    }

    /// Takes one datagram and answers it; false when there is none.
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        let (length, from) = match self.socket.recv_from(buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // What the network does to an answer is told here (a port that is closed): nothing to do about it.
            Err(_) => return true,
        };
        // After the read: a promise counts from when we know, which is later than when it came.
        let now = clock::now();
        if let Some(output) = self.courts.handle(now, &buffer[..length]) {
            for answer in output.datagrams() {
                // A full queue is a lost datagram; the next pulse is answered anew.
                let _lost = self.socket.send_to(answer, from);
            }
        }
        true
    }

    /// Says once in a while how much was turned away.
    fn tell(&mut self, now: MonoTime) {
        let total = self.courts.turned_away();
        if now.since(self.told) >= TELLING && total > self.turned_away {
            tracing::warn!("{} datagrams were turned away: {}", total - self.turned_away, self.courts.reasons());
            (self.told, self.turned_away) = (now, total);
        }
    }
}

#[cfg(test)]
mod tests;
