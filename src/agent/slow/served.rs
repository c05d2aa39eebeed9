//! Groups that nobody serves: told as an alarm, and taken back when somebody does.
//!
//! Owns: since when each such group has been without an owner, as far as this node knows. Never does: decide
//! anything. Notices of what may leave a group without an owner begin a watch; it asks the engine for its
//! report once a second, and ends when every group has an owner. So it costs nothing while all is well.

use super::current::Current;
use super::effects::Effects;
use super::status;
use crate::control::protocol::Severity;
use crate::engine::{Notice, Report};
use crate::orders::Order;
use crate::types::MonoTime;
use crate::wire::pulse::Role;
use crate::words::Saying;
use std::collections::HashMap;
use std::time::Duration;

/// Number of the report that the watch asks for; no client has it.
pub(crate) const REPORT: u64 = u64::MAX;
/// Interval between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Time without an owner after which people are told, beside two silences: a takeover is over by then.
const GRACE: Duration = Duration::from_secs(3);

/// The watch over groups without an owner.
#[derive(Default)]
pub(crate) struct Served {
    /// When to look next; `None` while every group is known to have an owner.
    next: Option<MonoTime>,
    /// Groups without an owner, by name.
    unserved: HashMap<String, Unserved>,
}

/// A group without an owner.
struct Unserved {
    since: MonoTime,
    told: bool,
}

impl Served {
    /// Begins a watch if `notice` may mean that a group has lost its owner.
    pub fn handle_notice(&mut self, at: MonoTime, notice: &Notice) {
        let may_lose = matches!(
            notice,
            Notice::Role { .. }
                | Notice::PeerSilent { .. }
                | Notice::PeerLeft { .. }
                | Notice::WitnessLost { .. }
                | Notice::NoMajority { .. }
        );
        if may_lose {
            self.next.get_or_insert(at);
        }
    }

    /// Asks for a report if it is time for one.
    pub fn handle_tick(&mut self, now: MonoTime) -> Effects {
        match self.next {
            Some(next) if now >= next => {
                self.next = Some(now + PAUSE);
                Effects::of_order(Order::Report { id: REPORT })
            }
            Some(_) | None => Effects::default(),
        }
    }

    /// Takes in which groups have an owner: here, or on a peer that is heard.
    pub fn handle_report(&mut self, report: &Report, current: &Current) -> Effects {
        let grace = GRACE + current.config.timing.silence * 2;
        let is_owner = |role: Role| matches!(role, Role::Active | Role::Handover);
        let groups = report.groups.iter().zip(&current.config.groups).map(|(group, configured)| {
            let owned = is_owner(group.role) || group.peer.is_some_and(|(role, _)| is_owner(role));
            let why = || status::why_here(&current.config, &current.names, report, group);
            (configured.name.as_str(), (!owned).then_some(why))
        });
        self.look(groups, report.now, grace)
    }

    /// Takes in which groups have no owner, each with the reason why this node is none.
    fn look<'g, F: Fn() -> String>(
        &mut self,
        groups: impl Iterator<Item = (&'g str, Option<F>)>,
        now: MonoTime,
        grace: Duration,
    ) -> Effects {
        let mut effects = Effects::default();
        let mut left = std::mem::take(&mut self.unserved);
        for (name, without) in groups {
            let before = left.remove(name);
            let Some(why) = without else {
                if let Some(Unserved { since, told: true }) = before {
                    let text = format!("{name} is served again, after {:.0} s", now.since(since).as_secs_f64());
                    effects.event_of(saying(Severity::Info, "served", name, text));
                }
                continue;
            };
            let mut unserved = before.unwrap_or(Unserved { since: now, told: false });
            if !unserved.told && now.since(unserved.since) >= grace {
                unserved.told = true;
                let why = why();
                let text = format!("{name} is served by nobody{}{why}", if why.is_empty() { "" } else { ": " });
                effects.event_of(saying(Severity::Error, "unserved", name, text));
            }
            self.unserved.insert(name.to_owned(), unserved);
        }
        if self.unserved.is_empty() {
            self.next = None;
        }
        effects
    }

    /// Sentences for the status: the groups that people were told of.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let told = self.unserved.iter().filter(|(_, unserved)| unserved.told);
        told.map(|(name, _)| format!("{name} is served by nobody, as far as this node knows"))
    }
}

/// An event about a group.
fn saying(severity: Severity, kind: &'static str, name: &str, text: String) -> Saying {
    Saying { severity, kind, group: Some(name.to_owned()), text, fields: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::{Served, Unserved};
    use crate::slow::effects::{Effect, Effects};
    use crate::types::MonoTime;
    use std::time::Duration;

    /// The kinds and texts of events.
    fn told(effects: Effects) -> Vec<(&'static str, String)> {
        let event = |effect| match effect {
            Effect::Event(saying) => (saying.kind, saying.text),
            _ => panic!("people are told, and nothing else"),
        };
        effects.into_iter().map(event).collect()
    }

    // FJ-1: not a second time, not at a takeover, and taken back
    #[test]
    fn a_group_without_an_owner_is_told_once_and_taken_back() {
        let mut served = Served { next: Some(MonoTime(0)), ..Served::default() };
        let grace = Duration::from_secs(3);
        let mut look = |seconds: u64, without: bool| {
            let why = without.then_some(|| "waiting for a majority of votes".to_owned());
            let groups = [("web", why), ("db", None)].into_iter();
            told(served.look(groups, MonoTime(seconds * 1_000_000_000), grace))
        };
        assert_eq!(look(1, true), []);
        assert_eq!(look(2, false), [], "a takeover is no alarm");
        assert_eq!(look(10, true), []);
        assert_eq!(look(12, true), []);
        let alarm = "web is served by nobody: waiting for a majority of votes".to_owned();
        assert_eq!(look(13, true), [("unserved", alarm)]);
        assert_eq!(look(14, true), [], "once");
        assert_eq!(look(20, false), [("served", "web is served again, after 10 s".to_owned())]);
        assert!(served.next.is_none() && served.unserved.is_empty(), "the watch is over");
        let later = Unserved { since: MonoTime(0), told: true };
        served.unserved.insert("web".to_owned(), later);
        assert_eq!(served.warnings().count(), 1);
    }
}
