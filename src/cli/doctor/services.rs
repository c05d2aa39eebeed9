//! What groups with a service need of this machine: programs that may be run, processes that may be seen, a unit that lets
//! them, lists of connections that reach the other node.
//!
//! Never does: run a program, or ask systemd. What the unit's files say is read; that systemd has read them too is up to the
//! operator (`systemctl daemon-reload`).

use super::{Finding, Level, Roots};
use crate::config::programs::{self, ProgramError};
use crate::config::{CheckKind, Config, OnFailure};
use crate::control::protocol::{LinkState, LinkStatus, StatusReport};
use crate::wire::{mirror, pulse};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where units and their drop-ins lie; the first that has a name wins (systemd.unit(5)).
const UNIT_DIRECTORIES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
const UNIT: &str = "vipair.service";
const DROP_IN: &str = "install -D -m 644 systemd/vipair-hooks.conf /etc/systemd/system/vipair.service.d/vipair-hooks.conf, \
    then systemctl daemon-reload and a restart";

/// The programs of hooks and checks, the processes that checks look for, and what the agent's unit makes of them.
pub(super) fn examine(roots: &Roots, config: &Config) -> Vec<Finding> {
    let (named, sought) = (named(config), sought(config));
    let mut findings: Vec<Finding> = named.iter().map(|(path, uses)| program(path, uses)).collect();
    if let Some(sandbox) = Sandbox::of(&roots.root) {
        findings.extend((!named.is_empty()).then(|| sandbox.judge(&named)));
        findings.extend((!sought.is_empty()).then(|| sandbox.shows(&sought)));
    }
    findings
}

/// What checks know processes by, other than by their number alone: names, and paths of programs.
fn sought(config: &Config) -> BTreeSet<&str> {
    let checks = config.groups.iter().flat_map(|group| &group.service.checks);
    let sought = checks.filter_map(|check| match &check.kind {
        CheckKind::Process(process) => process.process.as_deref(),
        CheckKind::Tcp { .. } | CheckKind::Http(_) | CheckKind::Unit { .. } | CheckKind::Exec { .. } => None,
    });
    sought.collect()
}

/// What a program is for.
struct Uses {
    words: Vec<String>,
    /// Without it a group does not move.
    needed: bool,
}

impl Uses {
    fn level(&self) -> Level {
        if self.needed { Level::Fail } else { Level::Warn }
    }
}

/// Every program that this node's groups name.
fn named(config: &Config) -> BTreeMap<&Path, Uses> {
    let mut named = BTreeMap::new();
    for group in &config.groups {
        let hooks = &group.service.hooks;
        let refuses = hooks.on_failure == OnFailure::Refuse;
        let commands = hooks.named().into_iter().flat_map(|(name, list)| {
            let needed = refuses && matches!(name, "before_open" | "before_close");
            list.iter().map(move |command| (name, command, needed))
        });
        let checks = group.service.checks.iter().filter_map(|check| match &check.kind {
            CheckKind::Exec { command, .. } => Some(("check", command, false)),
            CheckKind::Tcp { .. } | CheckKind::Http(_) | CheckKind::Process(_) | CheckKind::Unit { .. } => None,
        });
        for (name, command, needed) in commands.chain(checks) {
            let uses =
                named.entry(command.program.as_path()).or_insert_with(|| Uses { words: Vec::new(), needed: false });
            uses.words.push(format!("{name} of {}", group.name));
            uses.needed |= needed;
        }
    }
    named
}

fn program(path: &Path, uses: &Uses) -> Finding {
    let what = format!("{} ({})", path.display(), uses.words.join(", "));
    let Err(error) = programs::validate(path) else { return Finding::ok(format!("{what} can be run")) };
    let remedy = match &error {
        ProgramError::Missing(_) => "install it, or correct the path",
        ProgramError::Changeable(_) => {
            "it and every directory above it must belong to root and be writable by nobody else"
        }
        ProgramError::NoProgram => "name a file with the permission to execute it",
    };
    Finding { level: uses.level(), text: format!("{what} {error}"), remedy: remedy.to_owned() }
}

/// What the files of the agent's unit say about running programs and seeing processes.
#[derive(Debug, Default)]
struct Sandbox {
    no_exec: Vec<String>,
    exec: Vec<String>,
    /// The last `ProtectProc` (systemd.exec(5)); without one, everything is shown.
    protect_proc: String,
    /// What `CapabilityBoundingSet` names, if there is one.
    capabilities: Option<Vec<String>>,
}

