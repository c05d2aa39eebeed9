//! Tells the clients of a former active's connections: [`ROUNDS`] packets to each.
//!
//! Linux answers such a packet at most every 500 ms on one connection (net.ipv4.tcp_invalid_ratelimit), so rounds are at
//! least [`GAP`] apart; the first one waits until the announcements are out, or the answers would go to the node that is
//! gone. All groups together send at the pace that the way out takes, between [`SLOW`] and [`PACE`] packets a second, in
//! turns, so that the group with few connections does not wait for the one with many. Within a group neighbours in the list
//! are told far apart, so that no client's machine gets all of its packets at once or last.

use super::outlet::{Fate, Outlet};
use crate::io::clock;
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::Connection;
use std::cell::Cell;
use std::io;
use std::time::Duration;

/// Packets to each client.
const ROUNDS: u8 = 3;
/// From one round to the next, at least.
const GAP: Duration = Duration::from_millis(650);
/// Packets a second, in portions: an eighth of what a link of 1 Gbit/s carries of them.
pub(super) const PACE: u64 = 200_000;
const PORTION: Duration = Duration::from_millis(2);
/// As much as a portion that comes late makes up for.
const LATE: Duration = Duration::from_millis(18);
/// When the way out has no room the pace is halved, down to this; with each portion that finds room it grows by
/// [`MORE`].
const SLOW: u64 = 5_000;
const MORE: u64 = PACE / 64;
/// A way out that takes nothing for so long: what waits for it is left to the next round.
const STUCK: Duration = Duration::from_millis(200);
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
    /// When the first round began, and how long it took.
    first: (MonoTime, Duration),
}

/// A job that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Done {
    pub group: GroupKey,
    pub sent: u64,
    pub failed: u64,
    /// How long the first round took.
    pub first_round: Duration,
}

#[derive(Debug)]
pub(super) struct Tickler {
    jobs: Vec<Job>,
    next: MonoTime,
    pace: u64,
    outlet: Outlet,
    /// Since when the way out has no room.
    stuck: Option<MonoTime>,
}

/// When the first round may begin after an opening.
pub(super) fn first_round(opened: MonoTime, addresses: usize) -> MonoTime {
    opened + ANNOUNCED + ANNOUNCED_EACH * u32::try_from(addresses).unwrap_or(u32::MAX)
}

impl Tickler {
    pub fn new() -> Tickler {
        Tickler { jobs: Vec::new(), next: MonoTime::ZERO, pace: PACE, outlet: Outlet::new(), stuck: None }
    }

    /// Begins with a group's clients at `begins`.
    pub fn begin(&mut self, group: GroupKey, connections: &[Connection], begins: MonoTime) {
        self.cancel(group);
        let first = (MonoTime::FOREVER, Duration::ZERO);
        self.jobs.push(Job {
            group,
            connections: spread(connections),
            begins,
            round: 0,
            at: 0,
            sent: 0,
            failed: 0,
            first,
        });
    }

    /// Lets them be.
    pub fn cancel(&mut self, group: GroupKey) {
        self.jobs.retain(|job| job.group != group);
        self.outlet.cancel(group);
    }

    /// When a turn is due.
    pub fn due(&self) -> MonoTime {
        if !self.outlet.is_empty() {
            return self.next;
        }
        self.jobs.iter().map(|job| job.begins).min().map_or(MonoTime::FOREVER, |begins| begins.max(self.next))
    }

    /// Sends a portion. `note` is told of each group what was sent.
    ///
    /// # Errors
    /// When there is no socket to send with; the jobs are dropped.
    pub fn turn(&mut self, now: MonoTime, note: impl FnMut(GroupKey, u64)) -> io::Result<Vec<Done>> {
        let due = self.due();
        if now < due {
            return Ok(Vec::new());
        }
        // On a busy machine a portion may be late; the next one is larger then.
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

    /// Chooses the clients of a portion.
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
            let chosen = &job.connections[job.at..];
            let chosen = &chosen[..share.min(left).min(chosen.len())];
            chosen.iter().for_each(|connection| self.outlet.add(job.group, connection));
            job.at += chosen.len();
            left -= chosen.len();
        }
        // The next portion begins with whoever got nothing of this one.
        self.jobs.rotate_left(served);
    }

    /// Sends what is chosen, as far as it is taken, and goes by that.
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
    /// Goes on to the next round if this one is over.
    fn end_round(&mut self, now: MonoTime) {
        if self.at < self.connections.len() {
            return;
        }
        if self.round == 0 {
            self.first.1 = now.since(self.first.0);
        }
        self.round += 1;
        self.at = 0;
        // From the end of the round: then every client has had its time.
        self.begins = now + GAP;
    }
}

/// The same connections, neighbours far apart: every next one is a golden section of the list further on.
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
    (0..count).scan(0, |at, _| Some(std::mem::replace(at, (*at + step) % count))).map(|at| connections[at]).collect()
}
