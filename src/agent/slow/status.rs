//! Turns the engine's report into the status that people and programs read.
//!
//! Owns: nothing. Never does: decide; every sentence is made of the report and the configuration.
//! What other parts of the slow side know, each of them adds itself (`add_to`).

use crate::config::Config;
use crate::control::protocol::{
    GroupRole, GroupStatus, LinkState, LinkStatus, MAX_SHOWN_ADDRESSES, RejectStatus, StatusReport, TimerStatus,
    TimingStatus,
};
use crate::engine::{GroupReport, LinkReport, PeerReport, Presence, Report, Waiting};
use crate::io::clock;
use crate::timing::Profile;
use crate::types::{LinkId, LinkPath, MonoTime, NodeId};
use crate::wire::auth::Reject;
use crate::wire::pulse::{Reason, Role};
use crate::words::{self, Names};
use std::collections::BTreeMap;
use std::time::Duration;

mod warnings;

/// The status as far as the report and the configuration tell it.
pub(crate) fn status(config: &Config, names: &Names, report: &Report, started: MonoTime) -> StatusReport {
    let timing = &config.timing;
    let profile = Profile::matching(timing, config.witness.is_some()).map_or("custom", Profile::name);
    let links = report.peers.iter().flat_map(|peer| peer.links.iter().map(move |link| (peer, link)));
    let groups = report.groups.iter().enumerate();
    // A witness does not have the cluster's configuration.
    let nodes = report.peers.iter().filter(|peer| !peer.id.is_witness());
    StatusReport {
        node: names.node(config.me).to_owned(),
        cluster: config.cluster.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: u64::try_from(report.now.since(started).as_millis()).unwrap_or(u64::MAX),
        timing: TimingStatus {
            profile: profile.to_owned(),
            pulse_ms: millis(timing.pulse),
            silence_ms: millis(timing.silence),
            lease_ms: millis(timing.lease),
        },
        groups: groups.map(|(at, group)| group_status(config, names, report, at, group)).collect(),
        links: links.map(|(peer, link)| link_status(config, names, report, peer, link)).collect(),
        differences: nodes.flat_map(|peer| differences(config, names, report, peer)).collect(),
        mirror: None,
        worst_lateness_ms: 0.0,
        lateness_p999_ms: 0.0,
        lateness_us: Vec::new(),
        renewal_us: Vec::new(),
        warnings: warnings::warnings(config, names, report),
        alike: warnings::alike(names, report),
        not_loaded: Vec::new(),
        rejected: rejected(names, report),
    }
}

/// A span in milliseconds, with fractions.
fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Status of the group at place `at`, without checks, connections and counters: other parts of the
/// slow side add those.
fn group_status(config: &Config, names: &Names, report: &Report, at: usize, group: &GroupReport) -> GroupStatus {
    let configured = &config.groups[at];
    let peer = config.peers().next();
    GroupStatus {
        name: configured.name.clone(),
        role: group_role(group.role),
        epoch: group.epoch.0,
        peer: peer.map(|peer| peer.name.clone()).unwrap_or_default(),
        peer_role: group.peer.map(|(role, _)| group_role(role)),
        // Whoever waits for votes, or for a peer that may have the addresses, would not serve.
        ready: group.reason == Reason::None && !matches!(group.waiting, Waiting::Majority | Waiting::Name),
        reason: why(names, report, group, peer.map(|peer| peer.id)),
        timer: group.timer.map(|(timer, when)| TimerStatus {
            name: timer.name().to_owned(),
            in_ms: millis(when.since(report.now)),
        }),
        since: clock::wall_of(group.since).to_string(),
        active: group.active.map(|node| names.node(node).to_owned()),
        answered_by: group.answered_by.map(|mac| mac.to_string()),
        interface: configured.interface.clone(),
        address_count: configured.addresses.len() as u64,
        addresses: configured.addresses.iter().take(MAX_SHOWN_ADDRESSES).map(ToString::to_string).collect(),
        connections: None,
        counters: BTreeMap::new(),
        health: group.health,
        peer_health: group.peer_health,
        check_count: configured.service.checks.len() as u64,
        checks: Vec::new(),
    }
}

