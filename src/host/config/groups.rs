//! Validation of `[[group]]`: what the file says of its groups becomes values, or errors.
//!
//! Owns: every rule about groups, their interfaces and addresses. Never does: read files or ask the
//! machine. On failure each broken rule is one error in the report and validation goes on.

use super::address::Use;
use super::error::Report;
use super::raw::{RawGroup, RawInterface};
use super::value::{Taken, one_of, parse_element, report_duplicates, take_address, validate_name};
use super::walk::At;
use super::{ClusterGroup, Node, Promote, ServicePlan, checks, digest, hooks, uplinks};
use crate::types::NodeId;
use std::time::Duration;

/// Most groups of one file.
pub const MAX_GROUPS: usize = 1024;
/// Most service addresses of one file, all groups together.
pub const MAX_ADDRESSES: usize = 50_000;
/// Most interfaces of one node: an interface's number fits in a byte.
pub const MAX_INTERFACES: usize = 255;
/// Longest name of an interface, in bytes: IFNAMSIZ of linux/if.h without the closing zero.
const MAX_INTERFACE_NAME: usize = 15;

const DEFAULT_PREEMPT_DELAY_MS: u64 = 10_000;
const DEFAULT_DRAIN_MS: u64 = 1_000;

/// Validates the groups of a file with these nodes. `voted`: the file has a witness. `taken` has
/// the addresses of links and witnesses.
pub(super) fn validate(
    raw: Option<&[RawGroup]>,
    nodes: &[Node],
    voted: bool,
    taken: &mut Taken,
    report: &mut Report<'_>,
) -> Vec<ClusterGroup> {
    let Some(raw) = raw else { return Vec::new() };
    if raw.is_empty() || raw.len() > MAX_GROUPS {
        let line = raw.get(MAX_GROUPS).map_or(1, |group| group.line);
        let wrong = format!("there are {} groups", raw.len());
        report.add(line, "group", wrong, format!("write 1 to {MAX_GROUPS} [[group]] tables"));
    }
    let named = || raw.iter().filter_map(|group| group.name.as_ref());
    named().for_each(|group| validate_name("group.name", group, report));
    report_duplicates("group.name", named(), report);
    let mut total = 0;
    let mut groups = Vec::with_capacity(raw.len());
    for group in raw {
        let before = total;
        total += group.addresses.as_ref().map_or(0, |addresses| addresses.value.len());
        if before <= MAX_ADDRESSES && total > MAX_ADDRESSES {
            let line = group.addresses.as_ref().map_or(group.line, |addresses| addresses.line);
            let wrong = format!("the file has more than {MAX_ADDRESSES} addresses up to here");
            report.add(line, "group.addresses", wrong, "divide them among several clusters");
        }
        let promote = validate_promote(group, voted, report);
        groups.push(ClusterGroup { promote, ..validate_group(group, nodes, taken, report) });
    }
    report_too_many_interfaces(raw, nodes, &groups, report);
    uplinks::compare(raw, &groups, nodes, report);
    groups
}

/// Validates one group. Its value is meaningful only if the report stays empty. The caller
/// validates `promote`, which is the default here.
fn validate_group(raw: &RawGroup, nodes: &[Node], taken: &mut Taken, report: &mut Report<'_>) -> ClusterGroup {
    let mut addresses = Vec::new();
    if let Some(At { line, value: written }) = &raw.addresses {
        if written.is_empty() {
            report.add(*line, "group.addresses", "is empty", "write at least one address that clients use");
        }
        for text in written {
            if let Some(address) = parse_element("group.addresses", text, Use::Service, report) {
                take_address(address, text.line, "group.addresses", taken, report);
                addresses.push(address);
            }
        }
    }
    let service = ServicePlan {
        checks: checks::validate(&raw.checks, &addresses, report),
        hooks: hooks::validate(raw.hooks.as_ref(), report),
        units: hooks::validate_units(raw.units.as_ref(), report),
    };
    let name = raw.name.as_ref().map(|at| at.value.clone()).unwrap_or_default();
    let ms = |key: &Option<At<u64>>, default| Duration::from_millis(key.as_ref().map_or(default, |at| at.value));
    ClusterGroup {
        key: digest::group_key(&name),
        name,
        interfaces: validate_interfaces(raw, nodes, report),
        uplinks: uplinks::validate(raw, nodes, report),
        addresses,
        prefer: validate_prefer(raw, nodes, report),
        preempt: raw.preempt.as_ref().is_some_and(|at| at.value),
        preempt_delay: ms(&raw.preempt_delay_ms, DEFAULT_PREEMPT_DELAY_MS),
        drain: ms(&raw.drain_ms, DEFAULT_DRAIN_MS),
        promote: Promote::default(),
        service,
        tickle: raw.tickle.as_ref().is_none_or(|at| at.value),
    }
}

