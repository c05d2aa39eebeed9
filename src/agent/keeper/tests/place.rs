//! Tests of gates that are no longer the first to decide. The parts about TCX need a kernel that has
//! it (6.6).

use super::*;
use crate::testing::steady;
use crate::testing::stranger::{Hook, NEXT, PASS, Stranger};

/// A keeper whose gate is open, with its addresses in place.
fn open() -> Kept {
    let kept = Kept::start(web(&["10.0.0.100", "2001:db8::100"]));
    let (gate, slot, _, _) = kept.attached();
    gate.begin(1);
    gate.renew(MonoTime::FOREVER);
    gate.open(slot, Epoch(257), MonoTime::FOREVER);
    kept.ready();
    kept
}

/// Waits until the keeper has another gate, closed and first, and the addresses are back.
fn restored(kept: &Kept) {
    let (gate, slot, _, adopted) = kept.attached();
    assert!(!adopted && gate.slot_view(slot).answer_until == MonoTime::ZERO);
    kept.ready();
    let site = Site { ifindex: index(), name: "west" };
    for direction in Direction::BOTH {
        let first = Place::Tcx.occupants(site, direction).unwrap().remove(0);
        assert!(first.name.is_some_and(|name| name.starts_with("vip_")), "{}", first.text);
    }
    assert!(has("10.0.0.100/32") && has("2001:db8::100/128"));
}

// S3 S7
#[test]
fn a_program_before_the_gate_takes_the_addresses_along_until_a_closed_gate_is_first() {
    if !has_tcx() {
        return;
    }
    in_netns(|| {
        veth();
        let kept = open();
        for (hook, verdict) in [(Hook::Ingress, PASS), (Hook::Egress, NEXT), (Hook::Egress, PASS)] {
            let (cause, told) = steady(|| {
                let since = now();
                Stranger::load(verdict).attach_first(index(), hook);
                let cause = kept.lost();
                let told = now().since(since);
                restored(&kept);
                (cause, told)
            });
            println!("{cause}, told after {told:?}");
            assert!(told < LOOK / 2, "glances come sooner than looks");
            assert!(cause.contains("stranger") && cause.contains("decides before"), "{cause}");
        }
        kept.stop();
    });
}

// S3: what others do with tc does not concern a gate on TCX
#[test]
fn qdiscs_and_filters_are_no_loss_of_a_gate_before_them() {
    if !has_tcx() {
        return;
    }
    in_netns(|| {
        veth();
        tc("qdisc add dev west handle ffff: ingress");
        let kept = open();
        tc("qdisc del dev west ingress");
        tc("qdisc add dev west clsact");
        tc("qdisc del dev west clsact");
        std::thread::sleep(LOOK + LOOK / 2);
        assert_eq!(kept.stop(), Vec::<String>::new());
        assert!(is_gated() && has("10.0.0.100/32"));
    });
}

// S3: a gate that cannot be tried yet is tried when the interface is switched on
#[test]
fn an_interface_that_is_off_is_guarded_and_its_gate_tried_later() {
    in_netns(|| {
        ip("link add name west type veth peer name east");
        ip("link set east up");
        let kept = Kept::start(web(&["10.0.0.100"]));
        kept.attached();
        until("guarded while it is off", || is_gated() && has("10.0.0.100/32"));
        ip("link set west up");
        std::thread::sleep(LOOK + LOOK / 2);
        let told = kept.stop();
        assert!(!told.iter().any(|event| event.contains("GateLost") || event.contains("Failed")), "{told:#?}");
    });
}

// S3 S7: an older agent's gate on clsact, found by an agent that knows the better place
#[test]
fn a_gate_in_the_old_place_is_adopted_into_the_new_one() {
    if !has_tcx() {
        return;
    }
    in_netns(|| {
        veth();
        let kept = Kept::start_in(Some(Place::Clsact), web(&["10.0.0.100"]));
        let (gate, slot, _, _) = kept.attached();
        kept.ready();
        let until = now() + LONG;
        gate.begin(1);
        gate.renew(until);
        gate.open(slot, Epoch(257), MonoTime::FOREVER);
        kept.stop();
        for place in [None, Some(Place::Clsact), None] {
            let kept = Kept::start_in(place, web(&["10.0.0.100"]));
            let (gate, slot, _, adopted) = kept.attached();
            assert!(adopted, "into {place:?}");
            assert_eq!((gate.lease().until, gate.slot_view(slot).epoch), (until, Epoch(257)));
            kept.ready();
            assert_eq!(kept.stop(), Vec::<String>::new());
        }
        assert!(!tc("filter show dev west ingress").contains("bpf") && is_gated());
    });
}

#[test]
fn a_deleted_filter_takes_the_addresses_along_until_a_new_gate_is_closed() {
    in_netns(|| {
        veth();
        let kept = Kept::start_in(Some(Place::Clsact), web(&["10.0.0.100", "2001:db8::100"]));
        let (old, slot, _, _) = kept.attached();
        old.begin(1);
        old.renew(MonoTime::FOREVER);
        old.open(slot, Epoch(257), MonoTime::FOREVER);
        kept.ready();
        for words in ["qdisc del dev west clsact", "filter del dev west egress", "filter del dev west ingress"] {
            tc(words);
            assert!(kept.lost().contains("removed"));
            let (gate, slot, _, adopted) = kept.attached();
            assert!(!adopted && gate.slot_view(slot).answer_until == MonoTime::ZERO);
            kept.ready();
            assert!(is_gated() && has("10.0.0.100/32") && has("2001:db8::100/128"));
        }
        kept.stop();
    });
}

#[test]
fn a_lost_gate_is_noticed_without_waiting_for_the_next_look() {
    in_netns(|| {
        veth();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kept = Kept::start_in(Some(Place::Clsact), web(&["10.0.0.100"]));
        kept.ready();
        let wanted = vips(&["10.0.0.100"]);
        let exposed = [(); 3].map(|()| {
            let mut changes = runtime.block_on(async { NetlinkEvents::open() }).unwrap();
            let start = now();
            tc("qdisc del dev west clsact");
            // The address is back so soon that only events show its absence.
            let gone = async {
                loop {
                    match changes.next().await.unwrap() {
                        NetlinkEvent::AddressRemoved { address, .. } if wanted.contains(&address) => break,
                        _ => {}
                    }
                }
            };
            runtime.block_on(async { tokio::time::timeout(LONG, gone).await }).expect("address removed");
            let exposed = now().since(start);
            kept.ready();
            exposed
        });
        println!("address gone {exposed:?} after tc was started");
        // A look comes about 0.9 s after each repair.
        assert!(exposed.iter().min() < Some(&(LOOK / 2)));
        kept.stop();
    });
}
