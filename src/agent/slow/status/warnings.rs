//! Warnings of `status`: sentences about all that an operator should mend.
//!
//! Owns: nothing. Never does: decide; every sentence is made of the report and the configuration.

use crate::config::Config;
use crate::engine::{PeerReport, Presence, Report};
use crate::types::{LinkPath, MonoTime, NodeId};
use crate::wire::auth::Reject;
use crate::words::Names;
use std::time::Duration;

/// Time for which it is worth a warning that a datagram was turned away; `rejected` keeps the count.
const LATELY: Duration = Duration::from_secs(60);

/// Silent witnesses, the state directory, machines that cannot be told apart, datagrams that were
/// turned away, links that are narrow, peers that do not hear us.
pub(super) fn warnings(config: &Config, names: &Names, report: &Report) -> Vec<String> {
    let mut found = unheard_witnesses(config, names, report);
    if report.store_failing {
        found.push("the state directory cannot be written".to_owned());
    }
    found.extend(alike(names, report));
    let lately = |when: &MonoTime| report.now.since(*when) < LATELY;
    found.extend(report.turned_away.iter().filter(|(.., when)| lately(when)).filter_map(
        |(reject, count, link, when)| {
            let (what, from) = (turned_away(*reject)?, names.far_end(*link));
            let ago = report.now.since(*when).as_secs();
            // Everybody on the segment may have a cluster of this name.
            let shared = *reject == Reject::Tag && matches!(link.path, LinkPath::Segment(_));
            let or = if shared { ", or another pair there has the name of this cluster" } else { "" };
            Some(format!("{count} datagrams {what}{or}; the last one from {from}, {ago} s ago"))
        },
    ));
    for link in report.peers.iter().flat_map(|peer| &peer.links) {
        if let Some(bytes) = link.longest.filter(|_| link.too_large > 0) {
            let name = names.link(link.id);
            found
                .push(format!("{name} is narrow (its MTU is small): at most {bytes} bytes are sent in one datagram"));
        }
    }
    for peer in report.peers.iter().filter(|peer| peer.deaf && peer.presence == Presence::Heard) {
        found.push(format!("{} says that it does not hear us", names.node(peer.id)));
    }
    found
}

/// Machines with our number, with a hardware address of ours, or where another is expected.
pub(super) fn alike(names: &Names, report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    if let Some((link, open)) = report.double {
        let (me, from) = (report.me.0, names.far_end(link));
        let what = if open { " and is active" } else { "" };
        found.push(format!(
            "another machine uses node number {me}{what}, heard from {from}: \
             compare the order of [[node]] in both files, \
             and --node"
        ));
    }
    let mut told: Vec<(NodeId, crate::types::MacAddr)> = Vec::new();
    for (peer, mac) in report.groups.iter().filter_map(|group| group.same_mac) {
        if !told.contains(&(peer, mac)) {
            told.push((peer, mac));
            let name = names.node(peer);
            found.push(format!("{name} and this node have one hardware address, {mac}: give one of them its own"));
        }
    }
    found.extend(misplaced(names, report));
    found
}

/// What datagrams are that were turned away for this reason, if an operator can mend it.
fn turned_away(reject: Reject) -> Option<&'static str> {
    match reject {
        Reject::Tag => Some("with a wrong key: key files differ, or a forger"),
        Reject::Version => Some("of another protocol version"),
        Reject::Release => {
            Some("of another release of vipair with our key: both nodes need the same protocol version")
        }
        Reject::KeyId => Some("with an unknown key number"),
        Reject::Malformed => Some("with our key that make no sense: the sender runs another release"),
        Reject::Addressee => Some("with our key for another node or witness: links or numbers are mixed up"),
        // What follows from these is said elsewhere; others come and go while all is well.
        Reject::Sender
        | Reject::OwnNumber
        | Reject::Reflected
        | Reject::TooShort
        | Reject::TooLong
        | Reject::Magic
        | Reject::Cluster
        | Reject::Session
        | Reject::Replay => None,
    }
}

/// Links on which somebody else answers than who is configured there.
fn misplaced(names: &Names, report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    for peer in &report.peers {
        for (link, sender) in peer.links.iter().filter_map(|link| Some((link.id, link.stranger?))) {
            let (name, from) = (names.node(peer.id), names.far_end(link));
            found.push(match (peer.id.is_witness(), sender.is_witness(), link.path) {
                (true, true, _) => {
                    let (wanted, there) = (number(peer.id), number(sender));
                    format!(
                        "the witness at {from} has number {there} and is witness {wanted} in our file: \
                         write number = {wanted} in the witness's file"
                    )
                }
                (_, _, LinkPath::Udp(_) | LinkPath::Segment(_)) => {
                    format!("number {} speaks at {from}, where our file has {name}", sender.0)
                }
            });
        }
    }
    found
}

/// Number of a witness as files have it.
fn number(witness: NodeId) -> u8 {
    witness.0.saturating_sub(NodeId::FIRST_WITNESS.0) + 1
}

/// A sentence per witness that is not heard, with the consequence once too few are heard.
fn unheard_witnesses(config: &Config, names: &Names, report: &Report) -> Vec<String> {
    let Some(witness) = &config.witness else { return Vec::new() };
    let is_heard = |peer: &&PeerReport| matches!(peer.presence, Presence::Heard | Presence::Suspicious);
    let witnesses = || report.peers.iter().filter(|peer| peer.id.is_witness());
    // A node whose peer is gone has its own vote, and needs those of most witnesses.
    let enough = witnesses().filter(is_heard).count() * 2 > witness.addresses.len();
    let peer = config.peers().next().map_or("the peer", |peer| &peer.name);
    let alone = report.votes.is_some_and(|votes| votes.alone);
    let meaning = match (enough, witness.strict, alone) {
        (true, ..) => String::new(),
        (false, false, true) => ": the pair alone decides (strict = false)".to_owned(),
        (false, false, false) => {
            format!(": no takeover if {peer} fails now, until the pair has agreed to decide alone (strict = false)")
        }
        (false, true, _) => format!(": no takeover if {peer} fails now"),
    };
    let sentence = |peer: &PeerReport| match peer.presence {
        Presence::Unknown => format!("{} has not been heard yet{meaning}", names.node(peer.id)),
        Presence::Heard | Presence::Suspicious | Presence::Silent | Presence::Left => {
            format!("{} not heard for {:.1} s{meaning}", names.node(peer.id), peer.silence.as_secs_f64())
        }
    };
    witnesses().filter(|peer| !is_heard(peer)).map(sentence).collect()
}
