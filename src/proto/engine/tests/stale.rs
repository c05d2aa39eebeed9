//! Stale knowledge: words from before a stall or held up on the way, and gates that were replaced.
//! Each test repeats a failure that the simulator found.

use super::world::{ETH, World, group_setup, ms, settled};
use crate::engine::{Command, Event, InterfaceFacts};
use crate::timing::{Profile, Timing};
use crate::types::{GroupId, LinkPath};
use crate::wire::pulse::{Reason, Role};
use std::time::Duration;

const ALL_PATHS: [LinkPath; 3] = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];

/// Cuts everything between the nodes, the segment's pulses included.
fn cut_links(world: &mut World) {
    for from in 0..2 {
        world.cut.extend(ALL_PATHS.map(|path| (from, path)));
    }
}

/// Stops a process until its peer answers for group 0, and lets the two hear each other again.
fn sleep_through_a_takeover(world: &mut World, sleeper: usize) {
    world.suspend(sleeper);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [1 - sleeper]);
    world.cut.clear();
}

// S8
#[test]
fn a_goodbye_from_before_a_stall_opens_nothing() {
    let mut world = settled(Profile::Fast);
    world.command(1, 7, Command::Stop);
    world.run(ms(100));
    assert!(world.nodes[1].exited);
    cut_links(&mut world);
    world.kill(1);
    world.nodes[0].backlog_limit = 0;
    world.suspend(0);
    world.start(1);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [1], "the lease of the stopped one is over");
    world.resume(0);
    assert_eq!(world.answering(), [1], "its lease has lapsed, and the goodbye is old");
    world.cut.clear();
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [1]);
    assert_eq!(world.double_answers, 0);
}

// S8
#[test]
fn a_table_from_before_a_stall_does_not_say_that_a_group_is_unknown() {
    let mut world = World::new(Profile::Fast, 2);
    world.start(0);
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(2));
    world.reload(1, vec![group_setup(0, false)]);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering_for(1), [0]);
    world.nodes[0].backlog_limit = 0;
    cut_links(&mut world);
    world.reload(1, vec![group_setup(0, false), group_setup(1, false)]);
    world.place_addresses(1);
    sleep_through_a_takeover(&mut world, 0);
    assert_eq!(world.answering_for(1), [1]);
    let before = world.double_answers;
    world.resume(0);
    assert_eq!(world.answering_for(1), [1], "what the peer told is from before it knew the group");
    world.run(Duration::from_secs(1));
    assert_eq!(world.double_answers, before);
}

// S8
#[test]
fn a_gate_replaced_during_a_stall_is_not_opened_on_old_words() {
    let mut world = settled(Profile::Fast);
    world.nodes[0].backlog_limit = 3;
    world.suspend(0);
    // The new gate is closed, and the process that would open it does not run.
    world.nodes[0].kernel = super::world::Kernel { generation: world.now.0, ..Default::default() };
    world.run(ms(150));
    assert_eq!(world.answering(), [1], "nobody answers the probes");
    // Words of the peer that waited in a small buffer are handled first; they are from before its
    // takeover.
    world.resume(0);
    world.handle(0, Event::GateReplaced { interface: ETH });
    assert_eq!(world.answering(), [1]);
    assert_eq!(world.double_answers, 0);
}

// S8
#[test]
fn a_replaced_gate_is_opened_under_a_lease_that_ends_before_a_standby_may_act() {
    let mut world = settled(Profile::Fast);
    world.replace_gate(0);
    let (until, silence) = (world.nodes[0].kernel.until, world.timing.silence);
    assert!(until <= world.now + (silence - world.timing.pulse), "a stop before the stores must not open it late");
    world.run(ms(100));
    assert_eq!(world.answering(), [0], "and the next pulse renews it");
    assert_eq!(world.changes(0).len(), settled(Profile::Fast).changes(0).len(), "nothing was lost over that");
}

// S7
#[test]
fn an_adopted_group_closes_with_its_gate_even_before_its_interface_was_confirmed() {
    let mut world = settled(Profile::Fast);
    world.run(ms(20));
    world.kill(0);
    world.nodes[1].engine = None;
    world.start_without_carrier(0);
    assert_eq!(world.role(0), Role::Active, "adopted");
    let mut facts = InterfaceFacts { exists: true, mac: super::world::mac(0), ..InterfaceFacts::default() };
    world.nodes[0].kernel = super::world::Kernel::default();
    world.handle(0, Event::Interface { interface: ETH, facts });
    assert_eq!(world.role(0), Role::Fault, "what is closed must not look active");
    facts = InterfaceFacts { carrier: true, gate: true, ..facts };
    world.handle(0, Event::Interface { interface: ETH, facts });
    world.place_addresses(0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.answering(), [0], "and it is won again");
}

