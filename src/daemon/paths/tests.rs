use super::*;
use crate::types::NodeId;
use std::net::Ipv4Addr;

const NODE: LinkId = LinkId { peer: NodeId(2), path: LinkPath::Udp(0) };
const WITNESS: LinkId = LinkId { peer: NodeId::FIRST_WITNESS, path: LinkPath::Udp(0) };

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// Which links get a socket when the kernel would begin at 10.0.0.`begins`, or cannot at all.
fn look(paths: &mut Paths, begins: Option<u8>) -> Vec<LinkId> {
    let open = |_| begins.map(|last| ((), address(last))).ok_or_else(|| io::ErrorKind::NetworkUnreachable.into());
    paths.look(open).into_iter().map(|(link, ())| link).collect()
}

#[test]
fn a_socket_is_opened_once_and_as_soon_as_it_can_be() {
    let mut paths = Paths::new(&[NODE, WITNESS]);
    assert_eq!(look(&mut paths, None), []);
    assert_eq!(look(&mut paths, Some(1)), [NODE, WITNESS]);
    assert_eq!(look(&mut paths, Some(1)), []);
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
