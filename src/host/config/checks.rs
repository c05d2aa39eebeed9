//! Validation of a group's health checks: what the file says of them becomes values, or errors.
//!
//! Owns: every rule about the text of `[[group.check]]`, and the rules about commands and names of
//! units that `hooks` shares. Never does: ask the file system, the users' database or systemd
//! whether there is such a program, user or unit. On failure each broken rule is one error in the
//! report, and the reading goes on.

use super::error::Report;
use super::raw_service::{RawCheck, RawStatus};
use super::service::{Check, CheckKind, Command, HttpCheck, ProcessCheck};
use super::value::one_of;
use super::walk::{At, Element};
use crate::types::Vip;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Most checks of one group.
pub const MAX_CHECKS: usize = 64;

/// Keys that a check of any kind may have.
const COMMON: [&str; 6] = ["kind", "interval_ms", "timeout_ms", "fall", "rise", "weight"];
/// Each kind with the keys it must have and the keys it may have besides.
const KEYS: [(&str, &[&str], &[&str]); 5] = [
    ("tcp", &["port"], &["address"]),
    ("http", &["port"], &["address", "path", "host", "status", "body"]),
    ("process", &[], &["process", "pidfile"]),
    ("unit", &["unit"], &[]),
    ("exec", &["command"], &["user"]),
];

const DEFAULT_INTERVAL_MS: u64 = 1_000;
const DEFAULT_TIMEOUT_MS: u64 = 500;
const DEFAULT_EXEC_TIMEOUT_MS: u64 = 5_000;
const DEFAULT_FALL: u64 = 3;
const DEFAULT_RISE: u64 = 2;
const DEFAULT_STATUS: RangeInclusive<u16> = 200..=399;
const DEFAULT_USER: &str = "nobody";
/// Longest path, argument or text, in bytes: the kernel's limit of a path (PATH_MAX), which is
/// enough for the others.
const MAX_TEXT: usize = 4096;
/// Most words of a command, the program included.
const MAX_WORDS: usize = 64;

/// Validates the checks of a group that has these addresses. The value is meaningful only if the
/// report stays empty.
pub(super) fn validate(raw: &[RawCheck], addresses: &[Vip], report: &mut Report<'_>) -> Vec<Check> {
    if let Some(check) = raw.get(MAX_CHECKS) {
        let wrong = format!("is there {} times in one group", raw.len());
        report.add(check.line, "group.check", wrong, format!("write at most {MAX_CHECKS}"));
    }
    raw.iter().filter_map(|check| validate_check(check, addresses, report)).collect()
}

/// Validates one check: its kind, the keys that belong to the kind, and their values. `None` if the
/// kind or a value that it needs is wrong, which has been reported.
fn validate_check(raw: &RawCheck, addresses: &[Vip], report: &mut Report<'_>) -> Option<Check> {
    let At { line, value } = raw.kind.as_ref()?;
    let Some((name, needed, optional)) = KEYS.iter().find(|(name, ..)| name == value) else {
        let names = KEYS.map(|(name, ..)| name);
        let right = one_of(value, &names);
        report.add(*line, "group.check.kind", format!("\"{value}\" is no kind of check"), right);
        return None;
    };
    for At { line, value: key } in &raw.written {
        if !COMMON.contains(key) && !needed.contains(key) && !optional.contains(key) {
            let has = [*needed, *optional].concat().join(", ");
            let wrong = format!("is no key of a check of kind \"{name}\"");
            report.add(*line, &format!("group.check.{key}"), wrong, format!("it has {has}"));
        }
    }
    let is_written = |key: &&&str| raw.written.iter().any(|at| at.value == **key);
    for key in needed.iter().filter(|key| !is_written(key)) {
        let right = format!("a check of kind \"{name}\" needs it");
        report.add(raw.line, &format!("group.check.{key}"), "missing in this [[group.check]]", right);
    }
    let number = |key: &Option<At<u64>>, default| key.as_ref().map_or(default, |at| at.value);
    let timeout = if *name == "exec" { DEFAULT_EXEC_TIMEOUT_MS } else { DEFAULT_TIMEOUT_MS };
    let count = |key, default| u32::try_from(number(key, default)).unwrap_or(u32::MAX);
    Some(Check {
        kind: validate_kind(name, raw, addresses, report)?,
        interval: Duration::from_millis(number(&raw.interval_ms, DEFAULT_INTERVAL_MS)),
        timeout: Duration::from_millis(number(&raw.timeout_ms, timeout)),
        fall: count(&raw.fall, DEFAULT_FALL),
        rise: count(&raw.rise, DEFAULT_RISE),
        weight: raw.weight.as_ref().and_then(|at| NonZeroU8::new(u8::try_from(at.value).ok()?)),
    })
}

