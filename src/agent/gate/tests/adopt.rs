//! Tests of a gate over time: adopted after a restart, changed by a reload, removed by another
//! program.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::lab::{self, Host, Lab, SOON, VIP4, VIP6, WEB, now, open_web};
use crate::gate::adopt::{self, Names};
use crate::gate::place::{Place, Standing};
use crate::gate::{Former, Gate, GateError, Update};
use crate::types::{Epoch, GroupKey, MonoTime, Vip};

const MAIL: GroupKey = GroupKey(0x88);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 101);
const THIRD: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 102);

/// The table of a gate with the group `web` alone.
fn web() -> Vec<(GroupKey, Vec<Vip>)> {
    vec![(WEB, vec![VIP4.into(), VIP6.into()])]
}

#[test]
fn a_restart_within_the_lease_changes_nothing() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let first = node.install_web();
    let tap = client.tap();
    let handle = open_web(&first, 5, SOON);
    let (lease, slot) = (handle.lease(), first.slot(WEB).expect("the group"));
    let view = handle.slot_view(slot);
    drop((first, handle));
    assert_eq!(tap.answers(&node), (true, true));

    let second = node.install(&web());
    assert!(second.adopted());
    assert_eq!(second.slot(WEB), Some(slot));
    assert_eq!((second.handle().lease(), second.handle().slot_view(slot)), (lease, view));
    assert_eq!(view.epoch, Epoch(5 << 8 | 1));
    assert_eq!(tap.answers(&node), (true, true));
    assert!(node.is_attached(&second) && second.retired().is_empty());
    // Both ends are the same memory.
    second.handle().close(slot, MonoTime::ZERO);
    assert_eq!(tap.answers(&node), (false, false));
}

/// To a build with these names the running gate is another build's.
const OTHERS: Names = Names { ingress: "vip_in_ffffffff", egress: "vip_eg_ffffffff" };

#[test]
fn another_builds_gate_is_brought_up_to_date_without_a_gap() {
    for place in lab::places() {
        let lab = Lab::new(2);
        let (node, client) = (lab.host(1), lab.host(2));
        let first = node.install_in(place, adopt::CURRENT, &web());
        node.add(VIP4.into());
        node.add(VIP6.into());
        let tap = client.tap();
        let handle = open_web(&first, 5, SOON);
        let slot = first.slot(WEB).expect("the group");
        let (lease, view) = (handle.lease(), handle.slot_view(slot));
        let second = node.install_in(place, OTHERS, &web());
        assert!(second.adopted() && node.is_attached(&second) && !node.is_attached(&first));
        assert_eq!((second.handle().lease(), second.handle().slot_view(slot)), (lease, view));
        assert_eq!(tap.answers(&node), (true, true));
        handle.renew(MonoTime::ZERO);
        assert_eq!(tap.answers(&node), (true, true), "the replaced one switches nothing");
        second.handle().renew(MonoTime(now().0 - 1));
        assert_eq!(tap.answers(&node), (false, false));

        // A refused generation stays refused.
        assert!(second.handle().lease().is_refused());
        let third = node.install_in(place, OTHERS, &web());
        third.handle().renew(now() + SOON);
        assert_eq!(tap.answers(&node), (false, false));
    }
}

#[test]
fn adoption_with_another_table_closes_what_is_gone_and_keeps_the_rest() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let tap = client.tap();
    let first = node.install(&[(WEB, vec![VIP4.into(), SECOND.into()]), (MAIL, vec![VIP6.into()])]);
    for vip in [VIP4, SECOND, THIRD] {
        node.add(vip.into());
    }
    node.add(VIP6.into());
    let handle = open_web(&first, 1, SOON);
    handle.open(first.slot(MAIL).expect("mail"), Epoch(1), MonoTime::FOREVER);
    let asked = |vip| tap.answers4(&node, vip, client.address4());
    assert!(asked(VIP4) && asked(SECOND) && asked(THIRD), "the third is not gated yet");
    drop(first);

    let other = GroupKey(0x99);
    let second = node.install(&[(WEB, vec![VIP4.into()]), (other, vec![THIRD.into()])]);
    assert!(second.adopted());
    assert!(asked(VIP4), "the group that stays is not interrupted");
    assert!(!asked(SECOND) && !asked(THIRD) && !tap.answers6(&node, VIP6));
    assert_eq!(second.slot(MAIL), None);
    let mut retired = second.retired();
    retired.sort();
    assert_eq!(retired, [Vip::from(SECOND), Vip::from(VIP6)]);

    let mut second = second;
    second.forget_retired().expect("forgotten");
    assert!(asked(SECOND), "nothing guards it any more");
    assert!(!asked(THIRD));
    assert!(second.retired().is_empty());
}

