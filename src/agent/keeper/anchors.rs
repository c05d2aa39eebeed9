//! Who else is on the segment: gateways of default routes, and other neighbours the kernel knows.

use super::KeeperEvent;
use crate::io::netlink::{Neighbour, NeighbourState, Netlink};
use crate::types::{InterfaceId, MacAddr, Vip};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;

/// Neighbours that are no gateways, at most.
const NEIGHBOURS: usize = 8;

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    gateways: HashMap<IpAddr, Option<MacAddr>>,
    neighbours: HashMap<IpAddr, MacAddr>,
}

impl Anchors {
    /// Looks again and returns what is new or different. `excluded` are the group addresses themselves: whoever has
    /// them is the peer.
    pub(super) fn look(
        &mut self,
        netlink: &mut Netlink,
        interface: InterfaceId,
        index: u32,
        excluded: &HashSet<Vip>,
    ) -> io::Result<Vec<KeeperEvent>> {
        let gateways = netlink.gateways(index)?;
        let mut known: Vec<Neighbour> = netlink.neighbours(index)?.into_iter().filter(is_usable).collect();
        known.sort_by_key(|neighbour| (rank(neighbour.state), neighbour.address));
        let mac_of = |ip: &IpAddr| known.iter().find(|neighbour| neighbour.address == *ip)?.mac;

        let gateways: HashMap<_, _> = gateways.iter().map(|ip| (*ip, mac_of(ip))).collect();
        let others: HashMap<_, _> = known
            .iter()
            .filter(|neighbour| !excluded.contains(&neighbour.address) && !gateways.contains_key(&neighbour.address))
            .filter_map(|neighbour| Some((neighbour.address, neighbour.mac?)))
            .take(NEIGHBOURS)
            .collect();
        let mut news = Vec::new();
        for (ip, mac) in &gateways {
            if self.gateways.get(ip) != Some(mac) {
                news.push(KeeperEvent::Gateway { interface, ip: *ip, mac: *mac });
            }
        }
        for (ip, mac) in &others {
            if self.neighbours.get(ip) != Some(mac) {
                news.push(KeeperEvent::Neighbour { interface, ip: *ip, mac: *mac });
            }
        }
        (self.gateways, self.neighbours) = (gateways, others);
        Ok(news)
    }
}

/// The kernel has a hardware address of one single host for it.
fn is_usable(neighbour: &Neighbour) -> bool {
    let single = neighbour.mac.is_some_and(|mac| !mac.is_multicast() && !mac.is_zero());
    single && rank(neighbour.state).is_some()
}

/// Best first; `None` for entries that say nothing.
fn rank(state: NeighbourState) -> Option<u8> {
    match state {
        NeighbourState::Reachable => Some(0),
        NeighbourState::Delay | NeighbourState::Probe => Some(1),
        NeighbourState::Stale => Some(2),
        NeighbourState::Permanent => Some(3),
        NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::NoArp | NeighbourState::None => None,
    }
}
