//! Tests of when a link gets another socket. No socket is opened: the tests say where each would
//! begin.

use super::*;
use crate::config::ClusterFile;
use crate::testing::netns::{in_netns, ip};
use crate::types::NodeId;
use std::net::Ipv4Addr;
use std::path::Path as File;

const NODE: LinkId = LinkId { peer: NodeId(2), path: LinkPath::Udp(0) };
const WITNESS: LinkId = LinkId { peer: NodeId::FIRST_WITNESS, path: LinkPath::Udp(0) };

/// The address 10.0.0.`last`.
fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// Which links get a socket when the kernel would begin at 10.0.0.`begins`, or cannot at all.
fn look(paths: &mut Paths, begins: Option<u8>) -> Vec<LinkId> {
    let open = |_| begins.map(|last| ((), address(last))).ok_or_else(|| io::ErrorKind::NetworkUnreachable.into());
    paths.take_new_sockets(open).into_iter().map(|(link, ())| link).collect()
}

#[test]
fn a_socket_is_opened_once_and_as_soon_as_it_can_be() {
    let mut paths = Paths::new(&[NODE, WITNESS]);
    assert_eq!(look(&mut paths, None), []);
    assert_eq!(look(&mut paths, Some(1)), [NODE, WITNESS]);
    assert_eq!(look(&mut paths, Some(1)), []);
}

#[test]
fn a_link_whose_socket_failed_gets_another_and_people_hear_of_it_once_a_minute() {
    let mut paths = Paths::new(&[NODE, WITNESS]);
    let failed = |paths: &mut Paths, seconds: u64| paths.0[0].note_failed(MonoTime(seconds * 1_000_000_000));
    assert_eq!(look(&mut paths, Some(1)).len(), 2);
    assert!(failed(&mut paths, 100));
    assert_eq!(look(&mut paths, Some(1)), [NODE]);
    assert_eq!(look(&mut paths, Some(1)), []);
    for seconds in [101, 159] {
        assert!(!failed(&mut paths, seconds));
        assert_eq!(look(&mut paths, Some(1)), [NODE], "at the next tick");
    }
    assert!(failed(&mut paths, 160));
}

#[test]
fn the_link_to_a_witness_follows_the_kernels_routes_when_they_stay_changed() {
    let mut paths = Paths::new(&[NODE, WITNESS]);
    assert_eq!(look(&mut paths, Some(1)).len(), 2);
    for _ in 1..LOOKS {
        assert_eq!(look(&mut paths, Some(2)), []);
    }
    assert_eq!(look(&mut paths, Some(2)), [WITNESS], "links between nodes begin where the configuration says");
    assert_eq!(look(&mut paths, Some(2)), []);
}

#[test]
fn routes_that_take_turns_and_networks_that_are_gone_change_nothing() {
    let mut paths = Paths::new(&[WITNESS]);
    assert_eq!(look(&mut paths, Some(1)), [WITNESS]);
    for turn in 0..LOOKS * 4 {
        assert_eq!(look(&mut paths, Some(1 + turn % 2)), []);
        assert_eq!(look(&mut paths, Some(3 + turn % 2)), []);
        assert_eq!(look(&mut paths, None), []);
    }
}

#[test]
fn links_begin_where_the_configuration_says_and_toward_a_witness_where_the_kernel_does() {
    let text = "cluster = \"c\"\nkey_file = \"k\"\n[witness]\naddress = \"10.9.0.9\"\n[[node]]\nname = \"a\"\n\
        links = [\"10.0.0.1\"]\n[[node]]\nname = \"b\"\nlinks = [\"10.0.0.2\"]\n[[group]]\nname = \"g\"\n\
        interface = \"eth0\"\naddresses = [\"10.0.0.100\"]\n";
    let config = ClusterFile::parse(text, File::new("v.toml")).expect("it is right").for_node(NodeId(1));
    in_netns(|| {
        let mut paths = Paths::new(&crate::from_config::udp_links(&config));
        let mut opened = || {
            paths.take_new_sockets(|link| open(&config, link)).into_iter().map(|(link, _)| link).collect::<Vec<_>>()
        };
        assert_eq!(opened(), [], "there is no address and no network yet");
        ip("link add name near type veth peer name far");
        ip("link set near up");
        ip("link set far up");
        ip("address add 10.0.0.1/24 dev near");
        assert_eq!(opened(), [NODE]);
        ip("address add 10.7.0.1/24 dev near");
        ip("route add 10.9.0.0/24 via 10.7.0.2");
        assert_eq!(opened(), [WITNESS]);
        assert_eq!(open(&config, WITNESS).unwrap().1, "10.7.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(opened(), []);
        // The address goes away; there is another way.
        ip("route replace 10.9.0.0/24 via 10.0.0.2");
        ip("address del 10.7.0.1/24 dev near");
        let turns = (1..=LOOKS).find(|_| opened() == [WITNESS]);
        assert_eq!(turns, Some(LOOKS));
    });
}
