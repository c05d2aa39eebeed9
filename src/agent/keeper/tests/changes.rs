//! Tests of a keeper that is given another configuration while it runs.

use super::*;

#[test]
fn a_changed_configuration_changes_only_what_differs() {
    in_netns(|| {
        veth();
        ip("link add name spare type veth peer name other");
        let spare = Guarded {
            interface: InterfaceId(1),
            name: "spare".into(),
            groups: vec![(MAIL, vips(&["10.9.0.1"]))],
            uplinks: Vec::new(),
        };
        let kept = Kept::start([web(&["10.0.0.100", "10.0.0.101"]), vec![spare]].concat());
        let (gate, slot, ..) = kept.attached();
        kept.ready();
        kept.ready();
        gate.begin(1);
        gate.open(slot, Epoch(257), MonoTime::FOREVER);
        kept.handle.reconfigure(vec![Guarded {
            interface: InterfaceId(5),
            name: "west".into(),
            groups: vec![(MAIL, vips(&["10.0.0.102"])), (WEB, vips(&["10.0.0.100"]))],
            uplinks: Vec::new(),
        }]);
        kept.find("Reconfigured", |event| matches!(event, KeeperEvent::Reconfigured).then_some(()));
        let slots = kept.find("Regrouped", |event| match event {
            KeeperEvent::Regrouped { interface: InterfaceId(5), slots, replaced: false, .. } => Some(slots),
            _ => None,
        });
        assert_eq!(slots.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [MAIL, WEB]);
        assert_eq!(slots[1].1, slot);
        assert_eq!(gate.slot_view(slot).epoch, Epoch(257));
        until("addresses changed", || has("10.0.0.102/32") && !has("10.0.0.101/32"));
        assert!(has("10.0.0.100/32"));
        assert!(!ip("address show dev spare").contains("10.9.0.1"));
        assert!(!is_gated_on("spare"));
        kept.stop();
    });
}

// Forty changes of the configuration in a row are not someone at work on our addresses.
#[test]
fn many_changes_in_a_second_are_all_done_at_once() {
    in_netns(|| {
        veth();
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.ready();
        for turn in 0..40 {
            let both = ["10.0.0.100", "10.0.0.101"];
            kept.handle.reconfigure(web(&both[..1 + (turn + 1) % 2]));
            kept.find("Addresses", |event| match event {
                KeeperEvent::Failed { cause, .. } => panic!("turn {turn}: {cause}"),
                other => matches!(other, KeeperEvent::Addresses { .. }).then_some(()),
            });
        }
        kept.stop();
    });
}
