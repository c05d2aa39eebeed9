//! The connections of the groups that are open here, read from the kernel again and again.
//!
//! Owns: the newest lists, and when to read again. Never does: change a connection. A reading takes
//! the processor some microseconds for each connection of the machine. The next reading begins
//! [`SHARE`] times that long after the last began, so that it costs at most that part of a
//! processor, but no sooner than after [`OFTEN`] and no later than after [`RARELY`]. When the
//! kernel refuses, the lists stay as they are, and the lister tries again after [`AGAIN`].

use super::{MAX_CONNECTIONS, Watched};
use crate::io::clock;
use crate::io::sockdiag::{SockDiag, TcpSocket};
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::{Connection, wide};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// Shortest time between the beginnings of two readings.
const OFTEN: Duration = Duration::from_millis(400);
/// Longest time between the beginnings of two readings.
const RARELY: Duration = Duration::from_secs(5);
/// Divisor of a processor's time that reading may cost.
const SHARE: u32 = 10;
/// Pause after a refusal by the kernel.
const AGAIN: Duration = Duration::from_secs(2);
/// Number of connections whose reading takes about a millisecond.
const MANY: usize = 2_000;

/// A group's connections in ascending order.
pub(super) type List = Arc<Vec<Connection>>;

/// Reader of lists.
#[derive(Debug, Default)]
pub(super) struct Lister {
    diag: Option<SockDiag>,
    /// Group of every address of an open group.
    owners: HashMap<Ipv6Addr, GroupKey>,
    addresses: Vec<IpAddr>,
    groups: Vec<GroupKey>,
    reading: Option<Reading>,
    /// Instant of the next reading.
    next: MonoTime,
    /// Time that a processor was busy with the newest reading.
    pub took: Duration,
    /// Time between the beginnings of two readings.
    pub every: Duration,
    /// Connections beyond the bound in the newest reading.
    pub left_out: usize,
    /// Newest list of every open group that was read once. An unchanged list stays the same `Arc`.
    pub known: BTreeMap<GroupKey, List>,
    /// Number that rises with every change of `known`.
    pub version: u64,
}

/// A reading under way.
#[derive(Debug, Default)]
struct Reading {
    began: MonoTime,
    busy: Duration,
    found: BTreeMap<GroupKey, Vec<Connection>>,
    count: usize,
    left_out: usize,
}

impl Lister {
    /// Makes the lister read these groups from now on, and begin at once.
    pub fn watch<'g>(&mut self, groups: impl Iterator<Item = (GroupKey, &'g [IpAddr])>, now: MonoTime) {
        self.owners.clear();
        self.addresses.clear();
        self.groups.clear();
        let mut kept = BTreeMap::new();
        for (group, addresses) in groups {
            self.owners.extend(addresses.iter().map(|address| (wide(*address), group)));
            self.addresses.extend(addresses);
            self.groups.push(group);
            kept.extend(self.known.remove(&group).map(|list| (group, list)));
        }
        self.known = kept;
        self.version += 1;
        self.reading = None;
        self.next = now;
    }

    /// Instant of the next turn.
    pub fn due(&self) -> MonoTime {
        match self.reading {
            Some(_) => MonoTime::ZERO,
            None if self.owners.is_empty() => MonoTime::FOREVER,
            None => self.next,
        }
    }

    /// Whether reading takes milliseconds.
    pub fn is_long(&self) -> bool {
        let read = self.reading.as_ref().map_or(0, |reading| reading.count);
        read.max(self.known.values().map(|list| list.len()).sum()) > MANY
    }

    /// Begins a reading if one is due, or reads the next portion of it. True if that completed it.
    ///
    /// # Errors
    /// When the kernel refuses; the lister tries again after [`AGAIN`].
    pub fn turn(&mut self, now: MonoTime) -> io::Result<bool> {
        if now < self.due() {
            return Ok(false);
        }
        let busy = clock::busy();
        let result = self.read(now);
        if result.is_err() {
            (self.diag, self.reading, self.next) = (None, None, now + AGAIN);
        }
        if let Some(reading) = &mut self.reading {
            reading.busy += clock::busy().saturating_sub(busy);
        }
        if !result? {
            return Ok(false);
        }
        self.complete();
        Ok(true)
    }

    /// Reads the next portion; true if it was the last.
    fn read(&mut self, now: MonoTime) -> io::Result<bool> {
        let diag = match &mut self.diag {
            Some(diag) => diag,
            none => none.insert(SockDiag::open()?),
        };
        let Some(reading) = &mut self.reading else {
            diag.begin(&self.addresses)?;
            let found = self.groups.iter().map(|group| (*group, Vec::new())).collect();
            self.reading = Some(Reading { began: now, found, ..Reading::default() });
            return Ok(false);
        };
        let owners = &self.owners;
        let going_on = diag.read_on(|socket| reading.note(socket.connection, owners))?;
        Ok(!going_on)
    }

    /// Puts the lists of a completed reading into `known`, and sets the time of the next one.
    fn complete(&mut self) {
        let Some(reading) = self.reading.take() else { return };
        let busy = clock::busy();
        let in_order = |mut list: Vec<Connection>| {
            // A socket can be met twice when it moves in the kernel's table meanwhile.
            list.sort_unstable();
            list.dedup();
            list.shrink_to_fit();
            list
        };
        let mut changed = reading.found.len() != self.known.len();
        for (group, list) in reading.found {
            let list = in_order(list);
            if self.known.get(&group).is_none_or(|known| **known != list) {
                self.known.insert(group, Arc::new(list));
                changed = true;
            }
        }
        self.version += u64::from(changed);
        self.left_out = reading.left_out;
        self.took = reading.busy + clock::busy().saturating_sub(busy);
        self.every = (self.took * SHARE).clamp(OFTEN, RARELY);
        self.next = reading.began + self.every;
    }
}

