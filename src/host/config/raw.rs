//! The file as it is written: known keys of the right type, each with its line. Nothing is
//! validated yet.
//!
//! Owns: which keys exist and where. Never does: compare values with each other. On failure the
//! report has the error and the field is `None` (or the element is missing), so that the walk goes
//! on to the next error.

use super::bounds;
use super::error::Report;
use super::raw_service::{self, RawCheck, RawHooks};
use super::schema::{EVERYWHERE, GROUP, HOOKS, NODE, ROOT, Schema, TIMING, WITNESS};
use super::uplinks::{self, RawUplinks};
use super::walk::{At, Element, Table, described};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest time before a preferred node takes a group back: an hour.
const MAX_PREEMPT_DELAY_MS: u64 = 3_600_000;
/// Longest time of draining: a minute.
const MAX_DRAIN_MS: u64 = 60_000;

/// The whole file. A key that is missing or of the wrong type is `None`.
pub(crate) struct RawFile {
    pub(crate) cluster: Option<At<String>>,
    pub(crate) key_file: Option<At<String>>,
    pub(crate) timing: RawTiming,
    /// The nodes; `None` if the key `node` is missing or no list of tables, which has been
    /// reported.
    pub(crate) nodes: Option<Vec<RawNode>>,
    /// The groups; `None` as with `nodes`.
    pub(crate) groups: Option<Vec<RawGroup>>,
    /// The witnesses; `None` without the key, or if it is no table, which has been reported.
    pub(crate) witness: Option<RawWitness>,
    /// Whether the key `witness` is there, with whatever value.
    pub(crate) voted: bool,
}

/// `[timing]`.
pub(crate) struct RawTiming {
    pub(crate) line: usize,
    pub(crate) profile: Option<At<String>>,
    pub(crate) pulse_ms: Option<At<u64>>,
    pub(crate) silence_ms: Option<At<u64>>,
    pub(crate) lease_ms: Option<At<u64>>,
    pub(crate) drift_ppm: Option<At<u64>>,
    /// Whether a value of the table is wrong by itself, so that comparing the values would mislead.
    pub(crate) broken: bool,
}

/// One `[[node]]`.
pub(crate) struct RawNode {
    pub(crate) line: usize,
    pub(crate) name: Option<At<String>>,
    pub(crate) links: Option<At<Vec<Element>>>,
}

/// `[witness]`.
pub(crate) struct RawWitness {
    pub(crate) address: Option<At<String>>,
    pub(crate) addresses: Option<At<Vec<Element>>>,
    pub(crate) port: Option<At<u64>>,
    pub(crate) strict: Option<At<bool>>,
}

/// `interface` of a group.
pub(crate) enum RawInterface {
    /// One name for all nodes.
    Everywhere(At<String>),
    /// A name for each node, by the node's name.
    PerNode(At<Vec<(At<String>, At<String>)>>),
}

/// One `[[group]]`.
pub(crate) struct RawGroup {
    pub(crate) line: usize,
    pub(crate) name: Option<At<String>>,
    pub(crate) interface: Option<RawInterface>,
    pub(crate) uplinks: Option<RawUplinks>,
    pub(crate) addresses: Option<At<Vec<Element>>>,
    pub(crate) prefer: Option<At<String>>,
    pub(crate) preempt: Option<At<bool>>,
    pub(crate) preempt_delay_ms: Option<At<u64>>,
    pub(crate) drain_ms: Option<At<u64>>,
    pub(crate) promote: Option<At<String>>,
    pub(crate) units: Option<At<Vec<Element>>>,
    pub(crate) tickle: Option<At<bool>>,
    pub(crate) checks: Vec<RawCheck>,
    pub(crate) hooks: Option<RawHooks>,
}

