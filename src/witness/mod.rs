//! `vipair witness`: a voter for each cluster, behind one socket.
//!
//! One thread waits for datagrams and answers each where it came from; nothing in it waits for a disk, a name or a
//! service. Beside it: a thread per cluster that makes promises durable, and one that tries the services. What they
//! find comes back through a queue. Nothing is owned that needs a privilege, and nothing is lost when it is killed: what
//! it must not forget is on the disk before it is said, and what it promised it waits for after a start.
//!
//! | file | noun |
//! |---|---|
//! | `courts` | the clusters: keys, voters, stores |
//! | `lend` | copies for the user that runs it |
//! | `probes` | service checks |
//! | `renewal` | the file read again |
//! | `state` | a voter's memory as the store keeps it |
//! | `words` | what people read |

mod courts;
mod lend;
mod probes;
mod renewal;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod words;

pub use lend::lend;

use crate::config::{ConfigErrors, WitnessFile};
use crate::effects::store::WriteError;
use crate::io::poll::{Poll, Ready, Waker};
use crate::io::{clock, systemd};
use crate::types::{MonoTime, NodeId};
use crate::wire::pulse::MAX_DATAGRAM;
use courts::Courts;
use probes::Probes;
use renewal::{Renewal, Renewer};
use sd_notify::NotifyState;
use std::io;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use thiserror::Error;

/// What the witness is told on its command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Its file.
    pub config: PathBuf,
    /// The file that SIGHUP takes over, if it is another one.
    pub reload: Option<PathBuf>,
    /// Where promises are kept.
    pub state_dir: PathBuf,
}

/// Why the witness ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong: exit code 2, and systemd does not start it again.
    #[error("{0}")]
    Configuration(#[from] ConfigErrors),
    /// Something else: exit code 1.
    #[error("{0}")]
    Failed(String),
}

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

/// What the threads beside the loop have to say. The number is the cluster's.
pub(crate) enum Report {
    /// A version is durable, or is not yet.
    Stored(usize, u64, Result<(), WriteError>),
    /// A check of this cluster, series and number has ended.
    Checked((usize, u64, usize), bool),
    /// SIGHUP.
    Hangup,
    /// The file has been read again.
    Renewed(Box<Result<Renewal, RunError>>),
}

/// The way for reports to the loop.
#[derive(Clone)]
pub(crate) struct Reports {
    queue: SyncSender<Report>,
    waker: Waker,
}

impl Reports {
    pub(crate) fn send(&self, report: Report) {
        // The loop is gone when the process ends: then nobody needs it.
        let _gone = self.queue.send(report);
        self.waker.wake();
    }
}

/// Votes until it is killed.
///
/// # Errors
/// See [`RunError`].
pub fn run(options: &Options) -> Result<(), RunError> {
    let file = WitnessFile::read(&options.config)?;
    let failed = |what: &str, error: &dyn std::fmt::Display| RunError::Failed(format!("{what}: {error}"));
    let (queue, reports) = sync_channel(REPORTS);
    let waker = Waker::new().map_err(|error| failed("making a queue", &error))?;
    let sender = Reports { queue, waker: waker.clone() };
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
