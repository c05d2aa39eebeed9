//! Tests of the keeper on a veth pair in a network namespace of their own; they need root.
//!
//! The guarded interface is `west`; `east` is its other end. `changes` has the tests of another
//! configuration, `names` those of names and masters.

use super::*;
use crate::gate::GateHandle;
use crate::gate::place::{Direction, Site};
use crate::io::clock::now;
use crate::testing::netns::{in_netns, ip};
use crate::types::{Epoch, GroupKey, InterfaceId, MacAddr, MonoTime, Vip};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};

mod changes;
mod inside;
mod names;
mod others;
mod place;

const WEST: InterfaceId = InterfaceId(0);
const WEB: GroupKey = GroupKey(7);
const MAIL: GroupKey = GroupKey(8);
const LONG: Duration = Duration::from_secs(60);

/// A keeper and its reports.
struct Kept {
    handle: KeeperHandle,
    events: Receiver<KeeperEvent>,
}

impl Kept {
    /// Starts a keeper that guards these interfaces in the namespace of the test.
    fn start(wanted: Vec<Guarded>) -> Kept {
        Kept::start_in(None, wanted)
    }

    /// As [`Kept::start`], with its gates in this place.
    fn start_in(place: Option<Place>, wanted: Vec<Guarded>) -> Kept {
        let (sender, events) = sync_channel(100_000);
        let report = move |event| drop(sender.try_send(event));
        let handle = KeeperHandle::start_in(place, wanted, Former::default(), report).unwrap();
        Kept { handle, events }
    }

    /// Waits for the report of a lost gate, and returns its cause.
    fn lost(&self) -> String {
        self.find("GateLost", |event| match event {
            KeeperEvent::GateLost { cause, .. } => Some(cause),
            _ => None,
        })
    }

    /// Waits for the first report for which `wanted` gives something, and returns that; the reports
    /// before it are dropped. `what` names it when it does not come.
    fn find<T>(&self, what: &str, wanted: impl Fn(KeeperEvent) -> Option<T>) -> T {
        let mut seen = Vec::new();
        loop {
            let event = self.events.recv_timeout(LONG).unwrap_or_else(|_| panic!("no {what} after {seen:#?}"));
            seen.push(format!("{event:?}"));
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    /// Waits until the keeper reports that all addresses are in place.
    fn ready(&self) {
        self.find("Addresses", |event| match event {
            KeeperEvent::Addresses { missing, .. } => missing.is_empty().then_some(()),
            _ => None,
        });
    }

    /// Waits for the report of a gate: its handle, the slot of the first group, the interface's
    /// number, and whether the gate was adopted.
    fn attached(&self) -> (GateHandle, u16, u32, bool) {
        self.find("Attached", |event| match event {
            KeeperEvent::Attached { gate, slots, ifindex, adopted, .. } => Some((gate, slots[0].1, ifindex, adopted)),
            _ => None,
        })
    }

    /// Ends the keeper and returns its reports since the last one that was taken, but for own
    /// addresses: the kernel lets a link-local address be used only after a while.
    fn stop(self) -> Vec<String> {
        self.handle.stop();
        let told = |event: &KeeperEvent| !matches!(event, KeeperEvent::OwnAddresses { .. });
        self.events.try_iter().filter(told).map(|event| format!("{event:?}")).collect()
    }
}

/// The interface `west` with the group `web`, which has these addresses.
fn web(addresses: &[&str]) -> Vec<Guarded> {
    vec![Guarded { interface: WEST, name: "west".into(), groups: vec![(WEB, vips(addresses))], uplinks: Vec::new() }]
}

/// The group addresses that these texts write.
fn vips(addresses: &[&str]) -> Vec<Vip> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

/// Makes the pair `west` and `east`, both up.
fn veth() {
    ip("link add name west type veth peer name east");
    ip("link set west up");
    ip("link set east up");
}

/// Runs tc(8) with these words, which must succeed; returns its output.
fn tc(words: &str) -> String {
    let output = Command::new("tc").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "tc {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a gate is in some place on `name`, in both directions.
fn is_gated_on(name: &str) -> bool {
    let site = Site { ifindex: nix::net::if_::if_nametoindex(name).unwrap(), name };
    Direction::BOTH.iter().all(|direction| {
        let all = Place::ALL.iter().flat_map(|place| place.occupants(site, *direction).unwrap());
        all.filter_map(|occupant| occupant.name).any(|name| name.starts_with("vip_"))
    })
}

/// Takes the gate of `name` out of its place, as an administrator could.
fn take_gate_away(name: &str) {
    let site = Site { ifindex: nix::net::if_::if_nametoindex(name).unwrap(), name };
    for (place, direction) in Place::ALL.into_iter().flat_map(|place| Direction::BOTH.map(|to| (place, to))) {
        for occupant in place.occupants(site, direction).unwrap() {
            place.take_away(site, direction, occupant.id.unwrap()).unwrap();
        }
    }
}

/// Whether a gate is on `west`.
fn is_gated() -> bool {
    is_gated_on("west")
}

/// The kernel's number of `west`.
fn index() -> u32 {
    nix::net::if_::if_nametoindex("west").unwrap()
}

/// Whether this kernel has the place that is asked before every filter.
fn has_tcx() -> bool {
    Place::best(Site { ifindex: 1, name: "lo" }).unwrap() == Place::Tcx
}

/// Whether `west` has this address, given with the length of its prefix.
fn has(address: &str) -> bool {
    ip("address show dev west").contains(&format!("{address} "))
}

/// Waits until the condition holds; fails with `what` after [`LONG`].
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = now() + LONG;
    while !condition() {
        assert!(now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_gate_comes_before_the_addresses() {
    in_netns(|| {
        veth();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut changes = NetlinkEvents::open().unwrap();
            let kept = Kept::start(web(&["10.0.0.100", "2001:db8::100"]));
            let wanted = vips(&["10.0.0.100", "2001:db8::100"]);
            let mut addresses = 0;
            while addresses < 2 {
                match changes.next().await.unwrap() {
                    NetlinkEvent::AddressAdded { address, .. } if wanted.contains(&address) => {
                        assert!(is_gated(), "an address before the gate");
                        addresses += 1;
                    }
                    _ => {}
                }
            }
            kept.ready();
            assert!(is_gated() && has("10.0.0.100/32") && has("2001:db8::100/128"));
            assert!(kept.stop().is_empty());
        });
    });
}

// HP-1
#[test]
fn addresses_removed_by_hand_come_back_and_are_told() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100", "2001:db8::100"]));
        kept.ready();
        for (text, prefix) in [("10.0.0.100", 32), ("2001:db8::100", 128)] {
            ip(&format!("address del {text}/{prefix} dev west"));
            let restored = kept.find("AddressRestored", |event| match event {
                KeeperEvent::AddressRestored { address, .. } => Some(address),
                _ => None,
            });
            assert_eq!(restored, text.parse::<Vip>().unwrap());
            assert!(has(&format!("{text}/{prefix}")));
        }
        // Our own work is no reason for more of it.
        std::thread::sleep(Duration::from_millis(1_500));
        assert_eq!(kept.stop(), Vec::<String>::new());
    });
}

