//! Checks, hooks and units of an accepted file: within their bounds, and written as they are read.

use super::quoted;
use crate::config::{Check, CheckKind, ClusterGroup, Command, Hooks, HttpCheck, ProcessCheck};
use std::fmt::Write;
use std::time::Duration;

/// Checks that the checks, hooks and units of an accepted group are within their bounds.
pub(super) fn check_bounds(group: &ClusterGroup) {
    let service = &group.service;
    assert!(service.checks.len() <= 64 && service.units.len() <= 16);
    let times = Duration::from_millis(10)..=Duration::from_secs(3600);
    for check in &service.checks {
        assert!(times.contains(&check.interval) && times.contains(&check.timeout), "{check:?}");
        assert!((1..=1000).contains(&check.fall) && (1..=1000).contains(&check.rise), "{check:?}");
        assert!(check.weight.is_none_or(|weight| weight.get() < 255), "{check:?}");
        match &check.kind {
            CheckKind::Tcp { target } | CheckKind::Http(HttpCheck { target, .. }) => {
                assert!(target.port() > 0 && (group.addresses.contains(&target.ip()) || target.ip().is_loopback()));
            }
            CheckKind::Process(ProcessCheck { name_or_path, pidfile }) => {
                assert!(name_or_path.is_some() || pidfile.is_some())
            }
            CheckKind::Unit { unit } => {
                assert!(unit.contains('.') && !unit.contains(char::is_whitespace), "{unit:?}")
            }
            CheckKind::Exec { command, .. } => check_command(command),
        }
        if let CheckKind::Http(HttpCheck { path, host, .. }) = &check.kind {
            assert!(
                path.starts_with('/') && !path.contains(char::is_whitespace),
                "{path:?} would end the request line"
            );
            assert!(!host.contains(char::is_control), "{host:?} would end the header");
        }
    }
    let Hooks { before_open, after_open, before_close, after_close, on_fault, timeout, .. } = &service.hooks;
    assert!(times.contains(timeout));
    for commands in [before_open, after_open, before_close, after_close, on_fault] {
        assert!(commands.len() <= 16);
        commands.iter().for_each(check_command);
    }
}

/// Checks that a command is within the bounds of the guide.
fn check_command(command: &Command) {
    assert!(command.program.is_absolute() && command.arguments.len() < 64, "{command:?}");
}

/// The units, checks and hooks of a group, written as TOML behind the group's other keys.
pub(super) fn written(group: &ClusterGroup) -> String {
    let mut text = String::new();
    let mut add = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("writing to a String never fails");
    let units: Vec<String> = group.service.units.iter().map(|unit| quoted(unit)).collect();
    add(format_args!("units = [{}]", units.join(", ")));
    for Check { kind, interval, timeout, fall, rise, weight } in &group.service.checks {
        add(format_args!("[[group.check]]\nkind = \"{}\"", kind.name()));
        add(format_args!("interval_ms = {}\ntimeout_ms = {}", interval.as_millis(), timeout.as_millis()));
        add(format_args!("fall = {fall}\nrise = {rise}"));
        if let Some(weight) = weight {
            add(format_args!("weight = {weight}"));
        }
        add(format_args!("{}", of_kind(kind)));
    }
    let hooks = &group.service.hooks;
    add(format_args!("[group.hooks]\ntimeout_ms = {}", hooks.timeout.as_millis()));
    add(format_args!("on_failure = \"{}\"", hooks.on_failure.name()));
    for (name, commands) in hooks.named() {
        let commands: Vec<String> = commands.iter().map(words).collect();
        add(format_args!("{name} = [{}]", commands.join(", ")));
    }
    text
}

/// The keys that only a check of this kind has, written as TOML.
fn of_kind(kind: &CheckKind) -> String {
    match kind {
        CheckKind::Tcp { target } => format!("address = \"{}\"\nport = {}", target.ip(), target.port()),
        CheckKind::Http(HttpCheck { target, path, host, status, body }) => {
            let body = body.as_ref().map_or(String::new(), |body| format!("\nbody = {}", quoted(body)));
            format!(
                "address = \"{}\"\nport = {}\npath = {}\nhost = {}\nstatus = \"{}-{}\"{body}",
                target.ip(),
                target.port(),
                quoted(path),
                quoted(host),
                status.start(),
                status.end()
            )
        }
        CheckKind::Process(ProcessCheck { name_or_path, pidfile }) => {
            let pidfile = pidfile.as_ref().map(|file| file.to_str().expect("it came from a text").to_owned());
            let line = |key, value: Option<String>| value.map(|value| format!("{key} = {}\n", quoted(&value)));
            [line("process", name_or_path.clone()), line("pidfile", pidfile)].into_iter().flatten().collect()
        }
        CheckKind::Unit { unit } => format!("unit = {}", quoted(unit)),
        CheckKind::Exec { command, user } => format!("command = {}\nuser = {}", words(command), quoted(user)),
    }
}

/// A command, written as an array of TOML.
fn words(command: &Command) -> String {
    let program = command.program.to_str().expect("it came from a text").to_owned();
    let words = std::iter::once(&program).chain(&command.arguments);
    format!("[{}]", words.map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}
