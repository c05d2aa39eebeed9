//! What a new configuration changes, in words, and which changes a running agent cannot make.
//!
//! Owns: the comparison of two valid configurations. Never does: read files, or apply anything.

use super::{Config, Group, KeyPrint};
use crate::timing::Profile;
use crate::types::Vip;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::time::Duration;

/// Most addresses that one sentence names; of the others it tells the number.
const NAMED: usize = 4;

/// Every reason for which a running agent cannot take over `new`, a sentence each.
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

/// A refusal for each group that takes an address from another group; it names the first such
/// address.
///
/// While one node has the old configuration and the other the new one, both could answer for that
/// address: one in the old group, the other in the new.
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

/// The differences from `old` to `new`, a phrase each; empty if there is none.
#[must_use]
pub fn between(old: (&Config, &[KeyPrint]), new: (&Config, &[KeyPrint])) -> Vec<String> {
    let ((old, old_keys), (new, new_keys)) = (old, new);
    let mut found = timing_changes(old, new);
    if old_keys != new_keys {
        found.push(keys_phrase(new_keys));
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
                address_list(group.addresses.iter().collect())
            )),
        }
    }
    if found.is_empty() && old != new {
        found.push("groups or addresses in another order".to_owned());
    }
    found
}

/// The group of `config` that has the key of `group`.
fn counterpart<'c>(config: &'c Config, group: &Group) -> Option<&'c Group> {
    config.groups.iter().find(|other| other.key == group.key)
}

/// The differences between profiles and times.
fn timing_changes(old: &Config, new: &Config) -> Vec<String> {
    let name =
        |config: &Config| Profile::matching(&config.timing, config.witness.is_some()).map_or("custom", Profile::name);
    let ms = |duration: Duration| duration.as_millis();
    let mut found = Vec::new();
    push_if_changed(&mut found, "profile", name(old), name(new));
    let (old, new) = (&old.timing, &new.timing);
    push_if_changed(&mut found, "pulse_ms", ms(old.pulse), ms(new.pulse));
    push_if_changed(&mut found, "silence_ms", ms(old.silence), ms(new.silence));
    push_if_changed(&mut found, "lease_ms", ms(old.lease), ms(new.lease));
    push_if_changed(&mut found, "drift_ppm", old.drift_ppm, new.drift_ppm);
    found
}

/// Which keys the node seals and opens with, as a phrase. Of a key it names the number alone.
fn keys_phrase(keys: &[KeyPrint]) -> String {
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let (first, others) = ids.split_first().map_or(("", [].as_slice()), |(first, others)| (first, others));
    match others {
        [] => format!("keys: seals with key {first} and accepts no other"),
        others => format!("keys: seals with key {first} and accepts key {} as well", others.join(", ")),
    }
}

/// The differences between a group in two configurations. `config` is the new one, for the names of
/// nodes.
fn group_changes(old: &Group, new: &Group, config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let before: HashSet<&Vip> = old.addresses.iter().collect();
    let after: HashSet<&Vip> = new.addresses.iter().collect();
    let added: Vec<&Vip> = new.addresses.iter().filter(|address| !before.contains(address)).collect();
    let removed: Vec<&Vip> = old.addresses.iter().filter(|address| !after.contains(address)).collect();
    if !added.is_empty() {
        found.push(format!("{} added", address_list(added)));
    }
    if !removed.is_empty() {
        found.push(format!("{} removed", address_list(removed)));
    }
    push_if_changed(&mut found, "interface", &old.interface, &new.interface);
    let uplinks = |group: &Group| match group.uplinks.as_slice() {
        [] => "by kind".to_owned(),
        named => named.join(", "),
    };
    push_if_changed(&mut found, "uplinks", uplinks(old), uplinks(new));
    push_if_changed(&mut found, "prefer", &config.node(old.prefer).name, &config.node(new.prefer).name);
    push_if_changed(&mut found, "preempt", old.preempt, new.preempt);
    push_if_changed(&mut found, "preempt_delay_ms", old.preempt_delay.as_millis(), new.preempt_delay.as_millis());
    push_if_changed(&mut found, "drain_ms", old.drain.as_millis(), new.drain.as_millis());
    push_if_changed(&mut found, "promote", old.promote.name(), new.promote.name());
    for (what, differs) in [
        ("checks", old.service.checks != new.service.checks),
        ("hooks", old.service.hooks != new.service.hooks),
        ("units", old.service.units != new.service.units),
    ] {
        if differs {
            found.push(format!("{what} changed"));
        }
    }
    push_if_changed(&mut found, "tickle", old.tickle, new.tickle);
    found.iter().map(|change| format!("group {}: {change}", new.name)).collect()
}

/// Adds the phrase `what old → new` if the two values differ.
fn push_if_changed<T: PartialEq + Display>(found: &mut Vec<String>, what: &str, old: T, new: T) {
    if old != new {
        found.push(format!("{what} {old} → {new}"));
    }
}

/// The addresses as a list of at most [`NAMED`], with the number of the others.
fn address_list(addresses: Vec<&Vip>) -> String {
    let mut names: Vec<String> = addresses.iter().take(NAMED).map(ToString::to_string).collect();
    if addresses.len() > NAMED {
        names.push(format!("{} more", addresses.len() - NAMED));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
