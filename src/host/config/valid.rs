//! Validation of the nodes' file: what it says of cluster, times and nodes becomes values, or
//! errors. `groups` and `witness` do the rest.
//!
//! Owns: every rule between values of these. Never does: read files or ask the machine. On failure
//! each broken rule is one error in the report and validation goes on, so that one run shows all
//! errors.

use super::address::Use;
use super::bounds::{self, Rule};
use super::error::Report;
use super::raw::{RawFile, RawNode, RawTiming};
use super::value::{Taken, millis, one_of, parse_element, report_duplicates, take_address, validate_name};
use super::walk::At;
use super::{ClusterFile, Node, groups, programs, witness};
use crate::timing::{Profile, Timing};
use crate::types::NodeId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// Most nodes that numbers allow: a number fits in a byte, 0 is none, and 241 and above are
/// witnesses.
pub const MAX_NODES: usize = 240;
/// Nodes of a cluster: this version runs pairs.
const NODES: usize = 2;
/// Most links of a node: more paths than any machine has.
pub const MAX_LINKS: usize = 16;
/// Validates the whole file. The value is meaningful only if the report stays empty.
pub(crate) fn validate(raw: &RawFile, file: &Path, report: &mut Report<'_>) -> ClusterFile {
    if let Some(cluster) = &raw.cluster {
        validate_name("cluster", cluster, report);
    }
    if let Some(key_file) = raw.key_file.as_ref().filter(|key_file| key_file.value.is_empty()) {
        report.add(key_file.line, "key_file", "is empty", "write the path of a file made by `vipair keygen`");
    }
    let (profile, timing) = validate_timing(&raw.timing, raw.voted, report);
    let raw_nodes = raw.nodes.as_deref().unwrap_or_default();
    let mut taken = HashMap::new();
    let nodes = validate_nodes(raw_nodes, raw.nodes.is_some(), &mut taken, report);
    let witness = raw.witness.as_ref().map(|witness| witness::validate(witness, raw_nodes, &mut taken, report));
    let groups = groups::validate(raw.groups.as_deref(), &nodes, raw.voted, &mut taken, report);
    let key_file = raw.key_file.as_ref().map(|at| at.value.as_str()).unwrap_or_default();
    ClusterFile {
        file: file.to_owned(),
        cluster: raw.cluster.as_ref().map(|at| at.value.clone()).unwrap_or_default(),
        key_file: file.parent().unwrap_or_else(|| Path::new("")).join(key_file),
        key_file_line: raw.key_file.as_ref().map_or(1, |at| at.line),
        nodes_line: raw_nodes.first().map_or(1, |node| node.line),
        address_lines: taken,
        profile,
        timing,
        nodes,
        witness,
        groups,
        programs: programs::named_programs(raw.groups.as_deref()),
    }
}

/// Validates `[timing]`, and returns the profile with all times, derived from it and from the keys.
/// `witness`: the file has one. The times are meaningful only if the report stays empty.
fn validate_timing(raw: &RawTiming, witness: bool, report: &mut Report<'_>) -> (Profile, Timing) {
    let mut profile = Profile::Lan;
    if let Some(At { line, value }) = &raw.profile {
        let names = Profile::ALL.map(Profile::name);
        match Profile::ALL.into_iter().find(|candidate| candidate.name() == value) {
            Some(found) => profile = found,
            None => {
                let wrong = format!("\"{value}\" is no profile");
                report.add(*line, "timing.profile", wrong, one_of(value, &names));
                return (profile, profile.timing(witness));
            }
        }
    }
    let base = profile.timing(witness);
    let ms = |key: &Option<At<u64>>, default| key.as_ref().map_or(default, |at| Duration::from_millis(at.value));
    let timing = Timing::derive_with(
        ms(&raw.pulse_ms, base.pulse),
        ms(&raw.silence_ms, base.silence),
        ms(&raw.lease_ms, base.lease),
        raw.drift_ppm.as_ref().map_or(base.drift_ppm, |at| at.value),
    );
    if !raw.broken {
        bounds::rules(witness)
            .iter()
            .filter(|rule| !rule.holds(&timing))
            .for_each(|rule| report_broken_rule(rule, raw, &timing, report));
    }
    (profile, timing)
}

