//! Tests of listing and destroying TCP connections on a real kernel, each in a network namespace of
//! its own.

use super::*;
use crate::testing::netns::{in_netns, ip6_on_loopback};
use crate::wire::mirror::wide;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// The connections of these local addresses.
fn connections(diag: &mut SockDiag, addresses: &[&str]) -> BTreeSet<Connection> {
    sockets(diag, addresses).into_keys().collect()
}

/// One whole reading: the sockets of these local addresses, by connection. No connection may come
/// twice.
fn sockets(diag: &mut SockDiag, addresses: &[&str]) -> BTreeMap<Connection, TcpSocket> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let mut found = BTreeMap::new();
    diag.begin(&addresses).unwrap();
    let mut note = |socket: TcpSocket| assert_eq!(found.insert(socket.connection, socket), None, "twice");
    while diag.read_on(&mut note).unwrap() {}
    found
}

/// Connects to the address `to`, at the port of a listener that is bound to `on`. Returns the
/// server's end, the client's end, and the connection as the server's kernel lists it.
fn connected(on: &str, to: &str) -> (TcpStream, TcpStream, Connection) {
    let listener = TcpListener::bind((on, 0)).unwrap();
    let to = SocketAddr::new(to.parse().unwrap(), listener.local_addr().unwrap().port());
    let client = TcpStream::connect(to).unwrap();
    let (server, _) = listener.accept().unwrap();
    let connection = Connection::new(to, client.local_addr().unwrap());
    (server, client, connection)
}

#[test]
fn connections_of_the_addresses_are_found_and_up_to_the_filters_limit_no_others() {
    in_netns(|| {
        ip6_on_loopback("2001:db8::1");
        let mut diag = SockDiag::open().unwrap();
        assert!(connections(&mut diag, &["127.0.0.2"]).is_empty());
        let (_one_server, _one_client, one) = connected("127.0.0.2", "127.0.0.2");
        let (_six_server, _six_client, six) = connected("2001:db8::1", "2001:db8::1");
        // An IPv6 socket that carries an IPv4 connection.
        let (_mapped_server, _mapped_client, mapped) = connected("::", "127.0.0.3");
        let (_other_server, _other_client, other) = connected("127.0.0.4", "127.0.0.4");
        let many: Vec<String> = (0..FILTERED).map(|n| format!("10.1.1.{n}")).collect();
        for count in [0, 1, FILTERED - 3, FILTERED] {
            let addresses: Vec<&str> = many
                .iter()
                .take(count)
                .map(String::as_str)
                .chain(["127.0.0.2", "2001:db8::1", "127.0.0.3"])
                .collect();
            let found = connections(&mut diag, &addresses);
            for expected in [one, six, mapped] {
                assert!(found.contains(&expected), "{expected:?} is not in {found:?}, {count} others");
            }
            let refuses = addresses.len() <= FILTERED;
            assert_eq!(found.contains(&other), !refuses, "the kernel compares up to {FILTERED} addresses");
            let local = |c: &Connection| addresses.iter().any(|a| wide(a.parse().unwrap()) == c.local);
            assert!(!refuses || found.iter().all(local), "{found:?}");
        }
        assert!(connections(&mut diag, &["127.0.0.4"]).contains(&other));
    });
}

#[test]
fn a_reading_can_be_given_up() {
    in_netns(|| {
        let (_server, _client, connection) = connected("127.0.0.2", "127.0.0.2");
        let mut diag = SockDiag::open().unwrap();
        diag.begin(&["127.0.0.9".parse().unwrap()]).unwrap();
        assert!(connections(&mut diag, &["127.0.0.2"]).contains(&connection));
    });
}

#[test]
fn a_destroyed_connection_resets_its_client() {
    in_netns(|| {
        ip6_on_loopback("2001:db8::1");
        for (on, to) in [("127.0.0.2", "127.0.0.2"), ("2001:db8::1", "2001:db8::1"), ("::", "127.0.0.2")] {
            let (_server, mut client, connection) = connected(on, to);
            let mut diag = SockDiag::open().unwrap();
            let socket = sockets(&mut diag, &["127.0.0.2", "2001:db8::1"])[&connection];
            let done = diag.destroy(&[socket]).unwrap();
            assert_eq!(done, Destroyed { reset: 1, ..Destroyed::default() }, "{on} {to}");
            assert_eq!(client.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{on} {to}");
            let again = diag.destroy(&[socket; 3]).unwrap();
            assert_eq!(again, Destroyed { gone: 3, ..Destroyed::default() });
            assert!(!connections(&mut diag, &["127.0.0.2", "2001:db8::1"]).contains(&connection));
        }
    });
}

#[test]
fn a_connection_that_has_ended_meanwhile_costs_neither_the_listener_nor_its_successor() {
    in_netns(|| {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let to = listener.local_addr().unwrap();
        let mut diag = SockDiag::open().unwrap();
        let (client, server) = (TcpStream::connect(to).unwrap(), listener.accept().unwrap().0);
        let own = Connection::new(to, client.local_addr().unwrap());
        let ended = sockets(&mut diag, &["127.0.0.2"])[&own];
        assert_eq!(diag.destroy(&[ended]).unwrap().reset, 1);
        drop((client, server));
        let gone = Destroyed { gone: 1, ..Destroyed::default() };
        assert_eq!(diag.destroy(&[ended]).unwrap(), gone, "only the listener has this address now");

        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::new(own.v4().unwrap().1.into(), own.remote_port).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        let mut client = TcpStream::from(socket);
        let (mut server, _) = listener.accept().unwrap();
        assert!(sockets(&mut diag, &["127.0.0.2"]).contains_key(&own), "the same ports");
        assert_eq!(diag.destroy(&[ended]).unwrap(), gone, "another connection has them now");
        client.write_all(b"x").unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 1);
    });
}
