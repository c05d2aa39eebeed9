//! Tests of a link's socket on the kernel's loopback, and on interfaces that come and go.

use super::*;
use crate::io::poll::{Poll, Ready};
use crate::testing::netns::{destroy_sockets, in_netns, ip};
use std::net::UdpSocket;
use std::time::Duration;

/// A port for one test alone: each test has an `offset` of its own, from 0 to 9, and each process
/// a range of its own.
fn port(offset: u16) -> u16 {
    20_000 + u16::try_from(std::process::id() % 2_000).unwrap() * 10 + offset
}

/// Waits until a datagram or an error of `socket` can be read, for five seconds at most.
fn wait_readable(socket: &LinkSocket) {
    let poll = Poll::new().unwrap();
    poll.add(socket, 0).unwrap();
    poll.wait(&mut Ready::new(), Some(Duration::from_secs(5))).unwrap();
}

/// Both ends of a link between two addresses of the loopback.
fn linked(one: &str, other: &str, port: u16) -> (LinkSocket, LinkSocket) {
    let (one, other): (IpAddr, IpAddr) = (one.parse().unwrap(), other.parse().unwrap());
    (LinkSocket::open(one, other, port).unwrap(), LinkSocket::open(other, one, port).unwrap())
}

// HP-6
#[test]
fn datagrams_arrive_one_by_one() {
    let (one, other) = linked("127.0.0.21", "127.0.0.22", port(0));
    assert_eq!(one.send(b"first").unwrap(), SendOutcome::Sent);
    assert_eq!(one.send(b"second one").unwrap(), SendOutcome::Sent);
    let mut buffer = [0; 1500];
    wait_readable(&other);
    assert_eq!(other.recv(&mut buffer).unwrap(), Received::Datagram(5));
    assert_eq!(&buffer[..5], b"first");
    assert_eq!(other.recv(&mut buffer).unwrap(), Received::Datagram(10));
    assert_eq!(other.recv(&mut buffer).unwrap(), Received::Empty);
}

#[test]
fn ipv6_links_work() {
    let address: IpAddr = "::1".parse().unwrap();
    // One address is both ends of the link: the socket hears itself.
    let both = LinkSocket::open(address, address, port(1)).unwrap();
    assert_eq!(both.send(b"hello").unwrap(), SendOutcome::Sent);
    wait_readable(&both);
    assert_eq!(both.recv(&mut [0; 100]).unwrap(), Received::Datagram(5));
}

#[test]
fn a_port_without_a_process_reads_as_refused_and_costs_no_later_datagram() {
    let port = port(2);
    let (one, other) = linked("127.0.0.31", "127.0.0.32", port);
    drop(other);
    one.send(b"?").unwrap();
    wait_readable(&one);
    assert_eq!(one.recv(&mut [0; 10]).unwrap(), Received::Refused);
    assert_eq!(one.recv(&mut [0; 10]).unwrap(), Received::Empty);

    one.send(b"?").unwrap();
    wait_readable(&one);
    let other = LinkSocket::open("127.0.0.32".parse().unwrap(), "127.0.0.31".parse().unwrap(), port).unwrap();
    assert_eq!(one.send(b"hello").unwrap(), SendOutcome::SentAfterRefusal);
    wait_readable(&other);
    assert_eq!(other.recv(&mut [0; 10]).unwrap(), Received::Datagram(5));
}

#[test]
fn datagrams_of_strangers_do_not_arrive() {
    let port = port(3);
    let (one, other) = linked("127.0.0.41", "127.0.0.42", port);
    let stranger = LinkSocket::open("127.0.0.43".parse().unwrap(), "127.0.0.42".parse().unwrap(), port).unwrap();
    stranger.send(b"stranger").unwrap();
    one.send(b"peer").unwrap();
    wait_readable(&other);
    assert_eq!(other.recv(&mut [0; 100]).unwrap(), Received::Datagram(4));
    assert_eq!(other.recv(&mut [0; 100]).unwrap(), Received::Empty);
}

