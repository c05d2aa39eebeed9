//! Status and events as a person reads them.
//!
//! Owns: the layout. Never does: ask the agent or the clock. Nothing here fails.

use super::terminal::{Tone, paint};
use crate::control::protocol::{
    CheckStatus, ConnectionsStatus, Event, GroupRole, GroupStatus, LinkState, LinkStatus, MAX_SHOWN_ADDRESSES,
    MirrorStatus, RejectStatus, Severity, StatusReport,
};
use crate::types::Epoch;
use std::fmt::Write;

/// Writes to a `String`, which never fails.
macro_rules! put {
    ($text:expr, $($part:tt)*) => { writeln!($text, $($part)*).expect("writing to a String never fails") };
}

/// The whole report: a line about the agent, a block per group, the links, and what an operator
/// should know.
pub(super) fn status(report: &StatusReport, colour: bool) -> String {
    let mut text = String::new();
    let timing = &report.timing;
    put!(
        text,
        "{} in cluster {} · vipair {} · up {}",
        paint(&report.node, Tone::Strong, colour),
        paint(&report.cluster, Tone::Strong, colour),
        report.version,
        duration(report.uptime_ms)
    );
    put!(
        text,
        "times: {} (pulse {} ms, silence {} ms, lease {} ms)",
        timing.profile,
        timing.pulse_ms,
        timing.silence_ms,
        timing.lease_ms
    );
    for group in &report.groups {
        put!(text, "");
        text.push_str(&group_block(group, &report.node, colour));
    }
    put!(text, "");
    text.push_str(&links_table(&report.links, colour));
    if let Some(found) = &report.mirror {
        put!(text, "\n{}", mirror_line(found, colour));
    }
    text.push_str(&rejected_table(&report.rejected, colour));
    for (title, lines) in [("different configuration", &report.differences), ("warnings", &report.warnings)] {
        if !lines.is_empty() {
            put!(text, "\n{}", paint(title, Tone::Doubtful, colour));
            lines.iter().for_each(|line| put!(text, "  ! {line}"));
        }
    }
    text
}

/// The block about one group.
fn group_block(group: &GroupStatus, node: &str, colour: bool) -> String {
    let mut text = String::new();
    let holder = match &group.active {
        Some(active) if active == node => paint("active here", Tone::Good, colour),
        Some(active) => format!("active on {}", paint(active, Tone::Strong, colour)),
        None => paint("active nowhere that is known", Tone::Bad, colour),
    };
    put!(text, "group {} · {holder}", paint(&group.name, Tone::Strong, colour));
    let since = if group.since.is_empty() { String::new() } else { format!(", since {}", group.since) };
    let role = paint(group.role.name(), role_tone(group.role), colour);
    put!(text, "  this node  {role}, epoch {}{since}", Epoch(group.epoch));
    let peer_role = match group.peer_role {
        Some(role) => paint(role.name(), role_tone(role), colour),
        None => paint("not heard", Tone::Doubtful, colour),
    };
    put!(text, "  peer       {}: {peer_role}", group.peer);
    let ready = if group.ready { paint("yes", Tone::Good, colour) } else { paint("no", Tone::Bad, colour) };
    put!(text, "  ready      {ready}");
    put!(text, "  why        {}", why(group, colour));
    if let Some(mac) = &group.answered_by {
        put!(text, "  answered   by {} as well", paint(mac, Tone::Bad, colour));
    }
    put!(text, "  addresses  {} on {}", addresses(group), group.interface);
    group.checks.iter().for_each(|check| put!(text, "  check      {}", check_line(check, colour)));
    let hidden = group.check_count.saturating_sub(u64::try_from(group.checks.len()).unwrap_or(u64::MAX));
    if hidden > 0 {
        put!(text, "  check      and {hidden} more, which do not fail");
    }
    if let Some(connections) = &group.connections {
        put!(text, "  clients    {}", clients_line(connections));
    }
    let used: Vec<String> =
        group.counters.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
    if !used.is_empty() {
        put!(text, "  counters   {}", paint(&used.join(", "), Tone::Faint, colour));
    }
    text
}

