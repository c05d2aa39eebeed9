//! Tests of the guard: claims for a group's address do not leave by another interface, whichever
//! program sends them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use super::adopt::drop_capabilities;
use super::frames::{self, ADVERTISEMENT, REPLY, REQUEST, SOLICITATION};
use super::lab::{self, Host, Lab, SOON, Tap, VIP4, VIP6, WEB, now, open_web};
use crate::gate::adopt;
use crate::gate::place::{Direction, Place, Site, Standing};
use crate::gate::{Former, Gate, Guard, Held, Owner};
use crate::types::{InterfaceId, MacAddr, MonoTime};

const WEB_OWNER: InterfaceId = InterfaceId(3);
/// Numbers of capabilities: linux/capability.h.
const NET_ADMIN: u32 = 12;
const PERFMON: u32 = 38;
const BPF: u32 = 39;
/// An interface that the frames of these tests do not leave by.
const ELSEWHERE: Owner = Owner { ifindex: 4_000_000, mac: MacAddr([2, 9, 9, 9, 9, 9]), lower: 0 };

/// The interface of a host.
fn site(host: &Host) -> Site<'static> {
    Site { ifindex: host.ifindex(), name: "eth0" }
}

/// A guard for both addresses of the group, which this interface may claim.
fn guard_for(host: &Host, owner: Owner) -> Guard {
    guard_in(None, host, owner)
}

/// As [`guard_for`], to be attached in this place.
fn guard_in(place: Option<Place>, host: &Host, owner: Owner) -> Guard {
    host.inside(|| {
        let mut guard = Guard::load(place, 1, 1, &Former::default()).expect("a guard");
        guard.set_owner(WEB_OWNER, owner).expect("told");
        let addresses: HashMap<IpAddr, InterfaceId> = [VIP4.into(), VIP6.into()].map(|vip| (vip, WEB_OWNER)).into();
        guard.set_addresses(&addresses).expect("told");
        guard
    })
}

/// Puts a guard on the host's interface.
fn attach(host: &Host, guard: &Guard, gate: Option<u32>) {
    host.inside(|| guard.attach(site(host), gate)).expect("attached");
}

/// Programs on the way out of the host's interface, the first to decide first.
fn programs(host: &Host) -> Vec<u32> {
    programs_in(Place::best(site(host)).expect("a place"), host)
}

/// The same of one place.
fn programs_in(place: Place, host: &Host) -> Vec<u32> {
    let occupants = host.inside(|| place.occupants(site(host), Direction::Egress)).expect("a list");
    occupants.into_iter().filter_map(|occupant| occupant.id).collect()
}

/// Frames that arrive at `tap` when the host sends this one.
fn arriving(tap: &Tap, sender: &Tap, frame: &[u8]) -> Vec<Vec<u8>> {
    sender.send(frame);
    sender.sentinel();
    tap.until_sentinel()
}

/// True if the frame arrives as it was sent, its tags aside.
fn arrives(tap: &Tap, sender: &Tap, frame: &[u8]) -> bool {
    let rest = if frame[12..14] == [0x81, 0] { &frame[16..] } else { &frame[12..] };
    arriving(tap, sender, frame).iter().any(|seen| {
        let end = seen.len().min(rest.len() + 12);
        end > 40 && seen[12..end] == rest[..end - 12]
    })
}

/// Claims of the group's addresses, by name.
fn claims(mac: MacAddr, host: &Host) -> Vec<(&'static str, Vec<u8>)> {
    let gratuitous = frames::arp(REQUEST, mac, VIP4, VIP4);
    vec![
        ("answer", frames::arp(REPLY, mac, VIP4, host.address4())),
        ("gratuitous request", gratuitous.clone()),
        ("gratuitous reply", frames::arp(REPLY, mac, VIP4, VIP4)),
        ("the same with a priority tag", frames::tagged(&gratuitous, 0)),
        ("advertisement from the address", frames::discovery(ADVERTISEMENT, mac, VIP6, VIP6)),
        ("advertisement from another source", frames::discovery(ADVERTISEMENT, mac, host.address6(), VIP6)),
        ("advertisement behind an option", frames::hidden_discovery(ADVERTISEMENT, mac, host.address6(), VIP6)),
        ("solicitation from the address", frames::discovery(SOLICITATION, mac, VIP6, host.address6())),
    ]
}

/// Frames that claim none of them, by name.
fn others(host: &Host, client: &Host) -> Vec<(&'static str, Vec<u8>)> {
    let mac = host.mac();
    vec![
        ("answer for another address", frames::arp(REPLY, mac, host.address4(), client.address4())),
        ("question for the address", frames::arp(REQUEST, mac, host.address4(), VIP4)),
        ("probe of the address", frames::arp(REQUEST, mac, Ipv4Addr::UNSPECIFIED, VIP4)),
        ("claim on another VLAN", frames::tagged(&frames::arp(REPLY, mac, VIP4, VIP4), 5)),
        ("solicitation for the address", frames::discovery(SOLICITATION, mac, host.address6(), VIP6)),
        ("packet from the address", frames::udp4(mac, client.mac(), VIP4, client.address4())),
    ]
}

