//! Findings about what groups with a service need of this machine: programs that root may run,
//! processes that may be seen, a unit of the agent that lets both, and lists of connections that
//! reach the other node.
//!
//! Never does: run a program, or ask systemd. The unit's files are read; that systemd has read them
//! too is up to the operator (`systemctl daemon-reload`).

use super::{Finding, Level, Roots};
use crate::config::programs;
use crate::config::{CheckKind, Config, OnFailure};
use crate::control::protocol::{LinkState, LinkStatus, StatusReport};
use crate::wire::{mirror, pulse};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Directories of units and their drop-ins. Of files with one name the first wins
/// (systemd.unit(5)).
pub(super) const UNIT_DIRECTORIES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// Milliseconds for which a datagram that was turned away tells how things are now.
const LATELY_MS: f64 = 60_000.0;
/// Reasons for which datagrams of another key are turned away.
const WRONG_KEY: [&str; 2] = ["tag", "key_id"];
/// Name of the agent's unit.
const UNIT: &str = "vipair.service";
/// Remedy for a unit that does not let programs run or processes be seen.
const DROP_IN: &str = "install -D -m 644 systemd/vipair-hooks.conf /etc/systemd/system/vipair.service.d/vipair-hooks.conf, \
    then systemctl daemon-reload and a restart";

/// Findings about the programs of hooks and checks, the processes that checks look for, and the
/// agent's unit.
pub(super) fn examine(roots: &Roots, config: &Config) -> Vec<Finding> {
    let (named, sought) = (named_programs(config), sought_processes(config));
    let mut findings: Vec<Finding> = named.iter().map(|(path, uses)| program_finding(path, uses)).collect();
    if let Some(sandbox) = Sandbox::of(&roots.root) {
        findings.extend((!named.is_empty()).then(|| sandbox.runs_programs(&named)));
        findings.extend((!sought.is_empty()).then(|| sandbox.shows_processes(&sought)));
    }
    findings
}

/// What the checks of kind "process" look for: names of processes, and absolute paths of programs.
/// A check that has a pid file alone looks for neither.
fn sought_processes(config: &Config) -> BTreeSet<&str> {
    let checks = config.groups.iter().flat_map(|group| &group.service.checks);
    let sought = checks.filter_map(|check| match &check.kind {
        CheckKind::Process(process) => process.name_or_path.as_deref(),
        CheckKind::Tcp { .. } | CheckKind::Http(_) | CheckKind::Unit { .. } | CheckKind::Exec { .. } => None,
    });
    sought.collect()
}

/// The uses of a program in a configuration.
#[derive(Default)]
struct Uses<'c> {
    /// The arguments of each use.
    commands: Vec<&'c [String]>,
    /// A phrase for each use, such as `before_open of web`.
    phrases: Vec<String>,
    /// Whether a group does not move without the program.
    needed: bool,
}

impl Uses<'_> {
    /// Level of a finding about a program that cannot be run.
    fn level(&self) -> Level {
        if self.needed { Level::Fail } else { Level::Warn }
    }
}

/// All programs that this node's groups name, with their uses.
fn named_programs(config: &Config) -> BTreeMap<&Path, Uses<'_>> {
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
            let uses = named.entry(command.program.as_path()).or_insert_with(Uses::default);
            uses.commands.push(&command.arguments);
            uses.phrases.push(format!("{name} of {}", group.name));
            uses.needed |= needed;
        }
    }
    named
}

/// The finding whether root may run the program at `path`, which `uses` names.
fn program_finding(path: &Path, uses: &Uses<'_>) -> Finding {
    let what = format!("{} ({})", path.display(), uses.phrases.join(", "));
    let judged = uses.commands.iter().try_for_each(|words| programs::validate_command(path, words));
    let Err(error) = judged else { return Finding::ok(format!("{what} can be run")) };
    Finding { level: uses.level(), text: format!("{what} {error}"), remedy: error.remedy().to_owned() }
}

/// Permissions in the files of the agent's unit: running programs and seeing processes.
#[derive(Debug, Default)]
struct Sandbox {
    /// The paths of `NoExecPaths`.
    no_exec: Vec<String>,
    /// The paths of `ExecPaths`.
    exec: Vec<String>,
    /// The last `ProtectProc` (systemd.exec(5)); empty without one, when all processes are shown.
    protect_proc: String,
    /// The capabilities of `CapabilityBoundingSet`, if there is one.
    capabilities: Option<Vec<String>>,
}

impl Sandbox {
    /// Reads the unit and its drop-ins; `None` if there is no unit of the agent.
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

    /// Adds the settings of one file.
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

    /// Whether the unit keeps this program from being run. Of the directories above the program
    /// that the unit lists, the innermost decides.
    fn stops(&self, program: &Path) -> bool {
        let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        let innermost = |paths: &[String]| {
            let paths = paths.iter().map(|path| Path::new(path.trim_start_matches(['-', '+'])));
            let around = paths.filter(|path| real.starts_with(path));
            around.map(|path| path.components().count()).max().unwrap_or_default()
        };
        innermost(&self.no_exec) > innermost(&self.exec)
    }

    /// The finding whether the unit lets these programs be run: as bad as the worst that it stops.
    fn runs_programs(&self, named: &BTreeMap<&Path, Uses<'_>>) -> Finding {
        let stopped: Vec<_> = named.iter().filter(|(path, _)| self.stops(path)).collect();
        let Some(level) = stopped.iter().map(|(_, uses)| uses.level()).max() else {
            return Finding::ok("the agent's unit lets these programs be run");
        };
        let paths: Vec<String> = stopped.iter().map(|(path, _)| path.display().to_string()).collect();
        let text = format!("the agent's unit lets nothing of this be run: {}", paths.join(", "));
        Finding { level, text, remedy: DROP_IN.to_owned() }
    }

    /// The finding whether the unit lets these processes be seen. `ProtectProc` hides a process and
    /// its name; which program it runs is hidden from an agent that may not trace it.
    fn shows_processes(&self, sought: &BTreeSet<&str>) -> Finding {
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

/// Applies one line of a unit that sets a list: the value's words are added to the list, and an
/// empty value clears what earlier lines have added.
fn assign(list: &mut Vec<String>, value: &str) {
    if value.trim().is_empty() {
        list.clear();
    }
    list.extend(value.split_whitespace().map(str::to_owned));
}

/// Findings whether pulses and lists of connections arrive, as the agent's status tells.
pub(super) fn exchange(config: &Config, status: &StatusReport) -> Vec<Finding> {
    // Datagrams that arrive and cannot be used are no matter of ports.
    let wrong =
        status.rejected.iter().find(|one| one.last_ms < LATELY_MS && WRONG_KEY.contains(&one.reason.as_str()));
    let peers: Vec<&str> = config.peers().map(|peer| peer.name.as_str()).collect();
    let udp = |link: &&LinkStatus| peers.contains(&link.peer.as_str()) && link.path != "segment";
    let mut findings = Vec::new();
    for link in status.links.iter().filter(udp) {
        let way = format!("{} at {}", link.peer, link.remote);
        findings.push(match link.state {
            LinkState::Up => Finding::ok(format!("{way} is heard")),
            LinkState::Silent | LinkState::Down => Finding::warn(
                format!("{way} is not heard"),
                wrong.map_or_else(
                    || {
                        format!(
                            "does the agent run there? let UDP port {} pass between the link addresses",
                            pulse::PORT
                        )
                    },
                    |one| {
                        format!(
                            "datagrams with another key arrive from {}: give both nodes the same key file",
                            one.from
                        )
                    },
                ),
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