/// Validates the keys that belong to the kind `name`, and returns what a check of it tries. `None`
/// if a key that it needs is missing or wrong, which has been reported.
fn validate_kind(name: &str, raw: &RawCheck, addresses: &[Vip], report: &mut Report<'_>) -> Option<CheckKind> {
    match name {
        "tcp" => validate_target(raw, addresses, report).map(|target| CheckKind::Tcp { target }),
        "http" => validate_http(raw, addresses, report).map(CheckKind::Http),
        "process" => validate_process(raw, report).map(CheckKind::Process),
        "unit" => {
            raw.unit.as_ref().map(|name| CheckKind::Unit { unit: validate_unit("group.check.unit", name, report) })
        }
        _ => {
            let command = validate_command("group.check.command", raw.command.as_ref()?, report)?;
            let user = raw.user.as_ref();
            if let Some(user) = user {
                report_unusable_text("group.check.user", user, "write the name of a user", report);
            }
            Some(CheckKind::Exec { command, user: user.map_or(DEFAULT_USER.to_owned(), |at| at.value.clone()) })
        }
    }
}

/// Validates where a check connects: to an address of the group, which is local on every node, or
/// to the loopback. `None` if the port is missing or the address is wrong, which has been reported.
fn validate_target(raw: &RawCheck, addresses: &[Vip], report: &mut Report<'_>) -> Option<SocketAddr> {
    let port = u16::try_from(raw.port.as_ref()?.value).ok()?;
    let Some(At { line, value }) = &raw.address else {
        return addresses.first().map(|address| SocketAddr::new(*address, port));
    };
    let right = "write one of the group's addresses or a loopback address; without the key it is the group's first";
    let wrong = match value.parse::<IpAddr>() {
        Ok(address) if addresses.contains(&address) || address.is_loopback() => {
            return Some(SocketAddr::new(address, port));
        }
        Ok(address) => format!("{address} is no address of this group"),
        Err(_) => format!("\"{value}\" is no IP address"),
    };
    report.add(*line, "group.check.address", wrong, right);
    None
}

/// Validates a check of kind `http`: its page, and the answer that it wants. `None` if target or
/// status is wrong, which has been reported.
fn validate_http(raw: &RawCheck, addresses: &[Vip], report: &mut Report<'_>) -> Option<HttpCheck> {
    let path = raw.path.as_ref().map_or("/", |at| at.value.as_str());
    if let Some(at) = &raw.path {
        report_unusable_text("group.check.path", at, "write a path without spaces, for example \"/health\"", report);
        if !at.value.starts_with('/') {
            let wrong = format!("\"{path}\" does not begin with /");
            report.add(at.line, "group.check.path", wrong, "write an absolute path, for example \"/health\"");
        }
    }
    if let Some(host) = &raw.host {
        report_unusable_text("group.check.host", host, "write the name that clients ask for", report);
    }
    if let Some(body) = raw.body.as_ref().filter(|body| body.value.is_empty() || body.value.len() > MAX_TEXT) {
        let wrong = format!("has {} bytes", body.value.len());
        report.add(body.line, "group.check.body", wrong, format!("write 1 to {MAX_TEXT} bytes that must occur"));
    }
    let status = raw.status.as_ref().map_or(Some(DEFAULT_STATUS), |status| validate_status(status, report));
    let target = validate_target(raw, addresses, report)?;
    let host = raw.host.as_ref().map_or_else(|| default_host(target), |at| at.value.clone());
    let body = raw.body.as_ref().map(|at| at.value.clone());
    Some(HttpCheck { target, path: path.to_owned(), host, status: status?, body })
}

/// The default of `host` (RFC 9110, section 7.2): the address, of IPv6 in brackets, and the port
/// unless it is the scheme's own.
fn default_host(target: SocketAddr) -> String {
    let text = target.to_string();
    text.strip_suffix(":80").map_or(text.clone(), str::to_owned)
}

