//! S7, S8, S2: on what evidence a gate may open, at the moment of its opening.
//!
//! - V4: a node that opens on silence has asked for the address. So if the segment between them was
//!   sound and the other answered for as long as the asking takes, it must not open until answers
//!   alone cannot hold it back any longer.
//! - V5: a node that opens on consent or on a goodbye opens after the other has closed, and not
//!   below what the other knows. Words that a machine should have heard long ago, and did not, are
//!   no excuse.

use super::Oracle;
use crate::sim::clock::Real;
use crate::sim::world::Sim;
use crate::types::{Epoch, MonoTime};
use std::time::Duration;

impl Oracle {
    /// Checks an opening that is decided now, against every other node.
    pub(super) fn check_grant(sim: &mut Sim, node: usize, group: usize, epoch: Epoch) {
        let machine = &sim.nodes[node];
        let (Some(engine), Some(place)) = (&machine.engine, machine.places[group]) else { return };
        let local = sim.local(node);
        let paused = engine.view_group(place).paused;
        let untold = sim.oracle.seen[node].beliefs.untold;
        let others: Vec<usize> = sim.others(node).collect();
        sim.oracle.hold(!paused, || format!("S7: node {node} opens group {group}, which is paused"));
        sim.oracle
            .hold(!untold, || format!("S7: node {node} opens group {group}, its state damaged and told nothing"));
        for (peer, other) in others.into_iter().enumerate() {
            let Some(engine) = &sim.nodes[node].engine else { return };
            let known = engine.view_peer(peer, local);
            let consented = engine.view_row(peer, place).is_some_and(|row| row.consent == epoch);
            // Words of a peer that has been silent for long are no grant: then its silence counts.
            if (known.left || consented) && known.silence < sim.nodes[node].config.timing.silence {
                Oracle::check_consent(sim, node, other, group, consented.then_some(epoch));
            } else {
                let stranger = engine.view_row(peer, place).is_none() && known.have.0 == known.have.1;
                if !(stranger && known.heard.is_some()) {
                    Oracle::check_silence(sim, node, other, group, (known.heard, known.silence));
                }
            }
        }
    }

    /// Checks V5: an opening on consent, or on a goodbye if `epoch` is `None`.
    fn check_consent(sim: &mut Sim, node: usize, other: usize, group: usize, epoch: Option<Epoch>) {
        let (now, way, pulse) = (sim.now, sim.net.longest(), sim.oracle.bounds.pulse);
        let machine = &sim.nodes[other];
        let speaks = machine.engine.is_some() && !machine.asleep;
        let answers = sim.answers(other, group);
        let told = sim.oracle.seen[other].told[group];
        let talking = pulse * 3 + way * 2 + super::answers::learning(sim, pulse);
        let informed = is_over(sim.oracle.pair(node, other).reached, now, talking);
        let word = if epoch.is_some() { "consent" } else { "a goodbye" };
        sim.oracle.hold(!(answers && informed && speaks), || {
            format!("S8 V5: node {node} opens group {group} on {word} while node {other} answers")
        });
        // A frozen guest cannot know that a consent which reaches it late is not of now.
        let apart = sim.oracle.two_names[group] || now < sim.oracle.votes.excused[node];
        sim.oracle.hold(apart || epoch.is_none_or(|epoch| epoch >= told), || {
            format!("S2: node {node} opens group {group} on consent of node {other}, below {told}")
        });
    }

