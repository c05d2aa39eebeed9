//! The board: all checks of this node, their verdicts, and the one number per group that follows.
//!
//! Owns: which checks run, across reloads; the sum of the weights that fail. Never does: try
//! anything. A group's health is unknown until each of its checks has come to a verdict.

use super::{CheckId, Start, Verdict};
use crate::config::{Check, Group};
use crate::types::{GroupKey, MonoTime};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

/// Time between the first attempts of two checks; less if there are many checks.
const APART: Duration = Duration::from_millis(10);

/// All checks of this node and their verdicts.
#[derive(Debug, Default)]
pub struct Board {
    entries: Vec<Entry>,
    /// Position of each check in `entries`.
    places: HashMap<CheckId, usize>,
    /// Health that was last taken for reporting.
    reported: HashMap<GroupKey, u8>,
    /// Positions of each group's checks in `entries`.
    groups: HashMap<GroupKey, Range<usize>>,
    /// Number of the newest check.
    last: u64,
}

/// A check that runs, with its verdict.
#[derive(Clone, Debug)]
struct Entry {
    id: CheckId,
    group: GroupKey,
    check: Check,
    result: Option<Result<(), String>>,
    since: MonoTime,
}

/// One check as `status` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown<'b> {
    /// Configuration of the check.
    pub check: &'b Check,
    /// Verdict of the check; `None` before the first.
    pub result: Option<&'b Result<(), String>>,
    /// Instant since which the check succeeds, fails or has no verdict.
    pub since: MonoTime,
}

/// Effect of a verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed<'b> {
    /// Group that the check belongs to.
    pub group: GroupKey,
    /// Configuration of the check.
    pub check: &'b Check,
    /// Whether the check turned from failing to succeeding or back; a first success is no turn.
    pub turned: bool,
}

/// Effect of another configuration on the running checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Checks to be started.
    pub start: Vec<Start>,
    /// Checks to be ended.
    pub end: Vec<CheckId>,
}

impl Board {
    /// Takes over the checks of another configuration; returns which to start and which to end.
    /// Checks that stay the same go on untouched.
    pub fn configure(&mut self, groups: &[Group], now: MonoTime) -> Change {
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
                    Some(place) => of_group.remove(place),
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
        self.places = self.entries.iter().enumerate().map(|(place, entry)| (entry.id, place)).collect();
        self.reported.retain(|key, _| self.groups.contains_key(key));
        let end = before.into_values().flatten().map(|entry| entry.id).collect();
        Change { start: spread(started), end }
    }

    /// Stores a verdict and returns its effect; `None` if its check was ended.
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

    /// Takes the health of `group` for reporting, if it is known and differs from the one taken
    /// last.
    pub fn take_unreported(&mut self, group: GroupKey) -> Option<u8> {
        let health = self.health(group)?;
        // The engine starts a group at 0, or at a veto where a check vetoes; the first health is
        // always reported.
        (self.reported.insert(group, health) != Some(health)).then_some(health)
    }

    /// Takes every health that is to be reported after another configuration.
    pub fn take_all_unreported(&mut self) -> Vec<(GroupKey, u8)> {
        let with_checks: HashSet<GroupKey> = self.entries.iter().map(|entry| entry.group).collect();
        let known: Vec<GroupKey> = self.reported.keys().copied().chain(with_checks).collect();
        known.into_iter().filter_map(|key| Some((key, self.take_unreported(key)?))).collect()
    }

    /// Checks of `group` with their verdicts, in the order of the configuration.
    pub fn shown(&self, group: GroupKey) -> impl Iterator<Item = Shown<'_>> {
        self.entries_of(group).iter().map(|entry| Shown {
            check: &entry.check,
            result: entry.result.as_ref(),
            since: entry.since,
        })
    }

    fn entries_of(&self, group: GroupKey) -> &[Entry] {
        self.groups.get(&group).map_or(&[], |range| &self.entries[range.clone()])
    }

    /// Health of a group: 255 if a check that vetoes fails, else the sum of the weights of failing
    /// checks, at most 254; `None` while a check has no verdict.
    fn health(&self, group: GroupKey) -> Option<u8> {
        let mut health: u8 = 0;
        for entry in self.entries_of(group) {
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

/// Gives each new check its phase, so that a thousand checks are spread over their interval from
/// the start.
fn spread(started: Vec<(CheckId, GroupKey, Check)>) -> Vec<Start> {
    let count = u32::try_from(started.len()).unwrap_or(u32::MAX);
    let phased = |(place, (id, group, check)): (u32, (CheckId, GroupKey, Check))| {
        let apart = APART.min(check.interval / count.max(1));
        Start { id, group, check, phase: apart * place }
    };
    (0..).zip(started).map(phased).collect()
}