/// Validates `status`, a number or two with a dash between them, from 100 to 599, and returns the
/// statuses that are wanted. `None` if it is wrong, which has been reported.
fn validate_status(status: &RawStatus, report: &mut Report<'_>) -> Option<RangeInclusive<u16>> {
    let At { line, value } = match status {
        RawStatus::One(At { value, .. }) => {
            let value = u16::try_from(*value).ok()?;
            return Some(value..=value);
        }
        RawStatus::Range(text) => text,
    };
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|number| (100..=599).contains(number));
    let ends = value.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
    match ends {
        Some((first, last)) if first <= last => Some(first..=last),
        Some(_) | None => {
            let right = "write a number from 100 to 599, or a range in quotes: status = \"200-299\"";
            report.add(*line, "group.check.status", format!("\"{value}\" is no range of statuses"), right);
            None
        }
    }
}

/// Validates a check of kind `process`: the name or program, the pid file, or both, by which the
/// process is found. `None` if it has neither, which has been reported.
fn validate_process(raw: &RawCheck, report: &mut Report<'_>) -> Option<ProcessCheck> {
    if raw.process.is_none() && raw.pidfile.is_none() {
        let right = "write process = \"nginx\", process = \"/usr/sbin/nginx\" or pidfile = \"/run/nginx.pid\"";
        report.add(raw.line, "group.check.process", "missing in this [[group.check]]", right);
        return None;
    }
    if let Some(At { line, value }) = &raw.process {
        let right = "write a name as `ps -o comm` shows it, or the absolute path of the program";
        let wrong = if value.is_empty() {
            Some("is empty".to_owned())
        } else if value.contains('/') && !value.starts_with('/') {
            Some(format!("{value:?} is neither a name nor an absolute path"))
        } else if !value.starts_with('/') && value.len() > MAX_COMM {
            Some(format!("{value:?} has {} bytes, and the kernel keeps {MAX_COMM} of a name", value.len()))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            report.add(*line, "group.check.process", wrong, right);
        }
    }
    if let Some(At { line, value }) = raw.pidfile.as_ref().filter(|file| !file.value.starts_with('/')) {
        let wrong = format!("{value:?} is no absolute path");
        report.add(*line, "group.check.pidfile", wrong, "write the file's absolute path");
    }
    Some(ProcessCheck {
        name_or_path: raw.process.as_ref().map(|at| at.value.clone()),
        pidfile: raw.pidfile.as_ref().map(|at| PathBuf::from(&at.value)),
    })
}

/// Longest name of a process, in bytes: TASK_COMM_LEN of linux/sched.h without the closing zero.
const MAX_COMM: usize = 15;

/// Reports a text that is empty, too long, or has letters that end a line or a word.
fn report_unusable_text(key: &str, at: &At<String>, right: &str, report: &mut Report<'_>) {
    let text = &at.value;
    let is_odd = |c: char| c.is_control() || c.is_whitespace();
    if text.is_empty() || text.len() > MAX_TEXT || text.contains(is_odd) {
        report.add(at.line, key, format!("{text:?} cannot be used"), right);
    }
}

/// Validates the name of a unit by systemd's own rule (`unit_name_is_valid`): letters, digits and
/// `:-_.\@`, with its type. Returns the name as it is written, even if it is wrong and has been
/// reported.
pub(super) fn validate_unit(key: &str, at: &At<String>, report: &mut Report<'_>) -> String {
    let text = &at.value;
    let is_known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let has_type = text.rsplit_once('.').is_some_and(|(name, kind)| {
        !name.is_empty() && ["service", "target", "socket", "mount", "timer", "path"].contains(&kind)
    });
    if text.len() > 255 || !has_type || !text.chars().all(is_known) {
        let right = "write its whole name, for example \"postgresql@15-main.service\"";
        report.add(at.line, key, format!("{text:?} is no name of a unit"), right);
    }
    text.clone()
}

/// Validates a program and its arguments. `None` if they are wrong, which has been reported: here,
/// or by the walk if a word is no text.
pub(super) fn validate_command(key: &str, at: &At<Vec<Element>>, report: &mut Report<'_>) -> Option<Command> {
    let right = "write the program's absolute path, then its arguments; no shell reads them";
    let words: Option<Vec<String>> = at.value.iter().map(|word| word.value.clone()).collect();
    let words = words?;
    let wrong = match words.split_first() {
        None => "is empty".to_owned(),
        Some(_) if words.len() > MAX_WORDS => format!("has {} words", words.len()),
        Some(_) if words.iter().any(|word| word.len() > MAX_TEXT || word.contains('\0')) => {
            "has a word that is too long or has a zero byte".to_owned()
        }
        Some((program, _)) if !program.starts_with('/') => format!("{program:?} is no absolute path"),
        Some((program, arguments)) => {
            return Some(Command { program: PathBuf::from(program), arguments: arguments.to_vec() });
        }
    };
    report.add(at.line, key, wrong, right);
    None
}
