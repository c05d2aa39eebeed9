//! Ways back: what was reached by a route through the group's interface, and is no longer.
//!
//! A way is remembered once it has been there for [`SETTLED`]; the kernel is asked as for a packet
//! from the group's address, so a route in another table, a rule or a better route counts as it
//! counts for clients. A way that never was there is not missed.
//!
//! Owns: the ways of one group. Never does: ask the kernel itself, or outlive a reload: what an
//! operator has taken away for good is then forgotten.

use crate::io::netlink::{RouteInfo, Verdict, outside};
use crate::types::Vip;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long a way must have been there to be missed.
const SETTLED: Duration = Duration::from_secs(8);
/// Most ways that are remembered, of both families together.
const WAYS: usize = 64;

/// The ways of one group.
#[derive(Debug, Default)]
pub(super) struct Ways {
    known: Vec<Way>,
}

/// Something that is reached through the interface.
#[derive(Debug)]
struct Way {
    to: RouteInfo,
    address: IpAddr,
    /// Since when it has been reached.
    since: Instant,
    /// When it was last reached.
    last: Instant,
}

/// A way that has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gone(RouteInfo);

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix {
            0 => f.write_str("the world outside (the default route)"),
            prefix => write!(f, "{}/{prefix}", self.0.network),
        }
    }
}

impl Ways {
    /// Asks for each way of the family of `vip`, those of the present `routes` included. Returns
    /// one that has gone. `ask` tells what the kernel does with a packet to an address, and the
    /// number of the interface.
    pub fn look(
        &mut self,
        vip: Vip,
        routes: &[RouteInfo],
        now: Instant,
        mut ask: impl FnMut(IpAddr) -> io::Result<(Verdict, u32)>,
    ) -> io::Result<Option<Gone>> {
        for route in routes {
            if self.known.len() < WAYS && !self.known.iter().any(|way| way.to == *route) {
                self.known.push(Way { to: *route, address: within(route), since: now, last: now });
            }
        }
        let mut gone = None;
        let mut failed = Vec::new();
        for (at, way) in
            self.known.iter_mut().enumerate().filter(|(_, way)| way.to.network.is_ipv4() == vip.is_ipv4())
        {
            let (verdict, index) = ask(way.address)?;
            if verdict == Verdict::Leaves(index) {
                way.last = now;
            } else if way.last.saturating_duration_since(way.since) >= SETTLED {
                gone = gone.or(Some(Gone(way.to)));
            } else {
                // It was not there for long, or leads elsewhere although there is a route.
                failed.push(at);
            }
        }
        for at in failed.into_iter().rev() {
            self.known.swap_remove(at);
        }
        Ok(gone)
    }
}

/// An address that is reached by a route: in the middle of its network, where gateways and servers
/// seldom are.
fn within(route: &RouteInfo) -> IpAddr {
    match route.network {
        _ if route.prefix == 0 => outside(route.network.is_ipv6()),
        IpAddr::V4(network) => {
            let half = u32::MAX.checked_shr(u32::from(route.prefix) + 1).unwrap_or(0);
            Ipv4Addr::from_bits(network.to_bits() | half).into()
        }
        IpAddr::V6(network) => {
            let half = u128::MAX.checked_shr(u32::from(route.prefix) + 1).unwrap_or(0);
            Ipv6Addr::from_bits(network.to_bits() | half).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Vip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));
    const ETH: u32 = 7;

    /// A route of this prefix.
    fn route(network: [u8; 4], prefix: u8) -> RouteInfo {
        RouteInfo { prefix, network: network.into(), is_dynamic: false }
    }

    /// What a look finds when the kernel says `verdict` of everything.
    fn look(ways: &mut Ways, routes: &[RouteInfo], now: Instant, verdict: Verdict) -> Option<Gone> {
        ways.look(VIP, routes, now, |_| Ok((verdict, ETH))).unwrap()
    }

    #[test]
    fn a_way_that_was_there_for_long_is_missed_until_it_is_back() {
        let (mut ways, start) = (Ways::default(), Instant::now());
        let default = [route([0; 4], 0)];
        for seconds in 0..=8 {
            assert_eq!(look(&mut ways, &default, start + Duration::from_secs(seconds), Verdict::Leaves(ETH)), None);
        }
        let later = start + Duration::from_secs(9);
        for verdict in [Verdict::Dropped, Verdict::Local, Verdict::Leaves(ETH + 1)] {
            assert_eq!(look(&mut ways, &[], later, verdict), Some(Gone(default[0])));
        }
        assert_eq!(look(&mut ways, &[], later, Verdict::Leaves(ETH)), None, "another route leads there");
    }

    #[test]
    fn a_way_that_was_there_for_a_moment_or_never_led_anywhere_is_not_missed() {
        let (mut ways, start) = (Ways::default(), Instant::now());
        let net = [route([10, 1, 0, 0], 16)];
        assert_eq!(look(&mut ways, &net, start, Verdict::Leaves(ETH)), None);
        assert_eq!(look(&mut ways, &net, start + Duration::from_secs(7), Verdict::Leaves(ETH)), None);
        assert_eq!(look(&mut ways, &[], start + Duration::from_secs(60), Verdict::Dropped), None);
        for seconds in 60..80 {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(look(&mut ways, &net, now, Verdict::Leaves(ETH + 1)), None, "a better route hides it");
        }
    }

    #[test]
    fn the_address_that_is_asked_for_lies_in_the_network() {
        assert_eq!(within(&route([10, 0, 0, 0], 24)), IpAddr::from([10, 0, 0, 127]));
        assert_eq!(within(&route([10, 0, 0, 7], 32)), IpAddr::from([10, 0, 0, 7]));
        assert_eq!(within(&route([10, 0, 0, 6], 31)), IpAddr::from([10, 0, 0, 6]));
        assert_eq!(within(&route([128, 0, 0, 0], 1)), IpAddr::from([191, 255, 255, 255]));
    }
}
