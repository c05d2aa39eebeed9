//! Clients' connections, as the slow side sees to them.
//!
//! Owns: the handle of the thread that looks after connections. Never does: open a socket or list a
//! connection; the thread does. The thread learns from here which groups opened and closed; its
//! events become sayings, and its figures become lines in `status`. Without a peer there is nobody
//! to mirror to, and no thread.

use super::current::Current;
use super::effects::Effects;
use super::message::Message;
use crate::config::{Config, KeyFile, digest};
use crate::connections::{self, Closing, Event, Figures, MAX_CONNECTIONS, Opening, Watched};
use crate::control::protocol::{ConnectionsStatus, MirrorStatus, Severity, StatusReport};
use crate::engine::{Cause, Notice, Presence, Report};
use crate::io::clock;
use crate::options::RunError;
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::{MirrorKeys, PORT};
use crate::words::Saying;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the mirror may be without the peer before `status` warns of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Handle of the connections' thread; `None` on a node without a peer.
pub(crate) struct Connections(Option<connections::Connections>);

impl Connections {
    /// Starts the thread; its events arrive as messages.
    ///
    /// # Errors
    /// When the system has no room for a thread or a descriptor.
    pub fn start(config: &Config, keys: &KeyFile, messages: mpsc::Sender<Message>) -> Result<Connections, RunError> {
        let Some(setup) = thread_setup(config, keys) else { return Ok(Connections(None)) };
        let publish = move |event| {
            // A full queue means that the slow side is far behind; the figures say the same.
            let _behind = messages.try_send(Message::Connections(event));
        };
        let thread = connections::Connections::start(setup, publish)
            .map_err(|error| RunError::failed("starting the connections' thread", &error))?;
        Ok(Connections(Some(thread)))
    }

    /// Hands another configuration to the thread. A reload changes no nodes, so a node that had a
    /// peer still has one.
    pub fn reconfigure(&self, current: &Current) {
        if let (Some(thread), Some(setup)) = (&self.0, thread_setup(&current.config, &current.keys)) {
            thread.reconfigure(setup);
        }
    }

