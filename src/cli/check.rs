//! `vipair check [FILE]`: is the configuration right, and which times follow from it?

use super::{DEFAULT_CONFIG, Failure, local, print};
use crate::config::bounds::{LEASE_MS, PULSE_MS, RULES, SILENCE_MS};
use crate::config::{ClusterFile, ClusterGroup, ConfigErrors, KeyFile, KeyFileError, Profile, Timing};
use crate::control::protocol::MAX_SHOWN_ADDRESSES;
use crate::types::NodeId;
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The configuration file
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    file: PathBuf,
    /// Which node to check for [default: the one that has this machine's addresses as links]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
}

pub(super) fn execute(args: &CheckArgs) -> Result<(), Failure> {
    let cluster = ClusterFile::read(&args.file)?;
    let local = local::addresses().unwrap_or_default();
    let me = match (cluster.identify(args.node.as_deref(), &local), &args.node) {
        (Ok(me), _) => Some(me),
        (Err(error), Some(_)) => return Err(ConfigErrors::from(error).into()),
        // A configuration may well be checked on a machine that is none of its nodes.
        (Err(_), None) => None,
    };
    let key = match KeyFile::load(&cluster.key_file) {
        Ok(key) => format!("{} of 2 keys", key.keys.len()),
        Err(error @ KeyFileError::Missing(_)) => format!("NOT THERE YET: {}", error.right()),
        Err(error) => return Err(ConfigErrors::from(cluster.key_error(&error)).into()),
    };
    print(&summary(&cluster, me, &key))
}

/// Everything that follows from a valid file. `key` says how the key file is.
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
    lines.push("groups".to_owned());
    cluster.groups.iter().for_each(|group| lines.extend(group_lines(cluster, group)));
    let changed = Timing::of(cluster.profile) != cluster.timing;
    lines.push(format!("times (profile {}{})", cluster.profile.name(), if changed { ", overridden" } else { "" }));
    lines.extend(time_lines(&cluster.timing));
    lines.push("rules that hold".to_owned());
    for (name, range) in [("pulse", PULSE_MS), ("silence", SILENCE_MS), ("lease", LEASE_MS)] {
        lines.push(format!("  {name} from {} to {} ms", range.start(), range.end()));
    }
    lines.extend(RULES.iter().map(|rule| format!("  {:<33} {}", rule.formula, rule.reason)));
    lines.push("what follows".to_owned());
    lines.extend(consequences(cluster));
    lines.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").expect("writing to a String never fails");
        text
    })
}

fn group_lines(cluster: &ClusterFile, group: &ClusterGroup) -> Vec<String> {
    let name = |id: NodeId| cluster.nodes.iter().find(|node| node.id == id).map_or("?", |node| node.name.as_str());
    let mut interfaces: Vec<String> =
        cluster.nodes.iter().zip(&group.interfaces).map(|(node, on)| format!("{on} on {}", node.name)).collect();
    if group.interfaces.iter().all(|interface| *interface == group.interfaces[0]) {
        interfaces = vec![group.interfaces[0].clone()];
    }
    let returns = if group.preempt {
        format!("which takes it back after {} of being ready", time(group.preempt_delay))
    } else {
        "which does not take it back".to_owned()
    };
    let mut shown: Vec<String> = group.addresses.iter().take(MAX_SHOWN_ADDRESSES).map(ToString::to_string).collect();
    if group.addresses.len() > MAX_SHOWN_ADDRESSES {
        shown.push(format!("and {} more", group.addresses.len() - MAX_SHOWN_ADDRESSES));
    }
    vec![
        format!("  {}: {}", group.name, shown.join(", ")),
        format!("    interface {}; prefers {}, {returns}", interfaces.join(", "), name(group.prefer)),
        format!("    after a handover the former node carries open connections for {}", time(group.drain)),
    ]
}

/// One line per time: name, value, formula, meaning.
fn time_lines(timing: &Timing) -> Vec<String> {
    // Taken apart by name, so that a new time cannot be forgotten here. What nobody can set is in docs/protocol.
    let Timing { pulse, silence, lease, suspicion, probe, listen, veto, election, patience: _ } = *timing;
    let rows = [
        ("pulse", pulse, "pulse_ms", "a pulse goes out on every link this often"),
        ("silence", silence, "silence_ms", "a standby takes over after this much silence on all links"),
        ("lease", lease, "lease_ms", "the gate closes this long after the last renewal"),
        ("suspicion", suspicion, "1.25 × pulse", "a standby begins to ask"),
        ("probe", probe, "pulse / 10, at least 1 ms", "time between two questions"),
        (
            "listen",
            listen,
            "lease × (1+ρ)/(1−ρ) + 1 ms, at least silence; ρ = 500 ppm",
            "a starting node listens this long",
        ),
        ("veto", veto, "10 × lease, at least 2 s", "answered probes alone delay a takeover at most this long"),
        ("election", election, "3 × pulse", "a free group waits this long for its preferred node"),
    ];
    rows.map(|(name, value, formula, meaning)| format!("  {name:<10} {:>10}  = {formula:<58} {meaning}", time(value)))
        .to_vec()
}

fn consequences(cluster: &ClusterFile) -> Vec<String> {
    let timing = &cluster.timing;
    let mut lines = vec![
        format!("  a server that vanishes is replaced {} after its last pulse", time(timing.silence)),
        format!(
            "  a server whose agent dies or hangs goes on serving for up to {}, then is replaced",
            time(timing.lease)
        ),
    ];
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

/// A time in the unit people would use.
fn time(value: Duration) -> String {
    let milliseconds = value.as_secs_f64() * 1000.0;
    if milliseconds >= 2000.0 {
        format!("{} s", trimmed(milliseconds / 1000.0))
    } else {
        format!("{} ms", trimmed(milliseconds))
    }
}

fn trimmed(number: f64) -> String {
    format!("{number:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
}