/// Reads the whole document. Every error goes to `report`.
pub(crate) fn read(document: &DeTable<'_>, report: &mut Report<'_>) -> RawFile {
    let root = Table::open(&ROOT, &EVERYWHERE, 1, document, report);
    root.require("cluster", "write a name both nodes share, for example cluster = \"web\"", report);
    root.require(
        "key_file",
        "make a key with `vipair keygen /etc/vipair/cluster.key` and write key_file = \"cluster.key\"",
        report,
    );
    let nodes = required_tables(&root, "node", "write a [[node]] table for each of the two servers", report);
    let groups =
        required_tables(&root, "group", "write at least one [[group]] with name, interface and addresses", report);
    RawFile {
        cluster: root.string("cluster", "write a name in quotes", report),
        key_file: root.string("key_file", "write a path in quotes", report),
        timing: read_timing(&root, report),
        nodes: nodes.map(|list| list.into_iter().map(|(line, entries)| read_node(line, entries, report)).collect()),
        groups: groups
            .map(|list| list.into_iter().map(|(line, entries)| read_group(line, entries, report)).collect()),
        witness: read_witness(&root, report),
        voted: root.has("witness"),
    }
}

/// The elements of the required list of tables at `key`, each with its line. `None` if the key is
/// missing or has another type, which has been reported; `right` says what to write.
pub(super) fn required_tables<'d>(
    table: &Table<'d>,
    key: &str,
    right: &str,
    report: &mut Report<'_>,
) -> Option<Vec<(usize, &'d DeTable<'d>)>> {
    table.require(key, right, report);
    list_of_tables(table, key, report)
}

/// The elements of the list of tables at `key`, each with its line. `None` without the key, or if
/// it has another type, which has been reported.
pub(super) fn list_of_tables<'d>(
    table: &Table<'d>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<Vec<(usize, &'d DeTable<'d>)>> {
    let (line, value) = table.get(key, report)?;
    let right = format!("write [[{}]], in double brackets, above each one", table.path(key));
    let DeValue::Array(elements) = value.get_ref() else {
        table.wrong_type(key, line, value.get_ref(), &right, report);
        return None;
    };
    let mut found = Vec::new();
    for element in elements.iter() {
        let line = report.line_of(element.span().start);
        if let DeValue::Table(entries) = element.get_ref() {
            found.push((line, entries));
        } else {
            table.wrong_type(key, line, element.get_ref(), &right, report);
        }
    }
    Some(found)
}

/// The table at `key`, opened with `schema`. `None` without the key, or if it has another type,
/// which has been reported.
fn child_table<'d>(
    table: &Table<'d>,
    key: &str,
    schema: &'static Schema,
    report: &mut Report<'_>,
) -> Option<Table<'d>> {
    let (_, value) = table.get(key, report)?;
    let line = report.line_of(value.span().start);
    if let DeValue::Table(entries) = value.get_ref() {
        return Some(Table::open(schema, &EVERYWHERE, line, entries, report));
    }
    let right = format!("write {} once, in single brackets", schema.header);
    table.wrong_type(key, line, value.get_ref(), &right, report);
    None
}

/// The keys of `[timing]`, each number within its own range; none without the table.
fn read_timing(root: &Table<'_>, report: &mut Report<'_>) -> RawTiming {
    let Some(table) = child_table(root, "timing", &TIMING, report) else {
        let line = root.get("timing", report).map_or(1, |(line, _)| line);
        let broken = root.get("timing", report).is_some();
        let (pulse_ms, silence_ms, lease_ms, drift_ppm) = (None, None, None, None);
        return RawTiming { line, profile: None, pulse_ms, silence_ms, lease_ms, drift_ppm, broken };
    };
    let profile = table.string("profile", "write \"fast\", \"lan\" or \"wan\"", report);
    let pulse_ms = table.number("pulse_ms", bounds::PULSE_MS, " ms", report);
    let silence_ms = table.number("silence_ms", bounds::SILENCE_MS, " ms", report);
    let lease_ms = table.number("lease_ms", bounds::lease_ms(root.has("witness")), " ms", report);
    let drift_ppm = table.number("drift_ppm", bounds::DRIFT_PPM, " ppm", report);
    let numbers = [&pulse_ms, &silence_ms, &lease_ms, &drift_ppm].map(Option::is_some);
    let read = std::iter::once(profile.is_some()).chain(numbers);
    let broken = TIMING.keys.iter().zip(read).any(|(key, read)| !read && table.has(key));
    RawTiming { line: table.line, profile, pulse_ms, silence_ms, lease_ms, drift_ppm, broken }
}

/// The keys of one `[[node]]`, which begins at `line`.
fn read_node(line: usize, entries: &DeTable<'_>, report: &mut Report<'_>) -> RawNode {
    let table = Table::open(&NODE, &EVERYWHERE, line, entries, report);
    let links = "write this node's own addresses, for example links = [\"10.0.0.1\", \"192.168.50.1\"]";
    table.require("name", "write name = \"…\", for people", report);
    table.require("links", links, report);
    RawNode {
        line,
        name: table.string("name", "write a name in quotes", report),
        links: table.strings("links", links, report),
    }
}

