//! Gateways of default routes: the hosts whose answers prove that our segment is alive.
//!
//! Owns: which gateways were reported last. Never does: send anything; it reads the kernel's
//! tables.

use super::KeeperEvent;
use crate::io::netlink::{Neighbour, NeighbourState, Netlink};
use crate::types::{InterfaceId, MacAddr};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

/// Gateways of one interface with their hardware addresses, as reported last.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    reported: HashMap<IpAddr, Option<MacAddr>>,
}

impl Gateways {
    /// Reads the kernel's routes and neighbours again; returns an event for each gateway that is
    /// new or has another hardware address.
    pub(super) fn look(
        &mut self,
        netlink: &mut Netlink,
        interface: InterfaceId,
        index: u32,
    ) -> io::Result<Vec<KeeperEvent>> {
        let gateways = netlink.gateways(index)?;
        let mut known: Vec<Neighbour> = netlink.neighbours(index)?.into_iter().filter(is_usable).collect();
        known.sort_by_key(|neighbour| (rank(neighbour.state), neighbour.address));
        let mac_of = |ip: &IpAddr| known.iter().find(|neighbour| neighbour.address == *ip)?.mac;

        let found: HashMap<_, _> = gateways.iter().map(|ip| (*ip, mac_of(ip))).collect();
        let mut news = Vec::new();
        for (ip, mac) in &found {
            if self.reported.get(ip) != Some(mac) {
                news.push(KeeperEvent::Gateway { interface, ip: *ip, mac: *mac });
            }
        }
        self.reported = found;
        Ok(news)
    }
}

/// Whether the kernel has the hardware address of a single host for this neighbour.
fn is_usable(neighbour: &Neighbour) -> bool {
    let single = neighbour.mac.is_some_and(|mac| !mac.is_multicast() && !mac.is_zero());
    single && rank(neighbour.state).is_some()
}

/// Order of trust in a neighbour entry, 0 the best; `None` for entries that say nothing.
fn rank(state: NeighbourState) -> Option<u8> {
    match state {
        NeighbourState::Reachable => Some(0),
        NeighbourState::Delay | NeighbourState::Probe => Some(1),
        NeighbourState::Stale => Some(2),
        NeighbourState::Permanent => Some(3),
        NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::NoArp | NeighbourState::None => None,
    }
}
