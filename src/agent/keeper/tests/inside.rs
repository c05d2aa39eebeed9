//! Tests of a keeper on a real bridge: who is inside the server, as the bridge learns it.

use super::*;
use crate::io::segment::PacketSocket;
use crate::testing::steady;

const GROUP_OF: InterfaceId = InterfaceId(0);

/// Makes a bridge `west` with an uplink of a kind that leads out, and a port that leads to a machine:
/// the far ends are `cable` and `machine`.
fn bridge() {
    ip("link add name west type bridge stp_state 0");
    ip("link add name lower type veth peer name cable");
    ip("link add name up0 link lower type macvlan mode passthru");
    ip("link add name vm0 type veth peer name machine");
    for name in ["lower", "cable", "up0", "vm0", "machine", "west"] {
        ip(&format!("link set {name} up"));
    }
    for port in ["up0", "vm0"] {
        ip(&format!("link set {port} master west"));
    }
}

/// The hardware address of a host with this number.
fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 9, number])
}

/// Sends a broadcast of a host into the far end of a port.
fn speak(end: &str, number: u8) {
    let index = nix::net::if_::if_nametoindex(end).unwrap();
    let nothing = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }];
    let socket = PacketSocket::open(index, &nothing).unwrap();
    let frame = [&[0xff; 6][..], &mac(number).0, &[0x88, 0xb6], &[0; 46]].concat();
    assert!(socket.send(&frame).unwrap());
}

/// Waits until these hosts are reported to be inside. The far end of a port has an address of its own,
/// under which its kernel speaks when it likes.
fn await_inside(kept: &Kept, expected: &[u8]) {
    let expected: Vec<MacAddr> = expected.iter().map(|number| mac(*number)).collect();
    kept.find(&format!("{expected:?} inside"), |event| match event {
        KeeperEvent::InsideMacs { interface: GROUP_OF, macs } => {
            let hosts: Vec<MacAddr> = macs.into_iter().filter(|one| one.0[..5] == mac(0).0[..5]).collect();
            (hosts == expected).then_some(())
        }
        _ => None,
    });
}

// S8: known before the agent started, heard later, moved out, and gone with its port
#[test]
fn machines_behind_other_ports_than_the_uplink_are_inside_as_soon_as_the_bridge_knows_them() {
    in_netns(|| {
        bridge();
        until("the ports forward", || ip("-d link show dev vm0").contains("state forwarding"));
        speak("machine", 1);
        speak("cable", 2);
        let kept = Kept::start(web(&["10.0.0.100"]));
        await_inside(&kept, &[1]);
        kept.ready();
        let told = steady(|| {
            let begin = now();
            speak("machine", 3);
            await_inside(&kept, &[1, 3]);
            let told = now().since(begin);
            speak("cable", 4);
            speak("cable", 3);
            // It has moved to another server.
            await_inside(&kept, &[1]);
            told
        });
        assert!(told < LOOK * 9 / 10, "that did not wait for a look: {told:?}");
        ip("link del vm0");
        await_inside(&kept, &[]);
        kept.stop();
    });
}

// S8: a group above the bridge hears the same machines
#[test]
fn machines_are_inside_for_an_interface_above_the_bridge_too() {
    in_netns(|| {
        bridge();
        ip("link set west name trunk");
        ip("link add name west link trunk type macvlan mode private");
        ip("link set west up");
        until("the ports forward", || ip("-d link show dev vm0").contains("state forwarding"));
        speak("machine", 1);
        let kept = Kept::start(web(&["10.0.0.100"]));
        await_inside(&kept, &[1]);
        ip("link set cable down");
        kept.find("State", |event| match event {
            KeeperEvent::State { carrier: false, .. } => Some(()),
            _ => None,
        });
        kept.stop();
    });
}

#[test]
fn uplinks_that_another_configuration_names_count_from_then_on() {
    in_netns(|| {
        bridge();
        until("the ports forward", || ip("-d link show dev vm0").contains("state forwarding"));
        speak("machine", 1);
        speak("cable", 2);
        let kept = Kept::start(web(&["10.0.0.100"]));
        await_inside(&kept, &[1]);
        let mut wanted = web(&["10.0.0.100"]);
        wanted[0].uplinks = vec!["vm0".to_owned()];
        kept.handle.reconfigure(wanted.clone());
        await_inside(&kept, &[2]);
        wanted[0].uplinks = vec!["vm9".to_owned()];
        kept.handle.reconfigure(wanted);
        let text = kept.find("Warned", |event| match event {
            KeeperEvent::Warned { text, .. } if text.contains("uplink") => Some(text),
            _ => None,
        });
        assert!(text.contains("vm9"), "{text}");
        kept.stop();
    });
}
