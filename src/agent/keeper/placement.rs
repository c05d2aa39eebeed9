//! How much of each group is in place on an interface, and what was reported of it.
//!
//! Owns: the comparison with the last report. Never does: ask the kernel, or touch an address. An
//! address that could not be put in place is missing from its own group, and from no other.

use super::event::{KeeperEvent, Placed, PlacedGroups};
use crate::types::{GroupKey, InterfaceId, Vip};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is known of the addresses of one interface.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// Wanted addresses that were in place when they were listed last.
    there: HashSet<Vip>,
    /// Addresses that went missing after they had been in place.
    lost: HashSet<Vip>,
    /// Why an address could not be put in place by the present plan.
    failed: HashMap<Vip, String>,
    /// Groups and missing addresses as reported last; `None` while a report is due.
    reported: Option<(PlacedGroups, BTreeMap<Vip, String>)>,
}

impl Placement {
    /// Begins a new comparison: `found` are in place now, and the rest is about to be added.
    pub fn begin(&mut self, found: HashSet<Vip>) {
        let before = std::mem::replace(&mut self.there, found);
        self.lost.extend(before.into_iter().filter(|vip| !self.there.contains(vip)));
        self.failed.clear();
    }

    /// Notes that an address could not be put in place.
    pub fn note_failed(&mut self, vip: Vip, cause: String) {
        self.failed.insert(vip, cause);
    }

    /// Notes that the keeper itself takes an address away: it is not lost.
    pub fn note_taken(&mut self, vip: &Vip) {
        self.there.remove(vip);
    }

    /// Asks for another report of everything, because the configuration has changed.
    pub fn reconfigure(&mut self, wanted: &HashSet<Vip>) {
        self.reported = None;
        for known in [&mut self.there, &mut self.lost] {
            known.retain(|vip| wanted.contains(vip));
        }
    }

    /// True if everything was in place when it was reported last, and no report is due.
    pub fn is_whole(&self) -> bool {
        self.reported.as_ref().is_some_and(|(_, missing)| missing.is_empty())
    }

    /// Reports what is new now that everything was tried: restored addresses, then how much of each
    /// group is there.
    pub fn settle(&mut self, interface: InterfaceId, groups: &[(GroupKey, Vec<Vip>)]) -> Vec<KeeperEvent> {
        let mut news = Vec::new();
        for (_, vips) in groups {
            self.there.extend(vips.iter().filter(|vip| !self.failed.contains_key(vip)));
        }
        let back = std::mem::take(&mut self.lost).into_iter().filter(|vip| !self.failed.contains_key(vip));
        news.extend(back.map(|address| KeeperEvent::AddressRestored { interface, address }));
        let state: Vec<_> = groups.iter().map(|(key, vips)| (*key, self.placed(vips))).collect();
        let missing: BTreeMap<Vip, String> = self.failed.iter().map(|(vip, cause)| (*vip, cause.clone())).collect();
        let now = (state, missing);
        if self.reported.as_ref() != Some(&now) {
            let missing = now.1.iter().map(|(vip, cause)| (*vip, cause.clone())).collect();
            news.push(KeeperEvent::Addresses { interface, groups: now.0.clone(), missing });
            self.reported = Some(now);
        }
        news
    }

    /// How much of a group is there.
    fn placed(&self, vips: &[Vip]) -> Placed {
        match vips.iter().filter(|vip| self.failed.contains_key(vip)).count() {
            0 => Placed::Whole,
            some if some < vips.len() => Placed::Part,
            _ => Placed::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
