//! Tests of requests and events on a real kernel, each in a network namespace of its own, where the
//! interfaces `west` and `east` are the ends of one cable.

use super::*;
use crate::testing::netns::{in_netns, ip};
use crate::types::Vip;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Makes `west` and `east`, both switched off, and a socket for requests.
fn open_with_west_and_east() -> Netlink {
    ip("link add name west address 02:00:00:00:00:01 type veth peer name east");
    Netlink::open().unwrap()
}

/// The interface `west` as the kernel describes it now.
fn west(netlink: &mut Netlink) -> InterfaceInfo {
    netlink.interface("west").unwrap().expect("west exists")
}

/// A runtime for the events, which must run on the thread whose namespace they are of.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The output of `future`, which must come within five seconds.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future).await.expect("within five seconds")
}

/// Takes events up to the first that `wanted` accepts, and returns that one. Fails after five
/// seconds.
async fn await_event(events: &mut NetlinkEvents, wanted: impl Fn(&NetlinkEvent) -> bool) -> NetlinkEvent {
    soon(async {
        loop {
            let event = events.next().await.unwrap();
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

/// The addresses 10.0.0.1 and following, `count` of them.
fn four(count: u32) -> Vec<Vip> {
    (1..=count).map(|n| Ipv4Addr::from(0x0a00_0000 + n).into()).collect()
}

/// The addresses 2001:db8::1 and following, `count` of them.
fn six(count: u128) -> Vec<Vip> {
    (1..=count).map(|n| Ipv6Addr::from((0x2001_0db8 << 96) + n).into()).collect()
}

/// Adds all `addresses` to the interface `index`, and returns how long that took.
fn add(netlink: &mut Netlink, index: u32, addresses: &[Vip]) -> Duration {
    let start = Instant::now();
    for chunk in addresses.chunks(ADDRESS_BATCH) {
        assert!(netlink.add_addresses(index, chunk).unwrap().is_empty());
    }
    start.elapsed()
}

/// Those addresses of the interface `index` that have the flags which vipair gives.
fn ours(netlink: &mut Netlink, index: u32) -> Vec<Vip> {
    netlink.addresses(index).unwrap().into_iter().filter(|info| info.is_ours).map(|info| info.address).collect()
}

#[test]
fn an_interface_is_described_as_it_is() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        assert_eq!(netlink.interface("nothing").unwrap(), None);
        let down = west(&mut netlink);
        assert_eq!((down.mac, down.up, down.carrier), (MacAddr([2, 0, 0, 0, 0, 1]), false, false));
        assert!(down.is_ethernet);
        ip("link set west up");
        assert!(west(&mut netlink).up && !west(&mut netlink).carrier);
        ip("link set east up");
        assert!(west(&mut netlink).carrier);
        assert!(!netlink.interface("lo").unwrap().unwrap().is_ethernet);
    });
}

// HP-1
#[test]
fn addresses_stand_alone_and_are_never_chosen_as_a_source() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        ip("link set west up");
        ip("link set east up");
        let index = west(&mut netlink).index;
        let wanted: Vec<Vip> = vec!["10.0.0.100".parse().unwrap(), "2001:db8::100".parse().unwrap()];
        add(&mut netlink, index, &wanted);
        assert_eq!(ours(&mut netlink, index), wanted);
        let shown = ip("address show dev west");
        assert!(shown.contains("inet 10.0.0.100/32 scope global noprefixroute west"), "{shown}");
        let v6 = shown.lines().find(|line| line.contains("2001:db8::100/128")).expect("the IPv6 address is shown");
        assert!(["nodad", "deprecated", "noprefixroute"].iter().all(|flag| v6.contains(flag)), "{v6}");
        assert!(shown.contains("preferred_lft 0sec"), "{shown}");
        assert!(!ip("route show").contains("10.0.0.100"));
        // An address that is there already is no failure.
        add(&mut netlink, index, &wanted);
        let removed: Vec<(Vip, u8)> = vec![(wanted[0], 32), (wanted[1], 128)];
        assert!(netlink.remove_addresses(index, &removed).unwrap().is_empty());
        assert!(ours(&mut netlink, index).is_empty());
        assert!(netlink.remove_addresses(index, &removed).unwrap().is_empty());
    });
}

#[test]
fn an_address_with_other_flags_is_told_apart() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        let index = west(&mut netlink).index;
        ip("address add 10.0.0.100/24 dev west");
        ip("address add 10.0.0.101/32 dev west");
        ip("address add 2001:db8::100/128 dev west nodad noprefixroute");
        ip("address add 2001:db8::101/128 dev west nodad preferred_lft 0");
        let found = netlink.addresses(index).unwrap();
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|info| !info.is_ours), "{found:?}");
    });
}