/// The keys of `[witness]`. `None` without the table, or if it is no table, which has been
/// reported.
fn read_witness(root: &Table<'_>, report: &mut Report<'_>) -> Option<RawWitness> {
    let table = child_table(root, "witness", &WITNESS, report)?;
    let several =
        "write the witnesses' addresses, for example addresses = [\"10.0.9.1\", \"10.0.9.2\", \"10.0.9.3\"]";
    if !table.has("addresses") {
        table.require("address", "write where the witness listens, for example address = \"10.0.9.9\"", report);
    }
    Some(RawWitness {
        address: table.string("address", "write an IP address in quotes", report),
        addresses: table.strings("addresses", several, report),
        port: table.number("port", 1..=65_535, "", report),
        strict: table.boolean("strict", report),
    })
}

/// The keys of one `[[group]]`, which begins at `line`, with its checks and hooks.
fn read_group(line: usize, entries: &DeTable<'_>, report: &mut Report<'_>) -> RawGroup {
    let table = Table::open(&GROUP, &EVERYWHERE, line, entries, report);
    let addresses = "write the shared addresses, for example addresses = [\"10.0.0.100\"]";
    table.require("name", "write name = \"…\"", report);
    table.require("interface", "write the clients' interface, for example interface = \"eth0\"", report);
    table.require("addresses", addresses, report);
    let checks = list_of_tables(&table, "check", report).unwrap_or_default();
    RawGroup {
        line,
        name: table.string("name", "write a name in quotes", report),
        interface: read_interface(&table, report),
        uplinks: uplinks::read(&table, report),
        addresses: table.strings("addresses", addresses, report),
        prefer: table.string("prefer", "write the name of a node in quotes", report),
        preempt: table.boolean("preempt", report),
        preempt_delay_ms: table.number("preempt_delay_ms", 0..=MAX_PREEMPT_DELAY_MS, " ms", report),
        drain_ms: table.number("drain_ms", 0..=MAX_DRAIN_MS, " ms", report),
        tickle: table.boolean("tickle", report),
        promote: table.string("promote", "write \"peer\", \"witness\" or \"both\"", report),
        units: table.strings("units", "write names of units in a list, for example [\"postgresql.service\"]", report),
        checks: checks.into_iter().map(|(line, entries)| raw_service::read_check(line, entries, report)).collect(),
        hooks: child_table(&table, "hooks", &HOOKS, report).map(|table| raw_service::read_hooks(&table, report)),
    }
}

/// The value of `interface`: one name, or a table with a name per node. `None` without the key, or
/// if any of it has another type, which has been reported.
fn read_interface(table: &Table<'_>, report: &mut Report<'_>) -> Option<RawInterface> {
    let right = "write a name in quotes, or one per node: { alpha = \"eth0\", beta = \"ens3\" }";
    let (line, value) = table.get("interface", report)?;
    let entries = match value.get_ref() {
        DeValue::String(name) => return Some(RawInterface::Everywhere(At { line, value: name.to_string() })),
        DeValue::Table(entries) => entries,
        other => {
            table.wrong_type("interface", line, other, right, report);
            return None;
        }
    };
    let mut names = Vec::new();
    let mut complete = true;
    for (node, interface) in entries.iter() {
        let node = At { line: report.line_of(node.span().start), value: node.get_ref().to_string() };
        match read_interface_name(&node, interface) {
            Ok(interface) => names.push((node, interface)),
            Err(wrong) => {
                report.add(node.line, &format!("group.interface.{}", node.value), wrong, right);
                complete = false;
            }
        }
    }
    complete.then_some(RawInterface::PerNode(At { line, value: names }))
}

/// The name of one node's interface, as the table of `interface` has it. The error says what is
/// there instead.
fn read_interface_name(node: &At<String>, value: &Spanned<DeValue<'_>>) -> Result<At<String>, String> {
    match value.get_ref() {
        DeValue::String(name) => Ok(At { line: node.line, value: name.to_string() }),
        other => Err(format!("is {}", described(other))),
    }
}
