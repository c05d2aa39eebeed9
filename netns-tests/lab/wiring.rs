//! What is plugged in where: the switch's bridges, the ports, and the addresses behind each port.
//!
//! Owns: the table of ports and the `ip` lines that build them. Never does: faults (see `faults`).
//! Port indexes are fixed, so that a port keeps its identity for the capture when a node "reboots"
//! and its cable is made again.

use super::netns::Netns;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use vipair::types::MacAddr;

/// One of the two servers of a pair.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Server {
    /// The first node of the configuration, preferred by default.
    Alpha,
    /// The second node of the configuration.
    Beta,
}

impl Server {
    /// Both servers, in the order of the configuration.
    pub const BOTH: [Server; 2] = [Server::Alpha, Server::Beta];

    /// Name of the node in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Server::Alpha => "alpha",
            Server::Beta => "beta",
        }
    }

    /// Index of the server in a list of both, in the order of [`Server::BOTH`].
    pub fn index(self) -> usize {
        match self {
            Server::Alpha => 0,
            Server::Beta => 1,
        }
    }

    /// The other server of the pair.
    pub fn other(self) -> Server {
        match self {
            Server::Alpha => Server::Beta,
            Server::Beta => Server::Alpha,
        }
    }

    /// Port of the server on the clients' segment, which the first link uses, too.
    pub fn port(self) -> Port {
        match self {
            Server::Alpha => Port::Alpha,
            Server::Beta => Port::Beta,
        }
    }

    /// Port of the server on the network of the second link.
    pub fn second_link(self) -> Port {
        match self {
            Server::Alpha => Port::AlphaSecondLink,
            Server::Beta => Port::BetaSecondLink,
        }
    }

    /// Port of the server on the voters' network, plugged in only in a lab with a witness.
    pub fn voters(self) -> Port {
        match self {
            Server::Alpha => Port::AlphaVoters,
            Server::Beta => Port::BetaVoters,
        }
    }
}

/// A socket of the switch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Port {
    /// alpha's eth0.
    Alpha,
    /// beta's eth0.
    Beta,
    /// alpha's eth1, for the second link.
    AlphaSecondLink,
    /// beta's eth1, for the second link.
    BetaSecondLink,
    /// alpha's eth2, in a lab with a witness.
    AlphaVoters,
    /// beta's eth2, in a lab with a witness.
    BetaVoters,
    /// The witness's eth0.
    Witness,
    /// The witness's eth1, where it has one: on the clients' segment.
    WitnessSegment,
    /// The eth0 of the host of all clients.
    Client,
    /// The eth0 of a neighbour that is always there.
    Gateway,
    /// The eth0 of a host that does not belong here; plugged in by the cases that need it.
    Stranger,
}

/// Bridge of the clients' segment.
pub const SEGMENT: &str = "segment";
/// Bridge of the network of the second link; the first link is on the clients' segment.
pub const SECOND_LINK: &str = "heartbeat";
/// Bridge of the network on which the nodes reach the witness.
pub const VOTERS: &str = "voters";
/// Bridge of the clients' segment's other side while the segment is split.
pub const SPLIT: &str = "split";

/// Addresses of witnesses 1, 2 and 3 on the voters' network; most labs use the first alone.
pub const WITNESSES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 0, 9, 9), Ipv4Addr::new(10, 0, 9, 10), Ipv4Addr::new(10, 0, 9, 11)];

/// Number of addresses that the clients' host has besides its first. Each question of a sampler
/// comes from the next one, so that an answer names the question.
pub const ASKERS: u8 = 32;
/// The last byte of the first of those addresses, in either family.
pub const FIRST_ASKER: u8 = 192;

impl Port {
    /// Every port of the switch.
    pub const ALL: [Port; 11] = [
        Port::Alpha,
        Port::Beta,
        Port::AlphaSecondLink,
        Port::BetaSecondLink,
        Port::AlphaVoters,
        Port::BetaVoters,
        Port::Witness,
        Port::WitnessSegment,
        Port::Client,
        Port::Gateway,
        Port::Stranger,
    ];
    /// Ports behind which a part of the product runs: its claims come in here.
    pub const PRODUCT: [Port; 8] = [
        Port::Alpha,
        Port::Beta,
        Port::AlphaSecondLink,
        Port::BetaSecondLink,
        Port::AlphaVoters,
        Port::BetaVoters,
        Port::Witness,
        Port::WitnessSegment,
    ];
    /// Ports of the servers on the networks that both are on.
    pub const SERVERS: [Port; 4] = [Port::Alpha, Port::Beta, Port::AlphaSecondLink, Port::BetaSecondLink];

