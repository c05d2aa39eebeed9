//! The tickler makes the clients of a former active's connections ask: [`ROUNDS`] packets to each.
//!
//! Owns: whose turn it is, and the pace. Never does: reset a connection; the answer to the client
//! does. Linux answers such a packet at most every 500 ms on one connection
//! (net.ipv4.tcp_invalid_ratelimit), so rounds are at least [`GAP`] apart. The first round waits
//! until the announcements are out, or the answers would go to the node that is gone. All groups
//! together send at the pace that the way out takes, between [`SLOW`] and [`PACE`] packets a
//! second, in turns, so that a group with few connections does not wait for a group with many.
//! Within a group, neighbours in the list get their packets far apart, so that no client's machine
//! gets all of its packets at once or last. Without a raw socket the jobs are dropped, and clients
//! learn of the takeover when they next send.

use super::outlet::{Fate, Outlet};
use crate::io::clock;
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::Connection;
use std::cell::Cell;
use std::io;
use std::time::Duration;

/// Number of packets to each client.
const ROUNDS: u8 = 3;
/// Shortest time from one round to the next.
const GAP: Duration = Duration::from_millis(650);
/// Highest pace, in packets a second: an eighth of what a link of 1 Gbit/s carries.
pub(super) const PACE: u64 = 200_000;
/// Time between two portions of packets.
const PORTION: Duration = Duration::from_millis(2);
/// Longest delay of a portion that the portion makes up for by its size.
const LATE: Duration = Duration::from_millis(18);
/// Lowest pace, in packets a second; the pace is halved whenever the way out has no room.
const SLOW: u64 = 5_000;
/// Growth of the pace with each portion that finds room.
const MORE: u64 = PACE / 64;
/// Time without room after which waiting packets are left to the next round.
const STUCK: Duration = Duration::from_millis(200);
/// Time for the announcements, without the time for each address.
const ANNOUNCED: Duration = Duration::from_millis(3);
/// Time for the announcement of each address.
const ANNOUNCED_EACH: Duration = Duration::from_micros(100);

/// Clients of one group, to be tickled.
#[derive(Debug)]
struct Job {
    group: GroupKey,
    connections: Vec<Connection>,
    /// Beginning of the present round.
    begins: MonoTime,
    /// Rounds that are over.
    round: u8,
    /// Number of connections that were chosen in this round.
    chosen: usize,
    sent: u64,
    failed: u64,
    /// Beginning and length of the first round.
    first: (MonoTime, Duration),
}

/// Result of a job that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Done {
    pub group: GroupKey,
    /// Packets that the kernel took.
    pub sent: u64,
    /// Packets that the kernel did not take.
    pub failed: u64,
    /// Length of the first round.
    pub first_round: Duration,
}

/// Jobs of all groups, and the pace of sending.
#[derive(Debug)]
pub(super) struct Tickler {
    jobs: Vec<Job>,
    /// Instant of the next portion.
    next: MonoTime,
    /// Packets a second.
    pace: u64,
    outlet: Outlet,
    /// Instant since which the way out has no room.
    stuck: Option<MonoTime>,
}

/// Earliest beginning of the first round after an opening: the announcements of so many addresses
/// are out by then.
pub(super) fn first_round(opened: MonoTime, addresses: usize) -> MonoTime {
    opened + ANNOUNCED + ANNOUNCED_EACH * u32::try_from(addresses).unwrap_or(u32::MAX)
}

impl Tickler {
    /// A tickler without jobs.
    pub fn new() -> Tickler {
        Tickler { jobs: Vec::new(), next: MonoTime::ZERO, pace: PACE, outlet: Outlet::new(), stuck: None }
    }

    /// Adds a job that tickles a group's clients from `begins` on; a former job of the group ends.
    pub fn begin(&mut self, group: GroupKey, connections: &[Connection], begins: MonoTime) {
        self.cancel(group);
        let first = (MonoTime::FOREVER, Duration::ZERO);
        self.jobs.push(Job {
            group,
            connections: spread(connections),
            begins,
            round: 0,
            chosen: 0,
            sent: 0,
            failed: 0,
            first,
        });
    }

    /// Ends the job of a group.
    pub fn cancel(&mut self, group: GroupKey) {
        self.jobs.retain(|job| job.group != group);
        self.outlet.cancel(group);
    }

    /// Instant of the next portion.
    pub fn due(&self) -> MonoTime {
        if !self.outlet.is_empty() {
            return self.next;
        }
        self.jobs.iter().map(|job| job.begins).min().map_or(MonoTime::FOREVER, |begins| begins.max(self.next))
    }

