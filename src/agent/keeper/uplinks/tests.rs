//! Tests of what is made of a bridge's ports, without a kernel.

use super::*;

const BR: u32 = 7;

fn state() -> State {
    State { up: true, carrier: true, mac: MacAddr([2; 6]), port_of: None }
}

fn event(interface: InterfaceId) -> KeeperEvent {
    let State { up, carrier, mac, port_of } = state();
    KeeperEvent::State { interface, up, carrier, mac, port_of }
}

/// A port with this name and kind; its number is the first letter's.
fn port(name: &str, kind: &str, carrier: bool) -> BridgePort {
    BridgePort { index: u32::from(name.as_bytes()[0]), name: name.into(), kind: kind.into(), carrier }
}

/// A bridge with these ports, known as interface 0.
fn known(named: &[&str], ports: &[BridgePort]) -> Uplinks {
    let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    let mut uplinks = Uplinks::default();
    uplinks.note_state(event(InterfaceId(0)), BR, &named, Ok((Some(BR), ports.to_vec())));
    uplinks
}

/// Whether the report says that the cable has a signal.
fn has_signal(event: &KeeperEvent) -> bool {
    let KeeperEvent::State { carrier, .. } = event else { panic!("{event:?}") };
    *carrier
}

/// What is reported when the ports have become these.
fn signal_with(uplinks: &mut Uplinks, ports: &[BridgePort]) -> bool {
    let named = uplinks.bridges[0].named.clone();
    has_signal(&uplinks.note_state(event(InterfaceId(0)), BR, &named, Ok((Some(BR), ports.to_vec()))))
}

// S8: what a bridge's cable says is reported under the number that the interface has now.
#[test]
fn after_a_reload_the_cable_is_reported_under_the_interfaces_new_number() {
    let bridge = |number, index| Bridge::new(InterfaceId(number), index, state(), &[]);
    let mut uplinks = Uplinks { bridges: vec![bridge(0, 7), bridge(1, 8), bridge(2, 9)], ..Uplinks::default() };
    // The first one is removed, and the last takes its number.
    uplinks.reconfigure(9, InterfaceId(0), &[]);
    uplinks.reconfigure(8, InterfaceId(1), &[]);
    uplinks.forget(7);
    let numbers: Vec<_> = uplinks.bridges.iter().map(|bridge| (bridge.index, bridge.interface)).collect();
    assert_eq!(numbers, [(8, InterfaceId(1)), (9, InterfaceId(0))]);
}

// S8: the bridge's own word would be that of its virtual machines' ports
#[test]
fn when_the_ports_cannot_be_read_what_was_known_of_them_stands() {
    let mut uplinks = known(&[], &[port("eth0", "", false), port("vm0", "tun", true)]);
    let failed = || Err(io::Error::from_raw_os_error(libc::EBUSY));
    let event = uplinks.note_state(event(InterfaceId(0)), BR, &[], failed());
    assert!(!has_signal(&event), "{event:?}");
    assert!(uplinks.is_stale, "it is read again");
    assert!(uplinks.bridges[0].is_inner(u32::from(b'v')));
}

// HP-8
#[test]
fn a_bridge_that_had_an_uplink_and_has_none_any_more_has_no_signal() {
    let machine = port("vm0", "veth", true);
    let mut uplinks = known(&[], std::slice::from_ref(&machine));
    assert!(signal_with(&mut uplinks, std::slice::from_ref(&machine)), "nothing ever led out");
    assert!(!uplinks.bridges[0].is_shared(), "and nobody is inside");
    assert!(signal_with(&mut uplinks, &[machine.clone(), port("eth0", "", true)]));
    assert!(uplinks.bridges[0].is_shared());
    assert!(!signal_with(&mut uplinks, std::slice::from_ref(&machine)));
    assert!(uplinks.bridges[0].is_shared());
}