// S3
#[test]
fn claims_do_not_leave_by_another_interface_and_everything_else_does() {
    let lab = Lab::new(2);
    let (host, client) = (lab.host(1), lab.host(2));
    let (sender, tap) = (host.tap(), client.tap());
    let sent = claims(host.mac(), &host);
    for (name, frame) in &sent {
        assert!(arrives(&tap, &sender, frame), "{name}: without a guard it arrives");
    }
    let guard = guard_for(&host, ELSEWHERE);
    attach(&host, &guard, None);
    for (name, frame) in &sent {
        assert!(!arrives(&tap, &sender, frame), "{name}");
    }
    assert_eq!(guard.held(), Held { dropped: u64::try_from(sent.len()).expect("few"), nameless: 0 });
    for (name, frame) in others(&host, &client) {
        assert!(arrives(&tap, &sender, &frame), "{name}");
    }
    host.inside(|| guard.detach(site(&host))).expect("detached");
    assert!(arrives(&tap, &sender, &sent[0].1), "the guard is gone");
}

// S3: the kernel names the source of a packet as the sender when it asks where to send that
#[test]
fn a_question_with_the_address_as_its_sender_leaves_without_a_sender_and_is_answered() {
    let lab = Lab::new(2);
    let (host, client) = (lab.host(1), lab.host(2));
    let guard = guard_for(&host, ELSEWHERE);
    attach(&host, &guard, None);
    let (sender, tap) = (host.tap(), client.tap());
    sender.send(&frames::arp(REQUEST, host.mac(), VIP4, client.address4()));
    let answer = sender.until("the answer", |frame| frames::is_arp_reply(frame, client.address4()));
    assert_eq!(answer.last().expect("one")[..6], host.mac().0);
    sender.sentinel();
    let seen = tap.until_sentinel();
    let senders: Vec<Ipv4Addr> = seen.iter().filter_map(|frame| frames::arp_sender(frame)).collect();
    assert!(senders.contains(&Ipv4Addr::UNSPECIFIED) && !senders.contains(&VIP4), "{senders:?}");
    assert_eq!(guard.held(), Held { dropped: 0, nameless: 1 });
}

// S3: on its own interface and where that one's frames pass through, the gate decides
#[test]
fn the_owner_claims_on_its_interface_and_through_its_lower_one() {
    let lab = Lab::new(2);
    let (host, client) = (lab.host(1), lab.host(2));
    let (sender, tap) = (host.tap(), client.tap());
    let (here, mac) = (host.ifindex(), MacAddr([2, 7, 7, 7, 7, 7]));
    let mut guard = guard_for(&host, Owner { ifindex: here, ..ELSEWHERE });
    attach(&host, &guard, None);
    for (name, frame) in claims(host.mac(), &host) {
        assert!(arrives(&tap, &sender, &frame), "on its own interface: {name}");
    }
    host.inside(|| guard.set_owner(WEB_OWNER, Owner { mac, lower: here, ..ELSEWHERE })).expect("told");
    for (name, frame) in claims(mac, &host) {
        assert!(arrives(&tap, &sender, &frame), "through the lower one: {name}");
    }
    for (name, frame) in claims(host.mac(), &host) {
        assert!(!arrives(&tap, &sender, &frame), "of the lower one itself: {name}");
    }
    host.inside(|| guard.set_owner(WEB_OWNER, Owner::default())).expect("told");
    assert!(!arrives(&tap, &sender, &claims(mac, &host)[0].1), "an interface that does not exist claims nothing");
}

