//! Addresses of groups, as the keeper reports them.
//!
//! Owns: how much of each group is in place, and which addresses are missing. Never does: touch an
//! address; the keeper does, and tries again. A report becomes orders to the hot thread (is any
//! address of a group there?), a lack where some are missing, and word to people: each missing
//! address with its cause, once, and once when it is in place again.

use super::current::{Current, Numbering};
use super::effects::{Effect, Effects};
use crate::control::protocol::{Severity, StatusReport};
use crate::engine::Lacks;
use crate::keeper::{Placed, PlacedGroups};
use crate::orders::Order;
use crate::types::{GroupKey, InterfaceId, Vip};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Most missing addresses that one sentence names.
const NAMED: usize = 5;

/// What the keeper has said of the addresses of each interface.
pub(crate) struct Addresses(Vec<Told>);

/// What the keeper has said of one interface.
#[derive(Default)]
struct Told {
    /// How much of each group is in place; empty before the first report.
    placed: HashMap<GroupKey, Placed>,
    /// Missing addresses, each with its cause.
    missing: BTreeMap<Vip, String>,
}

impl Addresses {
    /// Nothing is known yet of `count` interfaces.
    pub fn new(count: usize) -> Addresses {
        Addresses((0..count).map(|_| Told::default()).collect())
    }

    /// Whether everything that could be done for the addresses of every interface has been done.
    pub fn are_settled(&self) -> bool {
        self.0.iter().all(|told| !told.placed.is_empty())
    }

    /// Takes in what the keeper says of an interface.
    pub fn handle_report(
        &mut self,
        interface: InterfaceId,
        (groups, missing): (PlacedGroups, Vec<(Vip, String)>),
        current: &Current,
        numbering: Numbering<'_>,
    ) -> Effects {
        let mut effects = Effects::default();
        let told = &mut self.0[usize::from(interface.0)];
        let missing: BTreeMap<Vip, String> = missing.into_iter().collect();
        tell(current.names.interface(interface), (&told.missing, &missing), current, &mut effects);
        for (key, placed) in &groups {
            let there = *placed != Placed::Nothing;
            // What is lacking comes first: a group that can be served must not look whole for a moment.
            effects.push(Effect::Lack { group: *key, lack: Lacks::ADDRESS, holds: *placed == Placed::Part });
            if let Some(group) = numbering.of(*key) {
                effects.order(Order::Addresses { group, there });
            }
            if there {
                effects.push(Effect::StartChecks(*key));
            }
        }
        *told = Told { placed: groups.into_iter().collect(), missing };
        effects
    }

    /// Notes that an interface has lost its gate, and with it every address.
    pub fn handle_lost(&mut self, interface: InterfaceId, numbering: Numbering<'_>) -> Effects {
        let mut effects = Effects::default();
        let told = std::mem::take(&mut self.0[usize::from(interface.0)]);
        for key in told.placed.into_keys() {
            if let Some(group) = numbering.of(key) {
                effects.order(Order::Addresses { group, there: false });
            }
            effects.push(Effect::Lack { group: key, lack: Lacks::ADDRESS, holds: false });
        }
        effects
    }

    /// Adds to the reason of each group which of its addresses are missing.
    pub fn add_to(&self, status: &mut StatusReport, current: &Current) {
        for (group, configured) in status.groups.iter_mut().zip(&current.config.groups) {
            let missing = self.0.iter().flat_map(|told| &told.missing);
            let missing: Vec<_> = missing.filter(|(vip, _)| configured.addresses.contains(vip)).collect();
            if !missing.is_empty() {
                let words = if group.reason.is_empty() { "addresses are missing" } else { &group.reason };
                group.reason = format!("{words} ({})", in_words(&missing));
            }
        }
    }
}

/// Tells people which addresses are missing that were not, or for another cause, and which are in
/// place again. `name`: of the interface.
fn tell(
    name: &str,
    (before, now): (&BTreeMap<Vip, String>, &BTreeMap<Vip, String>),
    current: &Current,
    effects: &mut Effects,
) {
    let new: Vec<_> = now.iter().filter(|(vip, cause)| before.get(vip) != Some(cause)).collect();
    if !new.is_empty() {
        effects.event(Severity::Error, "addresses_missing", format!("missing on {name}: {}", in_words(&new)));
    }
    let wanted: HashSet<&Vip> = current.config.groups.iter().flat_map(|group| group.addresses.iter()).collect();
    let back: Vec<_> = before.iter().filter(|(vip, _)| !now.contains_key(vip) && wanted.contains(vip)).collect();
    if !back.is_empty() {
        let named: Vec<String> = back.iter().take(NAMED).map(|(vip, _)| vip.to_string()).collect();
        let text = format!("in place again on {name}: {}{}", named.join(", "), rest(back.len()));
        effects.event(Severity::Info, "addresses_back", text);
    }
}

/// Missing addresses with their causes; of many, the first.
fn in_words(missing: &[(&Vip, &String)]) -> String {
    let named: Vec<String> = missing.iter().take(NAMED).map(|(vip, cause)| format!("{vip}: {cause}")).collect();
    format!("{}{}", named.join("; "), rest(missing.len()))
}

/// What a sentence says of those that it does not name.
fn rest(count: usize) -> String {
    if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() }
}