/// Reads the sockets of all connections of these groups in one go, at most [`MAX_CONNECTIONS`], so
/// that the caller can reset them.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn sockets_of(diag: &mut SockDiag, groups: &[&Watched]) -> io::Result<BTreeMap<GroupKey, Vec<TcpSocket>>> {
    let addresses: Vec<IpAddr> = groups.iter().flat_map(|group| group.addresses.iter().copied()).collect();
    let owned = |group: &&Watched| {
        let key = group.key;
        group.addresses.iter().map(move |address| (wide(*address), key)).collect::<Vec<_>>()
    };
    let owners: HashMap<Ipv6Addr, GroupKey> = groups.iter().flat_map(owned).collect();
    let mut found: BTreeMap<GroupKey, Vec<TcpSocket>> = BTreeMap::new();
    let mut room = MAX_CONNECTIONS;
    let mut take = |socket: TcpSocket| {
        if let Some(group) = owner(socket.connection, &owners).filter(|_| room > 0) {
            room -= 1;
            found.entry(group).or_default().push(socket);
        }
    };
    diag.begin(&addresses)?;
    loop {
        let goes_on = diag.read_on(&mut take)?;
        if !goes_on {
            return Ok(found);
        }
    }
}

impl Reading {
    /// Adds a connection to its group's list, or counts it as left out.
    fn note(&mut self, connection: Connection, owners: &HashMap<Ipv6Addr, GroupKey>) {
        let Some(group) = owner(connection, owners) else { return };
        if self.count >= MAX_CONNECTIONS {
            self.left_out += 1;
            return;
        }
        self.count += 1;
        self.found.entry(group).or_default().push(connection);
    }
}

/// Group that a connection belongs to. A connection within this machine belongs to none: its client
/// needs no news of a takeover.
fn owner(connection: Connection, owners: &HashMap<Ipv6Addr, GroupKey>) -> Option<GroupKey> {
    let within = owners.contains_key(&connection.remote) || is_loopback(connection.remote);
    owners.get(&connection.local).copied().filter(|_| !within)
}

/// Whether an address is the loopback of either family.
fn is_loopback(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().map_or(address.is_loopback(), |four| four.is_loopback())
}

/// Connections that came and that went from one list to another; both lists in ascending order.
pub(super) fn changes(old: &[Connection], new: &[Connection]) -> (Vec<Connection>, Vec<Connection>) {
    let (mut came, mut went) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return (came, went),
            (Some(before), Some(after)) if before == after => {
                old.next();
                new.next();
            }
            (Some(before), after) if after.is_none_or(|after| before < after) => went.extend(old.next()),
            (_, _) => came.extend(new.next()),
        }
    }
}
