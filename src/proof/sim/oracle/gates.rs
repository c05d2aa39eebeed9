//! S4, S7: what an engine does with its gate, on what evidence, and whether the gate is as the engine thinks.

use super::Oracle;
use crate::durable::Loaded;
use crate::engine::GateAction;
use crate::mutant::Mutant;
use crate::sim::world::Sim;
use crate::timing::Profile;
use crate::types::{Epoch, InterfaceId, MonoTime};
use std::time::Duration;

/// A neighbour that was not seen for so long may have been forgotten.
const NEIGHBOUR: Duration = Duration::from_secs(8);

impl Oracle {
    /// Carries out a change of the gate, if the process has the gate that is there.
    pub fn change_gate(sim: &mut Sim, node: usize, gate: GateAction, decided: MonoTime) {
        match gate {
            GateAction::Begin { interface, generation } => Oracle::begin_generation(sim, node, interface, generation),
            GateAction::Renew { interface, until } => Oracle::renew_lease(sim, node, interface, until, decided),
            GateAction::Open { group, epoch } => {
                let group = sim.nodes[node].table[usize::from(group.0)];
                Oracle::open_gate(sim, node, group, epoch, decided);
            }
            GateAction::Close { group, carry_until } => {
                let group = sim.nodes[node].table[usize::from(group.0)];
                if carry_until != MonoTime::ZERO {
                    sim.oracle.seen[node].carried[group] = carry_until.since(decided);
                }
                if sim.nodes[node].is_attached(sim.plan.groups[group].interface) {
                    sim.nodes[node].kernel.open[group] = Epoch::NONE;
                    sim.oracle.seen[node].reopens[group] = Epoch::NONE;
                }
            }
            GateAction::Forward { .. } => {}
        }
        sim.oracle.seen[node].stamped = false;
    }

    fn begin_generation(sim: &mut Sim, node: usize, interface: InterfaceId, generation: u64) {
        let interface = usize::from(interface.0);
        if !sim.nodes[node].is_attached(interface) {
            return;
        }
        let groups = (0..sim.plan.groups.len()).filter(|group| sim.plan.groups[*group].interface == interface);
        let open = groups.clone().any(|group| sim.nodes[node].kernel.is_open(group));
        let gate = &mut sim.nodes[node].kernel.gates[interface];
        let before = std::mem::replace(&mut gate.generation, generation);
        gate.until = MonoTime::ZERO;
        sim.oracle.hold(generation > before, || format!("S7: node {node} uses generation {generation} twice"));
        sim.oracle.hold(!open, || format!("S7: node {node} begins a generation while something is open"));
    }

    fn renew_lease(sim: &mut Sim, node: usize, interface: InterfaceId, until: MonoTime, decided: MonoTime) {
        let interface = usize::from(interface.0);
        if !sim.nodes[node].is_attached(interface) {
            return;
        }
        let (local, lease) = (sim.local(node), sim.nodes[node].config.timing.lease);
        Oracle::check_votes(sim, node, interface, until);
        let relative = sim.mutants.is_on(Mutant::LeaseRelative);
        let until = if relative { local + until.since(decided) } else { until };
        sim.nodes[node].kernel.gates[interface].until = until;
        let gate = sim.nodes[node].kernel.gates[interface];
        let known = match &sim.nodes[node].disk.content {
            Loaded::State(state) => state.lease,
            Loaded::Fresh | Loaded::Damaged => None,
        };
        let open = (0..sim.plan.groups.len())
            .any(|group| sim.plan.groups[group].interface == interface && sim.nodes[node].kernel.is_open(group));
        let unknown = open && known.is_some_and(|known| until > decided + known);
        let again = gate.is_live(local) && sim.oracle.seen[node].turned_away[interface] == gate.generation;
        sim.oracle.hold(!again, || format!("S7: a lapsed lease of node {node} is renewed, and answers again"));
        sim.oracle.hold(until <= decided + lease && until <= local + lease, || {
            format!("S4: a lease of node {node} is counted from later than its wake-up: {until:?}, {decided:?}")
        });
        sim.oracle
            .hold(!unknown, || format!("S7: node {node} is open for longer than {known:?}, which its disk knows"));
    }

    fn open_gate(sim: &mut Sim, node: usize, group: usize, epoch: Epoch, decided: MonoTime) {
        let interface = sim.plan.groups[group].interface;
        if !sim.nodes[node].is_attached(interface) {
            return;
        }
        let generation = sim.nodes[node].kernel.gates[interface].generation;
        sim.oracle.hold(generation != 0, || format!("S7: a gate of node {node} opens without a lease"));
        sim.nodes[node].kernel.open[group] = epoch;
        let voted = sim.nodes[node].engine.as_ref().is_some_and(|engine| engine.view_votes_decide());
        if voted {
            Oracle::check_election(sim, node, group, epoch);
        } else if decided == sim.local(node) && sim.oracle.seen[node].reopens[group] != epoch {
            Oracle::check_evidence(sim, node, group, epoch);
            Oracle::check_grant(sim, node, group, epoch);
        }
        sim.oracle.check_epoch(node, group, epoch);
        sim.oracle.seen[node].opened[group] = sim.now;
        sim.oracle.seen[node].reopens[group] = Epoch::NONE;
    }

    /// The gate of an interface is about to be replaced: what is open may be opened again as it was.
    pub fn note_replaced(sim: &mut Sim, node: usize, interface: usize) {
        for group in 0..sim.plan.groups.len() {
            if sim.plan.groups[group].interface == interface {
                sim.oracle.seen[node].reopens[group] = sim.nodes[node].kernel.open[group];
            }
        }
    }