#[test]
fn a_recreated_interface_is_taken_up_again() {
    in_netns(|| {
        let kept = Kept::start(web(&["10.0.0.100"]));
        veth();
        let (_, _, first, _) = kept.attached();
        kept.ready();
        ip("link del west");
        kept.find("Gone", |event| matches!(event, KeeperEvent::Gone { .. }).then_some(()));
        veth();
        let (_, _, second, adopted) = kept.attached();
        assert!(first != second && !adopted);
        kept.ready();
        assert!(is_gated() && has("10.0.0.100/32"));
        kept.stop();
    });
}

#[test]
fn carrier_is_told_and_leaves_everything_in_place() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.ready();
        for wanted in [false, true] {
            ip(if wanted { "link set east up" } else { "link set east down" });
            kept.find("State", |event| match event {
                KeeperEvent::State { carrier, .. } if carrier == wanted => Some(()),
                _ => None,
            });
        }
        assert!(is_gated() && has("10.0.0.100/32"));
        kept.stop();
    });
}

#[test]
fn an_interface_that_is_switched_off_keeps_its_addresses() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100", "2001:db8::100"]));
        kept.ready();
        ip("link set west down");
        kept.find("State", |event| matches!(event, KeeperEvent::State { up: false, .. }).then_some(()));
        assert!(has("10.0.0.100/32") && has("2001:db8::100/128"));
        // Without the kernel's help they are put back.
        std::fs::write("/proc/sys/net/ipv6/conf/west/keep_addr_on_down", "0").unwrap();
        ip("link set west up");
        ip("link set west down");
        ip("link set west up");
        until("put back", || has("2001:db8::100/128"));
        kept.stop();
    });
}

#[test]
fn a_restarted_keeper_adopts_gate_and_addresses() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100"]));
        let (gate, slot, _, _) = kept.attached();
        kept.ready();
        let until = now() + LONG;
        gate.begin(1);
        gate.renew(until);
        gate.open(slot, Epoch(257), MonoTime::FOREVER);
        kept.stop();
        assert!(is_gated() && has("10.0.0.100/32"));

        let kept = Kept::start(web(&["10.0.0.100"]));
        let (gate, slot, _, adopted) = kept.attached();
        assert!(adopted);
        assert_eq!((gate.lease().until, gate.slot_view(slot).epoch), (until, Epoch(257)));
        kept.ready();
        assert_eq!(kept.stop(), Vec::<String>::new());
    });
}

