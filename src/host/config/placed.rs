//! Service addresses against the addresses that this server has.
//!
//! Owns: the rule that a group takes no address that is the server's own, or no host's. Never does:
//! ask the machine; the caller passes its addresses in. An address as /32 or /128 is nobody's own:
//! that is how an agent keeps a service address, and how an earlier life has left it.

use super::error::Report;
use super::{ClusterFile, ConfigErrors};
use crate::io::local::LocalAddress;
use crate::types::NodeId;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// Longest IPv4 prefix of a subnet with a network and a broadcast address: RFC 3021.
const LONGEST_WITH_EDGES: u8 = 30;

impl ClusterFile {
    /// Refuses service addresses of node `me`, which has the addresses `local`, that are its own on
    /// the group's interface: an agent would make a /32 of them, and their network would be gone.
    /// Refuses IPv4 addresses that are the network or broadcast address of a subnet there as well.
    ///
    /// # Errors
    /// All such addresses, each at its line.
    pub fn check_placed(&self, me: NodeId, local: &[LocalAddress]) -> Result<(), ConfigErrors> {
        let mut report = Report::new(&self.file, "");
        let position = self.nodes.iter().position(|node| node.id == me);
        for group in &self.groups {
            let Some(interface) = position.and_then(|at| group.interfaces.get(at)) else { continue };
            let there = Subnets::on(interface, local);
            for address in &group.addresses {
                if let Some((wrong, right)) = there.objection(address) {
                    let line = self.address_lines.get(address).map_or(1, |(line, _)| *line);
                    report.add(line, "group.addresses", wrong, right);
                }
            }
        }
        report.finish(())
    }
}

/// The subnets of one interface.
struct Subnets<'l> {
    interface: &'l str,
    /// The server's own addresses, with the lengths of their prefixes.
    own: HashMap<IpAddr, u8>,
    /// The addresses at both ends of each subnet: what they are, and the subnet.
    edges: HashMap<IpAddr, (&'static str, Ipv4Addr, u8)>,
}

impl<'l> Subnets<'l> {
    /// The subnets of `interface` in a list of all addresses.
    fn on(interface: &'l str, local: &[LocalAddress]) -> Subnets<'l> {
        let mut subnets = Subnets { interface, own: HashMap::new(), edges: HashMap::new() };
        for LocalAddress { address, prefix, .. } in local.iter().filter(|local| local.interface == interface) {
            if *prefix < if address.is_ipv4() { 32 } else { 128 } {
                subnets.own.insert(*address, *prefix);
            }
            if let IpAddr::V4(address) = address
                && *prefix <= LONGEST_WITH_EDGES
            {
                let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
                let network = Ipv4Addr::from_bits(address.to_bits() & mask);
                let broadcast = Ipv4Addr::from_bits(address.to_bits() | !mask);
                subnets.edges.insert(network.into(), ("network", network, *prefix));
                subnets.edges.insert(broadcast.into(), ("broadcast", network, *prefix));
            }
        }
        subnets
    }

    /// Why a group cannot have `address` here, and what would be right; `None` if it can.
    fn objection(&self, address: &IpAddr) -> Option<(String, String)> {
        let interface = self.interface;
        if let Some(prefix) = self.own.get(address) {
            let wrong = format!(
                "{address} is this server's own address on {interface} ({address}/{prefix}); as a /{full} it would \
                 take the server's network away",
                full = if address.is_ipv4() { 32 } else { 128 }
            );
            let right = format!(
                "write an address that no server has of its own, or, if this one is for the clients alone, take it \
                 off {interface} and give the server another"
            );
            return Some((wrong, right));
        }
        let (what, network, prefix) = self.edges.get(address)?;
        let wrong =
            format!("{address} is the {what} address of {network}/{prefix} on {interface}, which no host has");
        Some((wrong, format!("write an address between the two ends of {network}/{prefix} that no host has")))
    }
}
