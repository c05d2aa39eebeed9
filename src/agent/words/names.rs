//! Names of what has a number, and addresses of links.
//!
//! Owns: both. Never does: make sentences. What it does not know is "?".

use crate::config::Config;
use crate::engine::Votes;
use crate::types::{GroupId, InterfaceId, LinkId, LinkPath, NodeId};

/// Names of groups, interfaces, nodes and witnesses, by their numbers. An unknown number is "?".
#[derive(Clone)]
pub struct Names {
    groups: Vec<String>,
    interfaces: Vec<String>,
    nodes: Vec<String>,
    witnesses: Vec<String>,
    /// Addresses of each node's links, by number; empty where there is no configuration.
    ends: Vec<Vec<String>>,
    /// Addresses of the witnesses, by number.
    witness_ends: Vec<String>,
}

impl Names {
    /// Names of a configuration.
    pub fn new(config: &Config) -> Names {
        Names {
            groups: config.groups.iter().map(|group| group.name.clone()).collect(),
            interfaces: config.interfaces().into_iter().map(str::to_owned).collect(),
            nodes: config.nodes.iter().map(|node| node.name.clone()).collect(),
            witnesses: witnesses(config.witnesses().count()),
            ends: config.nodes.iter().map(|node| node.links.iter().map(ToString::to_string).collect()).collect(),
            witness_ends: config.witnesses().map(|(_, address)| address.to_string()).collect(),
        }
    }

    /// Names given one by one, in the order of their numbers.
    pub fn of(groups: Vec<String>, interfaces: Vec<String>, nodes: Vec<String>, votes: Option<Votes>) -> Names {
        let witnesses = witnesses(votes.map_or(0, |votes| usize::from(votes.witnesses)));
        Names { groups, interfaces, nodes, witnesses, ends: Vec::new(), witness_ends: Vec::new() }
    }

    /// Name of a group.
    pub fn group(&self, group: GroupId) -> &str {
        self.groups.get(usize::from(group.0)).map_or("?", String::as_str)
    }

    /// Name of an interface.
    pub fn interface(&self, interface: InterfaceId) -> &str {
        self.interfaces.get(usize::from(interface.0)).map_or("?", String::as_str)
    }

    /// Name of a node or a witness.
    pub fn node(&self, node: NodeId) -> &str {
        let (names, first) =
            if node.is_witness() { (&self.witnesses, NodeId::FIRST_WITNESS.0) } else { (&self.nodes, 1) };
        node.0.checked_sub(first).and_then(|at| names.get(usize::from(at))).map_or("?", String::as_str)
    }

    /// Phrase that names a link, for a sentence.
    pub fn link(&self, link: LinkId) -> String {
        let peer = self.node(link.peer);
        match link.path {
            LinkPath::Udp(index) => format!("link {index} to {peer}"),
            LinkPath::Segment(interface) => format!("segment link to {peer} on {}", self.interface(interface)),
        }
    }
}

impl Names {
    /// Where datagrams of a link come from: the address of its other end, or the clients' segment.
    pub fn far_end(&self, link: LinkId) -> String {
        let index = match link.path {
            LinkPath::Udp(index) => index,
            LinkPath::Segment(interface) => return format!("the clients' segment on {}", self.interface(interface)),
        };
        let node = link.peer.0.checked_sub(1).and_then(|at| self.ends.get(usize::from(at)));
        let witness = link.peer.0.checked_sub(NodeId::FIRST_WITNESS.0);
        let end = match witness {
            Some(at) => self.witness_ends.get(usize::from(at)),
            None => node.and_then(|links| links.get(usize::from(index))),
        };
        end.cloned().unwrap_or_else(|| self.link(link))
    }
}

/// Names of witnesses: a single one is "witness"; several have their place in the configuration
/// behind the word.
fn witnesses(count: usize) -> Vec<String> {
    match count {
        1 => vec!["witness".to_owned()],
        count => (1..=count).map(|number| format!("witness {number}")).collect(),
    }
}