    /// Name of the port's interface in the switch's namespace.
    pub fn name(self) -> &'static str {
        match self {
            Port::Alpha => "alpha",
            Port::Beta => "beta",
            Port::AlphaSecondLink => "alpha-hb",
            Port::BetaSecondLink => "beta-hb",
            Port::AlphaVoters => "alpha-v",
            Port::BetaVoters => "beta-v",
            Port::Witness => "witness",
            Port::WitnessSegment => "witness-seg",
            Port::Client => "client",
            Port::Gateway => "gateway",
            Port::Stranger => "stranger",
        }
    }

    /// Name of the host behind the port: the last part of its namespace's name.
    pub fn host(self) -> &'static str {
        match self {
            Port::Alpha | Port::AlphaSecondLink | Port::AlphaVoters => "alpha",
            Port::Beta | Port::BetaSecondLink | Port::BetaVoters => "beta",
            Port::Witness | Port::WitnessSegment => "witness",
            Port::Client => "client",
            Port::Gateway => "gateway",
            Port::Stranger => "stranger",
        }
    }

    /// The server behind the port, if there is one.
    pub fn server(self) -> Option<Server> {
        match self {
            Port::Alpha | Port::AlphaSecondLink | Port::AlphaVoters => Some(Server::Alpha),
            Port::Beta | Port::BetaSecondLink | Port::BetaVoters => Some(Server::Beta),
            Port::Witness | Port::WitnessSegment | Port::Client | Port::Gateway | Port::Stranger => None,
        }
    }

    /// Index of the port's interface in the switch's namespace.
    pub fn index(self) -> u32 {
        match self {
            Port::Alpha => 101,
            Port::Beta => 102,
            Port::AlphaSecondLink => 111,
            Port::BetaSecondLink => 112,
            Port::AlphaVoters => 121,
            Port::BetaVoters => 122,
            Port::Witness => 129,
            Port::WitnessSegment => 109,
            Port::Client => 150,
            Port::Gateway => 154,
            Port::Stranger => 166,
        }
    }

    /// Name of the interface inside the host.
    pub fn inside(self) -> &'static str {
        match self {
            Port::AlphaVoters | Port::BetaVoters => "eth2",
            Port::AlphaSecondLink | Port::BetaSecondLink | Port::WitnessSegment => "eth1",
            Port::Alpha | Port::Beta | Port::Witness | Port::Client | Port::Gateway | Port::Stranger => "eth0",
        }
    }

    /// Name of the bridge that the port belongs to.
    pub fn bridge(self) -> &'static str {
        match self {
            Port::AlphaSecondLink | Port::BetaSecondLink => SECOND_LINK,
            Port::AlphaVoters | Port::BetaVoters | Port::Witness => VOTERS,
            Port::Alpha | Port::Beta | Port::WitnessSegment | Port::Client | Port::Gateway | Port::Stranger => {
                SEGMENT
            }
        }
    }

    /// The last byte of the host's own addresses.
    fn last_byte(self) -> u8 {
        match self {
            Port::Alpha | Port::AlphaSecondLink | Port::AlphaVoters => 1,
            Port::Beta | Port::BetaSecondLink | Port::BetaVoters => 2,
            Port::Witness | Port::WitnessSegment => 9,
            Port::Client => 50,
            Port::Gateway => 254,
            Port::Stranger => 66,
        }
    }

    /// Hardware address of the interface inside the host.
    pub fn mac(self) -> MacAddr {
        MacAddr([0x02, 0, 0, 0, self.network_number(), self.last_byte()])
    }

    /// Own IPv4 address of the host, on this port's network.
    pub fn ipv4(self) -> Ipv4Addr {
        match self.network_number() {
            0 => Ipv4Addr::new(10, 0, 0, self.last_byte()),
            1 => Ipv4Addr::new(192, 168, 50, self.last_byte()),
            _ => Ipv4Addr::new(10, 0, 9, self.last_byte()),
        }
    }

    /// Number of the port's network: 0 the clients' segment, 1 the second link, 2 voters.
    fn network_number(self) -> u8 {
        match self.bridge() {
            SECOND_LINK => 1,
            VOTERS => 2,
            _ => 0,
        }
    }

    /// Own global IPv6 address of the host on the clients' segment. As people like it, the decimal
    /// number is written into the last group: 10.0.0.50 and 2001:db8::50.
    pub fn ipv6(self) -> Ipv6Addr {
        ipv6(self.last_byte())
    }
}

