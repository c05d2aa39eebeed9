//! `[[group.check]]` and `[group.hooks]` as they are written: known keys of the right type. Nothing
//! is validated yet.
//!
//! Owns: which keys exist. Never does: compare values. On failure the report has the error and the
//! field is `None`.

use super::error::Report;
use super::schema::{CHECK, EVERYWHERE};
use super::walk::{At, Element, Table};
use toml::de::{DeTable, DeValue};

/// Remedy for a missing `kind`.
const KINDS: &str = "write \"tcp\", \"http\", \"process\", \"unit\" or \"exec\"";
/// Longest interval and longest timeout of a check: an hour.
pub(super) const MAX_CHECK_MS: u64 = 3_600_000;
/// Shortest interval and shortest timeout of a check, and shortest timeout of a hook.
pub(super) const MIN_CHECK_MS: u64 = 10;
/// Highest `fall` and highest `rise` of a check.
pub(super) const MAX_CHECK_COUNT: u64 = 1_000;
/// Longest timeout of a hook: an hour.
const MAX_HOOK_MS: u64 = 3_600_000;
/// Highest weight of a check: 255 is the veto.
const MAX_WEIGHT: u64 = 254;

/// One `[[group.check]]`.
pub(crate) struct RawCheck {
    pub(crate) line: usize,
    pub(crate) kind: Option<At<String>>,
    pub(crate) interval_ms: Option<At<u64>>,
    pub(crate) timeout_ms: Option<At<u64>>,
    pub(crate) fall: Option<At<u64>>,
    pub(crate) rise: Option<At<u64>>,
    pub(crate) weight: Option<At<u64>>,
    pub(crate) port: Option<At<u64>>,
    pub(crate) status: Option<RawStatus>,
    pub(crate) command: Option<At<Vec<Element>>>,
    pub(crate) address: Option<At<String>>,
    pub(crate) path: Option<At<String>>,
    pub(crate) body: Option<At<String>>,
    pub(crate) host: Option<At<String>>,
    pub(crate) process: Option<At<String>>,
    pub(crate) pidfile: Option<At<String>>,
    pub(crate) unit: Option<At<String>>,
    pub(crate) user: Option<At<String>>,
    /// All keys that are written, with their lines: which of them belong here depends on the kind.
    pub(crate) written: Vec<At<&'static str>>,
}

/// `status` of a check.
pub(crate) enum RawStatus {
    /// One status, as a number.
    One(At<u64>),
    /// A range of statuses, as a text such as `"200-399"`.
    Range(At<String>),
}

/// A list of commands, each a list of words; a part that is `None` has been reported.
pub(crate) type RawCommands = Option<At<Vec<At<Option<Vec<Element>>>>>>;

/// `[group.hooks]`.
pub(crate) struct RawHooks {
    /// The commands of each hook, with the hook's name.
    pub(crate) commands: [(&'static str, RawCommands); 5],
    pub(crate) timeout_ms: Option<At<u64>>,
    pub(crate) on_failure: Option<At<String>>,
}

/// The keys of one `[[group.check]]`, which begins at `line`.
pub(super) fn read_check(line: usize, entries: &DeTable<'_>, report: &mut Report<'_>) -> RawCheck {
    let table = Table::open(&CHECK, &EVERYWHERE, line, entries, report);
    table.require("kind", KINDS, report);
    let command = "write program and arguments, for example command = [\"/usr/local/bin/is-well\", \"--quick\"]";
    let written = CHECK.keys.iter().filter_map(|key| Some(At { line: table.get(key, report)?.0, value: *key }));
    let written = written.collect();
    let mut string = |key| table.string(key, "write it in quotes", report);
    let kind = string("kind");
    let [address, path, body, host] = ["address", "path", "body", "host"].map(&mut string);
    let [process, pidfile, unit, user] = ["process", "pidfile", "unit", "user"].map(&mut string);
    RawCheck {
        line,
        kind,
        interval_ms: table.number("interval_ms", MIN_CHECK_MS..=MAX_CHECK_MS, " ms", report),
        timeout_ms: table.number("timeout_ms", MIN_CHECK_MS..=MAX_CHECK_MS, " ms", report),
        fall: table.number("fall", 1..=MAX_CHECK_COUNT, "", report),
        rise: table.number("rise", 1..=MAX_CHECK_COUNT, "", report),
        weight: table.number("weight", 1..=MAX_WEIGHT, " (without the key it vetoes)", report),
        port: table.number("port", 1..=65_535, "", report),
        status: read_status(&table, report),
        command: table.strings("command", command, report),
        address,
        path,
        body,
        host,
        process,
        pidfile,
        unit,
        user,
        written,
    }
}

/// The value of `status`, a number or a text. `None` without the key, or if it has another type,
/// which has been reported.
fn read_status(table: &Table<'_>, report: &mut Report<'_>) -> Option<RawStatus> {
    match table.get("status", report)?.1.get_ref() {
        DeValue::Integer(_) => table.number("status", 100..=599, "", report).map(RawStatus::One),
        _ => {
            let right = "write a number, or a range in quotes: status = \"200-299\"";
            table.string("status", right, report).map(RawStatus::Range)
        }
    }
}

/// The keys of `[group.hooks]`.
pub(super) fn read_hooks(table: &Table<'_>, report: &mut Report<'_>) -> RawHooks {
    let names = ["before_open", "after_open", "before_close", "after_close", "on_fault"];
    RawHooks {
        commands: names.map(|name| (name, read_commands(table, name, report))),
        timeout_ms: table.number("timeout_ms", MIN_CHECK_MS..=MAX_HOOK_MS, " ms", report),
        on_failure: table.string("on_failure", "write \"refuse\" or \"proceed\"", report),
    }
}

/// The commands of the hook `key`, a list of lists of strings. `None` without the key, or if it is
/// no list, which has been reported.
fn read_commands(table: &Table<'_>, key: &str, report: &mut Report<'_>) -> RawCommands {
    let (line, value) = table.get(key, report)?;
    let right = "write a list of commands, each a list: [[\"/usr/local/sbin/promote\", \"--now\"]]";
    let DeValue::Array(list) = value.get_ref() else {
        table.wrong_type(key, line, value.get_ref(), right, report);
        return None;
    };
    let mut commands = Vec::new();
    for command in list.iter() {
        let line = report.line_of(command.span().start);
        let DeValue::Array(words) = command.get_ref() else {
            table.wrong_type(key, line, command.get_ref(), right, report);
            commands.push(At { line, value: None });
            continue;
        };
        let mut elements = Vec::new();
        for word in words.iter() {
            let line = report.line_of(word.span().start);
            let value = word.get_ref().as_str().map(str::to_owned);
            if value.is_none() {
                table.wrong_type(key, line, word.get_ref(), right, report);
            }
            elements.push(At { line, value });
        }
        commands.push(At { line, value: Some(elements) });
    }
    Some(At { line, value: commands })
}
