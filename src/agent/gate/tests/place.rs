//! Tests of a gate's place: it is the first to decide, stays so or is known to be lost, and moves
//! without a gap. The parts about TCX need a kernel that has it (6.6).

use std::sync::atomic::{AtomicBool, Ordering};

use super::lab::{self, Host, Lab, SOON, VIP4, VIP6, WEB, open_web, wait_for};
use crate::gate::adopt::{self, Names};
use crate::gate::place::{Direction, Place, Site, Standing};
use crate::gate::{Gate, GateError, Update};
use crate::testing::stranger::{Hook, NEXT, PASS, Stranger};
use crate::types::{GroupKey, Vip};

/// To a build with these names the running gate is another build's.
const OTHERS: Names = Names { ingress: "vip_in_ffffffff", egress: "vip_eg_ffffffff" };

/// The table of a gate with the group `web` alone.
fn web() -> Vec<(GroupKey, Vec<Vip>)> {
    vec![(WEB, vec![VIP4.into(), VIP6.into()])]
}

/// Whether this kernel has TCX.
fn has_tcx() -> bool {
    lab::places().contains(&Place::Tcx)
}

/// A gate in this place, and the group's addresses on the interface.
fn install(node: &Host, place: Place) -> Gate {
    let gate = node.install_in(place, adopt::CURRENT, &web());
    node.add(VIP4.into());
    node.add(VIP6.into());
    gate
}

/// Numbers of programs at both hooks of a place: on the way out, on the way in.
fn crowd(node: &Host, place: Place) -> [usize; 2] {
    let site = Site { ifindex: node.ifindex(), name: "eth0" };
    Direction::BOTH.map(|hook| node.inside(|| place.occupants(site, hook)).expect("a list").len())
}

/// Attaches a program of somebody else before the gate at both hooks.
fn intrude(node: &Host, verdict: i32) -> Stranger {
    let index = node.ifindex();
    node.inside(|| {
        let stranger = Stranger::load(verdict);
        stranger.attach_first(index, Hook::Ingress);
        stranger.attach_first(index, Hook::Egress);
        stranger
    })
}

/// Adds a tc filter of this preference that lets every frame pass.
fn add_filter(node: &Host, hook: &str, preference: u8) {
    let words = format!("filter add dev eth0 {hook} pref {preference} protocol all handle 1 bpf da bytecode");
    node.tc_words(&words.split(' ').chain(["1,6 0 0 0"]).collect::<Vec<_>>());
}

#[test]
fn the_gate_is_where_nothing_decides_before_it() {
    let lab = Lab::new(1);
    let node = lab.host(1);
    let gate = node.install_web();
    assert_eq!(gate.place(), lab::places()[0]);
    assert_eq!(node.standing(&gate), Standing::First);
    let other = [[0, 0], [1, 1]][usize::from(gate.place() == Place::Clsact)];
    assert_eq!(crowd(&node, Place::Clsact), other);
}

// L3 S7: an upgrade to the better place, a way back, and another build's program in either
#[test]
fn a_running_gate_moves_without_an_unanswered_question() {
    let places = lab::places();
    for (from, to, names) in places.iter().flat_map(|from| {
        let to = places.iter().map(move |to| (*from, *to));
        to.flat_map(|(from, to)| [(from, to, adopt::CURRENT), (from, to, OTHERS)])
    }) {
        let lab = Lab::new(2);
        let (node, client) = (lab.host(1), lab.host(2));
        let first = install(&node, from);
        if from != to && to == Place::Clsact {
            // To add a qdisc the kernel stops the interface's queues for a moment, which may cost a
            // frame (net/sched/sch_api.c, qdisc_graft), whoever does it.
            node.tc("qdisc add dev eth0 clsact");
        }
        let tap = client.tap();
        let slot = first.slot(WEB).expect("the group");
        let handle = open_web(&first, 5, SOON);
        let (lease, view) = (handle.lease(), handle.slot_view(slot));
        let (over, asked) = (AtomicBool::new(false), AtomicBool::new(false));
        let second = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(tap.answers(&node), (true, true), "question {count}, {from:?} to {to:?}");
                    count += 1;
                    asked.store(true, Ordering::Relaxed);
                }
                count
            });
            wait_for("the first answer", || asked.load(Ordering::Relaxed));
            let second = node.install_in(to, names, &web());
            over.store(true, Ordering::Relaxed);
            assert!(asking.join().expect("all answered") > 0);
            second
        });
        assert!(second.adopted() && second.place() == to);
        assert_eq!(node.standing(&second), Standing::First);
        assert_eq!((second.handle().lease(), second.handle().slot_view(slot)), (lease, view));
        assert_eq!(crowd(&node, to), [1, 1]);
        assert!(from == to || crowd(&node, from) == [0, 0], "the old place is left");
        let counters = second.counters(slot).expect("counters");
        assert_eq!(counters.answers_refused + counters.claims_refused, 0, "{from:?} to {to:?}: {counters:?}");
        second.handle().close(slot, crate::types::MonoTime::ZERO);
        assert_eq!(tap.answers(&node), (false, false), "there is one gate, and it is this one");
    }
}

