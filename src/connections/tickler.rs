//! Tells the clients of a former active's connections: [`ROUNDS`] packets to each.
//!
//! Linux answers such a packet at most every 500 ms on one connection (net.ipv4.tcp_invalid_ratelimit), so rounds are at
//! least [`GAP`] apart; the first one waits until the announcements are out, or the answers would go to the node that is
//! gone. All groups together send [`PACE`] packets a second, in turns, so that the group with few connections does not wait
//! for the one with many. Packets that the network does not take are not repeated before the next round.

use crate::io::rawip::{BATCH, Packet, RawSender};
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::Connection;
use crate::wire::tickle;
use nix::errno::Errno;
use std::io;
use std::time::Duration;

/// Packets to each client.
const ROUNDS: u8 = 3;
/// From one round to the next, at least.
const GAP: Duration = Duration::from_millis(650);
/// Packets a second, in portions.
pub(super) const PACE: u64 = 20_000;
const PORTION: Duration = Duration::from_millis(5);
/// As much as a portion that comes late makes up for.
const LATE: Duration = Duration::from_millis(45);
/// Time for the announcements: some, and some for each address.
const ANNOUNCED: Duration = Duration::from_millis(3);
const ANNOUNCED_EACH: Duration = Duration::from_micros(100);

/// Clients of one group.
#[derive(Debug)]
struct Job {
    group: GroupKey,
    connections: Vec<Connection>,
    begins: MonoTime,
    round: u8,
    at: usize,
    sent: u64,
    failed: u64,
}

/// A job that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Done {
    pub group: GroupKey,
    pub sent: u64,
    pub failed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tickler {
    jobs: Vec<Job>,
    next: MonoTime,
    v4: Option<RawSender>,
    v6: Option<RawSender>,
    packets: Vec<Packet>,
}

/// When the first round may begin after an opening.
pub(super) fn first_round(opened: MonoTime, addresses: usize) -> MonoTime {
    opened + ANNOUNCED + ANNOUNCED_EACH * u32::try_from(addresses).unwrap_or(u32::MAX)
}

impl Tickler {
    /// Begins with a group's clients at `begins`.
    pub fn begin(&mut self, group: GroupKey, connections: Vec<Connection>, begins: MonoTime) {
        self.cancel(group);
        self.jobs.push(Job { group, connections, begins, round: 0, at: 0, sent: 0, failed: 0 });
    }

    /// Lets them be.
    pub fn cancel(&mut self, group: GroupKey) {
        self.jobs.retain(|job| job.group != group);
    }

    /// When a turn is due.
    pub fn due(&self) -> MonoTime {
        self.jobs.iter().map(|job| job.begins).min().map_or(MonoTime::FOREVER, |begins| begins.max(self.next))
    }

    /// Sends a portion. `note` is told of each group what was sent.
    ///
    /// # Errors
    /// When there is no socket to send with; the jobs are dropped.
    pub fn turn(&mut self, now: MonoTime, mut note: impl FnMut(GroupKey, u64)) -> io::Result<Vec<Done>> {
        let due = self.due();
        if now < due {
            return Ok(Vec::new());
        }
        // On a busy machine a portion may be late; the next one is larger then.
        let span = PORTION + now.since(due).min(LATE);
        self.next = now + PORTION;
        let portion = usize::try_from(u128::from(PACE) * span.as_micros() / 1_000_000).unwrap_or(1);
        let running = self.jobs.iter().filter(|job| job.begins <= now).count().max(1);
        let share = portion.div_ceil(running);
        let (mut left, mut served) = (portion, 0);
        for at in 0..self.jobs.len() {
            if left == 0 {
                break;
            }
            served += 1;
            if self.jobs[at].begins > now {
                continue;
            }
            let count = share.min(left).min(self.jobs[at].connections.len() - self.jobs[at].at);
            left -= count;
            match self.send(at, count) {
                Ok(sent) => note(self.jobs[at].group, sent),
                Err(cause) => {
                    self.jobs.clear();
                    return Err(cause);
                }
            }
            self.jobs[at].end_round(now);
        }
        // The next portion begins with whoever got nothing of this one.
        self.jobs.rotate_left(served);
        let is_done = |job: &Job| job.round >= ROUNDS;
        let done = |job: &Job| Done { group: job.group, sent: job.sent, failed: job.failed };
        let ended = self.jobs.iter().filter(|job| is_done(job)).map(done).collect();
        self.jobs.retain(|job| !is_done(job));
        Ok(ended)
    }

    /// Sends to the next `count` clients of a job.
    fn send(&mut self, at: usize, count: usize) -> io::Result<u64> {
        let job = &mut self.jobs[at];
        let chosen = &job.connections[job.at..job.at + count];
        let mut sent = 0;
        for is_v4 in [true, false] {
            self.packets.clear();
            for connection in chosen.iter().filter(|connection| connection.v4().is_some() == is_v4) {
                let mut bytes = Vec::with_capacity(tickle::MAX_PACKET);
                tickle::packet(connection, &mut bytes);
                self.packets.push(Packet { bytes, from: connection.local, to: connection.remote });
            }
            if self.packets.is_empty() {
                continue;
            }
            let sender = if is_v4 { &mut self.v4 } else { &mut self.v6 };
            let sender = match sender {
                Some(sender) => sender,
                none => none.insert(RawSender::open(is_v4)?),
            };
            sent += taken(sender, &self.packets);
        }
        job.at += count;
        job.sent += sent;
        job.failed += u64::try_from(count).unwrap_or(0).saturating_sub(sent);
        Ok(sent)
    }
}

impl Job {
    /// Goes on to the next round if this one is over.
    fn end_round(&mut self, now: MonoTime) {
        if self.at >= self.connections.len() {
            self.round += 1;
            self.at = 0;
            // From the end of the round: then every client has had its time.
            self.begins = now + GAP;
        }
    }
}

/// How many packets the kernel took. One that it refuses for itself is passed over; when it has no room, the rest waits for
/// the next round.
fn taken(sender: &RawSender, packets: &[Packet]) -> u64 {
    let (mut rest, mut sent) = (packets, 0);
    while !rest.is_empty() {
        match sender.send(&rest[..rest.len().min(BATCH)]) {
            Ok(count) => {
                sent += u64::try_from(count).unwrap_or(0);
                rest = &rest[count.max(1)..];
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => return sent,
            Err(_) => rest = &rest[1..],
        }
    }
    sent
}