/// Why a group of the report has its role on this node, as the status tells it.
pub(super) fn why_here(config: &Config, names: &Names, report: &Report, group: &GroupReport) -> String {
    why(names, report, group, config.peers().next().map(|peer| peer.id))
}

/// Why the group has its role on this node: what stands in the way, or what the group waits for;
/// empty if there is nothing to say. `peer` is the other node.
fn why(names: &Names, report: &Report, group: &GroupReport, peer: Option<NodeId>) -> String {
    let name = peer.map_or("the peer", |peer| names.node(peer));
    if group.reason != Reason::None {
        let why = reason(names, report, group);
        return match group.peer {
            // The group cannot move, and both sides say why.
            Some((_, theirs)) if group.role == Role::Active && theirs != Reason::None => {
                format!("{why}; no standby: {name} is not ready: {}", words::reason(theirs))
            }
            _ => why,
        };
    }
    if group.draining {
        return format!("handed over; connections from before are still carried while {name} answers");
    }
    let peer_report = report.peers.first();
    let presence = peer_report.map(|peer| peer.presence);
    match group.role {
        Role::Active => match (presence, group.peer) {
            (Some(Presence::Heard), Some((_, why))) if why != Reason::None => {
                format!("no standby: {name} is not ready: {}", words::reason(why))
            }
            (Some(Presence::Heard), Some(_)) => String::new(),
            (Some(Presence::Left), _) => format!("no standby: {name} has said goodbye"),
            (Some(Presence::Unknown), _) => format!("no standby: {name} has not been heard yet"),
            (Some(Presence::Heard | Presence::Suspicious), None) => format!("no standby: {name} has no such group"),
            (Some(Presence::Suspicious), Some(_)) => String::new(),
            (Some(Presence::Silent) | None, _) => format!("no standby: {name} is silent"),
        },
        Role::Standby | Role::Starting | Role::Handover | Role::Fault | Role::Paused | Role::Witness => {
            match group.waiting {
                Waiting::Nothing | Waiting::PeerIsActive => String::new(),
                Waiting::Listening => "listening after the start".to_owned(),
                Waiting::Consent => format!("waiting for {name} to agree or to become active"),
                Waiting::Name => format!("{name} may have these addresses under another name: make both files agree"),
                Waiting::Silence => format!("{name} is silent; gathering evidence that it is gone"),
                Waiting::Veto => match group.answered_by {
                    Some(mac) => format!("{name} is silent, and {mac} still answers for the address"),
                    None => format!("{name} is silent, and the address is still answered"),
                },
                Waiting::Isolated => "isolated: nobody is heard on the clients' segment".to_owned(),
                Waiting::Abstaining => {
                    "abstaining: what this agent promised before it was restarted may not be over".to_owned()
                }
                Waiting::Hook(hook) => format!("waiting for {} to end", words::hook(hook)),
                Waiting::Majority => "no majority: waiting for enough votes".to_owned(),
                Waiting::WitnessWord => {
                    format!("{name} is silent; waiting for the witness to say that it has failed")
                }
            }
        }
    }
}

/// Why the group is not ready here, with the address that matters where one does.
fn reason(names: &Names, report: &Report, group: &GroupReport) -> String {
    let why = words::reason(group.reason);
    match (group.reason, report.double, group.same_mac) {
        (Reason::SameNumber, Some((link, _)), _) => {
            format!(
                "node number {} is used by another machine, heard from {}: {why}",
                report.me.0,
                names.far_end(link)
            )
        }
        (Reason::SameMac, _, Some((_, mac))) => format!("{mac}: {why}"),
        _ => why.to_owned(),
    }
}