#[test]
fn failures_name_the_address_and_leave_the_others() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        let index = west(&mut netlink).index;
        let wanted: Vec<Vip> =
            vec!["10.0.0.1".parse().unwrap(), "ff02::1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let failed = netlink.add_addresses(index, &wanted).unwrap();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].0, wanted[1]);
        assert_eq!(ours(&mut netlink, index), [wanted[0], wanted[2]]);
        ip("link del west");
        let failed = netlink.add_addresses(index, &wanted).unwrap();
        assert_eq!(failed.len(), 3);
        assert_eq!(failed[0].1.raw_os_error(), Some(libc::ENODEV));
        assert_eq!(netlink.addresses(index).unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(netlink.interface("west").unwrap(), None);
    });
}

#[test]
fn thousands_of_addresses_come_back_complete() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        ip("link set west up");
        ip("link set east up");
        let index = west(&mut netlink).index;
        let thousand = add(&mut netlink, index, &four(1_000));
        let rest = add(&mut netlink, index, &four(10_000)[1_000..]);
        let v6 = add(&mut netlink, index, &six(1_000));
        let start = Instant::now();
        let mut found = ours(&mut netlink, index);
        println!("1,000 IPv4 {thousand:?}, 9,000 more {rest:?}, 1,000 IPv6 {v6:?}, list {:?}", start.elapsed());
        found.sort();
        let mut wanted = four(10_000);
        wanted.extend(six(1_000));
        assert_eq!(found, wanted);
    });
}

#[test]
fn neighbours_and_gateways_of_an_interface_are_found() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        ip("link set west up");
        ip("link set east up");
        ip("address add 10.0.0.2/24 dev west");
        ip("address add 2001:db8::2/64 dev west nodad");
        ip("address add 10.1.0.2/24 dev east");
        let index = west(&mut netlink).index;
        assert_eq!(netlink.gateways(index).unwrap(), Vec::<IpAddr>::new());
        ip("route add default via 10.0.0.1 metric 5");
        ip("route add default metric 10 nexthop via 10.1.0.1 dev east nexthop via 10.0.0.9 dev west");
        ip("route add 192.0.2.0/24 via 10.0.0.7");
        ip("-6 route add default via 2001:db8::1");
        let expected: Vec<IpAddr> = ["10.0.0.1", "10.0.0.9", "2001:db8::1"].map(|text| text.parse().unwrap()).into();
        assert_eq!(netlink.gateways(index).unwrap(), expected);

        ip("neighbour add 10.0.0.1 lladdr 02:00:00:00:00:09 dev west nud permanent");
        ip("neighbour add 2001:db8::1 lladdr 02:00:00:00:00:0a dev west nud stale");
        ip("neighbour add 10.1.0.1 lladdr 02:00:00:00:00:0b dev east nud stale");
        let neighbours = netlink.neighbours(index).unwrap();
        let neighbour_at = |address: &str| {
            let wanted: IpAddr = address.parse().unwrap();
            neighbours.iter().find(|neighbour| neighbour.address == wanted)
        };
        let four = neighbour_at("10.0.0.1").unwrap();
        assert_eq!((four.mac, four.state), (Some(MacAddr([2, 0, 0, 0, 0, 9])), NeighbourState::Permanent));
        let six = neighbour_at("2001:db8::1").unwrap();
        assert_eq!((six.mac, six.state), (Some(MacAddr([2, 0, 0, 0, 0, 10])), NeighbourState::Stale));
        assert_eq!(neighbour_at("10.1.0.1"), None, "east has it");
    });
}

#[test]
fn held_ipv6_addresses_survive_a_link_that_is_switched_off() {
    const COUNT: u8 = 3;
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        ip("link set west up");
        let index = west(&mut netlink).index;
        hold_addresses_while_down("west").unwrap();
        add(&mut netlink, index, &six(COUNT.into()));
        ip("link set west down");
        ip("link set west up");
        assert_eq!(ours(&mut netlink, index).len(), usize::from(COUNT));
        assert!(hold_addresses_while_down("nothing").is_err(), "there is no such interface");
    });
}

#[test]
fn changes_are_told_as_they_happen() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        let index = west(&mut netlink).index;
        runtime().block_on(async {
            let mut events = NetlinkEvents::open().unwrap();
            ip("link set west up");
            ip("link set east up");
            let is_link = |up, carrier| {
                move |event: &NetlinkEvent| {
                    matches!(event, NetlinkEvent::Link(link) if link.name == "west" && (link.up, link.carrier) == (up, carrier))
                }
            };
            await_event(&mut events, is_link(true, true)).await;
            ip("link set east down");
            await_event(&mut events, is_link(true, false)).await;
            let address: Vip = "10.0.0.100".parse().unwrap();
            add(&mut netlink, index, &[address]);
            await_event(&mut events, |event| *event == NetlinkEvent::AddressAdded { index, address }).await;
            ip("address del 10.0.0.100/32 dev west");
            await_event(&mut events, |event| *event == NetlinkEvent::AddressRemoved { index, address }).await;
            let tc = |words: &str| {
                assert!(std::process::Command::new("tc").args(words.split(' ')).status().unwrap().success());
            };
            tc("qdisc add dev west clsact");
            await_event(&mut events, |event| *event == NetlinkEvent::FilterChanged { index }).await;
            tc("qdisc del dev west clsact");
            await_event(&mut events, |event| *event == NetlinkEvent::FilterChanged { index }).await;
            ip("link del west");
            let gone = NetlinkEvent::LinkGone { index, name: "west".into() };
            await_event(&mut events, |event| *event == gone).await;
        });
    });
}

