//! Groups that open and close here: whose connections are listed, tickled, reset, and when.
//!
//! Owns: the worker's open groups and drains. Never does: wait; it leaves work to lister, tickler
//! and resets. What fails is reported, and nothing else depends on it.

use super::super::resets;
use super::super::tickler;
use super::super::{Closing, Event, Opening, Watched};
use super::{Drain, Worker};
use crate::types::{GroupKey, MonoTime};
use std::time::Duration;

/// Time after the end of a drain for the TCP segments that the former active sent last.
const AFTER_DRAIN: Duration = Duration::from_millis(20);

impl Worker {
    /// Configuration of a group; `None` if the group is not ours any more.
    fn watched(&self, group: GroupKey) -> Option<&Watched> {
        self.setup.groups.get(*self.places.get(&group)?)
    }

    /// Lists the connections of a group that opened here; tickles those of a former active.
    pub(super) fn handle_opened(&mut self, group: GroupKey, how: Opening, when: MonoTime) {
        self.open.insert(group, MonoTime::FOREVER);
        self.drains.retain(|drain| drain.group != group);
        if let Some((drain, addresses)) = self.watched(group).map(|watched| (watched.drain, watched.addresses.len()))
        {
            let carried = if how == Opening::HandedOver { drain } else { Duration::ZERO };
            self.resets.handle_opened(group, when, carried);
            match how {
                Opening::Adopted => {}
                Opening::HandedOver => {
                    // The former active resets what is left, but a reset can be lost, and that node
                    // may die meanwhile. So clients that are left shortly before the end are
                    // tickled, too; a client that was reset already is not disturbed by that.
                    let begins = tickler::first_round(when, addresses).max(when + drain + AFTER_DRAIN);
                    self.drains.push(Drain { group, take_at: when + drain * 3 / 4, begins });
                }
                Opening::TakenOver => self.tickle(group, tickler::first_round(when, addresses)),
            }
        }
        self.lister_is_stale = true;
    }

    /// Begins to tickle the clients of the peer's connections to a group, at `begins`.
    pub(super) fn tickle(&mut self, group: GroupKey, begins: MonoTime) {
        let connections = self.mirrored.take_for_tickling(group);
        if !connections.is_empty() {
            (self.report)(Event::Tickling { group, connections: connections.len() });
            self.tickler.begin(group, &connections, begins);
        }
    }

    /// Ends the tickling of a group that closed here, and plans the reset of its connections. A
    /// group that was handed over stays listed until its drain ends.
    pub(super) fn handle_closed(&mut self, group: GroupKey, how: Closing, when: MonoTime, now: MonoTime) {
        self.tickler.cancel(group);
        self.drains.retain(|drain| drain.group != group);
        let Some(drain) = self.watched(group).map(|watched| watched.drain) else { return };
        match how {
            Closing::HandedOver => {
                // The connections of all groups count: all groups may be handed over at once.
                let known = self.lister.known.values().map(|list| list.len()).sum();
                self.resets.plan_before_end_of_drain(group, when, drain, known, self.lister.took);
                self.open.insert(group, when + drain);
            }
            Closing::Lost => {
                self.resets.plan_now(group, now);
                self.open.remove(&group);
            }
            Closing::Other => {
                self.resets.plan_when_peer_has(group, Duration::ZERO, now);
                self.open.remove(&group);
            }
        }
        self.lister_is_stale = true;
    }

    /// Makes the lister read the connections of the groups that are open now.
    pub(super) fn watch_open_groups(&mut self, now: MonoTime) {
        let open = &self.open;
        let watched = self.setup.groups.iter().filter(|group| open.contains_key(&group.key));
        self.lister.watch(watched.map(|group| (group.key, group.addresses.as_slice())), now);
    }

    /// Resets all connections of these groups in the kernel, and reports how many.
    pub(super) fn reset(&mut self, groups: &[GroupKey], now: MonoTime) {
        match resets::reset(&self.setup, groups) {
            Ok(all) => all.into_iter().for_each(|(group, done)| {
                self.counts.entry(group).or_default().1 += u64::try_from(done.reset).unwrap_or(0);
                if done.reset + done.refused > 0 {
                    (self.report)(Event::Reset { group, reset: done.reset, refused: done.refused });
                }
            }),
            Err(cause) => self.complain(Event::Failed { what: format!("resetting connections: {cause}") }, now),
        }
        self.lister_is_stale = true;
    }
}