#[test]
fn several_links_share_one_local_address() {
    let port = port(4);
    let local: IpAddr = "127.0.0.51".parse().unwrap();
    let _one = LinkSocket::open(local, "127.0.0.52".parse().unwrap(), port).unwrap();
    LinkSocket::open(local, "127.0.0.53".parse().unwrap(), port).unwrap();
}

#[test]
fn a_full_receiver_blocks_nobody() {
    let (one, other) = linked("127.0.0.61", "127.0.0.62", port(5));
    for _ in 0..5_000 {
        one.send(&[0; 1_200]).unwrap();
    }
    let mut count = 0;
    while let Received::Datagram(_) = other.recv(&mut [0; 1_200]).unwrap() {
        count += 1;
    }
    assert!((100..5_000).contains(&count), "{count}");
}

#[test]
fn an_address_that_is_not_ours_is_an_error_that_says_so() {
    let cause = LinkSocket::open("192.0.2.1".parse().unwrap(), "127.0.0.1".parse().unwrap(), port(6)).unwrap_err();
    assert_eq!(cause.kind(), io::ErrorKind::AddrNotAvailable);
}

#[test]
fn families_do_not_mix() {
    assert!(LinkSocket::open("127.0.0.1".parse().unwrap(), "::1".parse().unwrap(), port(7)).is_err());
}

/// Lets `witness` take `question`, which `socket` has sent, and answer with seven bytes. Returns
/// what `socket` receives then.
fn exchange(socket: &LinkSocket, witness: &UdpSocket, question: &[u8]) -> Received {
    let mut buffer = [0; 100];
    let (length, from) = loop {
        match witness.recv_from(&mut buffer) {
            // A signal came, because a child process of another test has ended.
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            heard => break heard.unwrap(),
        }
    };
    assert_eq!(&buffer[..length], question);
    witness.send_to(b"granted", from).unwrap();
    wait_readable(socket);
    socket.recv(&mut buffer).unwrap()
}

#[test]
fn a_link_to_a_witness_begins_anywhere_and_ends_at_its_port() {
    let witness = UdpSocket::bind("127.0.0.71:0").unwrap();
    witness.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let remote = witness.local_addr().unwrap();
    let (one, other) = (LinkSocket::toward(remote).unwrap(), LinkSocket::toward(remote).unwrap());
    assert_eq!(one.local().unwrap(), "127.0.0.1".parse::<IpAddr>().unwrap());
    for socket in [&one, &other] {
        assert_eq!(socket.send(b"pulse").unwrap(), SendOutcome::Sent);
        assert_eq!(exchange(socket, &witness, b"pulse"), Received::Datagram(7));
    }
    let stranger = UdpSocket::bind("127.0.0.72:0").unwrap();
    let port = one.socket.local_addr().unwrap().as_socket().unwrap().port();
    stranger.send_to(b"stranger", ("127.0.0.1", port)).unwrap();
    assert_eq!(one.recv(&mut [0; 100]).unwrap(), Received::Empty, "nobody but the witness is heard");
}

#[test]
fn a_link_to_a_witness_that_is_restarted_works_again() {
    let witness = UdpSocket::bind("127.0.0.73:0").unwrap();
    let remote = witness.local_addr().unwrap();
    drop(witness);
    let socket = LinkSocket::toward(remote).unwrap();
    socket.send(b"pulse").unwrap();
    wait_readable(&socket);
    assert_eq!(socket.recv(&mut [0; 100]).unwrap(), Received::Refused);
    let witness = UdpSocket::bind(remote).unwrap();
    witness.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(socket.send(b"again").unwrap(), SendOutcome::Sent);
    assert_eq!(exchange(&socket, &witness, b"again"), Received::Datagram(7));
}

