//! `vipair check [FILE]`: is the configuration right, and which times follow from it?

use super::{DEFAULT_CONFIG, Failure, SocketArg, print};
use crate::agent::checks;
use crate::config::bounds::{self, PULSE_MS, SILENCE_MS};
use crate::config::{
    Check, CheckKind, ClusterFile, ClusterGroup, ConfigErrors, KeyFile, KeyFileError, OnFailure, ServicePlan,
};
use crate::control::protocol::MAX_SHOWN_ADDRESSES;
use crate::io::local;
use crate::timing::{Profile, Promote, Timing};
use crate::types::NodeId;
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

mod plan;

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The configuration file
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    file: PathBuf,
    /// Which node to check for [default: the one that has this machine's addresses as links]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Show what a reload of the running agent with this file would change, and what stands in its
    /// way
    #[arg(long)]
    against_running: bool,
    #[command(flatten)]
    socket: SocketArg,
}

/// Validates the file, its programs and addresses if this machine is one of its nodes, and its key;
/// then prints what follows from it. A key that is not there yet is told beside all that, and ends
/// the command with 1: the file is right, and no agent can start with it.
pub(super) fn execute(args: &CheckArgs) -> Result<(), Failure> {
    let cluster = ClusterFile::read(&args.file)?;
    if args.against_running {
        return plan::execute(&cluster, args.node.as_deref(), &args.socket);
    }
    let local = local::addresses().unwrap_or_default();
    let me = match (cluster.identify(args.node.as_deref(), &local::bare(&local)), &args.node) {
        (Ok(me), _) => Some(me),
        (Err(error), Some(_)) => return Err(ConfigErrors::from(error).into()),
        // A configuration may well be checked on a machine that is none of its nodes.
        (Err(_), None) => None,
    };
    if let Some(me) = me {
        cluster.check_placed(me, &local)?;
        let programs = cluster.program_errors();
        if !programs.is_empty() {
            return Err(ConfigErrors { errors: programs, omitted: 0, unread: false }.into());
        }
    }
    match KeyFile::load(&cluster.key_file) {
        Ok(key) => print(&summary(&cluster, me, &format!("{} of 2 keys", key.keys.len()))),
        Err(error @ KeyFileError::Missing(_)) => {
            print(&summary(&cluster, me, "NOT THERE YET"))?;
            Err(Failure::Failed(format!("{} is valid, and its key is missing: {error}", cluster.file.display())))
        }
        Err(error) => Err(ConfigErrors::from(cluster.key_error(&error)).into()),
    }
}

/// Text of the command: all that follows from a valid file. `me` is the node that this machine is,
/// if any; `key` tells the state of the key file.
pub(super) fn summary(cluster: &ClusterFile, me: Option<NodeId>, key: &str) -> String {
    let mut lines = vec![
        format!("{} is valid.", cluster.file.display()),
        String::new(),
        format!("cluster {}", cluster.cluster),
        format!("  key file {} ({key})", cluster.key_file.display()),
    ];
    lines.push("nodes".to_owned());
    for node in &cluster.nodes {
        let links: Vec<String> = node.links.iter().map(ToString::to_string).collect();
        let here = if me == Some(node.id) { "  (this machine)" } else { "" };
        lines.push(format!("  {} {:<12} links {}{here}", node.id.0, node.name, links.join(", ")));
    }
    if me.is_none() {
        lines.push("  this machine is none of them, or has no link address yet".to_owned());
    }
    lines.extend(witness_lines(cluster));
    lines.push("groups".to_owned());
    cluster.groups.iter().for_each(|group| lines.extend(group_lines(cluster, group)));
    let voted = cluster.witness.is_some();
    let changed = cluster.profile.timing(voted) != cluster.timing;
    lines.push(format!("times (profile {}{})", cluster.profile.name(), if changed { ", overridden" } else { "" }));
    lines.extend(time_lines(&cluster.timing, voted));
    lines.push("rules that hold".to_owned());
    for (name, range) in [("pulse", PULSE_MS), ("silence", SILENCE_MS), ("lease", bounds::lease_ms(voted))] {
        lines.push(format!("  {name} from {} to {} ms", range.start(), range.end()));
    }
    lines.push(format!("  drift from {} to {} ppm", bounds::DRIFT_PPM.start(), bounds::DRIFT_PPM.end()));
    lines.extend(bounds::rules(voted).iter().map(|rule| rule_line(rule, &cluster.timing, voted)));
    lines.push("what follows".to_owned());
    lines.extend(consequences(cluster));
    lines.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").expect("writing to a String never fails");
        text
    })
}

