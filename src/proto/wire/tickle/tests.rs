//! Tests of the tickle, the packet to a client of a lost connection: RFC 9293 and RFC 1071, read
//! back by another implementation (pnet).

use super::*;
use pnet::packet::Packet;
use pnet::packet::ipv4::Ipv4Packet;
use pnet::packet::ipv6::Ipv6Packet;
use pnet::packet::tcp::{TcpPacket, ipv4_checksum, ipv6_checksum};

/// The packet for a connection between two socket addresses, written over a buffer with other
/// bytes.
fn made(local: &str, remote: &str) -> Vec<u8> {
    let connection = Connection::new(local.parse().unwrap(), remote.parse().unwrap());
    let mut out = vec![0xff; 7];
    packet(&connection, &mut out);
    out
}

/// Checks that a segment is an empty ACK with sequence number 0, from the first to the second port.
fn check_empty_ack(tcp: &TcpPacket<'_>, ports: (u16, u16)) {
    assert_eq!((tcp.get_source(), tcp.get_destination()), ports);
    assert_eq!((tcp.get_sequence(), tcp.get_acknowledgement()), (0, 0));
    assert_eq!((tcp.get_flags(), tcp.get_window(), tcp.get_data_offset()), (ACK, WINDOW, 5));
    assert!(tcp.payload().is_empty());
}

#[test]
fn over_ipv4_it_is_an_empty_acknowledgement_with_a_right_checksum() {
    for (local, remote, ports) in [
        ("10.0.0.100:80", "10.0.0.7:45678", (80, 45_678)),
        ("255.255.255.254:65535", "255.255.254.255:65535", (65_535, 65_535)),
        ("0.0.0.1:1", "128.0.0.1:2", (1, 2)),
    ] {
        let bytes = made(local, remote);
        let ip = Ipv4Packet::new(&bytes).unwrap();
        assert_eq!((bytes.len(), ip.get_total_length(), ip.get_header_length()), (40, 40, 5));
        let local: std::net::SocketAddrV4 = local.parse().unwrap();
        let remote: std::net::SocketAddrV4 = remote.parse().unwrap();
        assert_eq!((ip.get_source(), ip.get_destination()), (*local.ip(), *remote.ip()));
        let tcp = TcpPacket::new(ip.payload()).unwrap();
        check_empty_ack(&tcp, ports);
        assert_eq!(tcp.get_checksum(), ipv4_checksum(&tcp, local.ip(), remote.ip()));
    }
}

#[test]
fn over_ipv6_it_is_an_empty_acknowledgement_with_a_right_checksum() {
    for (local, remote) in [("[2001:db8::100]:443", "[2001:db8::7]:50000"), ("[ffff::ffff]:65535", "[fe80::1]:1")] {
        let bytes = made(local, remote);
        let ip = Ipv6Packet::new(&bytes).unwrap();
        assert_eq!((bytes.len(), ip.get_payload_length(), ip.get_version()), (MAX_PACKET, 20, 6));
        let local: std::net::SocketAddrV6 = local.parse().unwrap();
        let remote: std::net::SocketAddrV6 = remote.parse().unwrap();
        assert_eq!((ip.get_source(), ip.get_destination()), (*local.ip(), *remote.ip()));
        let tcp = TcpPacket::new(ip.payload()).unwrap();
        check_empty_ack(&tcp, (local.port(), remote.port()));
        assert_eq!(tcp.get_checksum(), ipv6_checksum(&tcp, local.ip(), remote.ip()));
    }
}
