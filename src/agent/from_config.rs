//! From a valid configuration to what the parts of the agent are built from.
//!
//! Owns: nothing. Never does: refuse a configuration; it has been validated before.

use crate::announcer::AnnounceOrder;
use crate::config::{Config, KeyFile, digest};
use crate::durable::Loaded;
use crate::engine::{self, GroupSetup, PeerSetup, Reconfiguration, Votes};
use crate::keeper::Guarded;
use crate::mutant::Mutants;
use crate::orders::Group;
use crate::types::{GroupId, InterfaceId, LinkId, LinkPath, MacAddr};
use crate::wire::auth::KeyRing;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// 2026-01-01T00:00:00Z in minutes since the Unix epoch.
const FLOOR_START: u64 = 1_767_225_600 / 60;

/// What the engine is built from.
pub(super) fn engine_setup(config: &Config, keys: &KeyFile, seed: [u8; 32], loaded: Loaded) -> engine::Setup {
    let interfaces = config.interfaces().len();
    engine::Setup {
        me: config.me,
        cluster: digest::cluster_number(&config.cluster),
        timing: config.timing,
        keys: Arc::new(KeyRing::new(&config.cluster, &keys.keys)),
        seed,
        epoch_floor: epoch_floor(),
        loaded,
        digests: digest::digests(config),
        peers: peers(config, interfaces),
        votes: votes(config),
        interfaces: u8::try_from(interfaces).unwrap_or(u8::MAX),
        groups: group_setups(config),
        mutants: Mutants::NONE,
    }
}

/// What a running engine takes over of another configuration.
pub(super) fn engine_reconfiguration(config: &Config, keys: &KeyFile) -> Reconfiguration {
    Reconfiguration {
        timing: config.timing,
        keys: Arc::new(KeyRing::new(&config.cluster, &keys.keys)),
        epoch_floor: epoch_floor(),
        digests: digest::digests(config),
        groups: group_setups(config),
    }
}

/// The groups as the engine knows them. The health of a group with a check that vetoes begins at
/// 255, so that it does not serve before the check's first verdict.
fn group_setups(config: &Config) -> Vec<GroupSetup> {
    let names = config.interfaces();
    let groups = config.groups.iter().map(|group| GroupSetup {
        key: group.key,
        interface: interface_of(&names, &group.interface),
        addresses: Arc::from(group.addresses.as_slice()),
        prefer: group.prefer,
        preempt: group.preempt,
        preempt_delay: group.preempt_delay,
        drain: group.drain,
        promote: group.promote,
        health: if group.service.can_veto() { u8::MAX } else { 0 },
        before_open: group.service.before_open(),
        before_close: group.service.before_close(),
        addresses_digest: digest::addresses(group),
        policy_digest: digest::policy(config, group),
    });
    groups.collect()
}

/// The other nodes, then the witnesses; a witness is reached over one path.
fn peers(config: &Config, interfaces: usize) -> Vec<PeerSetup> {
    let nodes = config.peers().map(|peer| PeerSetup { id: peer.id, links: paths(config, interfaces) });
    let witnesses = config.witnesses().map(|(id, _)| PeerSetup { id, links: vec![LinkPath::Udp(0)] });
    nodes.chain(witnesses).collect()
}

/// Number and rule of the witnesses; `None` for a bare pair.
fn votes(config: &Config) -> Option<Votes> {
    let witness = config.witness.as_ref()?;
    let count = u8::try_from(witness.addresses.len()).expect("as many witnesses as have a number");
    Some(Votes { witnesses: count, strict: witness.strict })
}

/// Paths to another node: UDP links first, then the segment link of each interface.
fn paths(config: &Config, interfaces: usize) -> Vec<LinkPath> {
    let udp = 0..config.node(config.me).links.len();
    let segments = 0..interfaces;
    let number = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
    udp.map(|at| LinkPath::Udp(number(at)))
        .chain(segments.map(|at| LinkPath::Segment(InterfaceId(number(at)))))
        .collect()
}

/// The UDP links of this node, to every peer and every witness.
pub(super) fn udp_links(config: &Config) -> Vec<LinkId> {
    let count = config.node(config.me).links.len();
    let numbers = 0..u8::try_from(count).unwrap_or(u8::MAX);
    let link = |peer, at| LinkId { peer, path: LinkPath::Udp(at) };
    let nodes = config.peers().flat_map(|peer| numbers.clone().map(move |at| link(peer.id, at)));
    nodes.chain(config.witnesses().map(|(id, _)| link(id, 0))).collect()
}

/// The groups as the hot thread's hands know them; slots and hardware addresses come with the
/// gates.
pub(super) fn hand_groups(config: &Config) -> Vec<Group> {
    let names = config.interfaces();
    let groups = config.groups.iter().enumerate();
    let group = |(at, group): (usize, &crate::config::Group)| Group {
        key: group.key,
        interface: interface_of(&names, &group.interface),
        slot: None,
        announcement: AnnounceOrder {
            group: GroupId(u16::try_from(at).unwrap_or(u16::MAX)),
            ifindex: 0,
            source: MacAddr::ZERO,
            addresses: Arc::from(group.addresses.as_slice()),
            gateway: None,
        },
    };
    groups.map(group).collect()
}

/// The interfaces that the keeper guards, with their groups.
pub(super) fn guarded(config: &Config) -> Vec<Guarded> {
    let interfaces = config.interfaces();
    let groups = |name: &str| {
        let here = config.groups.iter().filter(|group| group.interface == name);
        here.map(|group| (group.key, group.addresses.clone())).collect()
    };
    let guarded = |name: &&str| Guarded {
        interface: interface_of(&interfaces, name),
        name: (*name).to_owned(),
        groups: groups(name),
        uplinks: config.uplinks(name).to_vec(),
    };
    interfaces.iter().map(guarded).collect()
}

/// Number of the interface with this name; 0 for a name that is not there, which a valid
/// configuration does not have.
fn interface_of(names: &[&str], name: &str) -> InterfaceId {
    let at = names.iter().position(|known| *known == name).unwrap_or_default();
    InterfaceId(u8::try_from(at).unwrap_or(u8::MAX))
}

/// Least epoch of this process, in minutes since 2026-01-01: above every counter that a lost state
/// can have used, as long as the group did not change hands more than once a minute over its whole
/// life. A clock that is wrong by years only makes the floor lower.
fn epoch_floor() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_secs() / 60).saturating_sub(FLOOR_START).max(1)
}