    /// Passes on that a group opened or closed.
    pub fn handle_notice(&self, at: MonoTime, notice: &Notice, current: &Current) {
        let Notice::Role { group, from, to, cause, .. } = *notice else { return };
        let Some(group) = current.group(group).filter(|group| group.tickle) else { return };
        let Some(thread) = &self.0 else { return };
        match (from.is_open(), to.is_open()) {
            (false, true) => {
                let how = match cause {
                    Cause::Adopted => Opening::Adopted,
                    Cause::Handover => Opening::HandedOver,
                    _ => Opening::TakenOver,
                };
                thread.opened(group.key, how, at);
            }
            (true, false) => {
                let how = match cause {
                    Cause::Handover => Closing::HandedOver,
                    Cause::HigherEpoch => Closing::Lost,
                    _ => Closing::Other,
                };
                thread.closed(group.key, how, at);
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Adds what the thread knows to the status, if any group has its connections looked after.
    pub fn add_to(&self, status: &mut StatusReport, current: &Current, report: &Report) {
        let Some(thread) = &self.0 else { return };
        let configured = &current.config.groups;
        if !configured.iter().any(|group| group.tickle) {
            return;
        }
        let (now, figures) = (clock::now(), thread.figures());
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let age = |at: MonoTime| now.since(at).as_secs_f64() * 1e3;
        for (group, configured) in status.groups.iter_mut().zip(configured) {
            let Some(of) = figures.groups.get(&configured.key).filter(|_| configured.tickle) else { continue };
            group.connections = Some(ConnectionsStatus {
                known: of.known.map(number),
                mirrored: number(of.mirrored),
                mirrored_age_ms: of.mirrored_at.map(age),
                tickled: of.tickled,
                reset: of.reset,
            });
        }
        status.mirror = Some(MirrorStatus {
            told: figures.told_since.is_some(),
            held: u64::from(figures.held),
            held_age_ms: figures.held_at.map(age),
            heard: figures.heard,
            refused: figures.refused,
            left_out: number(figures.left_out),
            list_took_ms: figures.list_took.as_secs_f64() * 1e3,
            list_every_ms: figures.list_every.as_secs_f64() * 1e3,
        });
        let heard = report.peers.first().is_some_and(|peer| peer.presence == Presence::Heard);
        status.warnings.extend(mirror_warnings(&figures, heard, now));
    }
}

/// What the thread works with; `None` without a peer.
pub(super) fn thread_setup(config: &Config, keys: &KeyFile) -> Option<connections::Setup> {
    let me = config.node(config.me);
    let peer = config.peers().next()?;
    let cluster = (config.cluster.as_str(), digest::cluster_number(&config.cluster));
    let groups = config.groups.iter().filter(|group| group.tickle);
    Some(connections::Setup {
        me: me.id,
        peer: peer.id,
        links: me.links.iter().copied().zip(peer.links.iter().copied()).collect(),
        keys: MirrorKeys::new(cluster, &keys.keys),
        groups: groups
            .map(|group| Watched { key: group.key, addresses: group.addresses.clone(), drain: group.drain })
            .collect(),
    })
}

/// What people are told of an event of the thread. Writes nothing.
pub(crate) fn handle_event(event: Event, current: &Current) -> Effects {
    let (severity, kind, group, text) = event_in_words(event, current);
    Effects::of_event(Saying { severity, kind, group, text, fields: Vec::new() })
}

/// Words for an event of the connections' thread: its severity, its kind for programs, the name of
/// the group that it is about, if any, and a sentence.
fn event_in_words(event: Event, current: &Current) -> (Severity, &'static str, Option<String>, String) {
    let name = |key: GroupKey| current.group_name(key);
    let peer = current.config.peers().next().map_or("the peer", |peer| &peer.name);
    match event {
        Event::Tickling { group, connections } => {
            let group = name(group);
            let text = format!("{group}: telling the clients of {connections} connections to {peer}");
            (Severity::Info, "tickling", Some(group), text)
        }
        Event::Tickled { group, sent, failed, first_round } => {
            let group = name(group);
            let millis = first_round.as_secs_f64() * 1e3;
            let text = format!(
                "{group}: clients were told with {sent} packets, the first round within {millis:.1} ms; {failed} \
                 could not be sent"
            );
            (Severity::Info, "tickled", Some(group), text)
        }
        Event::Reset { group, reset, refused } => {
            let group = name(group);
            let severity = if refused == 0 { Severity::Info } else { Severity::Warning };
            let mut text = format!("{group}: {reset} connections that were left have been reset");
            if refused > 0 {
                text.push_str(&format!("; {refused} could not (a kernel without INET_DIAG_DESTROY?)"));
            }
            (severity, "reset", Some(group), text)
        }
        Event::MirrorUp { link } => {
            let text = format!("{peer} takes the list of connections, over link {link}");
            (Severity::Info, "mirror_up", None, text)
        }
        Event::MirrorDown { why } => {
            let text = format!("{peer} does not take the list of connections any more: {why}");
            (Severity::Warning, "mirror_down", None, text)
        }
        Event::Refused { what } => {
            let text = format!("TCP port {PORT}: refused {what} (told once a minute)");
            (Severity::Warning, "mirror_refused", None, text)
        }
        Event::Failed { what } => (Severity::Warning, "connections_error", None, what),
    }
}

/// Sentences for `status` about what the thread cannot do. `heard`: whether the peer is heard;
/// while it is not, nobody could be told of connections.
fn mirror_warnings(figures: &Figures, heard: bool, now: MonoTime) -> Vec<String> {
    let mut found = Vec::new();
    if heard && let Some(lost) = figures.untold_since.filter(|lost| now.since(*lost) > PATIENCE) {
        found.push(format!(
            "the peer is not told of connections for {:.0} s: does TCP port {PORT} pass between the link addresses?",
            now.since(lost).as_secs_f64()
        ));
    }
    if figures.left_out > 0 {
        found.push(format!(
            "{} connections beyond the first {MAX_CONNECTIONS} are not listed: their clients are not told of a takeover",
            figures.left_out
        ));
    }
    found
}