impl Sandbox {
    /// `None` if systemd does not know the agent.
    fn of(root: &Path) -> Option<Sandbox> {
        let places = || UNIT_DIRECTORIES.iter().map(|directory| root.join(directory));
        let unit = places().find_map(|place| std::fs::read_to_string(place.join(UNIT)).ok())?;
        let mut drop_ins = BTreeMap::new();
        for place in places() {
            let entries = std::fs::read_dir(place.join(format!("{UNIT}.d"))).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "conf"))
            {
                drop_ins.entry(path.file_name().map(ToOwned::to_owned)).or_insert(path);
            }
        }
        let mut sandbox = Sandbox::default();
        sandbox.read(&unit);
        for path in drop_ins.values() {
            sandbox.read(&std::fs::read_to_string(path).unwrap_or_default());
        }
        Some(sandbox)
    }

    fn read(&mut self, text: &str) {
        for line in text.lines().map(str::trim) {
            let Some((key, value)) = line.split_once('=') else { continue };
            match key.trim() {
                "NoExecPaths" => assign(&mut self.no_exec, value),
                "ExecPaths" => assign(&mut self.exec, value),
                "CapabilityBoundingSet" => assign(self.capabilities.get_or_insert_default(), value),
                "ProtectProc" => value.trim().clone_into(&mut self.protect_proc),
                _ => {}
            }
        }
    }

    /// The innermost path that says something about a program decides.
    fn stops(&self, program: &Path) -> bool {
        let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        let innermost = |paths: &[String]| {
            let paths = paths.iter().map(|path| Path::new(path.trim_start_matches(['-', '+'])));
            let around = paths.filter(|path| real.starts_with(path));
            around.map(|path| path.components().count()).max().unwrap_or_default()
        };
        innermost(&self.no_exec) > innermost(&self.exec)
    }

    fn judge(&self, named: &BTreeMap<&Path, Uses>) -> Finding {
        let stopped: Vec<_> = named.iter().filter(|(path, _)| self.stops(path)).collect();
        let Some(level) = stopped.iter().map(|(_, uses)| uses.level()).max() else {
            return Finding::ok("the agent's unit lets these programs be run");
        };
        let paths: Vec<String> = stopped.iter().map(|(path, _)| path.display().to_string()).collect();
        let text = format!("the agent's unit lets nothing of this be run: {}", paths.join(", "));
        Finding { level, text, remedy: DROP_IN.to_owned() }
    }

    /// Whether a name is to be seen, and which program a process runs: the one is hidden by a /proc of one's own, the other
    /// from whoever may not trace it.
    fn shows(&self, sought: &BTreeSet<&str>) -> Finding {
        let is_hidden = matches!(self.protect_proc.as_str(), "invisible" | "noaccess" | "ptraceable");
        let traces = self.capabilities.as_ref().is_none_or(|all| all.iter().any(|one| one == "CAP_SYS_PTRACE"));
        let stops = |name: &&&str| is_hidden || (name.starts_with('/') && !traces);
        let unseen: Vec<&str> = sought.iter().filter(stops).copied().collect();
        if unseen.is_empty() {
            return Finding::ok("the agent's unit lets the processes of checks be seen");
        }
        let text = format!("the agent's unit lets checks see no process of this: {}", unseen.join(", "));
        Finding::warn(text, format!("use `pidfile` alone, or a check of kind \"unit\"; or {DROP_IN}"))
    }
}

/// A line about a list adds to it; an empty one takes back what lines before have said.
fn assign(list: &mut Vec<String>, value: &str) {
    if value.trim().is_empty() {
        list.clear();
    }
    list.extend(value.split_whitespace().map(str::to_owned));
}

/// Whether what the nodes tell each other arrives, by what the agent says: pulses, and lists of connections.
pub(super) fn exchange(config: &Config, status: &StatusReport) -> Vec<Finding> {
    let peers: Vec<&str> = config.peers().map(|peer| peer.name.as_str()).collect();
    let udp = |link: &&LinkStatus| peers.contains(&link.peer.as_str()) && link.path != "segment";
    let mut findings = Vec::new();
    for link in status.links.iter().filter(udp) {
        let way = format!("{} at {}", link.peer, link.remote);
        findings.push(match link.state {
            LinkState::Up => Finding::ok(format!("{way} is heard")),
            LinkState::Silent | LinkState::Down => Finding::warn(
                format!("{way} is not heard"),
                format!("does the agent run there? let UDP port {} pass between the link addresses", pulse::PORT),
            ),
        });
    }
    let heard = status.links.iter().filter(udp).any(|link| link.state == LinkState::Up);
    if let Some(lists) = status.mirror.as_ref().filter(|_| heard) {
        findings.push(match (lists.told, lists.heard) {
            (true, true) => Finding::ok("lists of connections are exchanged with the other node"),
            (told, _) => {
                let what = if told { "tells us nothing of its" } else { "does not take our" };
                let remedy = format!(
                    "let TCP port {} pass between the link addresses, both ways; is `tickle` the same in both files?",
                    mirror::PORT
                );
                Finding::warn(
                    format!("the other node {what} connections: after a takeover clients are not told"),
                    remedy,
                )
            }
        });
    }
    findings
}