/// Role as the control socket tells it.
fn group_role(role: Role) -> GroupRole {
    match role {
        Role::Starting => GroupRole::Starting,
        // A witness is never shown as the peer of a group; its gate would be closed if it had one.
        Role::Standby | Role::Witness => GroupRole::Standby,
        Role::Active => GroupRole::Active,
        Role::Handover => GroupRole::Handover,
        Role::Fault => GroupRole::Fault,
        Role::Paused => GroupRole::Paused,
    }
}

/// Status of one link to `peer`: its ends, whether it is open and heard, and its counters.
fn link_status(config: &Config, names: &Names, report: &Report, peer: &PeerReport, link: &LinkReport) -> LinkStatus {
    let (path, local, remote) = match link.id.path {
        LinkPath::Udp(index) => {
            let (local, remote) = ends(config, peer.id, index);
            (index.to_string(), local, remote)
        }
        LinkPath::Segment(interface) => ("segment".to_owned(), names.interface(interface).to_owned(), String::new()),
    };
    let state = match (link.open, link.heard) {
        (false, _) => LinkState::Down,
        (true, true) => LinkState::Up,
        (true, false) => LinkState::Silent,
    };
    LinkStatus {
        peer: names.node(peer.id).to_owned(),
        path,
        local,
        remote,
        state,
        last_heard_ms: link.last_heard.map(|heard| millis(report.now.since(heard))),
        received: link.received,
        sent: link.sent,
        rejected: link.rejected,
        too_large: link.too_large,
        longest: link.longest.map(|bytes| bytes as u64),
    }
}

/// Datagrams that were turned away, by reason.
fn rejected(names: &Names, report: &Report) -> Vec<RejectStatus> {
    let status = |&(reason, count, link, when): &(Reject, u64, LinkId, MonoTime)| RejectStatus {
        reason: reason.name().to_owned(),
        authentic: reason.is_authentic(),
        count,
        from: names.far_end(link),
        last_ms: millis(report.now.since(when)),
    };
    report.turned_away.iter().map(status).collect()
}

/// Local and remote address of a UDP link. Toward a witness the kernel picks the local one.
fn ends(config: &Config, peer: NodeId, index: u8) -> (String, String) {
    if let Some((_, remote)) = config.witnesses().find(|(id, _)| *id == peer) {
        return ("any".to_owned(), remote.to_string());
    }
    let end = |node: NodeId| config.node(node).links.get(usize::from(index)).map(ToString::to_string);
    (end(config.me).unwrap_or_default(), end(peer).unwrap_or_default())
}

/// Differences between a peer's configuration and ours, a sentence per field.
fn differences(config: &Config, names: &Names, report: &Report, peer: &PeerReport) -> Vec<String> {
    let mut found = Vec::new();
    let Some(theirs) = peer.config else { return found };
    let name = names.node(peer.id);
    let ours = &config.timing;
    let times = [
        ("pulse_ms", ours.pulse, theirs.pulse_us),
        ("silence_ms", ours.silence, theirs.silence_us),
        ("lease_ms", ours.lease, theirs.lease_us),
    ];
    for (field, here, there) in times {
        if here.as_micros() != u128::from(there) {
            found.push(format!("{field} is {} here and {} on {name}", millis(here), f64::from(there) / 1e3));
        }
    }
    let digests = crate::config::digest::digests(config);
    if digests.nodes != theirs.digests.nodes {
        found.push(format!("nodes, links, witnesses, strict or drift_ppm differ between here and {name}"));
    }
    if digests.groups != theirs.digests.groups {
        found.push(format!("the set of groups differs between here and {name}"));
    }
    for (group, configured) in report.groups.iter().zip(&config.groups) {
        let group_name = &configured.name;
        if group.addresses_differ {
            found.push(format!("group {group_name}: addresses differ between here and {name}"));
        }
        if group.policy_differs {
            found.push(format!(
                "group {group_name}: prefer, preempt, preempt_delay_ms, drain_ms, promote, tickle, checks, hooks or units \
                 differ from {name}"
            ));
        }
        if group.unknown_to_peer {
            found.push(format!("group {group_name} does not exist on {name}"));
        }
    }
    found
}

#[cfg(test)]
mod tests;