/// Lines about the witnesses, and what their votes mean.
fn witness_lines(cluster: &ClusterFile) -> Vec<String> {
    let Some(witness) = &cluster.witness else { return Vec::new() };
    let mut lines = vec!["witness".to_owned()];
    lines.extend(witness.numbered().map(|(id, at)| format!("  {} at {at}", id.0)));
    let voters = cluster.nodes.len() + witness.addresses.len();
    let majority = voters / 2 + 1;
    lines.push(format!(
        "  {voters} voters: a gate is open while {majority} of them vote for its node, itself included"
    ));
    lines.push(if witness.strict {
        "  strict: without a majority no gate is open, so no two ever answer for a group".to_owned()
    } else {
        "  NOT strict: nodes that hear each other and no majority of witnesses go on as a bare pair; then two can \
         answer when they are cut apart"
            .to_owned()
    });
    lines
}

/// The line about one rule, with a witness also the numbers that obey it.
fn rule_line(rule: &bounds::Rule, timing: &Timing, voted: bool) -> String {
    let line = format!("  {:<40} {}", rule.formula, rule.reason);
    let numbers = format!(" ({} ≥ {})", time_text((rule.value)(timing)), time_text((rule.limit)(timing)));
    if voted { line + &numbers } else { line }
}

/// Lines about one group.
fn group_lines(cluster: &ClusterFile, group: &ClusterGroup) -> Vec<String> {
    let name = |id: NodeId| cluster.nodes.iter().find(|node| node.id == id).map_or("?", |node| node.name.as_str());
    let mut interfaces: Vec<String> =
        cluster.nodes.iter().zip(&group.interfaces).map(|(node, on)| format!("{on} on {}", node.name)).collect();
    if group.interfaces.iter().all(|interface| *interface == group.interfaces[0]) {
        interfaces = vec![group.interfaces[0].clone()];
    }
    let named = cluster.nodes.iter().zip(&group.uplinks).filter(|(_, uplinks)| !uplinks.is_empty());
    let uplinks: Vec<String> =
        named.map(|(node, uplinks)| format!("{} on {}", uplinks.join(" and "), node.name)).collect();
    let returns = if group.preempt {
        format!("which takes it back after {} of being ready", time_text(group.preempt_delay))
    } else {
        "which does not take it back".to_owned()
    };
    let mut shown: Vec<String> = group.addresses.iter().take(MAX_SHOWN_ADDRESSES).map(ToString::to_string).collect();
    if group.addresses.len() > MAX_SHOWN_ADDRESSES {
        shown.push(format!("and {} more", group.addresses.len() - MAX_SHOWN_ADDRESSES));
    }
    let mut lines = vec![
        format!("  {}: {}", group.name, shown.join(", ")),
        format!("    interface {}; prefers {}, {returns}", interfaces.join(", "), name(group.prefer)),
        format!("    after a handover the former node carries open connections for {}", time_text(group.drain)),
    ];
    if !uplinks.is_empty() {
        lines.push(format!("    what leads out of the server is {}, and no other port", uplinks.join(", ")));
    }
    if cluster.witness.is_some() {
        let evidence = match group.promote {
            Promote::Peer => "when it has not heard the active on any link for as long as promises to it last",
            Promote::Witness => "when the witness says that the active has failed",
            Promote::Both => "when it has not heard the active itself and the witness says so, too",
        };
        lines.push(format!("    promotes (\"{}\") the standby {evidence}", group.promote.name()));
    }
    let all = cluster.groups.iter().flat_map(|group| &group.service.checks);
    let programs = all.filter(|check| matches!(check.kind, CheckKind::Exec { .. })).count();
    lines.extend(service_lines(&group.service, programs));
    lines
}

/// Lines about checks, units and hooks of a group, and what follows from them.
/// `programs`: number of checks of kind "exec" of all groups.
fn service_lines(service: &ServicePlan, programs: usize) -> Vec<String> {
    let mut lines: Vec<String> = service.checks.iter().map(|check| check_line(check, programs)).collect();
    let hooks = &service.hooks;
    if !service.units.is_empty() {
        lines.push(format!("    starts before opening, stops after closing: {}", service.units.join(", ")));
    }
    let named = hooks.named().into_iter();
    let commands = named.flat_map(|(name, commands)| commands.iter().map(move |command| (name, command)));
    lines.extend(commands.map(|(name, command)| format!("    {name}: {command}")));
    if let Some(longest) = service.before_open() {
        let then = match hooks.on_failure {
            OnFailure::Refuse => "if something fails, the gate stays closed",
            OnFailure::Proceed => "if something fails, the gate opens all the same",
        };
        lines.push(format!("    what comes before opening may delay it by {}; {then}", time_text(longest)));
    }
    lines
}

