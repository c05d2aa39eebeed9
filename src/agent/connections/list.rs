//! The connections of the groups that are open here, read from the kernel again and again.
//!
//! A reading takes the processor some microseconds for each connection of the machine. The next one begins [`SHARE`] times as
//! long after the last, so that it costs at most that part of a processor, but never more often than [`OFTEN`] and never
//! more rarely than [`RARELY`].

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
/// Longest.
const RARELY: Duration = Duration::from_secs(5);
/// One part in so many of a processor.
const SHARE: u32 = 10;
/// After the kernel refused.
const AGAIN: Duration = Duration::from_secs(2);
/// More connections than that take a millisecond or more to read.
const MANY: usize = 2_000;

/// A group's connections in ascending order.
pub(super) type List = Arc<Vec<Connection>>;

/// Reads lists.
#[derive(Debug, Default)]
pub(super) struct Lister {
    diag: Option<SockDiag>,
    /// The owner of every address of an open group.
    owners: HashMap<Ipv6Addr, GroupKey>,
    addresses: Vec<IpAddr>,
    groups: Vec<GroupKey>,
    reading: Option<Reading>,
    next: MonoTime,
    pub took: Duration,
    pub every: Duration,
    pub left_out: usize,
    /// The newest list of every open group that was read once. One that is as it was is the same one.
    pub known: BTreeMap<GroupKey, List>,
    /// Rises with every change of `known`.
    pub version: u64,
}

#[derive(Debug, Default)]
struct Reading {
    began: MonoTime,
    busy: Duration,
    found: BTreeMap<GroupKey, Vec<Connection>>,
    count: usize,
    left_out: usize,
}

impl Lister {
    /// Reads connections of these groups from now on, and the first list soon.
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

    /// When there is something to do.
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

    /// Does a little. True if `known` is new.
    ///
    /// # Errors
    /// When the kernel does not tell; tried again after a while.
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

    /// A reading is complete.
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

    /// All connections of these groups, at most [`MAX_CONNECTIONS`], read at once: for their end.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn all_of(diag: &mut SockDiag, groups: &[&Watched]) -> io::Result<BTreeMap<GroupKey, Vec<TcpSocket>>> {
        let addresses: Vec<IpAddr> = groups.iter().flat_map(|group| group.addresses.iter().copied()).collect();
        let of = |group: &&Watched| {
            let key = group.key;
            group.addresses.iter().map(move |address| (wide(*address), key)).collect::<Vec<_>>()
        };
        let owners: HashMap<Ipv6Addr, GroupKey> = groups.iter().flat_map(of).collect();
        let mut found: BTreeMap<GroupKey, Vec<TcpSocket>> = BTreeMap::new();
        let mut left = MAX_CONNECTIONS;
        diag.begin(&addresses)?;
        while diag.read_on(|socket| {
            if let Some(group) = owner(socket.connection, &owners).filter(|_| left > 0) {
                left -= 1;
                found.entry(group).or_default().push(socket);
            }
        })? {}
        Ok(found)
    }
}

impl Reading {
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

/// Whose connection it is. Nobody's within this machine, where nobody has to be told.
fn owner(connection: Connection, owners: &HashMap<Ipv6Addr, GroupKey>) -> Option<GroupKey> {
    let within = owners.contains_key(&connection.remote) || is_loopback(connection.remote);
    owners.get(&connection.local).copied().filter(|_| !within)
}

fn is_loopback(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().map_or(address.is_loopback(), |four| four.is_loopback())
}

/// What came and what went from one list to another; both in ascending order.
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
