//! Tests of links whose sockets fail, on sockets that the kernel destroys.

use super::*;
use crate::testing::netns::{destroy_sockets, in_netns};
use crate::types::{LinkPath, NodeId};

const LINK: LinkId = LinkId { peer: NodeId(2), path: LinkPath::Udp(0) };
const UNKNOWN: LinkId = LinkId { peer: NodeId(2), path: LinkPath::Udp(1) };

/// The socket of [`LINK`] from one address of the loopback to another.
fn socket() -> LinkSocket {
    LinkSocket::open("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap(), 7811).unwrap()
}

/// Error code of the one failure that is there, whose socket is handed out with it.
fn failure(links: &mut Links) -> Option<i32> {
    let (link, socket, error) = links.take_failed()?;
    assert_eq!(link, LINK);
    assert!(socket.is_some());
    assert!(links.take_failed().is_none(), "once");
    error.raw_os_error()
}

#[test]
fn a_destroyed_socket_is_given_up_when_it_next_sends_or_receives() {
    in_netns(|| {
        let mut links = Links::new(vec![LINK]);
        assert!(links.replace(0, Some(socket())).is_none());
        links.send(LINK, b"well");
        assert_eq!(failure(&mut links), None);
        destroy_sockets("-u sport = 7811");
        links.send(LINK, b"lost");
        assert_eq!(failure(&mut links), Some(libc::EDESTADDRREQ));
        links.send(LINK, b"there is no socket");
        assert!(links.recv(0, &mut [0; 10]).is_none());
        assert_eq!(failure(&mut links), None);

        links.replace(0, Some(socket()));
        destroy_sockets("-u sport = 7811");
        assert!(links.recv(0, &mut [0; 10]).is_none());
        assert_eq!(failure(&mut links), Some(libc::ECONNABORTED));
    });
}

#[test]
fn another_socket_is_not_given_up_for_the_failure_of_the_former_one() {
    in_netns(|| {
        let mut links = Links::new(vec![LINK]);
        links.replace(0, Some(socket()));
        destroy_sockets("-u sport = 7811");
        links.send(LINK, b"lost");
        assert!(links.replace(0, Some(socket())).is_some());
        assert_eq!(failure(&mut links), None);
    });
}

#[test]
fn what_the_network_does_to_a_datagram_costs_no_socket() {
    in_netns(|| {
        let mut links = Links::new(vec![LINK]);
        links.replace(0, Some(socket()));
        // Nobody listens there: each datagram is refused.
        for _ in 0..10 {
            links.send(LINK, b"refused");
        }
        links.send(LINK, &[0; 66_000]);
        assert_eq!(failure(&mut links), None);
        links.send(UNKNOWN, b"no such link");
        assert_eq!((links.position(LINK), links.position(UNKNOWN)), (Some(0), None));
        assert!(links.recv(1, &mut [0; 10]).is_none(), "there is no such place");
    });
}