#[test]
fn a_network_that_is_gone_costs_datagrams_and_no_socket() {
    in_netns(|| {
        let remote: SocketAddr = "10.9.0.9:7811".parse().unwrap();
        assert_eq!(LinkSocket::toward(remote).unwrap_err().kind(), io::ErrorKind::NetworkUnreachable);
        ip("link add name path type veth peer name far");
        ip("link set path up");
        ip("link set far up");
        ip("address add 10.9.0.1/24 dev path");
        let socket = LinkSocket::toward(remote).unwrap();
        assert_eq!(socket.local().unwrap(), "10.9.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(socket.send(b"pulse").unwrap(), SendOutcome::Sent);
        ip("address del 10.9.0.1/24 dev path");
        assert_eq!(socket.send(b"pulse").unwrap(), SendOutcome::Unreachable);
        assert_eq!(socket.recv(&mut [0; 100]).unwrap(), Received::Empty);
        // The interface gets another address. The old socket cannot send from there; a new one
        // can.
        ip("address add 10.9.0.2/24 dev path");
        assert_eq!(socket.send(b"pulse").unwrap(), SendOutcome::Unreachable);
        assert_eq!(LinkSocket::toward(remote).unwrap().local().unwrap(), "10.9.0.2".parse::<IpAddr>().unwrap());
        ip("address add 10.9.0.1/24 dev path");
        assert_eq!(socket.send(b"pulse").unwrap(), SendOutcome::Sent);
        ip("link set path down");
        assert_eq!(socket.send(b"pulse").unwrap(), SendOutcome::Unreachable);
    });
}

/// Error code with which `attempt` failed; `None` if it did not fail.
fn code<T>(attempt: io::Result<T>) -> Option<i32> {
    attempt.err().and_then(|cause| cause.raw_os_error())
}

#[test]
fn a_destroyed_socket_is_an_error_and_another_works_beside_it() {
    in_netns(|| {
        let (one, other) = linked("127.0.0.81", "127.0.0.82", 7811);
        destroy_sockets("-u src 127.0.0.81");
        assert_eq!(code(one.send(b"pulse")), Some(libc::EDESTADDRREQ));
        assert_eq!(code(one.recv(&mut [0; 100])), Some(libc::ECONNABORTED));
        assert_eq!(code(one.send(b"pulse")), Some(libc::EDESTADDRREQ), "for good");
        let new = LinkSocket::open("127.0.0.81".parse().unwrap(), "127.0.0.82".parse().unwrap(), 7811).unwrap();
        assert_eq!(new.send(b"pulse").unwrap(), SendOutcome::Sent);
        wait_readable(&other);
        assert_eq!(other.recv(&mut [0; 100]).unwrap(), Received::Datagram(5));
        other.send(b"answer").unwrap();
        wait_readable(&new);
        assert_eq!(new.recv(&mut [0; 100]).unwrap(), Received::Datagram(6), "the old one takes nothing away");
    });
}

#[test]
fn a_destroyed_link_to_a_witness_is_an_error() {
    in_netns(|| {
        let witness = UdpSocket::bind("127.0.0.83:7811").unwrap();
        let socket = LinkSocket::toward(witness.local_addr().unwrap()).unwrap();
        destroy_sockets("-u dst 127.0.0.83");
        assert_eq!(code(socket.recv(&mut [0; 100])), Some(libc::ECONNABORTED));
        assert_eq!(code(socket.send(b"pulse")), Some(libc::EDESTADDRREQ));
    });
}

#[test]
fn a_datagram_that_is_too_large_is_lost_and_no_error() {
    let (one, other) = linked("127.0.0.91", "127.0.0.92", port(8));
    assert_eq!(one.send(&[0; 66_000]).unwrap(), SendOutcome::TooLarge);
    assert_eq!(one.send(b"small").unwrap(), SendOutcome::Sent);
    wait_readable(&other);
    assert_eq!(other.recv(&mut [0; 100]).unwrap(), Received::Datagram(5));
}
