//! Tests of groups that have one address and two names: nobody answers twice for the address,
//! whatever it is called.

use super::votes;
use super::world::{ETH, World, group_setup, ms};
use crate::engine::{Cause, GroupSetup, Waiting};
use crate::timing::{Profile, Promote};
use crate::types::{Epoch, GroupId, GroupKey, LinkPath};
use crate::wire::pulse::{Reason, Role, Row};
use std::time::Duration;

/// A world with as many witnesses, in which all has settled.
fn settled(witnesses: usize) -> World {
    let mut world = made(witnesses);
    votes::settle(&mut world);
    world
}

/// A world with as many witnesses.
fn made(witnesses: usize) -> World {
    if witnesses > 0 { World::voted(Profile::Lan, 1, witnesses) } else { World::new(Profile::Lan, 1) }
}

/// What a node waits for.
fn waiting(world: &World, at: usize) -> Waiting {
    world.nodes[at].engine.as_ref().unwrap().report(world.now).groups[0].waiting
}

// S8, S1: the standby's file is given another name for the address, and its agent is restarted
#[test]
fn a_standby_that_knows_the_address_by_another_name_opens_nothing_beside_the_active() {
    for witnesses in [0, 1, 3] {
        let mut world = settled(witnesses);
        world.kill(1);
        world.renamed = true;
        world.start(1);
        world.traffic();
        world.run(Duration::from_secs(20));
        assert_eq!((world.answering(), world.double_answers), (vec![0], 0), "{witnesses} witnesses");
        assert_eq!((world.role(1), waiting(&world, 1)), (Role::Standby, Waiting::Name));
    }
}

// S8: neither has consented to anything
#[test]
fn of_two_that_start_with_two_names_for_one_address_none_opens_until_they_agree() {
    for witnesses in [0, 1, 3] {
        let mut world = made(witnesses);
        world.renamed = true;
        for at in 0..witnesses {
            world.start_witness(at);
        }
        world.start(0);
        world.start(1);
        world.traffic();
        world.run(Duration::from_secs(20));
        assert_eq!((world.answering(), world.double_answers), (vec![], 0), "{witnesses} witnesses");
        world.renamed = false;
        world.kill(1);
        world.start(1);
        world.traffic();
        world.run(Duration::from_secs(20));
        assert_eq!((world.answering(), world.double_answers), (vec![0], 0), "{witnesses} witnesses");
    }
}

// S8: by two reloads, "remove", then "add with the same address"
#[test]
fn a_reload_that_removes_and_one_that_adds_under_another_name_open_nothing_beside_the_active() {
    for witnesses in [0, 1] {
        let mut world = settled(witnesses);
        let other = group_setup(1, false);
        world.reload(1, vec![other.clone()]);
        world.run(Duration::from_secs(1));
        let again =
            GroupSetup { addresses: group_setup(0, false).addresses, addresses_digest: 1, ..group_setup(2, false) };
        world.reload(1, vec![other, again]);
        world.place_addresses(1);
        world.run(Duration::from_secs(20));
        assert!(world.nodes[0].kernel.answers(GroupId(0), world.now));
        assert!(!world.nodes[1].kernel.answers(GroupId(2), world.now), "{witnesses} witnesses");
    }
}

// L1: the silence of a peer is what it was
#[test]
fn an_address_with_two_names_is_taken_over_when_its_active_is_lost() {
    for witnesses in [0, 1, 3] {
        let mut world = settled(witnesses);
        world.kill(1);
        world.renamed = true;
        world.start(1);
        world.traffic();
        world.run(Duration::from_secs(5));
        world.crash(0);
        world.run_until_answered_by(1, Duration::from_secs(20));
        assert_eq!(world.double_answers, 0);
    }
}

// L1: a group that one file has already and the other has not yet is served
#[test]
fn a_group_that_only_one_node_has_is_opened_where_it_is() {
    for witnesses in [0, 1] {
        let mut world = settled(witnesses);
        // The world does not judge votes of a node that has not the group.
        world.witnesses.judged = false;
        world.reload(0, vec![group_setup(0, false), group_setup(1, false)]);
        world.place_addresses(0);
        world.run(Duration::from_secs(20));
        assert!(world.nodes[0].kernel.answers(GroupId(1), world.now), "{witnesses} witnesses");
    }
}

// S1: neither hears the other, and the witness hears both
#[test]
fn a_witness_grants_an_address_once_whatever_it_is_called() {
    let mut world = World::voted(Profile::Lan, 1, 1);
    world.witnesses.promote = Promote::Witness;
    votes::settle(&mut world);
    world.kill(1);
    world.renamed = true;
    world.start(1);
    world.traffic();
    world.run(Duration::from_secs(5));
    votes::cut_nodes_apart(&mut world);
    for _ in 0..40 {
        world.traffic();
        world.run(ms(500));
    }
    assert_eq!((world.answering(), world.double_answers), (vec![0], 0));
}

// S8: both have opened while they could not hear each other
#[test]
fn of_two_that_have_one_address_open_under_two_names_one_goes_on_when_they_hear_each_other() {
    let mut world = made(0);
    world.renamed = true;
    let paths = [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)];
    world.cut = paths.iter().flat_map(|&path| [(0, path), (1, path)]).collect();
    world.off_segment = [true; 2];
    world.start(0);
    world.start(1);
    world.run(Duration::from_secs(60));
    assert_eq!(world.answering(), [0, 1], "each is alone in its world");
    world.cut.clear();
    world.off_segment = [false; 2];
    world.double_answers = 0;
    world.run(world.timing.pulse * 3);
    let one = world.answering();
    assert_eq!(one.len(), 1, "{one:?}");
    world.run(Duration::from_secs(20));
    assert_eq!(world.answering(), one);
    let other = 1 - one[0];
    assert_eq!(world.changes(other).last(), Some(&(Role::Standby, Cause::HigherEpoch)));
}

// S8: a deaf peer that was started anew claims under another name, and its table is not whole here yet
#[test]
fn a_claim_under_another_name_counts_although_the_former_life_knew_this_one() {
    let mut world = made(0);
    world.start(0);
    let engine = world.nodes[0].engine.as_mut().unwrap();
    let peer = engine.peers.nodes().next().unwrap();
    let known = &mut engine.peers[peer];
    let addresses = engine.groups.iter().next().unwrap().row.addresses;
    let row = |key: u64, claim: Epoch| {
        let row = Row::new(GroupKey(key), Role::Standby, Reason::None);
        Row { addresses, claim, ..row }
    };
    let own = engine.setup.groups[0].key;
    known.copy.take(0, row(own.0, Epoch::NONE));
    known.copy.take_strange(row(own.0 + 64, Epoch(514)));
    known.copy.forget();
    known.note_elsewhere(&engine.index);
    assert_eq!(engine.around(world.now).word_on(peer, GroupId(0)).unwrap().claim, Epoch(514));
}