// S3: a move that was interrupted after one hook
#[test]
fn a_gate_that_is_half_moved_is_moved_wholly() {
    if !has_tcx() {
        return;
    }
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let first = install(&node, Place::Clsact);
    open_web(&first, 5, SOON);
    let site = Site { ifindex: node.ifindex(), name: "eth0" };
    node.inside(|| Place::Tcx.put_first(site, Direction::Egress, &first.object.egress, "vip_eg")).expect("attached");
    let second = node.install_in(Place::Tcx, adopt::CURRENT, &web());
    assert!(second.adopted());
    assert_eq!((crowd(&node, Place::Tcx), crowd(&node, Place::Clsact)), ([1, 1], [0, 0]));
    assert_eq!(client.tap().answers(&node), (true, true));
}

// S3 S7
#[test]
fn a_gate_that_is_not_the_first_is_lost_and_comes_back_first_and_closed() {
    if !has_tcx() {
        return;
    }
    for (verdict, open) in [(PASS, true), (NEXT, false)] {
        let lab = Lab::new(2);
        let (node, client) = (lab.host(1), lab.host(2));
        let tap = client.tap();
        let gate = install(&node, Place::Tcx);
        let stranger = intrude(&node, verdict);
        assert_eq!(tap.answers(&node), (open, open), "whoever is first decides");
        let Standing::Behind(cause) = node.standing(&gate) else { panic!("not lost") };
        assert!(cause.contains("stranger"), "{cause}");
        let next = node.inside(|| gate.supersede(&web())).expect("a gate");
        assert!(!next.adopted());
        assert_eq!((node.standing(&next), node.standing(&gate)), (Standing::First, Standing::Absent));
        assert_eq!(crowd(&node, Place::Tcx), [2, 2], "the stranger stays");
        assert_eq!(tap.answers(&node), (false, false));
        open_web(&next, 1, SOON);
        assert_eq!(tap.answers(&node), (true, true));
        drop(stranger);

        // A life that finds a gate behind somebody puts it first, with its state.
        intrude(&node, verdict);
        let third = node.install(&web());
        assert!(third.adopted());
        assert_eq!((node.standing(&third), crowd(&node, Place::Tcx)), (Standing::First, [3, 3]));
        assert_eq!(tap.answers(&node), (true, true));
    }
}

#[test]
fn one_hook_is_enough_to_lose_a_gate() {
    if !has_tcx() {
        return;
    }
    for hook in [Hook::Ingress, Hook::Egress] {
        let lab = Lab::new(1);
        let node = lab.host(1);
        let gate = node.install_web();
        let index = node.ifindex();
        let stranger = node.inside(|| Stranger::load(PASS));
        node.inside(|| stranger.attach_first(index, hook));
        assert!(matches!(node.standing(&gate), Standing::Behind(_)), "{hook:?}");
        node.inside(|| stranger.detach(index, hook));
        assert_eq!(node.standing(&gate), Standing::First);
    }
}