/// The line about one check: what it tries, what a fault means, and how long a fault can go
/// unnoticed.
fn check_line(check: &Check, programs: usize) -> String {
    let weight = check.weight.map_or("vetoes".to_owned(), |weight| format!("weighs {weight}"));
    let noticed = match check.kind {
        CheckKind::Process(_) => "a process that ends is noticed at once".to_owned(),
        CheckKind::Tcp { .. } | CheckKind::Http(_) | CheckKind::Unit { .. } | CheckKind::Exec { .. } => {
            format!("a fault is noticed within {}", time_text(checks::noticed_within(check, programs)))
        }
    };
    format!(
        "    check {} {}: every {}, timeout {}, fall {}, rise {}, {weight}; {noticed}",
        check.kind.name(),
        check.kind.target(),
        time_text(check.interval),
        time_text(check.timeout),
        check.fall,
        check.rise
    )
}

/// A line for each time: name, value, formula, meaning.
fn time_lines(timing: &Timing, voted: bool) -> Vec<String> {
    // Taken apart by name, so that a new time cannot be forgotten here. Times that cannot be set
    // are in docs/protocol.
    let Timing {
        pulse,
        silence,
        lease,
        suspicion,
        probe,
        listen,
        veto,
        election,
        promise,
        abstain,
        drift_ppm,
        patience: _,
    } = *timing;
    let listening = format!("lease × (1+ρ)/(1−ρ) + 1 ms, at least silence; ρ = {drift_ppm} ppm");
    let closes = if voted {
        "the gate closes this long after the pulse went out that a majority has granted"
    } else {
        "the gate closes this long after the last renewal"
    };
    let mut rows = vec![
        ("pulse", pulse, "pulse_ms", "a pulse goes out on every link this often"),
        ("silence", silence, "silence_ms", "a standby takes over after this much silence on all links"),
        ("lease", lease, "lease_ms", closes),
        ("suspicion", suspicion, "1.25 × pulse", "a standby begins to ask"),
        ("probe", probe, "pulse / 10, at least 1 ms", "time between two questions"),
        ("listen", listen, &listening, "a starting node listens this long"),
        ("veto", veto, "10 × lease, at least 2 s", "answered probes alone delay a takeover at most this long"),
        ("election", election, "3 × pulse", "a free group waits this long for its preferred node"),
    ];
    let promised = format!("lease × (1+ρ)/(1−ρ) + 1 ms; ρ = {drift_ppm} ppm");
    if voted {
        let formula = "promise × (1+ρ)/(1−ρ) + 1 ms";
        rows.push(("promise", promise, &promised, "a voter votes for nobody else after it has granted"));
        rows.push(("abstain", abstain, formula, "a voter that has just started votes for nobody"));
    }
    let line =
        |(name, value, formula, meaning)| format!("  {name:<10} {:>10}  = {formula:<58} {meaning}", time_text(value));
    rows.into_iter().map(line).collect()
}

/// Lines about what follows from the times, with advice.
fn consequences(cluster: &ClusterFile) -> Vec<String> {
    let timing = &cluster.timing;
    let mut lines = if cluster.witness.is_some() { voted_consequences(timing) } else { bare_consequences(timing) };
    if cluster.nodes.iter().any(|node| node.links.len() == 1) {
        lines.push(
            "  ADVICE: there is one link; a second one over other switches makes cutting the pair apart unlikely"
                .to_owned(),
        );
    }
    if cluster.profile == Profile::Fast {
        lines.push(
            "  ADVICE: fast needs SCHED_FIFO (CAP_SYS_NICE); `vipair doctor` says whether it has it".to_owned(),
        );
    }
    lines
}

/// Lines about what follows from the times of a pair without a witness.
fn bare_consequences(timing: &Timing) -> Vec<String> {
    vec![
        format!("  a server that vanishes is replaced {} after its last pulse", time_text(timing.silence)),
        format!(
            "  a server whose agent dies or hangs goes on serving for up to {}, then is replaced",
            time_text(timing.lease)
        ),
    ]
}

/// Lines about what follows from the times of a pair with witnesses.
fn voted_consequences(timing: &Timing) -> Vec<String> {
    let taken = timing.silence.max(timing.promise);
    let room = timing.lease.saturating_sub(timing.pulse * 3);
    vec![
        format!("  a server that vanishes is replaced {} after its last pulse, or a little later", time_text(taken)),
        format!("  a server that hears no majority of voters stops answering within {}", time_text(timing.lease)),
        format!(
            "  the way to a voter and back may take {}, jitter included, while two grants are lost",
            time_text(room)
        ),
    ]
}

/// A time in the unit that people would use.
fn time_text(value: Duration) -> String {
    let milliseconds = value.as_secs_f64() * 1000.0;
    if milliseconds >= 2000.0 {
        format!("{} s", trimmed(milliseconds / 1000.0))
    } else {
        format!("{} ms", trimmed(milliseconds))
    }
}

/// A number with at most three decimals.
fn trimmed(number: f64) -> String {
    format!("{number:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
}