#[test]
fn an_interface_that_leaves_the_configuration_loses_addresses_and_gate() {
    in_netns(|| {
        veth();
        ip("address add 192.0.2.1/24 dev west");
        let kept = Kept::start(web(&["10.0.0.100", "2001:db8::100"]));
        kept.ready();
        kept.stop();
        // By a keeper that never saw them come, and with one address less in its configuration.
        let handle = Kept::start(web(&["10.0.0.100"])).handle;
        handle.reconfigure(Vec::new());
        handle.stop();
        assert!(!is_gated() && !has("10.0.0.100/32") && !has("2001:db8::100/128"));
        assert!(has("192.0.2.1/24"));
    });
}

// The kernel drops the secondary addresses of a prefix together with its first one, unless told
// otherwise: 10.0.0.1/24 is such a secondary here.
#[test]
fn an_address_with_a_network_prefix_is_replaced_and_its_secondary_stays() {
    in_netns(|| {
        veth();
        ip("address add 10.0.0.100/24 dev west");
        ip("address add 10.0.0.1/24 dev west");
        ip("address add 2001:db8::100/64 dev west nodad");
        let kept = Kept::start(web(&["10.0.0.100", "2001:db8::100"]));
        kept.ready();
        assert!(has("10.0.0.100/32") && !has("10.0.0.100/24") && has("10.0.0.1/24"));
        assert!(has("2001:db8::100/128") && !has("2001:db8::100/64"));
        kept.stop();
    });
}

#[test]
fn gateways_are_reported_and_other_neighbours_are_not() {
    in_netns(|| {
        veth();
        ip("address add 10.0.0.1/24 dev west");
        ip("route add default via 10.0.0.254");
        for (address, mac) in [("10.0.0.254", "02:00:00:00:00:fe"), ("10.0.0.7", "02:00:00:00:00:07")] {
            ip(&format!("neighbour add {address} lladdr {mac} dev west nud stale"));
        }
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.find("Gateway", |event| match event {
            KeeperEvent::Gateway { ip, mac, .. } => {
                assert_eq!((ip.to_string().as_str(), mac), ("10.0.0.254", Some(MacAddr([2, 0, 0, 0, 0, 0xfe]))));
                Some(())
            }
            _ => None,
        });
        assert!(kept.stop().iter().all(|event| !event.contains("Gateway")));
    });
}

#[test]
fn what_cannot_be_guarded_is_told_once() {
    in_netns(|| {
        let lo = Guarded {
            interface: WEST,
            name: "lo".into(),
            groups: vec![(WEB, vips(&["10.0.0.100"]))],
            uplinks: Vec::new(),
        };
        let kept = Kept::start(vec![lo]);
        let operation = kept.find("Failed", |event| match event {
            KeeperEvent::Failed { operation, .. } => Some(operation),
            _ => None,
        });
        assert_eq!(operation, "install the gate");
        std::thread::sleep(Duration::from_millis(2_500));
        assert_eq!(kept.stop(), Vec::<String>::new());
        assert!(!ip("address show dev lo").contains("10.0.0.100"));
    });
}

#[test]
fn ten_thousand_addresses_do_not_delay_the_news_of_a_lost_carrier() {
    in_netns(|| {
        veth();
        let many: Vec<Vip> = (1..=10_000u32).map(|n| Ipv4Addr::from(0x0a00_0000 + n).into()).collect();
        let groups = vec![(WEB, many)];
        let wanted = vec![Guarded { interface: WEST, name: "west".into(), groups, uplinks: Vec::new() }];
        let kept = Kept::start_in(Some(Place::Clsact), wanted);
        kept.attached();
        let mut netlink = crate::io::netlink::Netlink::open().unwrap();
        let index = netlink.interface("west").unwrap().unwrap().index;
        until("a third of them", || netlink.addresses(index).unwrap().len() > 3_000);
        let before = now();
        ip("link set east down");
        kept.find("State", |event| matches!(event, KeeperEvent::State { carrier: false, .. }).then_some(()));
        let reported = now().since(before);
        kept.ready();
        let rest = now().since(before);
        println!("carrier reported {reported:?} after the command was started, ready {rest:?} after it");
        assert!(reported < rest / 3);
        tc("qdisc del dev west clsact");
        kept.attached();
        kept.ready();
        kept.stop();
    });
}