/// Reports one inequality that does not hold: at its own key if that is written, else at
/// `pulse_ms`.
fn report_broken_rule(rule: &Rule, raw: &RawTiming, timing: &Timing, report: &mut Report<'_>) {
    let (value, limit) = ((rule.value)(timing), (rule.limit)(timing));
    let written = if rule.key == "silence_ms" { raw.silence_ms.as_ref() } else { raw.lease_ms.as_ref() };
    let line = written.or(raw.pulse_ms.as_ref()).map_or(raw.line, |at| at.line);
    let origin = if written.is_some() { "" } else { " (from the profile)" };
    let wrong = format!("{} ms{origin} breaks {}: {}", millis(value), rule.formula, rule.reason);
    let least = limit.as_nanos().div_ceil(1_000_000);
    let right = if written.is_some() || raw.pulse_ms.is_none() {
        format!("write {least} or more")
    } else {
        format!("write {} = {least} or more, or a shorter pulse_ms", rule.key)
    };
    report.add(line, &format!("timing.{}", rule.key), wrong, right);
}

/// Validates the nodes, and returns all of them, also those in error. `present`: the file has the
/// key `node`; if not, that has been reported.
fn validate_nodes(raw: &[RawNode], present: bool, taken: &mut Taken, report: &mut Report<'_>) -> Vec<Node> {
    if present && raw.len() != NODES {
        let line = raw.get(NODES).or(raw.last()).map_or(1, |node| node.line);
        let wrong = match raw.len() {
            1 => "there is only one node".to_owned(),
            count if count > MAX_NODES => format!("there are {count} nodes, and numbers end at {MAX_NODES}"),
            count => format!("there are {count} nodes, and this version runs pairs"),
        };
        report.add(line, "node", wrong, "write exactly two [[node]] tables");
    }
    let named = || raw.iter().filter_map(|node| node.name.as_ref());
    named().for_each(|node| validate_name("node.name", node, report));
    report_duplicates("node.name", named(), report);
    let mut nodes = Vec::new();
    for (node, number) in raw.iter().zip(1..=u8::MAX) {
        let links = validate_links(node, taken, report);
        let name = node.name.as_ref().map(|at| at.value.clone()).unwrap_or_default();
        nodes.push((node, Node { id: NodeId(number), name, links: links.unwrap_or_default() }));
    }
    report_unpaired_links(&nodes, report);
    nodes.into_iter().map(|(_, node)| node).collect()
}

/// Validates the links of one node, and marks their addresses as taken. `None` if the key is
/// missing or any address is wrong, which has been reported.
fn validate_links(node: &RawNode, taken: &mut Taken, report: &mut Report<'_>) -> Option<Vec<IpAddr>> {
    let At { line, value: written } = node.links.as_ref()?;
    if written.is_empty() || written.len() > MAX_LINKS {
        let wrong = if written.is_empty() { "is empty".to_owned() } else { format!("has {} entries", written.len()) };
        report.add(*line, "node.links", wrong, format!("write 1 to {MAX_LINKS} of this node's own addresses"));
    }
    let mut links = Vec::with_capacity(written.len());
    for text in written {
        if let Some(address) = parse_element("node.links", text, Use::Link, report) {
            take_address(address, text.line, "node.links", taken, report);
            links.push(address);
        }
    }
    (links.len() == written.len()).then_some(links)
}

/// Reports nodes whose links do not pair with those of the first node: another number, or another
/// family at some position.
fn report_unpaired_links(nodes: &[(&RawNode, Node)], report: &mut Report<'_>) {
    let mut complete = nodes.iter().filter(|(raw, node)| {
        raw.links.as_ref().is_some_and(|links| !links.value.is_empty() && links.value.len() == node.links.len())
    });
    let Some((_, first)) = complete.next() else { return };
    for (raw, node) in complete {
        let Some(written) = &raw.links else { continue };
        if node.links.len() != first.links.len() {
            let wrong = format!(
                "\"{}\" has {} links and \"{}\" has {}",
                node.name,
                node.links.len(),
                first.name,
                first.links.len()
            );
            report.add(written.line, "node.links", wrong, "write the same number: position n pairs with position n");
            continue;
        }
        for ((mine, theirs), text) in node.links.iter().zip(&first.links).zip(&written.value) {
            if mine.is_ipv4() != theirs.is_ipv4() {
                let wrong = format!("{mine} pairs with {theirs} of \"{}\", which is another family", first.name);
                report.add(text.line, "node.links", wrong, "pair IPv4 with IPv4 and IPv6 with IPv6");
            }
        }
    }
}