// S3: shapers, virtual switches and hypervisors add such a qdisc
#[test]
fn qdiscs_and_filters_do_not_touch_a_gate_that_is_before_them() {
    if !has_tcx() {
        return;
    }
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let tap = client.tap();
    node.tc("qdisc add dev eth0 handle ffff: ingress");
    let gate = install(&node, Place::Tcx);
    let stands = |what: &str| {
        assert_eq!(node.standing(&gate), Standing::First, "{what}");
        assert_eq!(tap.answers(&node), (false, false), "{what}");
    };
    stands("an ingress qdisc before");
    node.tc("qdisc del dev eth0 ingress");
    stands("no qdisc");
    node.tc("qdisc add dev eth0 clsact");
    add_filter(&node, "ingress", 1);
    add_filter(&node, "egress", 1);
    stands("filters of the first preference");
    node.tc("qdisc del dev eth0 clsact");
    stands("a deleted clsact");
    node.tc("qdisc add dev eth0 handle ffff: ingress");
    stands("an ingress qdisc later");
}

// S3: kernels before 6.6
#[test]
fn a_filter_that_is_put_before_the_gates_is_noticed_and_superseded() {
    for hook in ["ingress", "egress"] {
        let lab = Lab::new(2);
        let (node, client) = (lab.host(1), lab.host(2));
        let tap = client.tap();
        let gate = install(&node, Place::Clsact);
        add_filter(&node, hook, 1);
        let Standing::Behind(cause) = node.standing(&gate) else { panic!("not lost on {hook}") };
        assert!(cause.contains("preference 1 handle 0x1") && cause.ends_with(hook), "{cause}");
        let next = node.inside(|| gate.supersede(&web())).expect("a gate");
        assert_eq!(node.standing(&next), Standing::First);
        assert_eq!(tap.answers(&node), (false, false));
        let crowd = crowd(&node, Place::Clsact);
        assert_eq!(crowd.iter().sum::<usize>(), 3, "two of the gate, and the stranger: {crowd:?}");
        // A later preference comes later.
        add_filter(&node, hook, 2);
        assert_eq!(node.standing(&next), Standing::First);
    }
}

// S3: kernels before 6.6
#[test]
fn an_ingress_qdisc_is_no_place_for_a_gate() {
    let lab = Lab::new(1);
    let node = lab.host(1);
    let site = Site { ifindex: node.ifindex(), name: "eth0" };
    node.inside(|| Place::Clsact.check(site)).expect("a place");
    node.tc("qdisc add dev eth0 handle ffff: ingress");
    assert!(matches!(node.inside(|| Place::Clsact.check(site)), Err(GateError::Place { .. })));
    assert!(has_tcx() || node.inside(|| Gate::install(site.ifindex, "eth0", &web())).is_err());
    let error = node.try_install_in(Place::Clsact, adopt::CURRENT, &web()).expect_err("no place");
    assert!(matches!(&error, GateError::Place { .. }) && error.to_string().contains("kind ingress"), "{error}");
    assert_eq!(crowd(&node, Place::Clsact), [0, 0], "nothing is left behind");
    node.tc("qdisc del dev eth0 ingress");
    let gate = node.install_in(Place::Clsact, adopt::CURRENT, &web());
    assert_eq!(node.standing(&gate), Standing::First);
}

// S3: a program on TCX decides before every filter
#[test]
fn a_filter_behind_a_program_on_tcx_is_not_the_first() {
    if !has_tcx() {
        return;
    }
    let lab = Lab::new(1);
    let node = lab.host(1);
    let gate = install(&node, Place::Clsact);
    intrude(&node, PASS);
    assert!(matches!(node.standing(&gate), Standing::Behind(_)));
    assert!(matches!(node.try_install_in(Place::Clsact, adopt::CURRENT, &web()), Err(GateError::Place { .. })));
}

#[test]
fn a_larger_gate_leaves_nothing_of_the_smaller_one() {
    for place in lab::places() {
        let lab = Lab::new(1);
        let node = lab.host(1);
        let mut gate = install(&node, place);
        let many = (0..3000_u16).map(|n| std::net::Ipv6Addr::new(0xfd07, 0, 0, 1, 0, 0, 0, n + 1).into());
        let table = [(WEB, many.chain([VIP4.into(), VIP6.into()]).collect())];
        assert_eq!(node.inside(|| gate.update_groups(&table)).expect("updated"), Update::Replaced);
        assert_eq!((node.standing(&gate), crowd(&node, place)), (Standing::First, [1, 1]));
    }
}