#[test]
fn an_interface_that_leaves_a_bridge_is_not_told_as_gone() {
    in_netns(|| {
        let _netlink = open_with_west_and_east();
        ip("link add name bridge type bridge");
        ip("link set west master bridge");
        runtime().block_on(async {
            let mut events = NetlinkEvents::open().unwrap();
            ip("link set west nomaster");
            ip("link set west up");
            let event = await_event(&mut events, |event| {
                matches!(event, NetlinkEvent::LinkGone { .. })
                    || matches!(event, NetlinkEvent::Link(link) if link.name == "west" && link.up)
            })
            .await;
            assert!(matches!(event, NetlinkEvent::Link(_)), "{event:?}");
        });
    });
}

#[test]
fn lost_events_are_told() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        let index = west(&mut netlink).index;
        runtime().block_on(async {
            let mut events = NetlinkEvents::open().unwrap();
            for _ in 0..20 {
                add(&mut netlink, index, &four(1_000));
                let all: Vec<(Vip, u8)> = four(1_000).into_iter().map(|vip| (vip, 32)).collect();
                for chunk in all.chunks(ADDRESS_BATCH) {
                    assert!(netlink.remove_addresses(index, chunk).unwrap().is_empty());
                }
            }
            await_event(&mut events, |event| *event == NetlinkEvent::Overrun).await;
        });
    });
}

proptest::proptest! {
    #[test]
    fn random_messages_are_read_without_harm(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        for message in message::messages(&bytes) {
            let _ = (message.kind, message.flags);
        }
        let _ = (message::link(&bytes), message::address_message(&bytes), message::neighbour(&bytes));
        let _ = (message::gateways(&bytes, 1), message::failure(&bytes), message::filter_index(&bytes));
    }
}

/// A link message with these attributes: type and value of each.
fn link_message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    for (kind, value) in attributes {
        bytes.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

#[test]
fn a_port_of_any_kind_but_vrf_is_told_as_a_port() {
    let kind_of_port = |name: &[u8]| link_message(&[(4, name)])[16..].to_vec();
    let master = 7_u32.to_ne_bytes();
    let read = |attributes: &[(u16, &[u8])]| message::link(&link_message(attributes)).unwrap().port_of;
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[(10, &master)]), Some(7), "a master without a kind takes the frames, too");
    for name in ["bridge\0", "bond\0", "team\0", "openvswitch\0", "vrfs\0"] {
        let info = kind_of_port(name.as_bytes());
        assert_eq!(read(&[(10, &master), (18, &info)]), Some(7), "{name}");
        assert_eq!(read(&[(18 | 0x8000, &info), (10, &master)]), Some(7), "{name}, in any order");
    }
    assert_eq!(read(&[(10, &master), (18, &kind_of_port(b"vrf\0"))]), None);
    assert_eq!(read(&[(18, &kind_of_port(b"vrf")), (10, &master)]), None);
}

#[test]
fn an_interface_is_found_by_number_and_by_every_name_and_is_told_as_a_port() {
    in_netns(|| {
        let mut netlink = open_with_west_and_east();
        let found = west(&mut netlink);
        assert_eq!(netlink.interface_at(found.index).unwrap().as_ref(), Some(&found));
        ip("link property add dev west altname a-longer-name-than-fifteen");
        ip("link set west name north");
        let renamed = netlink.interface_at(found.index).unwrap().unwrap();
        assert_eq!((renamed.name.as_str(), netlink.interface("west").unwrap()), ("north", None));
        ip("link add name br0 type bridge");
        ip("link set north master br0");
        let bridge = netlink.interface("br0").unwrap().unwrap();
        assert_eq!(netlink.interface_at(found.index).unwrap().unwrap().port_of, Some(bridge.index));
        assert_eq!(bridge.port_of, None, "a bridge itself is free");
        ip("link set north nomaster");
        assert_eq!(netlink.interface_at(found.index).unwrap().unwrap().port_of, None);
        ip("link del north");
        assert_eq!(netlink.interface_at(found.index).unwrap(), None);
    });
}