// HP-8
#[test]
fn named_uplinks_count_whatever_their_kind_and_no_other_port_does() {
    let ports = [port("a", "veth", false), port("b", "veth", true), port("eth0", "", true)];
    let mut uplinks = known(&["a"], &ports);
    assert!(!signal_with(&mut uplinks, &ports));
    let inner = |uplinks: &Uplinks, name: &str| uplinks.bridges[0].is_inner(u32::from(name.as_bytes()[0]));
    assert!(!inner(&uplinks, "a") && inner(&uplinks, "b") && inner(&uplinks, "eth0"));
    uplinks.reconfigure(BR, InterfaceId(0), &["b".to_owned()]);
    assert!(signal_with(&mut uplinks, &ports));
    assert!(inner(&uplinks, "a") && !inner(&uplinks, "b"));
    assert!(!signal_with(&mut uplinks, &ports[..1]), "the named one has gone");
}

/// What is told of an interface's named uplinks.
fn told(uplinks: &mut Uplinks) -> Vec<String> {
    let mut news = Vec::new();
    uplinks.tell_amiss(&mut news);
    let text = |event| if let KeeperEvent::Warned { text, .. } = event { Some(text) } else { None };
    news.into_iter().filter_map(text).collect()
}

#[test]
fn a_named_uplink_that_is_no_port_is_told_once_and_ports_are_told_by_kind() {
    let ports = [port("eth0", "", false), port("vm0", "tun", true)];
    let mut uplinks = known(&["eth9"], &ports);
    assert!(!signal_with(&mut uplinks, &ports), "eth0 is the uplink meanwhile");
    let first = told(&mut uplinks);
    assert!(first.len() == 1 && first[0].contains("eth9") && first[0].contains("kind"), "{first:?}");
    assert_eq!(told(&mut uplinks), Vec::<String>::new());
    signal_with(&mut uplinks, &[port("eth9", "", true)]);
    assert_eq!(told(&mut uplinks), Vec::<String>::new());
    let mut plain = Uplinks::default();
    plain.note_state(event(InterfaceId(0)), BR, &["eth9".to_owned()], Ok((None, Vec::new())));
    assert!(told(&mut plain)[0].contains("no bridge"));
}

// S8: the number of a report is that of the interface; who is inside is told when it changes
#[test]
fn who_is_inside_is_told_when_it_changes_and_taken_back_when_the_interface_goes() {
    let mut uplinks = known(&[], &[port("eth0", "", true), port("vm0", "tun", true)]);
    let macs = |uplinks: &mut Uplinks| {
        let mut news = Vec::new();
        uplinks.tell_inside(&mut news);
        let inside = |event| match event {
            KeeperEvent::InsideMacs { interface, macs } => (interface.0, macs.len()),
            other => panic!("{other:?}"),
        };
        news.into_iter().map(inside).collect::<Vec<_>>()
    };
    assert_eq!(macs(&mut uplinks), []);
    let entry = |last, port: u8| crate::io::netlink::BridgeEntry {
        bridge: BR,
        port: port.into(),
        mac: MacAddr([2, 0, 0, 0, 0, last]),
    };
    for entry in [entry(1, b'v'), entry(2, b'e'), entry(3, b'v')] {
        uplinks.handle_event(&NetlinkEvent::Learned(entry));
    }
    assert_eq!(macs(&mut uplinks), [(0, 2)]);
    assert_eq!(macs(&mut uplinks), []);
    uplinks.handle_event(&NetlinkEvent::Learned(entry(1, b'e')));
    assert_eq!(macs(&mut uplinks), [(0, 1)], "it has moved out");
    uplinks.handle_event(&NetlinkEvent::Learned(entry(1, b'x')));
    assert!(uplinks.bridges[0].unread, "a port that nobody knows yet");
    uplinks.forget(BR);
    assert_eq!(macs(&mut uplinks), [(0, 0)]);
    assert_eq!(macs(&mut uplinks), []);
}
