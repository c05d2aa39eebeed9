//! Configuration: one file, the same on every node.
//!
//! `raw` reads TOML and refuses unknown keys; `valid` checks everything and is the only way to
//! build a [`Config`]; `vipair_proto::timing` computes every derived time in one place. A
//! configuration that breaks a rule never becomes a `Config`, so no other room checks these rules
//! again.

use crate::timing::{Promote, Timing};
use crate::types::{GroupKey, NodeId, Vip};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

mod address;
pub mod bounds;
pub mod changes;
mod checks;
mod cluster;
pub mod digest;
mod error;
mod groups;
mod hooks;
mod interpreter;
pub mod keyfile;
mod nearest;
mod placed;
pub mod programs;
mod raw;
mod raw_service;
mod schema;
mod service;
#[cfg(test)]
mod tests;
mod uplinks;
mod valid;
mod value;
mod walk;
mod witness;
mod witness_file;

pub use cluster::{ClusterFile, ClusterGroup, MAX_FILE_BYTES, ReadFile, load, read_text};
pub use error::{ConfigError, ConfigErrors, MAX_ERRORS};
pub use keyfile::{KeyFile, KeyFileError, KeyPrint};
#[cfg(any(test, feature = "testing"))]
pub use schema::Schema;
pub use service::{Check, CheckKind, Command, Hooks, HttpCheck, OnFailure, ProcessCheck, ServicePlan};
pub use witness_file::{MAX_CLUSTERS, ServiceCheck, WitnessCluster, WitnessFile};

/// All tables of the nodes' file.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn schemas() -> [&'static Schema; 7] {
    schema::EVERYWHERE
}

/// All tables of a witness's file.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn witness_schemas() -> [&'static Schema; 3] {
    witness_file::EVERYWHERE
}

/// A valid configuration as seen by one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Name of the cluster, which is part of every datagram's authentication.
    pub cluster: String,
    /// Absolute path of the key file.
    pub key_file: PathBuf,
    /// All derived times.
    pub timing: Timing,
    /// All nodes in the order of the file; the number of a node is its position + 1.
    pub nodes: Vec<Node>,
    /// Number of this node.
    pub me: NodeId,
    /// The witnesses, if there are any: then a majority of votes keeps gates open.
    pub witness: Option<Witness>,
    /// All groups in the order of the file.
    pub groups: Vec<Group>,
}

impl Config {
    /// The entry of `node`. Numbers of nodes come from this configuration alone, so the entry
    /// exists.
    #[must_use]
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[usize::from(node.0) - 1]
    }

    /// All nodes but this one.
    pub fn peers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.id != self.me)
    }

    /// All witnesses, each with its number and where it listens.
    pub fn witnesses(&self) -> impl Iterator<Item = (NodeId, SocketAddr)> {
        self.witness.iter().flat_map(Witness::numbered)
    }

    /// The uplinks that this node's groups name for an interface; none if no group does. Those that do
    /// name the same.
    #[must_use]
    pub fn uplinks(&self, interface: &str) -> &[String] {
        let mut here = self.groups.iter().filter(|group| group.interface == interface);
        here.find(|group| !group.uplinks.is_empty()).map_or(&[], |group| &group.uplinks)
    }

    /// The distinct interface names that this node's groups use, in order of first use.
    #[must_use]
    pub fn interfaces(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for group in &self.groups {
            if !names.contains(&group.interface.as_str()) {
                names.push(&group.interface);
            }
        }
        names
    }
}

/// One server of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Number of the node.
    pub id: NodeId,
    /// Name of the node, for people.
    pub name: String,
    /// The node's end of every link; position n pairs with position n of the other node.
    pub links: Vec<IpAddr>,
}

/// The voters that hold no address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witness {
    /// The address of each witness; an odd number of them. Their order counts: it makes their
    /// numbers.
    pub addresses: Vec<IpAddr>,
    /// UDP port of all witnesses. Default: 7811.
    pub port: u16,
    /// Whether a gate is never open without a majority. Default: true. If false, two nodes that
    /// hear each other and no majority of the witnesses go on as a bare pair.
    pub strict: bool,
}

impl Witness {
    /// Each witness with its number and where it listens.
    pub fn numbered(&self) -> impl Iterator<Item = (NodeId, SocketAddr)> {
        let numbers = (NodeId::FIRST_WITNESS.0..=u8::MAX).map(NodeId);
        numbers.zip(self.addresses.iter().map(|address| SocketAddr::new(*address, self.port)))
    }
}

/// A group of service addresses, which move together, as one node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Name of the group.
    pub name: String,
    /// The name's digest, by which the group is known on the wire and in the kernel.
    pub key: GroupKey,
    /// Name of the interface on *this* node.
    pub interface: String,
    /// Ports of that interface, a bridge, which lead out of *this* server. Default: none, those whose
    /// kind says so.
    pub uplinks: Vec<String>,
    /// The service addresses, in the order of the file, no duplicates anywhere in the file.
    pub addresses: Vec<Vip>,
    /// The node that should be active when both can be. Default: the first node.
    pub prefer: NodeId,
    /// Whether the preferred node takes the group back when it returns. Default: false.
    pub preempt: bool,
    /// How long the preferred node is ready before it takes the group back. Default: 10 s.
    pub preempt_delay: Duration,
    /// How long the former active carries open connections after a handover. Default: 1 s.
    pub drain: Duration,
    /// Whose evidence promotes a standby. Default: its own.
    pub promote: Promote,
    /// Checks, hooks and units: how to know that the service works, and what to run around a move.
    pub service: ServicePlan,
    /// Whether clients with open connections are told of a takeover. Default: true.
    pub tickle: bool,
}
