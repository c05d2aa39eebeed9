//! The slow side's part in looking after connections: what the thread needs to know, and what it tells.

use super::{Slow, Word};
use crate::config::{Config, KeyFile, digest};
use crate::connections::{Closing, Connections, Event, Figures, Opening, Setup, Watched};
use crate::control::protocol::{ConnectionsStatus, MirrorStatus, Severity, StatusReport};
use crate::engine::{Cause, Notice, Presence, Report};
use crate::io::clock;
use crate::options::RunError;
use crate::types::{GroupKey, MonoTime};
use crate::wire::mirror::{MirrorKeys, PORT};
use crate::words::Told;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the mirror may be without the peer before `status` warns of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the thread.
pub(crate) fn start(config: &Config, keys: &KeyFile, words: mpsc::Sender<Word>) -> Result<Connections, RunError> {
    let tell = move |event| {
        // A full queue means that the slow side is far behind; what was to be told is in the figures.
        let _behind = words.try_send(Word::Connections(event));
    };
    Connections::start(setup(config, keys), tell)
        .map_err(|error| RunError::Failed(format!("starting the connections' thread: {error}")))
}

/// What the thread works with.
pub(crate) fn setup(config: &Config, keys: &KeyFile) -> Setup {
    let me = config.node(config.me);
    let peer = config.peers().next().unwrap_or(me);
    let cluster = (config.cluster.as_str(), digest::cluster_number(&config.cluster));
    let groups = config.groups.iter().filter(|group| group.tickle);
    Setup {
        me: me.id,
        peer: peer.id,
        links: me.links.iter().copied().zip(peer.links.iter().copied()).collect(),
        keys: MirrorKeys::new(cluster, &keys.keys),
        groups: groups
            .map(|group| Watched { key: group.key, addresses: group.addresses.clone(), drain: group.drain })
            .collect(),
    }
}

impl Slow {
    /// Passes on that a group opened or closed.
    pub(crate) fn pass_role_on(&self, at: MonoTime, notice: &Notice) {
        let Notice::Role { group, from, to, cause, .. } = *notice else { return };
        let Some(group) = self.config.groups.get(usize::from(group.0)).filter(|group| group.tickle) else { return };
        match (from.is_open(), to.is_open()) {
            (false, true) => {
                let how = match cause {
                    Cause::Adopted => Opening::Adopted,
                    Cause::Handover => Opening::HandedOver,
                    _ => Opening::TakenOver,
                };
                self.connections.opened(group.key, how, at);
            }
            (true, false) => {
                let how = match cause {
                    Cause::Handover => Closing::HandedOver,
                    Cause::HigherEpoch => Closing::Lost,
                    _ => Closing::Other,
                };
                self.connections.closed(group.key, how, at);
            }
            (true, true) | (false, false) => {}
        }
    }

    pub(crate) fn hear_connections(&mut self, event: Event) {
        let (severity, kind, group, text) = self.worded(event);
        let told = Told { severity, kind, group, text, fields: Vec::new() };
        self.journal.note(clock::now(), told);
    }

    fn worded(&self, event: Event) -> (Severity, &'static str, Option<String>, String) {
        let name = |key: GroupKey| self.group_called(key);
        let peer = self.config.peers().next().map_or("the peer", |peer| &peer.name);
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

    /// Adds what is known of connections.
    pub(crate) fn add_connections(&self, status: &mut StatusReport, report: &Report) {
        if !self.config.groups.iter().any(|group| group.tickle) {
            return;
        }
        let (now, figures) = (clock::now(), self.connections.figures());
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let age = |at: MonoTime| now.since(at).as_secs_f64() * 1e3;
        for (group, configured) in status.groups.iter_mut().zip(&self.config.groups) {
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
        status.warnings.extend(warnings(&figures, heard, now));
    }
}

fn warnings(figures: &Figures, heard: bool, now: MonoTime) -> Vec<String> {
    let mut found = Vec::new();
    if heard && let Some(lost) = figures.untold_since.filter(|lost| now.since(*lost) > PATIENCE) {
        found.push(format!(
            "the peer is not told of connections for {:.0} s: does TCP port {PORT} pass between the link addresses?",
            now.since(lost).as_secs_f64()
        ));
    }
    if figures.left_out > 0 {
        let most = crate::connections::MAX_CONNECTIONS;
        found.push(format!(
            "{} connections beyond the first {most} are not listed: their clients are not told of a takeover",
            figures.left_out
        ));
    }
    found
}