    /// Sends a portion if it is due, and returns the jobs that are done. `note` gets each group's
    /// number of sent packets.
    ///
    /// # Errors
    /// When no raw socket can be opened; the jobs are dropped.
    pub fn turn(&mut self, now: MonoTime, note: impl FnMut(GroupKey, u64)) -> io::Result<Vec<Done>> {
        let due = self.due();
        if now < due {
            return Ok(Vec::new());
        }
        // On a busy machine a portion may be late; then it is larger.
        let span = PORTION + now.since(due).min(LATE);
        self.next = now + PORTION;
        if self.outlet.is_empty() {
            self.choose(usize::try_from(u128::from(self.pace) * span.as_micros() / 1_000_000).unwrap_or(1), now);
        }
        if let Err(cause) = self.send(now, note) {
            self.jobs.clear();
            self.outlet.clear();
            return Err(cause);
        }
        if self.outlet.is_empty() {
            let now = clock::now();
            self.jobs.iter_mut().for_each(|job| job.end_round(now));
        }
        let is_done = |job: &Job| job.round >= ROUNDS;
        let done = |job: &Job| {
            let Job { group, sent, failed, first: (_, first_round), .. } = *job;
            Done { group, sent, failed, first_round }
        };
        let ended = self.jobs.iter().filter(|job| is_done(job)).map(done).collect();
        self.jobs.retain(|job| !is_done(job));
        Ok(ended)
    }

    /// Puts the packets of a portion into the outlet, in equal shares of all running jobs.
    fn choose(&mut self, portion: usize, now: MonoTime) {
        let running = self.jobs.iter().filter(|job| job.begins <= now).count().max(1);
        let share = portion.div_ceil(running);
        let (mut left, mut served) = (portion, 0);
        for job in &mut self.jobs {
            if left == 0 {
                break;
            }
            served += 1;
            if job.begins > now {
                continue;
            }
            job.first.0 = job.first.0.min(now);
            let chosen = &job.connections[job.chosen..];
            let chosen = &chosen[..share.min(left).min(chosen.len())];
            chosen.iter().for_each(|connection| self.outlet.add(job.group, connection));
            job.chosen += chosen.len();
            left -= chosen.len();
        }
        // The next portion begins with the jobs that got no share of this one.
        self.jobs.rotate_left(served);
    }

    /// Sends the outlet's packets as far as the kernel takes them, and adapts the pace.
    fn send(&mut self, now: MonoTime, mut note: impl FnMut(GroupKey, u64)) -> io::Result<()> {
        let (jobs, moved) = (&mut self.jobs, Cell::new(false));
        let mut count = |fate: Fate| {
            if let Some(job) = jobs.iter_mut().find(|job| job.group == fate.group) {
                job.sent += fate.sent;
                job.failed += fate.failed;
            }
            note(fate.group, fate.sent);
            moved.set(moved.get() | (fate.sent > 0));
        };
        let all = self.outlet.push(&mut count)?;
        let since = self.stuck.filter(|_| !moved.get() && !all).unwrap_or(now);
        self.stuck = (!all).then_some(since);
        if all {
            self.pace = (self.pace + MORE).min(PACE);
            return Ok(());
        }
        self.pace = (self.pace / 2).max(SLOW);
        if now.since(since) >= STUCK {
            self.outlet.give_up(&mut count);
            self.stuck = None;
        }
        Ok(())
    }
}

impl Job {
    /// Goes on to the next round if the present one is over.
    fn end_round(&mut self, now: MonoTime) {
        if self.chosen < self.connections.len() {
            return;
        }
        if self.round == 0 {
            self.first.1 = now.since(self.first.0);
        }
        self.round += 1;
        self.chosen = 0;
        // Counted from the end of the round, so that every client has had its time.
        self.begins = now + GAP;
    }
}

/// The same connections with neighbours far apart: each next one stands a golden section of the
/// list further on.
pub(super) fn spread(connections: &[Connection]) -> Vec<Connection> {
    let count = connections.len();
    let is_coprime = |step: &usize| {
        let (mut a, mut b) = (count, *step);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    let step = (count * 618 / 1000 + 1..count).find(is_coprime).unwrap_or(1);
    let places = (0..count).scan(0, |place, _| Some(std::mem::replace(place, (*place + step) % count)));
    places.map(|place| connections[place]).collect()
}
