//! Digests by which two nodes find out that their configurations differ.
//!
//! Owns: the canonical texts and their digests. Never does: compare them (the engine does) or hash
//! anything secret. Nothing here fails. The texts are part of the protocol: after a change of one,
//! old and new versions would report a difference, so a change needs a new protocol version.

use super::{Check, CheckKind, Config, Group, Hooks, HttpCheck, Node, ServicePlan, Witness};
use crate::types::GroupKey;
use crate::wire::pulse::Digests;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::num::NonZeroU8;
use std::time::Duration;

/// Key of a group on the wire and in the kernel: the first eight bytes of SHA-256 of its name, as a
/// big-endian number.
#[must_use]
pub fn group_key(name: &str) -> GroupKey {
    let hash = Sha256::digest(name.as_bytes());
    GroupKey(hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// Number of a cluster in every pulse's header: the first four bytes of SHA-256 of its name.
#[must_use]
pub fn cluster_number(name: &str) -> u32 {
    digest_of(name)
}

/// Digests of a configuration that travel in every pulse's header.
#[must_use]
pub fn digests(config: &Config) -> Digests {
    Digests {
        nodes: nodes(&config.nodes, config.witness.as_ref(), config.timing.drift_ppm),
        groups: groups(config.groups.iter().map(|group| group.name.as_str())),
    }
}

/// Digest of who votes, and for how long: node names and link addresses, witnesses, and ρ. Order
/// counts, because a node's number is its position and links pair by position.
#[must_use]
pub fn nodes(nodes: &[Node], witness: Option<&Witness>, drift_ppm: u64) -> u32 {
    let mut text = String::new();
    for node in nodes {
        push_line(&mut text, format_args!("node {}", node.name));
        for link in &node.links {
            push_line(&mut text, format_args!("link {link}"));
        }
    }
    if let Some(Witness { addresses, port, strict }) = witness {
        for address in addresses {
            push_line(&mut text, format_args!("witness {address}"));
        }
        push_line(&mut text, format_args!("port {port}"));
        push_line(&mut text, format_args!("strict {strict}"));
    }
    push_line(&mut text, format_args!("drift_ppm {drift_ppm}"));
    digest_of(&text)
}

/// Digest of the set of group names. Their order does not count: groups travel by key, not by
/// position.
#[must_use]
pub fn groups<'n>(names: impl Iterator<Item = &'n str>) -> u32 {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        push_line(&mut text, format_args!("group {name}"));
    }
    digest_of(&text)
}

/// Digest of a group's set of addresses. Their order does not count.
#[must_use]
pub fn addresses(group: &Group) -> u32 {
    let mut addresses = group.addresses.clone();
    addresses.sort_unstable();
    let mut text = String::new();
    for address in addresses {
        push_line(&mut text, format_args!("address {address}"));
    }
    digest_of(&text)
}

/// Digest of how a group moves: the preferred node's name, preempt, preempt delay, drain, promote,
/// tickle, and the checks, hooks and units of its service.
#[must_use]
pub fn policy(config: &Config, group: &Group) -> u32 {
    let mut text = String::new();
    push_line(&mut text, format_args!("prefer {}", config.node(group.prefer).name));
    push_line(&mut text, format_args!("preempt {}", group.preempt));
    push_line(&mut text, format_args!("preempt_delay_ms {}", group.preempt_delay.as_millis()));
    push_line(&mut text, format_args!("drain_ms {}", group.drain.as_millis()));
    push_line(&mut text, format_args!("promote {}", group.promote.name()));
    push_line(&mut text, format_args!("tickle {}", group.tickle));
    push_service(&mut text, &group.service);
    digest_of(&text)
}

/// Appends the lines of checks, units and hooks. A group that has none of them adds no line.
fn push_service(text: &mut String, service: &ServicePlan) {
    for check in &service.checks {
        let Check { kind, interval, timeout, fall, rise, weight } = check;
        let times = [interval, timeout].map(Duration::as_millis);
        let weight = weight.map_or(0, NonZeroU8::get);
        let (name, target) = (kind.name(), kind.target());
        push_line(text, format_args!("check {name} {target} {times:?} {fall} {rise} {weight}"));
        if let CheckKind::Http(HttpCheck { target: _, path: _, host, status, body }) = kind {
            push_line(text, format_args!("http {host} {status:?} {}", body.as_deref().unwrap_or_default()));
        }
        if let CheckKind::Exec { command: _, user } = kind {
            push_line(text, format_args!("user {user}"));
        }
    }
    for unit in &service.units {
        push_line(text, format_args!("unit {unit}"));
    }
    let Hooks { before_open, after_open, before_close, after_close, on_fault, timeout, on_failure } = &service.hooks;
    let named = [
        ("before_open", before_open),
        ("after_open", after_open),
        ("before_close", before_close),
        ("after_close", after_close),
        ("on_fault", on_fault),
    ];
    for (name, command) in named.iter().flat_map(|(name, commands)| commands.iter().map(move |one| (name, one))) {
        push_line(text, format_args!("hook {name} {command}"));
    }
    if service.hooks != Hooks::default() || !service.units.is_empty() {
        push_line(text, format_args!("hooks {} {}", timeout.as_millis(), on_failure.name()));
    }
}

/// Appends one line to a canonical text.
fn push_line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a String never fails");
}

/// The first four bytes of SHA-256 of `text` as a big-endian number.
fn digest_of(text: &str) -> u32 {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(4).fold(0, |number, byte| (number << 8) | u32::from(*byte))
}
