//! What a decision rested on: who was heard last and when, what was asked, who answered.
//!
//! Gathered from what came in and went out; the engine keeps the same in its own way and tells nobody.

use super::replay::{Input, Step};
use crate::engine::{Action, Event};
use crate::types::{Epoch, LinkId, MacAddr, MonoTime, Vip};
use crate::wire::auth::{PREFIX_SIZE, TAG_SIZE};
use crate::wire::frame::Sighting;
use crate::wire::pulse::{self, Header, Role, Row};
use crate::words::Names;
use std::time::Duration;

/// Claims remembered: more than the groups that can be claimed at a time.
const CLAIMS: usize = 2048;

/// The asking of a node that hears its peer no more.
#[derive(Clone, Debug)]
struct Asking {
    since: MonoTime,
    questions: u64,
    probes: u64,
    /// Probes since the last answer.
    unanswered: u64,
}

/// What is known at one instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    heard: Vec<(LinkId, MonoTime)>,
    asking: Option<Asking>,
    answer: Option<(Vip, MacAddr, MonoTime)>,
    /// Somebody else on the clients' segment.
    traffic: Option<(MacAddr, MonoTime)>,
    refused: Option<MonoTime>,
    /// Epochs that we have claimed or offered, and since when.
    claims: Vec<(Epoch, MonoTime)>,
}

/// Something that began with a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// The peer is late; the asking begins.
    Asks,
    /// Our claim goes out.
    Claims(Epoch),
    /// Our offer goes out, to the node whose epoch this is.
    Offers(Epoch),
    /// The peer's kernel refused a datagram, for the first time since it was heard.
    Refused(LinkId),
    /// An address of ours was answered while we ask.
    Answered(Vip, MacAddr),
}

impl Evidence {
    /// Takes in one step, and tells what is new in it.
    pub fn note(&mut self, step: &Step<'_>) -> Vec<News> {
        let mut news = Vec::new();
        match step.input {
            Input::Begin(_) => self.begin(step),
            Input::Event(event) => self.note_event(step, event, &mut news),
            Input::Reconfigured(_) | Input::End => {}
        }
        for action in &step.actions.list {
            match action {
                Action::Send { bytes, .. } => self.note_sent(&step.actions.bytes[bytes.clone()], step.now, &mut news),
                Action::Probe { address, .. } if is_ours(step, address) => {
                    if let Some(asking) = &mut self.asking {
                        asking.probes += 1;
                        asking.unanswered += 1;
                    }
                }
                Action::Probe { .. }
                | Action::Gate(_)
                | Action::Announce { .. }
                | Action::Persist { .. }
                | Action::Notice(_)
                | Action::Reply { .. }
                | Action::Hook { .. }
                | Action::Stopped => {}
            }
        }
        news
    }

    /// What the engine knew already.
    fn begin(&mut self, step: &Step<'_>) {
        let report = step.engine.report(step.now);
        let links = report.peers.iter().flat_map(|peer| &peer.links);
        self.heard = links.filter_map(|link| Some((link.id, link.last_heard?))).collect();
    }

