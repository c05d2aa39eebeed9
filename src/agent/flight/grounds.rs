//! The grounds of a decision: who was heard last and when, what was asked, who answered.
//!
//! Owns: these grounds, gathered step by step from a replay's inputs and actions, for the lines of
//! `vipair replay`. Never does: ask the engine for its own account (only for who is inside this
//! server). Datagrams that cannot be read are passed over.

use super::replay::{Input, Step};
use crate::engine::{Action, Event};
use crate::types::{Epoch, LinkId, MacAddr, MonoTime, Vip};
use crate::wire::auth::{PREFIX_SIZE, TAG_SIZE};
use crate::wire::frame::Sighting;
use crate::wire::pulse::{self, Header, Role, Row};
use crate::words::Names;
use std::time::Duration;

/// Most claims remembered: more than the groups that can be claimed at a time.
const CLAIMS: usize = 2048;

/// Asking of a node that does not hear its peer any more.
#[derive(Clone, Debug)]
struct Asking {
    since: MonoTime,
    questions: u64,
    probes: u64,
    /// Number of probes since the last answer.
    unanswered: u64,
}

/// Grounds for a decision at one instant of the replay.
#[derive(Clone, Debug, Default)]
pub(super) struct Grounds {
    /// Newest pulse on each link.
    heard: Vec<(LinkId, MonoTime)>,
    /// Present asking; `None` while the peer is heard.
    asking: Option<Asking>,
    /// First answer to a probe since the peer was heard.
    answer: Option<(Vip, MacAddr, MonoTime)>,
    /// Newest frame of another host on the clients' segment; none of a machine inside this server.
    traffic: Option<(MacAddr, MonoTime)>,
    /// First refusal by the peer's kernel since the peer was heard.
    refused: Option<MonoTime>,
    /// Epochs that we have claimed or offered, each with the instant at which it went out.
    claims: Vec<(Epoch, MonoTime)>,
}

/// News: what began with a step of the replay.
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

impl Grounds {
    /// Takes in one step, and returns what began with it.
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

    /// Takes over when the engine had last heard each link before the segment began.
    fn begin(&mut self, step: &Step<'_>) {
        let report = step.engine.report(step.now);
        let links = report.peers.iter().flat_map(|peer| &peer.links);
        self.heard = links.filter_map(|link| Some((link.id, link.last_heard?))).collect();
    }

    /// Takes in an event: arrivals, refusals, answers and other hosts' frames.
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
            Event::Seen { sighting: Sighting::Claim { address, mac, .. }, .. } if is_ours(step, &address) => {
                if let Some(asking) = &mut self.asking {
                    asking.unanswered = 0;
                    if self.answer.replace((address, mac, step.now)).is_none() {
                        news.push(News::Answered(address, mac));
                    }
                }
            }
            Event::Seen { interface, sighting: Sighting::Claim { mac, .. } | Sighting::Presence { mac } } => {
                if !step.engine.is_inside(interface, mac) {
                    self.traffic = Some((mac, step.now));
                }
            }
            Event::Tick
            | Event::Datagram { .. }
            | Event::Link { .. }
            | Event::TooLarge { .. }
            | Event::Interface { .. }
            | Event::Adopted { .. }
            | Event::LeaseRefused { .. }
            | Event::Addresses { .. }
            | Event::GateReplaced { .. }
            | Event::Anchor { .. }
            | Event::OwnMacs { .. }
            | Event::InsideMacs { .. }
            | Event::OwnAddresses { .. }
            | Event::Stored { .. }
            | Event::StoreFailed
            | Event::Command { .. }
            | Event::Health { .. }
            | Event::Lacks { .. }
            | Event::Hook { .. } => {}
        }
    }

    /// Takes in a datagram that we sent: questions, claims and offers.
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
            // Epochs rise, so the oldest claim holds no more.
            if self.claims.len() >= CLAIMS {
                self.claims.remove(0);
            }
            self.claims.push((row.claim, now));
            news.push(if row.role == Role::Handover { News::Offers(row.claim) } else { News::Claims(row.claim) });
        }
    }

    /// Grounds for taking a silent peer's group with `epoch` at `now`, in lines for people.
    pub fn silence_in_words(&self, names: &Names, epoch: Epoch, now: MonoTime) -> Vec<String> {
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
                    Some((address, mac, when)) => format!(
                        "{} probes for the address; {mac} last answered for {address} {} before, and the last {} \
                         stayed unanswered",
                        asking.probes,
                        ms(now.since(when)),
                        asking.unanswered
                    ),
                });
            }
            None => lines.push("nothing had to be asked".to_owned()),
        }
        match self.traffic {
            Some((mac, when)) => {
                lines.push(format!("the clients' segment is alive: {mac} seen {} before", ms(now.since(when))));
            }
            None => lines.push("nobody else was seen on the clients' segment in this recording".to_owned()),
        }
        if let Some((_, when)) = self.claims.iter().find(|(claim, _)| *claim == epoch) {
            lines.push(format!("our claim of epoch {epoch} was out for {}", ms(now.since(*when))));
        }
        lines
    }
}

/// Header and rows of a datagram, whether it was believed or not.
pub(super) fn read(datagram: &[u8]) -> Option<(Header, impl Iterator<Item = Row> + '_)> {
    let body = datagram.get(PREFIX_SIZE..datagram.len().checked_sub(TAG_SIZE)?)?;
    pulse::decode(body).ok()
}

/// Whether a group of ours has the address.
fn is_ours(step: &Step<'_>, address: &Vip) -> bool {
    step.engine.setup().groups.iter().any(|group| group.addresses.contains(address))
}

/// A span in milliseconds with one decimal.
pub(super) fn ms(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}