#[test]
fn groups_are_independent() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let tap = client.tap();
    let gate = node.install(&[(WEB, vec![VIP4.into()]), (MAIL, vec![SECOND.into()])]);
    node.add(VIP4.into());
    node.add(SECOND.into());
    let (web, mail) = (gate.slot(WEB).expect("web"), gate.slot(MAIL).expect("mail"));
    let handle = open_web(&gate, 1, SOON);
    let asked = |vip| tap.answers4(&node, vip, client.address4());
    assert_eq!((asked(VIP4), asked(SECOND)), (true, false));
    handle.open(mail, Epoch(1), now() + SOON);
    handle.close(web, MonoTime::ZERO);
    assert_eq!((asked(VIP4), asked(SECOND)), (false, true));
    let count = |slot| gate.counters(slot).map(|c| (c.answered, c.answers_refused)).expect("counters");
    assert_eq!((count(web), count(mail)), ((1, 1), (1, 1)));
}

#[test]
fn a_reload_changes_the_table_in_place() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let tap = client.tap();
    let mut gate = node.install(&[(WEB, vec![VIP4.into()]), (MAIL, vec![SECOND.into()])]);
    for vip in [VIP4, SECOND, THIRD] {
        node.add(vip.into());
    }
    let slot = gate.slot(WEB).expect("web");
    let handle = open_web(&gate, 1, SOON);
    let asked = |vip| tap.answers4(&node, vip, client.address4());
    // The second address moves into the open group, the third comes into a new one.
    let other = GroupKey(0x99);
    let table = [(WEB, vec![VIP4.into(), SECOND.into()]), (other, vec![THIRD.into()])];
    assert_eq!(node.inside(|| gate.update_groups(&table)).expect("updated"), Update::InPlace);
    assert_eq!((asked(VIP4), asked(SECOND), asked(THIRD)), (true, true, false));
    assert_eq!((gate.slot(WEB), gate.slot(MAIL)), (Some(slot), None));
    assert_eq!(handle.slot_view(gate.slot(other).expect("other")).answer_until, MonoTime::ZERO);

    let bad = [(WEB, vec![Vip::from(VIP4)]), (other, vec![VIP4.into()])];
    assert!(matches!(gate.update_groups(&bad), Err(GateError::Groups(_))));
    assert_eq!((asked(VIP4), asked(SECOND)), (true, true), "a refused table changes nothing");
}

#[test]
fn a_table_that_outgrows_the_gate_gets_a_larger_closed_one() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let mut gate = node.install_web();
    let old = open_web(&gate, 1, SOON);
    let tap = client.tap();
    assert_eq!(tap.answers(&node), (true, true));
    let many = (0..3000_u16).map(|n| Ipv6Addr::new(0xfd07, 0, 0, 1, 0, 0, 0, n + 1).into());
    let table = [(WEB, many.chain([VIP4.into(), VIP6.into()]).collect())];
    assert_eq!(node.inside(|| gate.update_groups(&table)).expect("updated"), Update::Replaced);
    assert!(node.is_attached(&gate));
    old.begin(2);
    old.open(1, Epoch(1), MonoTime::FOREVER);
    old.renew(now() + SOON);
    assert_eq!(tap.answers(&node), (false, false), "the old handle switches nothing");
    open_web(&gate, 1, SOON);
    assert_eq!(tap.answers(&node), (true, true));
}

/// Checks that `gate` is gone, and installs another one, which must not be the old one adopted.
fn reinstalled(node: &Host, gate: &Gate) -> Gate {
    assert!(!node.is_attached(gate));
    let fresh = node.install_in(Place::Clsact, adopt::CURRENT, &web());
    assert!(node.is_attached(&fresh) && !node.is_attached(gate));
    assert!(!fresh.adopted());
    fresh
}

// S7
#[test]
fn a_filter_that_somebody_removed_is_noticed_and_comes_back_closed() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let tap = client.tap();
    let gate = node.install_in(Place::Clsact, adopt::CURRENT, &web());
    node.add(VIP4.into());
    node.add(VIP6.into());
    assert!(node.is_attached(&gate));
    open_web(&gate, 1, SOON);
    node.tc("filter del dev eth0 ingress");
    let gate = reinstalled(&node, &gate);
    assert_eq!(tap.answers(&node), (false, false));
    open_web(&gate, 1, SOON);
    node.tc("filter del dev eth0 egress");
    let gate = reinstalled(&node, &gate);
    node.tc("qdisc del dev eth0 clsact");
    let gate = reinstalled(&node, &gate);
    assert_eq!(tap.answers(&node), (false, false));

    // Another program in our place is not ours, and not adopted.
    let ours = "filter replace dev eth0 ingress pref 1 protocol all handle 0x7811 bpf bytecode";
    node.tc_words(&ours.split(' ').chain(["1,6 0 0 4294967295"]).collect::<Vec<_>>());
    let gate = reinstalled(&node, &gate);
    assert_eq!(tap.answers(&node), (false, false));

    node.ip("link del eth0");
    assert!(!node.is_attached(&gate));
    let error = node.inside(|| Gate::install(gate.ifindex, "eth0", &web())).expect_err("no interface");
    assert!(matches!(&error, GateError::System { .. }), "{error}");
}

