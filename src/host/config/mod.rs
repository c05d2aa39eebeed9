//! Configuration: one file, the same on every node.
//!
//! `raw` reads TOML and refuses unknown keys; `valid` checks everything and is the only way to build a [`Config`];
//! `vipair_proto::timing` computes every derived time in one place. A configuration that breaks a rule never becomes a `Config`,
//! so no other room checks these rules again.

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
pub mod keyfile;
pub mod programs;
mod raw;
mod raw_service;
mod schema;
mod service;
#[cfg(test)]
mod tests;
mod valid;
mod value;
mod walk;
mod witness;
mod witness_file;

pub use cluster::{ClusterFile, ClusterGroup, MAX_FILE_BYTES, ReadFile, load};
pub use error::{ConfigError, ConfigErrors, MAX_ERRORS};
pub use keyfile::{KeyFile, KeyFileError, KeyPrint};
#[cfg(any(test, feature = "testing"))]
pub use schema::Schema;
pub use service::{Check, CheckKind, Command, Hooks, HttpCheck, OnFailure, ProcessCheck, ServicePlan};
pub use witness_file::{MAX_CLUSTERS, ServiceCheck, WitnessCluster, WitnessFile};

/// Every table of the file: its header and its keys.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn schemas() -> [&'static Schema; 7] {
    schema::EVERYWHERE
}

/// The same of a witness's file.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn witness_schemas() -> [&'static Schema; 3] {
    witness_file::EVERYWHERE
}

/// A valid configuration as seen by one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Name of the cluster; part of every datagram's authentication.
    pub cluster: String,
    /// Absolute path of the key file.
    pub key_file: PathBuf,
    /// All derived times.
    pub timing: Timing,
    /// All nodes in the order of the file; the number of a node is its position + 1.
    pub nodes: Vec<Node>,
    /// This node.
    pub me: NodeId,
    /// The witnesses, if there are any: with them a majority of votes keeps gates open.
    pub witness: Option<Witness>,
    /// All groups in the order of the file.
    pub groups: Vec<Group>,
}

impl Config {
    /// The entry of `node`. Numbers come from this configuration only, so it exists.
    #[must_use]
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[usize::from(node.0) - 1]
    }

    /// All nodes but this one, with their numbers.
    pub fn peers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.id != self.me)
    }

    /// All witnesses with their numbers.
    pub fn witnesses(&self) -> impl Iterator<Item = (NodeId, SocketAddr)> {
        self.witness.iter().flat_map(Witness::numbered)
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

/// One server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Its name, for people.
    pub name: String,
    /// Its end of every link; position n pairs with position n of the other node.
    pub links: Vec<IpAddr>,
}

/// The voters that hold no address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witness {
    /// Where each of them listens, an odd number of them. Their order counts: it makes their numbers.
    pub addresses: Vec<IpAddr>,
    /// The UDP port of all of them. Default: 7811.
    pub port: u16,
    /// Without a majority no gate is open. Default: true. If false, two nodes that hear each other and no majority of the
    /// witnesses go on as a bare pair.
    pub strict: bool,
}

impl Witness {
    /// Each witness with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (NodeId, SocketAddr)> {
        let numbers = (NodeId::FIRST_WITNESS.0..=u8::MAX).map(NodeId);
        numbers.zip(self.addresses.iter().map(|address| SocketAddr::new(*address, self.port)))
    }
}

/// Addresses that move together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its name as it travels.
    pub key: GroupKey,
    /// The interface on *this* node.
    pub interface: String,
    /// The service addresses, in the order of the file, no duplicates anywhere in the file.
    pub addresses: Vec<Vip>,
    /// The node that should be active when both can. Default: the first node.
    pub prefer: NodeId,
    /// Whether the preferred node takes the group back when it returns. Default: false.
    pub preempt: bool,
    /// How long the preferred node is ready before it takes the group back. Default: 10 s.
    pub preempt_delay: Duration,
    /// How long the former active carries open connections after a handover. Default: 1 s.
    pub drain: Duration,
    /// Whose evidence promotes a standby. Default: its own.
    pub promote: Promote,
    /// Checks, hooks and units: what is known of the service, and what is done with it.
    pub service: ServicePlan,
    /// Whether clients with open connections are told of a takeover. Default: true.
    pub tickle: bool,
}