    /// Without consent a node opens only after a claim that was out for a probe interval, after a silence that it
    /// witnessed, and not while it hears none of the neighbours it knew.
    fn check_evidence(sim: &mut Sim, node: usize, group: usize, epoch: Epoch) {
        let (local, now) = (sim.local(node), sim.now);
        let machine = &sim.nodes[node];
        let (Some(engine), Some(place)) = (&machine.engine, machine.places[group]) else { return };
        let consented = (0..sim.nodes.len() - 1).all(|peer| {
            let known = engine.view_peer(peer, local);
            // One that has told its whole table and does not know the group has no say in it.
            let stranger = known.have.0 == known.have.1 && known.have.0 != 0;
            known.left || engine.view_row(peer, place).map_or(stranger, |row| row.consent == epoch)
        });
        if consented {
            return;
        }
        let interface = sim.plan.groups[group].interface;
        let seen = &sim.oracle.seen[node];
        let bounds = &sim.oracle.bounds;
        // Somebody must have been heard within the last twelve questions, which go out once per pulse at the slowest.
        let patience = bounds.silence + bounds.pulse * 14;
        let alone = seen.isolated[interface].is_some_and(|since| now.since(since) > patience);
        let known = seen.neighbour[interface].is_some_and(|last| now.since(last) < NEIGHBOUR)
            && sim.plan.profile == Profile::Fast;
        let (claim, since) = seen.claims[group];
        let out = claim == epoch && local.since(since) >= seen.least.probe;
        let awake = local.since(seen.resumed);
        let rested = awake >= seen.least.silence;
        let oracle = &mut sim.oracle;
        oracle.hold(out, || format!("S8: node {node} opens group {group} without a claim"));
        oracle.hold(rested, || format!("S8: node {node} opens group {group} {awake:?} after a stall"));
        oracle.hold(!(alone && known), || {
            format!("S8: node {node} opens group {group} although it is off the segment")
        });
    }

    /// What the engine says of itself, after it has handled an event and its actions are done.
    pub fn after_event(sim: &mut Sim, node: usize) {
        let local = sim.local(node);
        let machine = &sim.nodes[node];
        let Some(engine) = &machine.engine else { return };
        let paused = machine.pause.is_some();
        if !paused && !machine.exited {
            let (next, pulse) = (engine.next_deadline(), machine.config.timing.pulse);
            sim.oracle.hold(next <= local + pulse, || format!("S7: no pulse of node {node} is due before {next:?}"));
            Oracle::check_leases(sim, node, local);
        }
        let Some(engine) = &sim.nodes[node].engine else { return };
        let stamp = engine.view_stamp();
        let before = std::mem::replace(&mut sim.oracle.seen[node].stamp, stamp);
        if std::mem::replace(&mut sim.oracle.seen[node].stamped, true) && stamp == before {
            return;
        }
        sim.touched = true;
        for place in 0..sim.nodes[node].table.len() {
            Oracle::check_view(sim, node, place, local, paused);
        }
    }

    /// S3: an announcement goes out of an open gate; one that came before its gate would be lost.
    pub fn check_announcement(sim: &mut Sim, node: usize, group: usize, decided: MonoTime) {
        let attached = sim.nodes[node].is_attached(sim.plan.groups[group].interface);
        let open = sim.nodes[node].kernel.is_open(group);
        if attached && decided == sim.local(node) {
            sim.oracle.hold(open, || format!("S3: node {node} announces group {group}, whose gate is closed"));
        }
    }

    /// What is open is under a lease that runs.
    fn check_leases(sim: &mut Sim, node: usize, local: MonoTime) {
        for interface in 0..sim.plan.interfaces {
            let machine = &sim.nodes[node];
            // A refusal is told before the next event of any kind.
            let gate = machine.kernel.gates[interface];
            let untold = gate.is_refused() && sim.oracle.seen[node].refusal_told[interface] != gate.generation;
            if !machine.is_attached(interface) || gate.is_live(local) || untold {
                continue;
            }
            let here = |group: &usize| sim.plan.groups[*group].interface == interface;
            let open = (0..sim.plan.groups.len()).filter(here).find(|group| machine.kernel.is_open(*group));
            if let Some(group) = open {
                sim.oracle.violated(|| {
                    format!("S7: node {node} thinks that it answers for group {group} without a lease: {gate:?}")
                });
            }
        }
    }

    fn check_view(sim: &mut Sim, node: usize, place: usize, local: MonoTime, paused: bool) {
        let machine = &sim.nodes[node];
        let group = machine.table[place];
        let Some(engine) = &machine.engine else { return };
        let view = engine.view_group(place);
        let told =
            (0..sim.nodes.len() - 1).filter_map(|peer| engine.view_row(peer, place)).map(|row| row.epoch).max();
        let open = machine.kernel.is_open(group);
        let attached = machine.is_attached(sim.plan.groups[group].interface);
        let oracle = &mut sim.oracle;
        oracle.note_epochs([view.seen, view.reserve, view.reserving, view.consent, view.epoch]);
        let seen = &mut oracle.seen[node];
        if seen.claims[group].0 != view.claim {
            seen.claims[group] = (view.claim, local);
        }
        seen.told[group] = seen.told[group].max(told.unwrap_or_default());
        if paused || !attached {
            return;
        }
        oracle.hold(open == view.open, || {
            format!("S7: the gate of node {node} group {group} is open: {open}, its role is {:?}", view.role)
        });
        if open {
            Oracle::check_active(sim, node, group, view.epoch);
        }
    }
}
