//! The outlet: packets that the kernel has no room for now wait here for the next moment.
//!
//! Owns: the raw sockets and the waiting packets. Never does: fill the kernel's queues. The
//! sockets' room is small ([`crate::io::rawip`]): a link or queue that is slower than us takes
//! packets at its own pace, and other packets of this machine, above all pulses, wait behind few of
//! ours. A packet that the kernel refuses is counted and dropped.

use crate::io::rawip::{BATCH, Packet, RawSender};
use crate::types::GroupKey;
use crate::wire::mirror::Connection;
use crate::wire::tickle;
use nix::errno::Errno;
use std::io;

/// Fate of packets of one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fate {
    pub group: GroupKey,
    /// Packets that the kernel took.
    pub sent: u64,
    /// Packets that the kernel refused for what they are (no route, a local rule), or that were
    /// given up.
    pub failed: u64,
}

/// Waiting packets of both families: at most one portion of the tickler's.
#[derive(Debug)]
pub(super) struct Outlet {
    lanes: [Lane; 2],
}

/// Waiting packets of one family.
#[derive(Debug)]
struct Lane {
    is_v4: bool,
    sender: Option<RawSender>,
    packets: Vec<Packet>,
    /// Group of each packet.
    groups: Vec<GroupKey>,
    /// Number of packets that were sent or refused.
    done: usize,
}

impl Outlet {
    /// An outlet with no packets; its sockets are opened when they are needed.
    pub fn new() -> Outlet {
        let lane = |is_v4| Lane { is_v4, sender: None, packets: Vec::new(), groups: Vec::new(), done: 0 };
        Outlet { lanes: [lane(true), lane(false)] }
    }

    /// Whether no packet waits.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.packets.is_empty())
    }

    /// Adds the packet that makes the client of a connection ask.
    pub fn add(&mut self, group: GroupKey, connection: &Connection) {
        let mut bytes = Vec::with_capacity(tickle::MAX_PACKET);
        tickle::packet(connection, &mut bytes);
        let lane = &mut self.lanes[usize::from(connection.v4().is_none())];
        lane.packets.push(Packet { bytes, from: connection.local, to: connection.remote });
        lane.groups.push(group);
    }

    /// Drops the waiting packets of a group.
    pub fn cancel(&mut self, group: GroupKey) {
        for lane in &mut self.lanes {
            lane.forget_done();
            let mut whose = lane.groups.iter();
            lane.packets.retain(|_| whose.next() != Some(&group));
            lane.groups.retain(|other| *other != group);
        }
    }

    /// Drops all waiting packets.
    pub fn clear(&mut self) {
        self.lanes.iter_mut().for_each(Lane::clear);
    }

    /// Sends packets as long as the kernel takes them, and tells `note` their fates; false if some
    /// wait on.
    ///
    /// # Errors
    /// When there is no socket to send with.
    pub fn push(&mut self, mut note: impl FnMut(Fate)) -> io::Result<bool> {
        let mut all = true;
        for lane in &mut self.lanes {
            all &= lane.push(&mut note)?;
        }
        Ok(all)
    }

    /// Drops all waiting packets, and tells `note` that they failed.
    pub fn give_up(&mut self, mut note: impl FnMut(Fate)) {
        for lane in &mut self.lanes {
            let waiting = &lane.groups[lane.done..];
            waiting.chunk_by(|a, b| a == b).for_each(|same| note(Fate::of(same, 0)));
            lane.clear();
        }
    }
}

impl Fate {
    /// Fate of one group's packets, of which the kernel took the first `sent`.
    fn of(groups: &[GroupKey], sent: usize) -> Fate {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Fate { group: groups[0], sent: number(sent), failed: number(groups.len() - sent) }
    }
}

impl Lane {
    /// Sends this family's packets as [`Outlet::push`] does.
    fn push(&mut self, note: &mut impl FnMut(Fate)) -> io::Result<bool> {
        while self.done < self.packets.len() {
            let sender = match &self.sender {
                Some(sender) => sender,
                None => self.sender.insert(RawSender::open(self.is_v4)?),
            };
            let end = self.packets.len().min(self.done + BATCH);
            match sender.send(&self.packets[self.done..end]) {
                Ok(count) => {
                    let taken = &self.groups[self.done..(self.done + count.max(1)).min(end)];
                    taken.chunk_by(|a, b| a == b).for_each(|same| note(Fate::of(same, same.len())));
                    self.done += taken.len();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => return Ok(false),
                Err(_) => {
                    note(Fate::of(&self.groups[self.done..=self.done], 0));
                    self.done += 1;
                }
            }
        }
        self.clear();
        Ok(true)
    }

    fn forget_done(&mut self) {
        self.packets.drain(..self.done);
        self.groups.drain(..self.done);
        self.done = 0;
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.groups.clear();
        self.done = 0;
    }
}
