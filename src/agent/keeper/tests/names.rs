//! Tests of names that come to mean another interface, or the same as another name, and of
//! interfaces that become ports.

use super::*;

/// Whether an interface has this address, given with the length of its prefix.
fn on(interface: &str, address: &str) -> bool {
    ip(&format!("address show dev {interface}")).contains(&format!("{address} "))
}

/// Opens the group of a keeper's gate until the end of time; returns the handle and the slot.
fn open_for_ever(kept: &Kept) -> (GateHandle, u16) {
    let (gate, slot, _, _) = kept.attached();
    kept.ready();
    gate.begin(1);
    gate.renew(MonoTime::FOREVER);
    gate.open(slot, Epoch(257), MonoTime::FOREVER);
    (gate, slot)
}

/// Waits until the keeper reports that the interface is gone, and returns its present name.
fn gone(kept: &Kept) -> Option<String> {
    kept.find("Gone", |event| match event {
        KeeperEvent::Gone { renamed, .. } => Some(renamed),
        _ => None,
    })
}

// S3: whoever hears that the interface is gone may consent to another node
#[test]
fn a_renamed_interface_is_closed_before_it_is_told_and_then_loses_the_addresses() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100", "2001:db8::100"]));
        let (gate, slot) = open_for_ever(&kept);
        ip("link set west name north");
        assert_eq!(gone(&kept).as_deref(), Some("north"));
        assert_eq!(gate.slot_view(slot).answer_until, MonoTime::ZERO, "closed when it is told");
        until("both gone", || !on("north", "10.0.0.100/32") && !on("north", "2001:db8::100/128"));
        // What a hot thread still writes opens nothing, and the gate is there without the addresses.
        gate.open(slot, Epoch(513), MonoTime::FOREVER);
        assert!(is_gated_on("north"));
        ip("link set north name west");
        let (gate, slot, _, adopted) = kept.attached();
        assert!(!adopted && gate.slot_view(slot).answer_until == MonoTime::ZERO, "it comes back closed");
        kept.ready();
        assert!(is_gated() && has("10.0.0.100/32") && has("2001:db8::100/128"));
        kept.stop();
    });
}

#[test]
fn two_names_that_are_exchanged_take_over_each_others_interface() {
    in_netns(|| {
        veth();
        ip("link set east up");
        let east = Guarded {
            interface: InterfaceId(1),
            name: "east".into(),
            groups: vec![(MAIL, vips(&["10.0.0.200"]))],
            uplinks: Vec::new(),
        };
        let kept = Kept::start([web(&["10.0.0.100"]), vec![east]].concat());
        until("both", || on("west", "10.0.0.100/32") && on("east", "10.0.0.200/32"));
        for _ in 0..3 {
            ip("link set west name tmp");
            ip("link set east name west");
            ip("link set tmp name east");
            until("the other one's", || on("west", "10.0.0.100/32") && on("east", "10.0.0.200/32"));
            until("none but its own", || !on("west", "10.0.0.200/32") && !on("east", "10.0.0.100/32"));
            until("guarded", || is_gated() && is_gated_on("east"));
        }
        kept.stop();
    });
}

#[test]
fn an_interface_with_two_configured_names_is_guarded_by_the_first_alone() {
    in_netns(|| {
        veth();
        ip("link property add dev west altname second");
        let second = Guarded {
            interface: InterfaceId(1),
            name: "second".into(),
            groups: vec![(MAIL, vips(&["10.0.0.200"]))],
            uplinks: Vec::new(),
        };
        let kept = Kept::start([web(&["10.0.0.100"]), vec![second]].concat());
        let failed = kept.find("Failed", |event| match event {
            KeeperEvent::Failed { interface, operation, cause } => Some((interface, operation, cause)),
            _ => None,
        });
        assert_eq!((failed.0, failed.1), (InterfaceId(1), "take the interface"));
        assert!(failed.2.contains("west"), "{}", failed.2);
        until("the first one's", || has("10.0.0.100/32"));
        assert!(!has("10.0.0.200/32"));
        kept.stop();
    });
}

#[test]
fn a_renamed_interface_that_leaves_the_configuration_loses_addresses_and_gate() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.attached();
        kept.ready();
        // In either order: with or without a look between.
        ip("link set west name north");
        kept.handle.reconfigure(Vec::new());
        until("no address", || !on("north", "10.0.0.100/32"));
        until("no gate", || !is_gated_on("north"));
        kept.stop();
    });
}

#[test]
fn a_gate_that_is_deleted_from_a_renamed_interface_comes_back_closed() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.attached();
        kept.ready();
        ip("link set west name north");
        gone(&kept);
        until("no address", || !on("north", "10.0.0.100/32"));
        take_gate_away("north");
        until("guarded again", || is_gated_on("north"));
        kept.stop();
    });
}

#[test]
fn what_an_earlier_life_guards_under_another_name_is_closed_first() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100"]));
        let (gate, slot) = open_for_ever(&kept);
        kept.stop();
        ip("link set west name north");
        ip("link add name west type veth peer name far");
        // An address that nobody of ours guards is the administrator's.
        ip("address add 10.0.0.100/32 dev east");
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.attached();
        assert_eq!(gate.slot_view(slot).answer_until, MonoTime::ZERO, "closed before another gate is told");
        until("no address", || !on("north", "10.0.0.100/32"));
        assert!(on("east", "10.0.0.100/32"));
        kept.stop();
    });
}

// HP-4
#[test]
fn a_port_of_a_bridge_keeps_no_address_until_it_is_free() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100", "2001:db8::100"]));
        let (gate, slot) = open_for_ever(&kept);
        ip("link add name br0 type bridge");
        for _ in 0..2 {
            ip("link set west master br0");
            let master = kept.find("State", |event| match event {
                KeeperEvent::State { port_of, .. } => port_of,
                _ => None,
            });
            assert_eq!(master, "br0");
            until("no address", || !has("10.0.0.100/32") && !has("2001:db8::100/128"));
            until("no gate", || !is_gated());
            assert_eq!(gate.slot_view(slot).answer_until, MonoTime::ZERO);
            ip("link set west nomaster");
            kept.attached();
            kept.ready();
            assert!(is_gated() && has("10.0.0.100/32") && has("2001:db8::100/128"));
        }
        kept.stop();
    });
}
