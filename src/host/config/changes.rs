//! What a new configuration changes, in words, and which changes a running agent cannot make.
//!
//! Owns: the comparison of two valid configurations. Never does: read files, or apply anything.

use super::{Config, Group, KeyPrint};
use crate::timing::Profile;
use crate::types::Vip;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::time::Duration;

/// Addresses named in one sentence; of more, the number is told.
const NAMED: usize = 4;

/// Everything that stands in the way of taking over `new` while running, a sentence each.
#[must_use]
pub fn refusals(old: &Config, new: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let mut refuse = |what: String| found.push(format!("{what}; restart the agent to change that"));
    if old.cluster != new.cluster {
        refuse(format!("cluster: the name is \"{}\" now and was \"{}\"", new.cluster, old.cluster));
    }
    if old.me != new.me {
        refuse(format!("node: this node would be number {} and is number {}", new.me.0, old.me.0));
    }
    if old.nodes != new.nodes {
        refuse("node: nodes, their order, their names or their links are others".to_owned());
    }
    if old.witness != new.witness {
        refuse("witness: there are others, at other addresses, or strict is another".to_owned());
    }
    let (before, after) = (old.interfaces(), new.interfaces());
    if before != after {
        let (before, after) = (before.join(", "), after.join(", "));
        refuse(format!("group.interface: the groups of this node use {after} (in this order) and used {before}"));
    }
    found.extend(moved_addresses(old, new));
    found
}

/// An address that moves between groups could be answered by two nodes: by one in the old group, by the other in the new.
fn moved_addresses(old: &Config, new: &Config) -> Vec<String> {
    let mut owners: HashMap<Vip, &Group> = HashMap::new();
    for group in &old.groups {
        owners.extend(group.addresses.iter().map(|address| (*address, group)));
    }
    let mut found = Vec::new();
    for group in &new.groups {
        let from =
            |address: &Vip| owners.get(address).filter(|owner| owner.key != group.key).map(|owner| &owner.name);
        let mut moved = group.addresses.iter().filter_map(|address| Some((address, from(address)?)));
        if let Some((address, from)) = moved.next() {
            found.push(format!(
                "group {}: {address} belongs to group {from}, and each node could answer for another of the two; \
                 remove it there first, reload both nodes, then add it here",
                group.name
            ));
        }
    }
    found
}

/// What becomes different, a phrase each; empty if nothing does.
#[must_use]
pub fn between(old: (&Config, &[KeyPrint]), new: (&Config, &[KeyPrint])) -> Vec<String> {
    let ((old, old_keys), (new, new_keys)) = (old, new);
    let mut found = timing(old, new);
    if old_keys != new_keys {
        found.push(keys(new_keys));
    }
    if old.key_file != new.key_file {
        found.push(format!("keys are read from {}", new.key_file.display()));
    }
    for group in old.groups.iter().filter(|group| counterpart(new, group).is_none()) {
        found.push(format!("group {} removed", group.name));
    }
    for group in &new.groups {
        match counterpart(old, group) {
            Some(before) => found.extend(group_changes(before, group, new)),
            None => found.push(format!(
                "group {} added on {}: {}",
                group.name,
                group.interface,
                listed(group.addresses.iter().collect())
            )),
        }
    }
    if found.is_empty() && old != new {
        found.push("groups or addresses in another order".to_owned());
    }
    found
}

fn counterpart<'c>(config: &'c Config, group: &Group) -> Option<&'c Group> {
    config.groups.iter().find(|other| other.key == group.key)
}

fn timing(old: &Config, new: &Config) -> Vec<String> {
    let name =
        |config: &Config| Profile::matching(&config.timing, config.witness.is_some()).map_or("custom", Profile::name);
    let ms = |duration: Duration| duration.as_millis();
    let mut found = Vec::new();
    changed(&mut found, "profile", name(old), name(new));
    let (old, new) = (&old.timing, &new.timing);
    changed(&mut found, "pulse_ms", ms(old.pulse), ms(new.pulse));
    changed(&mut found, "silence_ms", ms(old.silence), ms(new.silence));
    changed(&mut found, "lease_ms", ms(old.lease), ms(new.lease));
    changed(&mut found, "drift_ppm", old.drift_ppm, new.drift_ppm);
    found
}

fn keys(keys: &[KeyPrint]) -> String {
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let (first, others) = ids.split_first().map_or(("", [].as_slice()), |(first, others)| (first, others));
    match others {
        [] => format!("keys: seals with key {first} and accepts no other"),
        others => format!("keys: seals with key {first} and accepts key {} as well", others.join(", ")),
    }
}

fn group_changes(old: &Group, new: &Group, config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let before: HashSet<&Vip> = old.addresses.iter().collect();
    let after: HashSet<&Vip> = new.addresses.iter().collect();
    let added: Vec<&Vip> = new.addresses.iter().filter(|address| !before.contains(address)).collect();
    let removed: Vec<&Vip> = old.addresses.iter().filter(|address| !after.contains(address)).collect();
    if !added.is_empty() {
        found.push(format!("{} added", listed(added)));
    }
    if !removed.is_empty() {
        found.push(format!("{} removed", listed(removed)));
    }
    changed(&mut found, "interface", &old.interface, &new.interface);
    changed(&mut found, "prefer", &config.node(old.prefer).name, &config.node(new.prefer).name);
    changed(&mut found, "preempt", old.preempt, new.preempt);
    changed(&mut found, "preempt_delay_ms", old.preempt_delay.as_millis(), new.preempt_delay.as_millis());
    changed(&mut found, "drain_ms", old.drain.as_millis(), new.drain.as_millis());
    changed(&mut found, "promote", old.promote.name(), new.promote.name());
    for (what, differs) in [
        ("checks", old.service.checks != new.service.checks),
        ("hooks", old.service.hooks != new.service.hooks),
        ("units", old.service.units != new.service.units),
    ] {
        if differs {
            found.push(format!("{what} changed"));
        }
    }
    changed(&mut found, "tickle", old.tickle, new.tickle);
    found.iter().map(|change| format!("group {}: {change}", new.name)).collect()
}

fn changed<T: PartialEq + Display>(found: &mut Vec<String>, what: &str, old: T, new: T) {
    if old != new {
        found.push(format!("{what} {old} → {new}"));
    }
}

fn listed(addresses: Vec<&Vip>) -> String {
    let mut names: Vec<String> = addresses.iter().take(NAMED).map(ToString::to_string).collect();
    if addresses.len() > NAMED {
        names.push(format!("{} more", addresses.len() - NAMED));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