// L5
#[test]
fn fast_asking_outlasts_a_dead_agents_lease_and_every_probe_that_may_be_needed() {
    for profile in Profile::ALL {
        let timing = Timing::of(profile);
        // Three probes in a row, and one for each of 32 groups that the peer may have opened.
        assert!(timing.patience.asking >= timing.lease + timing.probe * 35, "{profile:?}");
    }
}

// L5: the configured leases differ, and the dead agent's kernel answers for its own.
#[test]
fn fast_asking_outlasts_the_lease_that_a_dead_agent_has_told() {
    let mut world = settled(Profile::Wan);
    let own = world.timing;
    world.timing = Timing::derive(own.pulse, own.silence, own.lease * 3);
    world.reload(0, vec![group_setup(0, false)]);
    world.timing = own;
    world.run(Duration::from_secs(20));
    world.kill(0);
    let until = world.nodes[0].kernel.until;
    world.run_until_answered_by(1, Duration::from_secs(30));
    assert!(world.now > until && world.now.since(until) <= own.probe * 6, "{:?}", world.now.since(until));
    assert_eq!(world.double_answers, 0);
}

// L5: the dead agent had a longer lease than we would think, and we were never told.
#[test]
fn a_probe_that_stays_unanswered_after_others_makes_asking_fast_again() {
    let mut world = settled(Profile::Wan);
    let own = world.timing;
    world.timing = Timing::derive(own.pulse, own.silence, own.lease * 3);
    world.reload(0, vec![group_setup(0, false)]);
    world.timing = own;
    world.run(Duration::from_secs(20));
    world.kill(0);
    let until = world.nodes[0].kernel.until;
    world.kill(1);
    world.start(1);
    world.traffic();
    world.run_until_answered_by(1, Duration::from_secs(40));
    assert!(until.since(world.now) == Duration::ZERO, "its kernel answers until {until:?}");
    let waited = world.now.since(until);
    assert!(waited <= own.pulse + own.probe * 6, "{waited:?}");
    assert_eq!(world.double_answers, 0);
}

/// Delivers a datagram that was lost on a cut link now: the one at position `lost`, sent by `from`.
fn deliver_late(world: &mut World, from: usize, lost: usize) {
    let (_, link, bytes) = world.lost[lost].clone();
    world.handle(1 - from, Event::Datagram { link, bytes: &bytes });
}

// S6, S8: somebody holds a goodbye back until its sender has the group again.
#[test]
fn a_goodbye_that_was_long_on_its_way_opens_nothing() {
    let mut world = settled(Profile::Fast);
    world.set_carrier(1, false);
    cut_links(&mut world);
    world.command(0, 7, Command::Stop);
    world.run(ms(100));
    assert!(world.nodes[0].exited);
    let goodbye = world.lost.iter().rposition(|(to, ..)| *to == 1).unwrap();
    world.start(0);
    world.run(Duration::from_secs(1));
    assert_eq!(world.answering(), [0]);
    world.set_carrier(1, true);
    world.traffic();
    deliver_late(&mut world, 0, goodbye);
    world.run(ms(500));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// The same for a consent that somebody holds back.
#[test]
fn a_consent_that_was_long_on_its_way_opens_nothing() {
    let mut world = settled(Profile::Fast);
    cut_links(&mut world);
    world.set_carrier(0, false);
    world.set_carrier(1, false);
    world.run(ms(30));
    let consent = world.lost.iter().rposition(|(to, ..)| *to == 1).unwrap();
    world.set_carrier(0, true);
    world.traffic();
    world.run_until_answered_by(0, Duration::from_secs(2));
    world.set_carrier(1, true);
    world.traffic();
    deliver_late(&mut world, 0, consent);
    world.run(ms(500));
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// S6: after a stall the peer is heard as if it had never been quiet.
#[test]
fn a_node_that_stood_still_is_not_isolated_once_its_peer_is_heard() {
    let mut world = settled(Profile::Fast);
    let reason = |world: &World| world.nodes[1].engine.as_ref().unwrap().report(world.now).groups[0].reason;
    cut_links(&mut world);
    world.off_segment[1] = true;
    world.run(ms(25));
    assert_eq!(reason(&world), Reason::Isolated);
    world.suspend(1);
    world.run(ms(100));
    world.cut.clear();
    world.off_segment[1] = false;
    world.run(ms(8));
    world.resume(1);
    world.run(ms(100));
    assert_eq!((reason(&world), world.answering()), (Reason::None, vec![0]));
}

// L4: another may have been active meanwhile
#[test]
fn who_stood_still_announces_nothing_before_it_could_hear_of_another_active() {
    let mut world = settled(Profile::Lan);
    world.command(0, 1, Command::Switch(GroupId(0)));
    world.run_until_answered_by(1, ms(500));
    world.run(ms(100));
    let before = world.nodes[1].announced;
    world.suspend(1);
    world.run(ms(120));
    world.resume(1);
    assert_eq!(world.nodes[1].announced, before, "the second announcement was due");
    world.run(world.timing.pulse + ms(1));
    assert_eq!((world.nodes[1].announced, world.answering()), (before + 1, vec![1]));
}