/// The line about TCP connections of a group.
fn clients_line(connections: &ConnectionsStatus) -> String {
    let mut parts = Vec::new();
    if let Some(known) = connections.known {
        parts.push(format!("{known} connections here"));
    }
    if let Some(age) = connections.mirrored_age_ms {
        parts.push(format!("{} of the other node known, {:.1} s ago", connections.mirrored, age / 1e3));
    }
    for (count, what) in [(connections.tickled, "packets to tell of a takeover"), (connections.reset, "reset")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if parts.is_empty() { "no connections known yet".to_owned() } else { parts.join("; ") }
}

/// The line about the exchange of lists of connections.
fn mirror_line(mirror: &MirrorStatus, colour: bool) -> String {
    let told = if mirror.told {
        let age = mirror.held_age_ms.map_or(String::new(), |age| format!(", {:.1} s ago", age / 1e3));
        format!("the other node knows {} of ours{age}", mirror.held)
    } else {
        paint("the other node is not told of ours", Tone::Doubtful, colour)
    };
    let heard = if mirror.heard { "" } else { "; it tells none of its own" };
    let refused = if mirror.refused > 0 { format!("; refused {}", mirror.refused) } else { String::new() };
    format!(
        "mirror of connections: {told}{heard}; listed every {:.0} ms in {:.1} ms{refused}",
        mirror.list_every_ms, mirror.list_took_ms
    )
}

/// The line about one check: what it tries, its verdict and since when, and why it fails.
fn check_line(check: &CheckStatus, colour: bool) -> String {
    let weight = check.weight.map_or(String::new(), |weight| format!(" (weight {weight})"));
    let verdict = match check.ok {
        Some(true) => paint("ok", Tone::Good, colour),
        Some(false) => paint("FAILS", Tone::Bad, colour),
        None => paint("no verdict yet", Tone::Doubtful, colour),
    };
    let error = if check.error.is_empty() { String::new() } else { format!(": {}", check.error) };
    format!("{} {}{weight}: {verdict} since {}{error}", check.kind, check.target, check.since)
}

/// The agent's reason, or what the role means when there is nothing to say.
fn why(group: &GroupStatus, colour: bool) -> String {
    if !group.reason.is_empty() {
        return paint(&group.reason, if group.ready { Tone::Plain } else { Tone::Doubtful }, colour);
    }
    match group.role {
        GroupRole::Starting => "listening before it may claim anything".to_owned(),
        GroupRole::Standby => format!("the gate is closed; takes over when {} falls silent", group.peer),
        GroupRole::Active => "the gate is open; this node answers".to_owned(),
        GroupRole::Handover => format!("handing over to {}", group.peer),
        GroupRole::Fault => "the gate is closed and this node cannot serve".to_owned(),
        GroupRole::Paused => "closed by the operator; `vipair resume` ends it".to_owned(),
    }
}

/// The addresses of a group, at most [`MAX_SHOWN_ADDRESSES`], and the number of the others.
fn addresses(group: &GroupStatus) -> String {
    let mut shown = group.addresses.iter().take(MAX_SHOWN_ADDRESSES).cloned().collect::<Vec<_>>().join(", ");
    let count = group.addresses.len().min(MAX_SHOWN_ADDRESSES);
    let hidden = group.address_count.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
    if hidden > 0 {
        shown.push_str(&format!(" and {hidden} more"));
    }
    shown
}

/// The table of links.
fn links_table(links: &[LinkStatus], colour: bool) -> String {
    let mut text = String::new();
    let rows: Vec<[String; 5]> = links.iter().map(link_row).collect();
    let mut width = [0; 5];
    for row in &rows {
        for (width, cell) in width.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    put!(text, "links");
    for (link, row) in links.iter().zip(&rows) {
        let tone = match link.state {
            LinkState::Up => Tone::Good,
            LinkState::Silent => Tone::Doubtful,
            LinkState::Down => Tone::Bad,
        };
        // Colour codes have no width on the screen but do in format!, so cells are padded first.
        let cells = row.iter().zip(width).enumerate().map(|(column, (cell, width))| {
            let cell = format!("{cell:width$}");
            if column == 2 { paint(&cell, tone, colour) } else { cell }
        });
        put!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    if links.is_empty() {
        put!(text, "  none");
    }
    text
}

/// The cells about one link: peer and path, addresses, state, when it was last heard, counters.
fn link_row(link: &LinkStatus) -> [String; 5] {
    let heard = match link.last_heard_ms {
        Some(age) => format!("heard {age:.0} ms ago"),
        None => "never heard".to_owned(),
    };
    [
        format!("{} {}", link.peer, link.path),
        format!("{} → {}", link.local, link.remote),
        link.state.name().to_owned(),
        heard,
        format!("sent {}, received {}, rejected {}{}", link.sent, link.received, link.rejected, narrow(link)),
    ]
}

/// What is said of a link that does not take the longest datagrams.
fn narrow(link: &LinkStatus) -> String {
    let longest = link.longest.map_or(String::new(), |bytes| format!(", at most {bytes} bytes"));
    if link.too_large == 0 { longest } else { format!(", too large {}{longest}", link.too_large) }
}

/// The lines about datagrams that were turned away; nothing if there were none.
fn rejected_table(rejected: &[RejectStatus], colour: bool) -> String {
    let mut text = String::new();
    if rejected.is_empty() {
        return text;
    }
    put!(text, "\nturned away");
    for found in rejected {
        let trust = if found.authentic { "authentic" } else { "not authentic" };
        let line = format!(
            "{:<11}{:>8}  {trust}, the last one {:.1} s ago from {}",
            found.reason,
            found.count,
            found.last_ms / 1e3,
            found.from
        );
        put!(text, "  {}", paint(&line, Tone::Faint, colour));
    }
    text
}

/// The tone of a role.
fn role_tone(role: GroupRole) -> Tone {
    match role {
        GroupRole::Active | GroupRole::Standby => Tone::Good,
        GroupRole::Starting | GroupRole::Handover | GroupRole::Paused => Tone::Doubtful,
        GroupRole::Fault => Tone::Bad,
    }
}

/// One event as a line.
pub(super) fn event(event: &Event, colour: bool) -> String {
    let tone = match event.severity {
        Severity::Info => Tone::Plain,
        Severity::Warning => Tone::Doubtful,
        Severity::Error => Tone::Bad,
    };
    let group = event.group.as_deref().unwrap_or("-");
    let mut line = format!("{}  {:<7}  {group:<12}  {}", event.time, event.severity.name(), event.text);
    for (name, value) in &event.fields {
        line.push_str(&format!("  {name}={value}"));
    }
    paint(&line, tone, colour) + "\n"
}

/// A time since the start in its two largest units.
fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        86_400.. => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