    fn note_event(&mut self, step: &Step<'_>, event: Event<'_>, news: &mut Vec<News>) {
        match event {
            Event::Datagram { link, bytes } if step.believed => {
                let Some((header, _)) = read(bytes) else { return };
                let link = LinkId { peer: header.sender, path: link.path };
                match self.heard.iter_mut().find(|(known, _)| *known == link) {
                    Some((_, heard)) => *heard = step.now,
                    None => self.heard.push((link, step.now)),
                }
                (self.asking, self.answer, self.refused) = (None, None, None);
            }
            Event::Refused { link } => {
                if self.refused.replace(step.now).is_none() {
                    news.push(News::Refused(link));
                }
            }
            Event::Seen { sighting: Sighting::Claim { address, mac }, .. } if is_ours(step, &address) => {
                if let Some(asking) = &mut self.asking {
                    asking.unanswered = 0;
                    if self.answer.replace((address, mac, step.now)).is_none() {
                        news.push(News::Answered(address, mac));
                    }
                }
            }
            Event::Seen { sighting: Sighting::Claim { mac, .. } | Sighting::Presence { mac }, .. } => {
                self.traffic = Some((mac, step.now));
            }
            Event::Tick
            | Event::Datagram { .. }
            | Event::Link { .. }
            | Event::Interface { .. }
            | Event::Adopted { .. }
            | Event::LeaseRefused { .. }
            | Event::Installed { .. }
            | Event::GateReplaced { .. }
            | Event::Anchor { .. }
            | Event::Stored { .. }
            | Event::StoreFailed
            | Event::Command { .. }
            | Event::Health { .. }
            | Event::Hook { .. } => {}
        }
    }

    fn note_sent(&mut self, datagram: &[u8], now: MonoTime, news: &mut Vec<News>) {
        let Some((header, rows)) = read(datagram) else { return };
        if header.flags.query {
            let asking = self.asking.get_or_insert_with(|| {
                news.push(News::Asks);
                Asking { since: now, questions: 0, probes: 0, unanswered: 0 }
            });
            asking.questions += 1;
        }
        for row in rows.filter(|row| row.claim != Epoch::NONE) {
            if self.claims.iter().any(|(epoch, _)| *epoch == row.claim) {
                continue;
            }
            // Epochs rise: what was claimed long ago is claimed no more.
            if self.claims.len() >= CLAIMS {
                self.claims.remove(0);
            }
            self.claims.push((row.claim, now));
            news.push(if row.role == Role::Handover { News::Offers(row.claim) } else { News::Claims(row.claim) });
        }
    }

    /// Why a silent peer's group was taken at `now`, in lines for people.
    pub fn of_silence(&self, names: &Names, epoch: Epoch, now: MonoTime) -> Vec<String> {
        let mut lines = Vec::new();
        for (link, heard) in &self.heard {
            lines.push(format!("{}: last heard {} before", names.link(*link), ms(now.since(*heard))));
        }
        if self.refused.is_some() {
            lines.push("the peer's kernel says that no agent listens there".to_owned());
        }
        match &self.asking {
            Some(asking) => {
                lines.push(format!(
                    "asked for {}: {} questions to the peer, none answered",
                    ms(now.since(asking.since)),
                    asking.questions
                ));
                lines.push(match self.answer {
                    None => format!("{} probes for the address, none answered", asking.probes),
                    Some((address, mac, at)) => format!(
                        "{} probes for the address; {mac} last answered for {address} {} before, and the last {} \
                         stayed unanswered",
                        asking.probes,
                        ms(now.since(at)),
                        asking.unanswered
                    ),
                });
            }
            None => lines.push("nothing had to be asked".to_owned()),
        }
        match self.traffic {
            Some((mac, at)) => {
                lines.push(format!("the clients' segment is alive: {mac} seen {} before", ms(now.since(at))));
            }
            None => lines.push("nobody else was seen on the clients' segment in this recording".to_owned()),
        }
        if let Some((_, at)) = self.claims.iter().find(|(claim, _)| *claim == epoch) {
            lines.push(format!("our claim of epoch {epoch} was out for {}", ms(now.since(*at))));
        }
        lines
    }
}

/// A datagram's header and rows; what it says is believed elsewhere.
pub(super) fn read(datagram: &[u8]) -> Option<(Header, impl Iterator<Item = Row> + '_)> {
    let body = datagram.get(PREFIX_SIZE..datagram.len().checked_sub(TAG_SIZE)?)?;
    pulse::decode(body).ok()
}

fn is_ours(step: &Step<'_>, address: &Vip) -> bool {
    step.engine.setup().groups.iter().any(|group| group.addresses.contains(address))
}

/// Milliseconds with one decimal.
pub(super) fn ms(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}