/// The address 2001:db8::`number`, the digits of the decimal number read as hexadecimal ones.
fn ipv6(number: u8) -> Ipv6Addr {
    format!("2001:db8::{number}").parse().expect("a decimal number is a hexadecimal group")
}

/// Address from which question number `turn` is asked, in the family of `target`.
pub fn asker_address(target: IpAddr, turn: u8) -> IpAddr {
    let number = FIRST_ASKER + turn % ASKERS;
    match target {
        IpAddr::V4(_) => Ipv4Addr::new(10, 0, 0, number).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xff, number.into()).into(),
    }
}

/// Hardware address of the bridge of the clients' segment: the switch takes in what is sent to it,
/// and forwards it to nobody.
pub const SEGMENT_MAC: MacAddr = bridge_mac(10);

/// Hardware address of the bridge with this index.
const fn bridge_mac(index: u8) -> MacAddr {
    MacAddr([0x02, 0, 0, 0, 0xff, index])
}

/// Lines of `ip` that build the bridges.
pub fn bridge_lines() -> String {
    let mut lines = String::new();
    for (bridge, index) in [(SEGMENT, 10), (SECOND_LINK, 11), (SPLIT, 12), (VOTERS, 13)] {
        // Writing to a String cannot fail. The hardware address is fixed, or it would follow the
        // ports.
        let _ = writeln!(
            lines,
            "link add dev {bridge} index {index} address {} type bridge stp_state 0 mcast_snooping 0",
            bridge_mac(index)
        );
        let _ = writeln!(lines, "link set dev {bridge} up");
    }
    lines
}

/// Makes the cable of `port`: one end in the switch, plugged in, the other in the host, with the
/// host's addresses.
pub fn plug(switch: &Netns, host: &Netns, port: Port, ipv4: bool) {
    let (name, inside, index) = (port.name(), port.inside(), port.index());
    switch.ip(&format!(
        "link add dev {name} index {index} type veth peer name {inside} address {} netns {}\n\
         link set dev {name} master {} up\n",
        port.mac(),
        host.name(),
        port.bridge(),
    ));
    host.ip(&address_lines(port, ipv4));
}

/// Lines of `ip` that bring the host's interface up and give it addresses and routes.
fn address_lines(port: Port, ipv4: bool) -> String {
    let inside = port.inside();
    let mut lines = format!("link set dev {inside} up\n");
    let mut add = |address: IpAddr, bits: u8, flags: &str| {
        let _ = writeln!(lines, "address add {address}/{bits} dev {inside} {flags}");
    };
    if ipv4 || port.bridge() != SEGMENT {
        add(port.ipv4().into(), 24, "");
    }
    if port == Port::Witness {
        WITNESSES[1..].iter().for_each(|more| add((*more).into(), 24, ""));
    }
    if port.bridge() == SEGMENT {
        add(port.ipv6().into(), 64, "nodad");
    }
    if port == Port::Client {
        for turn in 0..ASKERS {
            add(asker_address(IpAddr::V4(Ipv4Addr::UNSPECIFIED), turn), 32, "");
            add(asker_address(IpAddr::V6(Ipv6Addr::UNSPECIFIED), turn), 128, "nodad noprefixroute");
        }
    }
    if port == Port::Alpha || port == Port::Beta {
        if ipv4 {
            let _ = writeln!(lines, "route add default via {} dev {inside}", Port::Gateway.ipv4());
        }
        let _ = writeln!(lines, "route add default via {} dev {inside}", Port::Gateway.ipv6());
    }
    lines
}
