//! S4, S7: how an engine changes its gate, on what evidence, and whether the gate is as the engine
//! thinks. The changes themselves are made here, on the kernel of the node, so that none goes
//! unseen.

use super::Oracle;
use crate::durable::Loaded;
use crate::engine::GateAction;
use crate::mutant::Mutant;
use crate::sim::world::Sim;
use crate::timing::Profile;
use crate::types::{Epoch, InterfaceId, MonoTime};
use std::time::Duration;

/// Time after which an engine may have forgotten a neighbour.
const NEIGHBOUR: Duration = Duration::from_secs(8);

impl Oracle {
    /// Changes the kernel's gate as an engine decided, if the process has the gate that is there,
    /// and checks the change.
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

    /// Begins a generation of an interface's lease, and checks that it is new and nothing is open.
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

    /// Writes a deadline, and checks it against S4, S7 and the votes.
    fn renew_lease(sim: &mut Sim, node: usize, interface: InterfaceId, until: MonoTime, decided: MonoTime) {
        let interface = usize::from(interface.0);
        if !sim.nodes[node].is_attached(interface) {
            return;
        }
        // A turn that begins with a new file may still renew for as long as the former one says.
        let lease = sim.nodes[node].config.timing.lease.max(sim.oracle.seen[node].reloaded);
        let local = sim.local(node);
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

    /// Opens a group's gate, and checks on what evidence.
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
        let number = sim.number(node, node);
        sim.oracle.check_epoch((node, number), group, epoch);
        sim.oracle.seen[node].opened[group] = sim.now;
        sim.oracle.seen[node].reopens[group] = Epoch::NONE;
    }

    /// Notes that the gate of an interface is about to be replaced: groups that are open may be
    /// opened again with the same epoch.
    pub fn note_replaced(sim: &mut Sim, node: usize, interface: usize) {
        for group in 0..sim.plan.groups.len() {
            if sim.plan.groups[group].interface == interface {
                sim.oracle.seen[node].reopens[group] = sim.nodes[node].kernel.open[group];
            }
        }
    }

    /// Checks an opening without consent (S8): the claim was out for a probe interval, the node
    /// witnessed the silence, and it hears a neighbour if it knew one.
    fn check_evidence(sim: &mut Sim, node: usize, group: usize, epoch: Epoch) {
        let (local, now) = (sim.local(node), sim.now);
        let machine = &sim.nodes[node];
        let (Some(engine), Some(place)) = (&machine.engine, machine.places[group]) else { return };
        let consented = (0..sim.nodes.len() - 1).all(|peer| {
            let known = engine.view_peer(peer, local);
            // A peer that has told its whole table and does not know the group has no say in it.
            let stranger = known.have.0 == known.have.1 && known.have.0 != 0;
            known.left || engine.view_row(peer, place).map_or(stranger, |row| row.consent == epoch)
        });
        if consented {
            return;
        }
        let interface = sim.plan.groups[group].interface;
        let seen = &sim.oracle.seen[node];
        let bounds = &sim.oracle.bounds;
        // A neighbour must have been heard within the last twelve questions, which go out once per
        // pulse at the slowest.
        let patience = bounds.silence + bounds.pulse * 14;
        let alone = seen.isolated[interface].is_some_and(|since| now.since(since) > patience);
        let known = seen.neighbour[interface].is_some_and(|last| now.since(last) < NEIGHBOUR)
            && sim.plan.profile == Profile::Fast
            // Who can name no address may ask in vain: the silence of neighbours tells it nothing.
            && !sim.plan.switch.without_own;
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

    /// Checks what an engine shows of itself after it has handled an event and its actions are
    /// carried out.
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

    /// Checks S3: an announcement leaves through an open gate; one before its gate would be lost.
    pub fn check_announcement(sim: &mut Sim, node: usize, group: usize, decided: MonoTime) {
        let attached = sim.nodes[node].is_attached(sim.plan.groups[group].interface);
        let open = sim.nodes[node].kernel.is_open(group);
        if attached && decided == sim.local(node) {
            sim.oracle.hold(open, || format!("S3: node {node} announces group {group}, whose gate is closed"));
        }
    }

    /// Checks S7: what is open is under a lease that runs.
    fn check_leases(sim: &mut Sim, node: usize, local: MonoTime) {
        for interface in 0..sim.plan.interfaces {
            let machine = &sim.nodes[node];
            // A refused lease is reported before the next event of any kind.
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

    /// Notes what an engine shows of a group, and checks that its gate agrees.
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
