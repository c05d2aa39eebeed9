//! Single events, actions and rows in words, for the lines of `vipair replay`.
//!
//! Owns: their texts. Never does: choose which of them are worth a line.

use super::super::grounds::read;
use super::super::replay::{Input, Step};
use super::Said;
use crate::engine::{Action, Event, GateAction, InterfaceFacts};
use crate::types::{Epoch, LinkId};
use crate::wire::frame::Sighting;
use crate::wire::pulse::{Reason, Row};
use crate::words::{self, Names};

/// What changed in a row since the one `before`, in words; `None` if people need not know of it.
pub(super) fn row_in_words(row: &Row, before: Option<Said>) -> Option<String> {
    let same = |part: fn(&Said) -> u64, now: u64| before.as_ref().is_some_and(|said| part(said) == now);
    let mut parts = Vec::new();
    let roles = before.is_some_and(|(role, reason, _, _, _)| (role, reason) == (row.role, row.reason));
    if !roles {
        let why = match row.reason {
            Reason::None => String::new(),
            reason => format!(", not ready: {}", words::reason(reason)),
        };
        parts.push(format!("{} with epoch {}{why}", words::role(row.role), row.epoch));
    }
    if row.claim != Epoch::NONE && !same(|said| said.3.0, row.claim.0) {
        parts.push(format!("claims epoch {}", row.claim));
    }
    if row.consent != Epoch::NONE && !same(|said| said.4.0, row.consent.0) {
        parts.push(format!("consents to epoch {}", row.consent));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Facts of an interface in words.
pub(super) fn facts_in_words(facts: &InterfaceFacts) -> String {
    if !facts.exists {
        return "does not exist".to_owned();
    }
    let has = |has: bool, what: &str| format!("{} {what}", if has { "has" } else { "has no" });
    let parts = [has(facts.carrier, "carrier"), has(facts.gate, "gate")];
    parts.join(", ")
}

/// Lines of a step in full detail: one for its input, one for each action.
pub(super) fn lines_of(names: &Names, step: &Step<'_>) -> Vec<String> {
    let first = match step.input {
        Input::Begin(segment) => {
            format!("segment of {} records, snapshot of {} bytes", segment.span.records, segment.snapshot.len())
        }
        Input::Event(event) => event_in_words(names, event, step.believed),
        Input::Reconfigured(change) => format!("another configuration, with {} groups", change.groups.len()),
        Input::End => return Vec::new(),
    };
    let actions = step.actions.list.iter().map(|it| action_in_words(names, it, &step.actions.bytes));
    std::iter::once(first).chain(actions).collect()
}

/// An event that the engine was given, in words. `believed`: whether the engine took a datagram as
/// the peer's.
fn event_in_words(names: &Names, event: Event<'_>, believed: bool) -> String {
    match event {
        Event::Tick => "tick".to_owned(),
        Event::Datagram { link, bytes } if believed => format!("← {}", datagram_in_words(names, link, bytes)),
        Event::Datagram { link, bytes } => format!("← {} bytes on {}, turned away", bytes.len(), names.link(link)),
        Event::Refused { link } => format!("refused on {}", names.link(link)),
        Event::Link { link, open } => format!("{}: {}", names.link(link), if open { "open" } else { "not open" }),
        Event::TooLarge { link, bytes } => format!("{bytes} bytes are too long for {}", names.link(link)),
        Event::Seen { interface, sighting: Sighting::Claim { address, mac, nameless } } => {
            let answer = nameless.map_or("", |_| ", an answer to a question without a sender");
            format!("seen on {}: {address} is at {mac}{answer}", names.interface(interface))
        }
        Event::Seen { interface, sighting: Sighting::Presence { mac } } => {
            format!("seen on {}: {mac}", names.interface(interface))
        }
        Event::Interface { interface, facts } => {
            format!("{}: {}", names.interface(interface), facts_in_words(&facts))
        }
        Event::Adopted { interface, generation, refused, open, .. } => format!(
            "{}: found a gate of generation {generation}, refused: {refused}, {} groups open",
            names.interface(interface),
            open.len()
        ),
        Event::LeaseRefused { interface } => format!("{}: the gate refused a frame", names.interface(interface)),
        Event::Addresses { group, there } => format!("{}: {}", names.group(group), words::addresses(there)),
        Event::GateReplaced { interface } => format!("{}: another gate", names.interface(interface)),
        Event::Anchor { interface, address, mac } => {
            let place = mac.map(|mac| format!(" at {mac}")).unwrap_or_default();
            format!("{}: {address}{place} can be asked", names.interface(interface))
        }
        Event::OwnAddresses { interface, own } => {
            let own: Vec<String> = own.iter().map(|own| format!("{}/{}", own.address, own.prefix)).collect();
            let own = if own.is_empty() { "none".to_owned() } else { own.join(", ") };
            format!("{}: own addresses to ask with: {own}", names.interface(interface))
        }
        Event::OwnMacs { macs } => format!("this server has {} hardware addresses", macs.len()),
        Event::InsideMacs { interface, macs } => {
            format!("{}: {} machines inside this server are known", names.interface(interface), macs.len())
        }
        Event::Stored { version } => format!("state {version} is durable"),
        Event::StoreFailed => "the state could not be written".to_owned(),
        Event::Command { id, command } => format!("command {id}: {command:?}"),
        Event::Health { group, health } => format!("{}: {}", names.group(group), words::health(health)),
        Event::Lacks { group, lacks } => format!("{}: {}", names.group(group), words::lacks(lacks)),
        Event::Hook { group, hook, epoch, ok } => {
            let end = if ok { "ended well" } else { "failed" };
            format!("{}: {} for epoch {epoch} {end}", names.group(group), words::hook(hook))
        }
    }
}

/// A pulse in words: counters, versions of tables of rows, flags. A datagram that is no pulse is
/// told by its length.
fn datagram_in_words(names: &Names, link: LinkId, bytes: &[u8]) -> String {
    let Some((header, rows)) = read(bytes) else { return format!("{} bytes on {}", bytes.len(), names.link(link)) };
    let flags = [(header.flags.query, " query"), (header.flags.deaf, " deaf"), (header.flags.goodbye, " goodbye")];
    let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
    format!(
        "pulse {} of {} on {}, echo {}, table {} (rows {}: {} to {}), has {} of ours{flags}",
        header.counter,
        names.node(header.sender),
        names.link(link),
        header.echo_counter,
        header.table_version,
        rows.count(),
        header.base_version,
        header.upto_version,
        header.ack_version,
    )
}

/// An action of the engine in words. `bytes` are those of all datagrams of the step.
fn action_in_words(names: &Names, action: &Action, bytes: &[u8]) -> String {
    match action {
        Action::Send { link, bytes: range, .. } => {
            format!("→ {}", datagram_in_words(names, *link, &bytes[range.clone()]))
        }
        Action::Gate(GateAction::Begin { interface, generation }) => {
            format!("gate: {} begins generation {generation}", names.interface(*interface))
        }
        Action::Gate(GateAction::Renew { interface, until }) => {
            format!("gate: {} renewed until {}", names.interface(*interface), until.0)
        }
        Action::Gate(GateAction::Open { group, epoch }) => {
            format!("gate: {} open, epoch {epoch}", names.group(*group))
        }
        Action::Gate(GateAction::Close { group, carry_until }) => {
            format!("gate: {} closed, carries until {}", names.group(*group), carry_until.0)
        }
        Action::Gate(GateAction::Forward { group, until, mac }) => {
            format!("gate: {} passes unknown connections to {mac} until {}", names.group(*group), until.0)
        }
        Action::Probe { interface, address, to, sender } => {
            let to = to.map_or_else(|| "everybody".to_owned(), |to| to.to_string());
            let from = sender.map_or_else(String::new, |sender| format!(" from {sender}"));
            format!("→ probe on {} for {address}{from}, to {to}", names.interface(*interface))
        }
        Action::Announce { group, address } => {
            let what = address.map_or_else(|| "all addresses".to_owned(), |address| address.to_string());
            format!("→ announce {}: {what}", names.group(*group))
        }
        Action::Persist { version, .. } => format!("persist state {version}"),
        Action::Notice(notice) => format!("notice: {}", words::notice(names, notice).text),
        Action::Reply { id, outcome } => format!("reply to {id}: {}", words::outcome(*outcome).1),
        Action::Hook { group, hook, epoch, .. } => {
            format!("run {} of {} for epoch {epoch}", words::hook(*hook), names.group(*group))
        }
        Action::Stopped => "stopped".to_owned(),
    }
}