// S3: a gate on a macvlan, whose parent is another card of the server
#[test]
fn a_macvlans_parent_never_answers_and_lets_the_open_gates_answers_pass() {
    let lab = Lab::new(2);
    let (host, client) = (lab.host(1), lab.host(2));
    host.ip("link add link eth0 name mac0 type macvlan mode bridge");
    host.ip("link set mac0 address 02:07:00:00:01:01 up");
    let mac = MacAddr([2, 7, 0, 0, 1, 1]);
    let ifindex = host.inside(|| nix::net::if_::if_nametoindex("mac0")).expect("mac0");
    let gate = host.inside(|| Gate::install(ifindex, "mac0", &[(WEB, vec![VIP4.into()])])).expect("a gate");
    let guard = guard_for(&host, Owner { ifindex, mac, lower: host.ifindex() });
    attach(&host, &guard, None);
    host.ip(&format!("addr add {VIP4}/32 dev mac0"));
    let tap = client.tap();
    // Asks for the address, and then for one that both interfaces answer for.
    let answerers = || {
        tap.send(&frames::arp(REQUEST, client.mac(), client.address4(), VIP4));
        tap.send(&frames::arp(REQUEST, client.mac(), client.address4(), host.address4()));
        let by = |frame: &[u8], of: MacAddr| frames::is_arp_reply(frame, host.address4()) && frame[6..12] == of.0;
        let mut seen = tap.until("an answer of the macvlan", |frame| by(frame, mac) || by(frame, host.mac()));
        let first = seen.last().expect("one").clone();
        seen.extend(tap.until("the other's", |frame| {
            frames::is_arp_reply(frame, host.address4()) && frame[6..12] != first[6..12]
        }));
        let answers = seen.into_iter().filter(|frame| frames::is_arp_reply(frame, VIP4));
        answers.map(|frame| MacAddr(frame[6..12].try_into().expect("six bytes"))).collect::<Vec<_>>()
    };
    assert_eq!(answerers(), []);
    let held = guard.held().dropped;
    assert!(held > 0, "the parent has answered");
    let handle = open_web(&gate, 7, SOON);
    assert_eq!(answerers(), [mac]);
    assert!(guard.held().dropped > held, "the parent has answered again");
    handle.renew(MonoTime::ZERO);
    assert!(handle.lease().until < now());
    assert_eq!(answerers(), []);
}

// S3: the gate stays the first to decide on its own interface
#[test]
fn a_guard_stands_behind_a_gate_in_every_place_whichever_comes_first() {
    for place in lab::places() {
        let lab = Lab::new(2);
        let host = lab.host(1);
        let guard = guard_in(Some(place), &host, ELSEWHERE);
        let install = || host.install_in(place, adopt::CURRENT, &[(WEB, vec![VIP4.into()])]);
        let standing = |gate: &Gate| {
            let behind = host.inside(|| guard.standing(site(&host), Some(gate.egress()))).expect("an answer");
            (host.standing(gate), programs_in(place, &host)[0], programs_in(place, &host).len(), behind)
        };
        let gate = install();
        attach(&host, &guard, Some(gate.egress()));
        assert_eq!(standing(&gate), (Standing::First, gate.egress(), 2, Standing::First), "{place:?}");
        host.inside(|| gate.remove()).expect("removed");
        let gate = install();
        assert_eq!(standing(&gate), (Standing::First, gate.egress(), 2, Standing::First), "{place:?}");
        host.inside(|| guard.detach(site(&host))).expect("detached");
        host.inside(|| gate.remove()).expect("removed");
        attach(&host, &guard, None);
        assert!(!arrives(&lab.host(2).tap(), &host.tap(), &claims(host.mac(), &host)[0].1), "{place:?}");
        let gate = install();
        assert_eq!(standing(&gate), (Standing::First, gate.egress(), 2, Standing::First), "{place:?}");
        host.inside(|| guard.detach(site(&host))).expect("detached");
        assert_eq!(programs_in(place, &host), [gate.egress()], "{place:?}");
    }
}

// S3: nothing leaves between two lives
#[test]
fn the_next_life_takes_the_guard_of_the_one_before_away_once_its_own_is_there() {
    let lab = Lab::new(1);
    let host = lab.host(1);
    let directory = tempfile::tempdir().expect("a directory");
    let note = directory.path().join("agent.gates");
    let load = || host.inside(|| Guard::load(None, 1, 1, &Former::new(Vec::new(), Some(&note)))).expect("a guard");
    let (first, strange) = (load(), guard_for(&host, ELSEWHERE));
    attach(&host, &first, None);
    let before = programs(&host);
    drop(first);
    assert_eq!(programs(&host), before, "it outlives its owner");
    host.inside(|| strange.attach(site(&host), None)).expect("attached");
    assert_eq!(programs(&host).len(), 1, "without a note the name tells");
    host.inside(|| strange.detach(site(&host))).expect("detached");
    let first = load();
    attach(&host, &first, None);
    let before = programs(&host);
    drop(first);
    let second = load();
    attach(&host, &second, None);
    let after = programs(&host);
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    // As the unit runs the agent: without CAP_SYS_ADMIN the kernel tells no names, but the note does.
    drop(second);
    let here = site(&host);
    host.inside(|| {
        drop_capabilities(&[NET_ADMIN, PERFMON, BPF]);
        let third = Guard::load(None, 1, 1, &Former::new(Vec::new(), Some(&note))).expect("a guard");
        third.attach(here, None).expect("attached");
    });
    let last = programs(&host);
    assert!(last.len() == 1 && last != after, "{after:?} {last:?}");
}