    /// Checks V4: an opening on the silence of `other`, last heard at `heard` by the node's clock.
    fn check_silence(
        sim: &mut Sim,
        node: usize,
        other: usize,
        group: usize,
        (heard, silence): (Option<MonoTime>, Duration),
    ) {
        let interface = sim.plan.groups[group].interface;
        let (now, local) = (sim.now, sim.local(node));
        let timing = sim.nodes[node].config.timing;
        let least = sim.oracle.seen[node].least;
        let (wait, veto) = match heard {
            Some(_) => (least.silence, timing.veto),
            None => (least.listen.min(timing.listen), timing.patience.first_veto),
        };
        let lived = local.since(sim.oracle.seen[node].beliefs.began);
        sim.oracle.hold(lived >= wait, || format!("S7: node {node} opens group {group} {lived:?} after its start"));
        let longest = sim.net.delay[sim.net.segment_wire(interface)];
        // An answer that takes longer than a probe waits does not count as one.
        let quick = longest <= least.probe / 2;
        let asked = sim.oracle.bounds.silence + sim.oracle.bounds.pulse * 5 + longest * 2;
        // Of whom it cannot ask it waits for the lease alone, which may have been renewed unheard.
        let askable = can_ask(sim, node, other, interface);
        let asked = if askable { asked } else { asked + sim.oracle.bounds.lease };
        let opened = sim.oracle.seen[other].opened[group];
        let answers = sim.answers(other, group) && now.since(opened) > asked;
        // Where both have one address nobody can ask: words that arrive for a lease do instead.
        let shared = sim.nodes[node].macs[interface] == sim.nodes[other].macs[interface];
        let asked = if shared { asked + sim.oracle.bounds.lease } else { asked };
        let sound = is_over(sim.oracle.pair(node, other).segment[interface], now, asked);
        let vetoed = answers && sound && quick && silence < veto;
        if vetoed && !is_recognised(sim, node, other, group) {
            sim.coverage.unrecognised += 1;
            return;
        }
        sim.oracle.hold(!vetoed, || {
            format!("S8 V4: node {node} opens group {group} on silence while node {other} answers")
        });
    }

    /// Checks that an active does not go on after it was told of a higher epoch (S2) or of a lost
    /// carrier (L1).
    pub(super) fn check_active(sim: &mut Sim, node: usize, group: usize, epoch: Epoch) {
        let (now, told) = (sim.now, sim.oracle.seen[node].told[group]);
        let interface = sim.plan.groups[group].interface;
        let dark = sim.oracle.seen[node].beliefs.dark[interface];
        let oracle = &mut sim.oracle;
        let apart = oracle.two_names[group];
        oracle.hold(apart || epoch >= told, || {
            format!("S2: node {node} goes on with {epoch} although it was told {told}")
        });
        oracle.hold(!is_over(dark, now, super::beliefs::DARK), || {
            format!("L1: node {node} goes on with group {group} although its carrier is lost")
        });
    }
}

/// Whether a node can know an answer of another for a group by its hardware address: what it was
/// told last of the other is so, and is not its own. Where it was told that both have one, it must
/// not ask.
pub(super) fn is_recognised(sim: &Sim, node: usize, other: usize, group: usize) -> bool {
    let interface = sim.plan.groups[group].interface;
    let (own, theirs) = (sim.nodes[node].macs[interface], sim.nodes[other].macs[interface]);
    let place = sim.nodes[node].places[group];
    let peer = if other < node { other } else { other - 1 };
    let told = sim.nodes[node].engine.as_ref().zip(place).and_then(|(engine, place)| {
        let row = engine.view_row(peer, place);
        row.map(|row| row.mac).filter(|mac| !mac.is_zero())
    });
    // Of whom it cannot ask the lease must be over, which no clock beyond the drift can tell.
    // Nor does it know a lease longer than its own before it has heard the other.
    let heard =
        sim.nodes[node].engine.as_ref().is_some_and(|engine| engine.view_peer(peer, sim.local(node)).heard.is_some());
    let lease = heard || sim.nodes[node].config.timing.lease >= sim.oracle.bounds.lease;
    let timed = can_ask(sim, node, other, interface) || lease && !sim.plan.is_beyond();
    timed && told.map_or(theirs != own, |told| told == theirs)
}

/// Whether a node can find out by asking what another answers for: not where both have one hardware
/// address, nor where it can name no address and such questions are dropped.
fn can_ask(sim: &Sim, node: usize, other: usize, interface: usize) -> bool {
    let switch = sim.plan.switch;
    let alike = sim.nodes[node].macs[interface] == sim.nodes[other].macs[interface];
    let vain = switch.without_own && switch.drops_nameless;
    !alike && !vain
}

/// Whether more than `span` has passed since an instant.
fn is_over(since: Option<Real>, now: Real, span: Duration) -> bool {
    since.is_some_and(|since| now.since(since) > span)
}
