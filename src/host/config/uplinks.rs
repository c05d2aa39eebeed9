//! `uplinks` of a group: the ports of its bridge that lead out of the server.
//!
//! Owns: how the key is read, and its rules. Never does: ask the machine for its interfaces; the agent
//! tells of a name that is no port. On failure each broken rule is one error in the report.

use super::error::Report;
use super::groups::{report_unknown_node, validate_interface_name};
use super::raw::RawGroup;
use super::walk::{At, Table, described};
use super::{ClusterGroup, Node};
use toml::Spanned;
use toml::de::DeValue;

/// Most uplinks of one interface.
pub const MAX_UPLINKS: usize = 16;

const RIGHT: &str = "write names in a list, or a list per node: { alpha = [\"eth0\"], beta = [\"ens3\"] }";

/// A list of names, each with its line.
type Names = At<Vec<At<String>>>;

/// `uplinks` as it is written.
pub(crate) enum RawUplinks {
    /// The same names for all nodes.
    Everywhere(Names),
    /// Names for each node, by the node's name.
    PerNode(Vec<(At<String>, Names)>),
}

/// The value of `uplinks` in a group's table. `None` without the key, or if it has another type, which
/// has been reported.
pub(super) fn read(table: &Table<'_>, report: &mut Report<'_>) -> Option<RawUplinks> {
    let (line, value) = table.get("uplinks", report)?;
    let DeValue::Table(entries) = value.get_ref() else {
        return read_names("group.uplinks", line, value, report).map(RawUplinks::Everywhere);
    };
    let mut lists = Vec::new();
    for (node, value) in entries.iter() {
        let node = At { line: report.line_of(node.span().start), value: node.get_ref().to_string() };
        let key = format!("group.uplinks.{}", node.value);
        if let Some(names) = read_names(&key, node.line, value, report) {
            lists.push((node, names));
        }
    }
    Some(RawUplinks::PerNode(lists))
}

/// The list of names at `key`. `None` if it is no list, which has been reported; an element that is no
/// string is reported and left out.
fn read_names(key: &str, line: usize, value: &Spanned<DeValue<'_>>, report: &mut Report<'_>) -> Option<Names> {
    let DeValue::Array(elements) = value.get_ref() else {
        report.add(line, key, format!("is {}", described(value.get_ref())), RIGHT);
        return None;
    };
    let mut names = Vec::with_capacity(elements.len());
    for element in elements.iter() {
        let line = report.line_of(element.span().start);
        match element.get_ref() {
            DeValue::String(name) => names.push(At { line, value: name.to_string() }),
            other => report.add(line, key, format!("is {}", described(other)), RIGHT),
        }
    }
    Some(At { line, value: names })
}

/// Validates the uplinks of a group, and returns them for each node, in the order of the nodes; none
/// where the key is left out. They are meaningful only if the report stays empty.
pub(super) fn validate(raw: &RawGroup, nodes: &[Node], report: &mut Report<'_>) -> Vec<Vec<String>> {
    let values = |names: &Names| names.value.iter().map(|name| name.value.clone()).collect::<Vec<_>>();
    match &raw.uplinks {
        None => vec![Vec::new(); nodes.len()],
        Some(RawUplinks::Everywhere(names)) => {
            validate_names("group.uplinks", names, report);
            vec![values(names); nodes.len()]
        }
        Some(RawUplinks::PerNode(lists)) => {
            for (node, names) in lists {
                let key = format!("group.uplinks.{}", node.value);
                if nodes.iter().any(|known| known.name == node.value) {
                    validate_names(&key, names, report);
                } else {
                    report_unknown_node(&key, node.line, &node.value, nodes, report);
                }
            }
            let of = |node: &Node| lists.iter().find(|(name, _)| name.value == node.name);
            nodes.iter().map(|node| of(node).map(|(_, names)| values(names)).unwrap_or_default()).collect()
        }
    }
}

/// Reports what is wrong with a list of names of ports.
fn validate_names(key: &str, names: &Names, report: &mut Report<'_>) {
    let count = names.value.len();
    if count == 0 {
        report.add(names.line, key, "is empty", "name the ports that lead out of the server, or leave the key out");
    }
    if count > MAX_UPLINKS {
        let line = names.value.get(MAX_UPLINKS).map_or(names.line, |name| name.line);
        report.add(line, key, format!("has {count} names"), format!("write 1 to {MAX_UPLINKS} names"));
    }
    for (position, name) in names.value.iter().take(MAX_UPLINKS).enumerate() {
        validate_interface_name(key, name, report);
        if names.value.iter().take(position).any(|other| other.value == name.value) {
            report.add(name.line, key, format!("\"{}\" stands there twice", name.value), "write it once");
        }
    }
}

/// Reports groups that name their own interface as uplink, and groups on one interface of a node that
/// name different ones. Among groups on one interface some may leave the key out.
pub(super) fn compare(raw: &[RawGroup], groups: &[ClusterGroup], nodes: &[Node], report: &mut Report<'_>) {
    for (position, node) in nodes.iter().enumerate() {
        // The group that named the uplinks of each interface.
        let mut known: Vec<(&str, &ClusterGroup)> = Vec::new();
        for (group, written) in groups.iter().zip(raw) {
            let uplinks = group.uplinks.get(position).filter(|uplinks| !uplinks.is_empty());
            let (Some(uplinks), Some(interface)) = (uplinks, group.interfaces.get(position)) else { continue };
            if uplinks.contains(interface) {
                let wrong = format!("\"{interface}\" is the group's interface on node \"{}\"", node.name);
                report.add(written.uplinks_line(), "group.uplinks", wrong, "name ports of that bridge");
            }
            let Some((_, other)) = known.iter().find(|(name, _)| name == interface) else {
                known.push((interface, group));
                continue;
            };
            if sorted(&other.uplinks[position]) != sorted(uplinks) {
                let wrong =
                    format!("group \"{}\" names others for {interface} on node \"{}\"", other.name, node.name);
                let right = "write the same names in both, or leave the key out in one";
                report.add(written.uplinks_line(), "group.uplinks", wrong, right);
            }
        }
    }
}

/// The names in order.
fn sorted(names: &[String]) -> Vec<&String> {
    let mut names: Vec<&String> = names.iter().collect();
    names.sort_unstable();
    names
}

impl RawGroup {
    /// The line of `uplinks`, or that of the group.
    fn uplinks_line(&self) -> usize {
        match &self.uplinks {
            Some(RawUplinks::Everywhere(names)) => names.line,
            Some(RawUplinks::PerNode(lists)) => lists.first().map_or(self.line, |(node, _)| node.line),
            None => self.line,
        }
    }
}