#[test]
fn a_removed_gate_guards_nothing() {
    for place in lab::places() {
        let lab = Lab::new(2);
        let (node, client) = (lab.host(1), lab.host(2));
        let gate = node.install_in(place, adopt::CURRENT, &web());
        node.add(VIP4.into());
        node.add(VIP6.into());
        let tap = client.tap();
        assert_eq!(tap.answers(&node), (false, false));
        node.inside(|| gate.remove()).expect("removed");
        assert_eq!(tap.answers(&node), (true, true));
    }
}

#[test]
fn only_ethernet_can_be_guarded() {
    let lab = Lab::new(1);
    let error = lab.host(1).inside(|| Gate::install(1, "lo", &web())).expect_err("loopback");
    assert!(matches!(error, GateError::NotEthernet { hardware: 772, .. }), "{error}");
}

/// Leaves the calling thread with the capabilities of the shipped unit.
pub(super) fn drop_capabilities(kept: &[u32]) {
    let mask = kept.iter().fold(0_u64, |mask, bit| mask | 1 << bit);
    let [low, high] = [mask & 0xffff_ffff, mask >> 32].map(|half| u32::try_from(half).expect("masked"));
    // _LINUX_CAPABILITY_VERSION_3, this thread; effective, permitted, inheritable, low halves
    // first.
    let header = [0x2008_0522_u32, 0];
    let data = [low, low, 0, high, high, 0];
    // SAFETY: both arrays have the layout that capset(2) reads, and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn three_capabilities_suffice_and_kept_descriptors_replace_the_fourth() {
    const NET_ADMIN: u32 = 12;
    const PERFMON: u32 = 38;
    const BPF: u32 = 39;
    let lab = Lab::new(1);
    let node = lab.host(1);
    let ifindex = node.ifindex();
    let restricted = |capabilities: &'static [u32], kept: &[OwnedFd], note: Option<&Path>| {
        let kept = kept.iter().map(|fd| fd.try_clone().expect("a copy")).collect();
        let former = Former::new(kept, note);
        node.inside(|| {
            drop_capabilities(capabilities);
            Gate::install_with(ifindex, "eth0", &web(), &former)
        })
    };
    let all: &[u32] = &[NET_ADMIN, PERFMON, BPF];
    let directory = tempfile::tempdir().expect("a directory");
    let note = directory.path().join("agent.gates");
    let first = restricted(all, &[], Some(&note)).expect("installed");
    open_web(&first, 9, SOON);
    let kept: Vec<OwnedFd> =
        first.descriptors().iter().map(|(_, fd)| fd.try_clone_to_owned().expect("a copy")).collect();
    drop(first);
    let second = restricted(all, &kept, None).expect("adopted");
    assert!(second.adopted());
    assert_eq!(second.handle().lease().generation, 9);

    // Without them the kernel gives nothing away, but the note tells which gate to take away.
    let third = restricted(all, &[], Some(&note)).expect("replaced");
    assert!(!third.adopted());
    assert_eq!((node.standing(&third), node.standing(&second)), (Standing::First, Standing::Absent));

    let error = restricted(&[NET_ADMIN], &[], None).expect_err("no CAP_BPF");
    assert!(matches!(error, GateError::NotPermitted { .. }), "{error}");
    let error = restricted(&[BPF, PERFMON], &[], None).expect_err("no CAP_NET_ADMIN");
    assert!(matches!(error, GateError::NotPermitted { .. }), "{error}");
}

#[test]
fn fifty_thousand_addresses_are_gated() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let tap = client.tap();
    let last = Ipv4Addr::new(10, 99, 195, 79);
    let many = (0..50_000_u32).map(|n| Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 99, 0, 0)) + n).into());
    let gate = node.install(&[(WEB, many.collect())]);
    node.add(last.into());
    assert!(!tap.answers4(&node, last, client.address4()));
    open_web(&gate, 1, Duration::from_secs(60));
    assert!(tap.answers4(&node, last, client.address4()));
}
