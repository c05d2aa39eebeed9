//! Validation of a group's hooks and units: what the file says of them becomes values, or errors.
//!
//! Owns: every rule about the text of `[group.hooks]` and `units`. Never does: ask the file system
//! or systemd whether a program or a unit exists. On failure each broken rule is one error in the
//! report, and the reading goes on.

use super::checks::{validate_command, validate_unit};
use super::error::Report;
use super::raw_service::{RawCommands, RawHooks};
use super::service::{Command, DEFAULT_HOOK_MS, Hooks, OnFailure};
use super::value::one_of;
use super::walk::{At, Element};
use std::time::Duration;

/// Most commands of one hook, and most units of one group.
pub const MAX_COMMANDS: usize = 16;

/// Validates `[group.hooks]`, and returns the hooks: the defaults if the table is missing. The
/// value is meaningful only if the report stays empty.
pub(super) fn validate(raw: Option<&RawHooks>, report: &mut Report<'_>) -> Hooks {
    let Some(raw) = raw else { return Hooks::default() };
    let [before_open, after_open, before_close, after_close, on_fault] =
        [0, 1, 2, 3, 4].map(|hook: usize| validate_commands(raw.commands[hook].0, &raw.commands[hook].1, report));
    Hooks {
        before_open,
        after_open,
        before_close,
        after_close,
        on_fault,
        timeout: Duration::from_millis(raw.timeout_ms.as_ref().map_or(DEFAULT_HOOK_MS, |at| at.value)),
        on_failure: validate_on_failure(raw.on_failure.as_ref(), report),
    }
}

/// Validates the commands of the hook `name`, and returns them: none if the key is missing.
/// Commands in error are reported and left out.
fn validate_commands(name: &str, raw: &RawCommands, report: &mut Report<'_>) -> Vec<Command> {
    let Some(At { line, value }) = raw else { return Vec::new() };
    let key = format!("group.hooks.{name}");
    report_too_many(&key, *line, value.len(), report);
    let written = value.iter().filter_map(|at| Some(At { line: at.line, value: at.value.clone()? }));
    written.filter_map(|at| validate_command(&key, &at, report)).collect()
}

/// Validates `on_failure`, the name of one of [`OnFailure::ALL`], and returns what it names: the
/// default if the key is missing, or if the name is unknown, which is reported.
fn validate_on_failure(raw: Option<&At<String>>, report: &mut Report<'_>) -> OnFailure {
    let Some(At { line, value }) = raw else { return OnFailure::default() };
    let names = OnFailure::ALL.map(OnFailure::name);
    OnFailure::ALL.into_iter().find(|candidate| candidate.name() == value).unwrap_or_else(|| {
        let wrong = format!("\"{value}\" is nothing that can be done");
        report.add(*line, "group.hooks.on_failure", wrong, one_of(value, &names));
        OnFailure::default()
    })
}

/// Validates `units` of a group, and returns their names: none if the key is missing. The walk has
/// reported elements that are no text, so they are left out here. A unit that is written twice is
/// reported at its second place, and more than [`MAX_COMMANDS`] units are an error. Units in error
/// stay in the result: a report with errors yields no configuration.
pub(super) fn validate_units(raw: Option<&At<Vec<Element>>>, report: &mut Report<'_>) -> Vec<String> {
    let Some(At { line, value }) = raw else { return Vec::new() };
    report_too_many("group.units", *line, value.len(), report);
    let written = value.iter().filter_map(|at| Some(At { line: at.line, value: at.value.clone()? }));
    let mut found: Vec<String> = Vec::new();
    for at in written {
        let name = validate_unit("group.units", &at, report);
        if found.contains(&name) {
            report.add(at.line, "group.units", format!("\"{name}\" is there twice"), "write every unit once");
        }
        found.push(name);
    }
    found
}

/// Reports a list of more than [`MAX_COMMANDS`] entries.
fn report_too_many(key: &str, line: usize, count: usize, report: &mut Report<'_>) {
    if count > MAX_COMMANDS {
        report.add(line, key, format!("has {count} entries"), format!("write at most {MAX_COMMANDS}"));
    }
}
