//! All checks of this node, what they have come to, and the one number per group that follows.
//!
//! Owns: which checks run, across reloads; the sum of what fails. Never does: try anything. A group's health is told first
//! when every check of it has come to a verdict.

use super::{CheckId, Start, Verdict};
use crate::config::{Check, Group};
use crate::types::{GroupKey, MonoTime};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

/// First attempts are this far apart, or closer if there are many.
const APART: Duration = Duration::from_millis(10);

/// All of them.
#[derive(Debug, Default)]
pub struct Board {
    entries: Vec<Entry>,
    places: HashMap<CheckId, usize>,
    /// The health that was told last.
    told: HashMap<GroupKey, u8>,
    /// Where the entries of each group are.
    groups: HashMap<GroupKey, Range<usize>>,
    last: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    id: CheckId,
    group: GroupKey,
    check: Check,
    result: Option<Result<(), String>>,
    since: MonoTime,
}

/// One check as people are shown it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown<'b> {
    /// What it does.
    pub check: &'b Check,
    /// What it has come to; `None`: nothing yet.
    pub result: Option<&'b Result<(), String>>,
    /// Since when.
    pub since: MonoTime,
}

/// What a verdict changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed<'b> {
    /// Of which group.
    pub group: GroupKey,
    /// The check.
    pub check: &'b Check,
    /// It failed before and does not any more, or the other way round; its first success is no news.
    pub turned: bool,
}

impl Board {
    /// Takes over the checks of another configuration: those to be started, and those to be ended. What stays the same
    /// goes on untouched.
    pub fn configure(&mut self, groups: &[Group], now: MonoTime) -> (Vec<Start>, Vec<CheckId>) {
        let mut before: HashMap<GroupKey, Vec<Entry>> = HashMap::new();
        for entry in self.entries.drain(..) {
            before.entry(entry.group).or_default().push(entry);
        }
        let mut started = Vec::new();
        self.groups.clear();
        for group in groups {
            let first = self.entries.len();
            for check in &group.service.checks {
                let of_group = before.entry(group.key).or_default();
                let entry = match of_group.iter().position(|entry| entry.check == *check) {
                    Some(at) => of_group.remove(at),
                    None => {
                        self.last += 1;
                        let id = CheckId(self.last);
                        started.push((id, group.key, check.clone()));
                        Entry { id, group: group.key, check: check.clone(), result: None, since: now }
                    }
                };
                self.entries.push(entry);
            }
            self.groups.insert(group.key, first..self.entries.len());
        }
        self.places = self.entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect();
        self.told.retain(|key, _| self.groups.contains_key(key));
        let ended = before.into_values().flatten().map(|entry| entry.id).collect();
        (spread(started), ended)
    }

    /// Takes note of a verdict; `None` if it is of a check that was ended.
    pub fn note(&mut self, verdict: Verdict, now: MonoTime) -> Option<Changed<'_>> {
        let entry = &mut self.entries[*self.places.get(&verdict.check)?];
        let failed = entry.result.as_ref().is_some_and(Result::is_err);
        let fails = verdict.result.is_err();
        if entry.result.is_none() || failed != fails {
            entry.since = now;
        }
        entry.result = Some(verdict.result);
        Some(Changed { group: entry.group, check: &entry.check, turned: failed != fails })
    }

    /// The health of `group`, if it is known and was not told yet.
    pub fn tell(&mut self, group: GroupKey) -> Option<u8> {
        let health = self.health(group)?;
        // A group begins with nothing against it, and with a veto where a check vetoes; the first word is always said.
        (self.told.insert(group, health) != Some(health)).then_some(health)
    }

    /// Everything that is to be told after another configuration.
    pub fn tell_all(&mut self) -> Vec<(GroupKey, u8)> {
        let with_checks: HashSet<GroupKey> = self.entries.iter().map(|entry| entry.group).collect();
        let known: Vec<GroupKey> = self.told.keys().copied().chain(with_checks).collect();
        known.into_iter().filter_map(|key| Some((key, self.tell(key)?))).collect()
    }

    /// The checks of `group` as they are, in the order of the file.
    pub fn shown(&self, group: GroupKey) -> impl Iterator<Item = Shown<'_>> {
        self.of(group).iter().map(|entry| Shown {
            check: &entry.check,
            result: entry.result.as_ref(),
            since: entry.since,
        })
    }

    fn of(&self, group: GroupKey) -> &[Entry] {
        self.groups.get(&group).map_or(&[], |range| &self.entries[range.clone()])
    }

    /// 255 if something that vetoes fails, else the sum of the weights of what fails, at most 254; `None` while a check
    /// has come to nothing yet.
    fn health(&self, group: GroupKey) -> Option<u8> {
        let mut health: u8 = 0;
        for entry in self.of(group) {
            let failing = entry.result.as_ref()?.is_err();
            match entry.check.weight {
                _ if !failing => {}
                None => health = u8::MAX,
                Some(weight) if health < u8::MAX => health = health.saturating_add(weight.get()).min(u8::MAX - 1),
                Some(_) => {}
            }
        }
        Some(health)
    }
}

/// First attempts one after the other, so that a thousand checks are spread over their interval from the start.
fn spread(started: Vec<(CheckId, GroupKey, Check)>) -> Vec<Start> {
    let count = u32::try_from(started.len()).unwrap_or(u32::MAX);
    let place = |(at, (id, group, check)): (u32, (CheckId, GroupKey, Check))| {
        let apart = APART.min(check.interval / count.max(1));
        Start { id, group, check, phase: apart * at }
    };
    (0..).zip(started).map(place).collect()
}
