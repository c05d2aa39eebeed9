//! Tests of the interfaces beside the client interface: a guard on each, wherever it comes from.

use super::*;
use crate::gate::place::Occupant;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const EAST: InterfaceId = InterfaceId(1);

/// Names of the programs on the way out of an interface, in the order in which they decide.
fn deciding(name: &str) -> Vec<String> {
    let Ok(ifindex) = nix::net::if_::if_nametoindex(name) else { return Vec::new() };
    let site = Site { ifindex, name };
    let occupants = Place::best(site).unwrap().occupants(site, Direction::Egress).unwrap();
    occupants.into_iter().filter_map(|occupant: Occupant| occupant.name).collect()
}

/// Whether an interface has a guard, and nothing else.
fn is_guarded(name: &str) -> bool {
    matches!(deciding(name).as_slice(), [one] if one.starts_with("vipg_"))
}

/// Takes the guard off an interface, as somebody else may.
fn take_guard_away(name: &str) {
    let site = Site { ifindex: nix::net::if_::if_nametoindex(name).unwrap(), name };
    let place = Place::best(site).unwrap();
    let ids = place.occupants(site, Direction::Egress).unwrap().into_iter().filter_map(|occupant| occupant.id);
    ids.for_each(|id| place.take_guard_away(site, id).unwrap());
    assert!(deciding(name).is_empty());
}

// S3
#[test]
fn every_other_interface_has_a_guard_from_when_it_appears_until_it_is_a_port() {
    in_netns(|| {
        veth();
        ip("link add name bridge0 type bridge");
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.ready();
        assert!(is_guarded("east") && is_guarded("bridge0"), "guards come before addresses");
        assert!(!is_guarded("west") && deciding("west").len() == 1, "the gate alone");
        ip("link add name north type veth peer name south");
        until("guards on what appears", || is_guarded("north") && is_guarded("south"));
        ip("link set north master bridge0");
        until("a port has none", || deciding("north").is_empty());
        ip("link set north nomaster");
        until("a guard again", || is_guarded("north"));
        assert!(is_guarded("bridge0") && is_guarded("south"));
        kept.handle.reconfigure(Vec::new());
        until("no guard without a group", || {
            ["north", "south", "east", "bridge0"].iter().all(|name| deciding(name).is_empty())
        });
        kept.stop();
    });
}

// S3
#[test]
fn a_guard_that_somebody_takes_away_comes_back_and_that_is_told() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.ready();
        take_guard_away("east");
        let (name, cause) = kept.find("Restored", |event| match event {
            KeeperEvent::Guard(GuardNews::Restored { name, cause }) => Some((name, cause)),
            _ => None,
        });
        assert!(name == "east" && cause.contains("took it away") && is_guarded("east"), "{name}: {cause}");
        kept.stop();
    });
}

// S3: two groups on two interfaces, each of which answers for its own
#[test]
fn each_client_interface_has_its_gate_first_and_then_the_guard_of_the_others_groups() {
    in_netns(|| {
        veth();
        let mail = Guarded {
            interface: EAST,
            name: "east".into(),
            groups: vec![(MAIL, vips(&["10.0.0.101"]))],
            uplinks: Vec::new(),
        };
        let kept = Kept::start([web(&["10.0.0.100"]), vec![mail]].concat());
        for _ in 0..2 {
            kept.ready();
        }
        until("gate and guard on both", || {
            ["west", "east"].iter().all(|name| {
                matches!(deciding(name).as_slice(), [first, second]
                    if first.starts_with("vip_eg_") && second.starts_with("vipg_"))
            })
        });
        std::thread::sleep(LOOK + LOOK / 2);
        let reports = kept.stop();
        assert!(reports.iter().all(|event| !event.contains("Lost") && !event.contains("Guard")), "{reports:?}");
    });
}

// S3: the guard of the life before stays until there is another
#[test]
fn guards_outlive_the_keeper_and_the_next_one_leaves_one_on_each_interface() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.ready();
        kept.stop();
        assert!(is_guarded("east"));
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.ready();
        until("one guard", || is_guarded("east"));
        kept.stop();
    });
}

#[test]
fn own_hardware_addresses_are_told_as_interfaces_come_and_go() {
    in_netns(|| {
        ip("link add name west address 02:00:00:00:00:01 type veth peer name east address 02:00:00:00:00:02");
        let kept = Kept::start(web(&["10.0.0.100"]));
        let told = |kept: &Kept| {
            kept.find("OwnMacs", |event| match event {
                KeeperEvent::OwnMacs { macs } => Some(macs),
                _ => None,
            })
        };
        let mac = |last: u8| MacAddr([2, 0, 0, 0, 0, last]);
        assert_eq!(told(&kept), [mac(1), mac(2)]);
        ip("link set east address 02:00:00:00:00:03");
        assert_eq!(told(&kept), [mac(1), mac(3)]);
        ip("link add name bridge0 address 02:00:00:00:00:04 type bridge");
        assert_eq!(told(&kept), [mac(1), mac(3), mac(4)]);
        ip("link del bridge0");
        assert_eq!(told(&kept), [mac(1), mac(3)]);
        kept.stop();
    });
}

/// Number of the interfaces `one0` … `other49` that have a guard.
fn guard_count() -> usize {
    (0..50).map(|number| ["one", "other"].iter().filter(|end| is_guarded(&format!("{end}{number}"))).count()).sum()
}

// L6: counted in guards, so that a machine that stands still changes nothing
#[test]
fn a_hundred_interfaces_at_once_do_not_delay_the_news_of_a_lost_carrier() {
    in_netns(|| {
        veth();
        let noted = Arc::new(AtomicUsize::new(0));
        let note = Arc::clone(&noted);
        // The guards are counted in the keeper's own thread, which places none meanwhile.
        let (sender, events) = sync_channel(100_000);
        let report = move |event| {
            if matches!(event, KeeperEvent::State { carrier: false, .. }) {
                note.store(guard_count(), Ordering::SeqCst);
            }
            drop(sender.try_send(event));
        };
        let handle = KeeperHandle::start_in(None, web(&["10.0.0.100"]), Former::default(), report).unwrap();
        let kept = Kept { handle, events };
        kept.ready();
        (0..50).for_each(|number| drop(ip(&format!("link add name one{number} type veth peer name other{number}"))));
        for _ in 0..20 {
            kept.handle.reconfigure(Vec::new());
            until("no guard", || guard_count() == 0);
            kept.handle.reconfigure(web(&["10.0.0.100"]));
            kept.attached();
            until("the first guards", || guard_count() > 0);
            ip("link set east down");
            let before = guard_count();
            kept.find("State", |event| matches!(event, KeeperEvent::State { carrier: false, .. }).then_some(()));
            // A gate is tried over the cable before there are addresses.
            ip("link set east up");
            until("the address", || has("10.0.0.100/32"));
            assert_eq!(guard_count(), 100, "guards come before addresses");
            let after = noted.load(Ordering::SeqCst);
            println!("{before} guards when the cable went, {after} when that was told");
            if before < 50 {
                assert!(after < before + 50, "the news waited for the guards");
                return kept.stop().clear();
            }
        }
        panic!("in none of twenty rounds was the cable down before half of the guards were there");
    });
}