/// Validates `promote`, and returns whose evidence promotes a standby: the default if the key is
/// missing, or if it is wrong, which is reported. A witness's evidence needs a witness; `voted`:
/// the file has one.
fn validate_promote(raw: &RawGroup, voted: bool, report: &mut Report<'_>) -> Promote {
    let Some(At { line, value }) = &raw.promote else { return Promote::default() };
    let names = Promote::ALL.map(Promote::name);
    match Promote::ALL.into_iter().find(|candidate| candidate.name() == value) {
        None => {
            report.add(*line, "group.promote", format!("\"{value}\" is nobody's evidence"), one_of(value, &names))
        }
        Some(Promote::Witness | Promote::Both) if !voted => {
            let wrong = format!("\"{value}\" needs a witness, and the file has none");
            report.add(*line, "group.promote", wrong, "add [witness] with its address, or write \"peer\"");
        }
        Some(promote) => return promote,
    }
    Promote::default()
}

/// Validates `prefer`, and returns the preferred node: the first one if the key is missing, or if
/// no node has the name, which is reported.
fn validate_prefer(raw: &RawGroup, nodes: &[Node], report: &mut Report<'_>) -> NodeId {
    let Some(At { line, value }) = &raw.prefer else { return NodeId(1) };
    if let Some(node) = nodes.iter().find(|node| node.name == *value) {
        return node.id;
    }
    report_unknown_node("group.prefer", *line, value, nodes, report);
    NodeId(1)
}

/// Reports a name that no node has.
pub(super) fn report_unknown_node(key: &str, line: usize, given: &str, nodes: &[Node], report: &mut Report<'_>) {
    let known: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).filter(|name| !name.is_empty()).collect();
    report.add(line, key, format!("there is no node \"{given}\""), one_of(given, &known));
}

/// Validates the group's interface on every node, and returns the names in the order of the nodes.
/// A missing or wrong entry is an error; the names are meaningful only if the report stays empty.
fn validate_interfaces(raw: &RawGroup, nodes: &[Node], report: &mut Report<'_>) -> Vec<String> {
    match &raw.interface {
        None => Vec::new(),
        Some(RawInterface::Everywhere(name)) => {
            validate_interface_name("group.interface", name, report);
            vec![name.value.clone(); nodes.len()]
        }
        Some(RawInterface::PerNode(At { line, value: names })) => {
            for (node, name) in names {
                let key = format!("group.interface.{}", node.value);
                if nodes.iter().any(|known| known.name == node.value) {
                    validate_interface_name(&key, name, report);
                } else {
                    report_unknown_node(&key, node.line, &node.value, nodes, report);
                }
            }
            let mut found = Vec::with_capacity(nodes.len());
            for node in nodes.iter().filter(|node| !node.name.is_empty()) {
                match names.iter().find(|(name, _)| name.value == node.name) {
                    Some((_, interface)) => found.push(interface.value.clone()),
                    None => {
                        let wrong = format!("has no entry for node \"{}\"", node.name);
                        let right = format!("add {} = \"…\", or write one name for all nodes", node.name);
                        report.add(*line, "group.interface", wrong, right);
                    }
                }
            }
            found
        }
    }
}

/// Reports a name that the kernel would not accept (`dev_valid_name` in net/core/dev.c), and the
/// loopback.
pub(super) fn validate_interface_name(key: &str, name: &At<String>, report: &mut Report<'_>) {
    let text = &name.value;
    let wrong = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > MAX_INTERFACE_NAME {
        format!("\"{text}\" has {} bytes", text.len())
    } else if text == "." || text == ".." || text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
        format!("{text:?} is no interface name")
    } else if text == "lo" {
        "the loopback has no clients".to_owned()
    } else {
        return;
    };
    let right = format!("write a name of 1 to {MAX_INTERFACE_NAME} bytes, as `ip link` shows it");
    report.add(name.line, key, wrong, right);
}

/// Reports a node whose groups use more than [`MAX_INTERFACES`] interfaces.
fn report_too_many_interfaces(raw: &[RawGroup], nodes: &[Node], groups: &[ClusterGroup], report: &mut Report<'_>) {
    for (position, node) in nodes.iter().enumerate() {
        let mut names: Vec<&str> = Vec::new();
        for (group, written) in groups.iter().zip(raw) {
            let Some(name) = group.interfaces.get(position) else { continue };
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
            if names.len() > MAX_INTERFACES {
                let wrong = format!("node \"{}\" has more than {MAX_INTERFACES} interfaces up to here", node.name);
                report.add(written.line, "group.interface", wrong, "put several groups on one interface");
                break;
            }
        }
    }
}
