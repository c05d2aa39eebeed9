//! Steps of the model: the state that follows from an act.

use super::act::Act;
use super::shape::{ETH, GROUP, PATHS, Plant, Shape, id, mac};
use super::state::{Budget, Flight, Freight, Kernel, Node, Order, Pause, State};
use super::witness::Said;
use crate::durable::Loaded;
use crate::engine::{Actions, Engine, Event, InterfaceFacts, OwnAddress};
use crate::types::{Epoch, LinkId, NodeId};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Number of calls in a row with a deadline that has passed, after which an engine counts as
/// spinning.
const SPINS: usize = 20;

impl Shape {
    /// The state after an act, whose price is taken from the budget; `None` if the act is
    /// impossible after all.
    pub fn step(&self, state: &State, act: Act) -> Option<State> {
        let mut after = state.clone();
        pay(&mut after.budget, act);
        let next = &mut after;
        if self.step_witness(next, act).is_none() {
            self.apply(next, act)?;
        }
        self.count_ticks(next, act);
        self.begin_round(next);
        Some(after)
    }

    /// Begins the next round of an instant once nobody has a turn in the present one: what was sent
    /// in the present round arrives in the next.
    fn begin_round(&self, state: &mut State) {
        let waiting = |flight: &Arc<Flight>| flight.late == 0 && flight.round == state.round;
        if self.order == Order::Rounds && self.turn(state).is_none() && state.air.iter().any(waiting) {
            state.round += 1;
        }
    }

    /// Does what an act says, to a node or the world; `None` if the act is impossible after all.
    fn apply(&self, next: &mut State, act: Act) -> Option<()> {
        match act {
            Act::Pass => self.pass(next, None),
            Act::Slip { node, ticks } => self.pass(next, Some((node, ticks))),
            Act::Wake { node } => self.wake(next, node, None)?,
            Act::WakeTrapped { node, change } => self.wake(next, node, Some(change))?,
            Act::Arrive { flight } => self.arrive(next, flight, None, false)?,
            Act::ArriveTrapped { flight, change } => self.arrive(next, flight, Some(change), false)?,
            Act::ArriveTwice { flight } => self.arrive(next, flight, None, true)?,
            Act::Lose { flight } => drop(next.air.remove(flight)),
            Act::Delay { flight } => Arc::make_mut(&mut next.air[flight]).late = self.delay,
            Act::Stop { node } => {
                let node = Arc::make_mut(&mut next.nodes[node]);
                let decided = node.now();
                node.pause = Some(Pause { held: Vec::new(), bytes: Vec::new(), decided, backlog: Vec::new() });
            }
            Act::Freeze { node } => {
                let node = Arc::make_mut(&mut next.nodes[node]);
                let decided = node.now();
                node.frozen = true;
                node.pause = Some(Pause { held: Vec::new(), bytes: Vec::new(), decided, backlog: Vec::new() });
            }
            Act::Resume { node } => self.resume(next, node),
            Act::Kill { node, written } => self.kill(next, node, written),
            Act::Crash { node, written } => {
                self.kill(next, node, written);
                Arc::make_mut(&mut next.nodes[node]).kernel = Kernel::default();
            }
            Act::Start { node } => *next = self.start(next, node),
            Act::Cut { ways } => next.cut = ways,
            Act::Mend => next.cut = Default::default(),
            Act::Carrier { node, up } => {
                Arc::make_mut(&mut next.nodes[node]).carrier = up;
                self.report_facts(next, node);
            }
            Act::Order { node, command } => self.handle(next, node, Event::Command { id: 1, command }),
        }
        Some(())
    }

    /// Lets a tick pass for all; `slip` names an end whose clock counts another number of ticks.
    fn pass(&self, state: &mut State, slip: Option<(usize, u64)>) {
        for (node, machine) in state.nodes.iter_mut().enumerate() {
            let ticks = slip.filter(|(slipped, _)| *slipped == node).map_or(1, |(_, ticks)| ticks);
            let machine = Arc::make_mut(machine);
            machine.clock += if machine.frozen { 0 } else { ticks };
            machine.excused = machine.excused.saturating_sub(1);
        }
        if let Some(witness) = &mut state.witness {
            let ticks = slip.filter(|(slipped, _)| *slipped == self.witness_end()).map_or(1, |(_, ticks)| ticks);
            Arc::make_mut(witness).clock += ticks;
        }
        for flight in state.air.iter_mut().filter(|flight| flight.late > 0) {
            let flight = Arc::make_mut(flight);
            (flight.late, flight.round) = (flight.late - 1, 0);
        }
        state.round = 1;
    }

    /// Calls an engine with ticks until its deadline lies ahead; an engine that never gets there
    /// spins, which is noted. With a `trap` there is one call, and the process is stopped before
    /// that change of the gate; `None` if there is no such change.
    fn wake(&self, state: &mut State, node: usize, trap: Option<usize>) -> Option<()> {
        if trap.is_some() {
            return self.handle_trapped(state, node, Event::Tick, trap);
        }
        for _ in 0..SPINS {
            self.handle(state, node, Event::Tick);
            let machine = &state.nodes[node];
            let due = machine.engine.as_ref().is_some_and(|engine| engine.next_deadline() <= machine.now());
            if !due || !machine.is_running() {
                return Some(());
            }
        }
        state.broken = state.broken.or(Some(super::rules::SPIN));
        Some(())
    }

    /// Lets a flight arrive, or its whole burst. `again`: a copy stays in the air. `None` if a
    /// `trap` is set and no process stops at it.
    fn arrive(&self, state: &mut State, position: usize, trap: Option<usize>, again: bool) -> Option<()> {
        let first = Arc::clone(&state.air[position]);
        if matches!(self.order, Order::Any | Order::Queues) || first.is_stored() || again {
            if !again {
                state.air.remove(position);
            }
            return self.deliver(state, &first, trap);
        }
        let (order, round) = (state.order, state.round);
        let together = |flight: &mut Arc<Flight>| {
            let due = flight.late == 0 && (order != Order::Rounds || flight.round < round);
            (flight.from, flight.to) == (first.from, first.to) && due && !flight.is_stored()
        };
        let burst: Vec<Arc<Flight>> = state.air.extract_if(.., together).collect();
        // The trap is set at one datagram of the burst: the rest finds a stopped process.
        let mut trapped = trap.is_none();
        for flight in &burst {
            if trapped || self.deliver_trapped(state, flight, trap).is_none() {
                self.deliver(state, flight, None)?;
            } else {
                trapped = true;
            }
        }
        trapped.then_some(())
    }

    /// Delivers a flight to a process that is to be stopped at `trap`; `None`, and nothing is
    /// changed, if the process does not stop.
    fn deliver_trapped(&self, state: &mut State, flight: &Arc<Flight>, trap: Option<usize>) -> Option<()> {
        let mut attempt = state.clone();
        self.deliver(&mut attempt, flight, trap)?;
        *state = attempt;
        Some(())
    }

    /// Delivers a flight to its receiver. A stopped process takes the flight later, a dead one
    /// never. `None` if a `trap` is set and no process stops at it.
    fn deliver(&self, state: &mut State, flight: &Arc<Flight>, trap: Option<usize>) -> Option<()> {
        let to = flight.to;
        if to == self.witness_end() {
            self.reach_witness(state, flight);
            return Some(());
        }
        if let Freight::Stored { life, version, state: content } = &flight.freight {
            if state.nodes[to].life != *life || state.nodes[to].engine.is_none() {
                return trap.is_none().then_some(());
            }
            self.write_disk(state, to, content);
            if state.nodes[to].pause.is_none() {
                return self.handle_trapped(state, to, Event::Stored { version: *version }, trap);
            }
        }
        if let Freight::Ended { life, .. } = &flight.freight
            && state.nodes[to].life != *life
        {
            return trap.is_none().then_some(());
        }
        let node = &state.nodes[to];
        if node.pause.is_some() {
            let (stored, frozen) = (flight.is_stored(), node.frozen);
            let pause = Arc::make_mut(&mut state.nodes[to]).pause.as_mut()?;
            if stored || (pause.backlog.len() < self.backlog && !frozen) {
                pause.backlog.push(Arc::clone(flight));
            }
            return Some(());
        }
        if node.engine.is_none() || (!node.carrier && flight.queue().2 != 0) {
            return trap.is_none().then_some(());
        }
        let event = match &flight.freight {
            Freight::Pulse { path, bytes, .. } => {
                Event::Datagram { link: LinkId { peer: self.number(flight.from), path: PATHS[*path] }, bytes }
            }
            Freight::Seen(sighting) => Event::Seen { interface: ETH, sighting: *sighting },
            Freight::Stored { version, .. } | Freight::Remembered { version, .. } => {
                Event::Stored { version: *version }
            }
            Freight::Ended { life: _, hook, epoch } => {
                Event::Hook { group: GROUP, hook: *hook, epoch: *epoch, ok: true }
            }
        };
        self.handle_trapped(state, to, event, trap)
    }

    /// Lets a node's engine handle an event, up to the trap if there is one; `None` if a `trap` is
    /// set and the process does not stop at it.
    fn handle_trapped(&self, state: &mut State, node: usize, event: Event<'_>, trap: Option<usize>) -> Option<()> {
        match trap {
            Some(change) => self.handle_until(state, node, event, change),
            None => {
                self.handle(state, node, event);
                Some(())
            }
        }
    }

    /// Lets a node's engine handle an event, carries out what the engine wants, and checks the
    /// gate.
    pub fn handle(&self, state: &mut State, node: usize, event: Event<'_>) {
        self.report_refusal(state, node, &event);
        if let Some(out) = self.call_engine(state, node, event) {
            let decided = state.nodes[node].now();
            self.carry_out(state, node, &out.list, &out.bytes, decided);
            self.check_gate(state, node);
        }
    }

    /// Lets a node's engine handle an event, and stops the process before change `change` of the
    /// gate, from 0. `None` if there is no such change.
    fn handle_until(&self, state: &mut State, node: usize, event: Event<'_>, change: usize) -> Option<()> {
        self.report_refusal(state, node, &event);
        let out = self.call_engine(state, node, event)?;
        let gate = |(_, action): &(usize, &crate::engine::Action)| matches!(action, crate::engine::Action::Gate(_));
        let (stop, _) = out.list.iter().enumerate().filter(gate).nth(change)?;
        let decided = state.nodes[node].now();
        self.carry_out(state, node, &out.list[..stop], &out.bytes, decided);
        let pause = Pause { held: out.list[stop..].to_vec(), bytes: out.bytes, decided, backlog: Vec::new() };
        Arc::make_mut(&mut state.nodes[node]).pause = Some(pause);
        Some(())
    }

    /// Reports a refused lease to an engine, as the agent does before every other event.
    fn report_refusal(&self, state: &mut State, node: usize, event: &Event<'_>) {
        let kernel = &state.nodes[node].kernel;
        let refused = kernel.refused && kernel.generation != 0 && !matches!(event, Event::Adopted { .. });
        if refused && let Some(out) = self.call_engine(state, node, Event::LeaseRefused { interface: ETH }) {
            let decided = state.nodes[node].now();
            self.carry_out(state, node, &out.list, &out.bytes, decided);
        }
    }

    /// Lets an engine handle an event, and returns what it wants; `None` without an engine.
    fn call_engine(&self, state: &mut State, node: usize, event: Event<'_>) -> Option<Actions> {
        let machine = Arc::make_mut(&mut state.nodes[node]);
        let now = machine.now();
        let engine = machine.engine.as_mut()?;
        let mut out = Actions::default();
        engine.handle(now, event, &mut out);
        Some(out)
    }

    /// Lets a stopped process go on: it carries out what it held, then takes what waits.
    fn resume(&self, state: &mut State, node: usize) {
        let machine = Arc::make_mut(&mut state.nodes[node]);
        let (frozen, pause) = (std::mem::take(&mut machine.frozen), machine.pause.take());
        if frozen {
            super::witness::thaw(state, node);
        }
        let Some(pause) = pause else { return };
        self.carry_out(state, node, &pause.held, &pause.bytes, pause.decided);
        for flight in &pause.backlog {
            let delivered = match &flight.freight {
                Freight::Stored { version, .. } => {
                    self.handle(state, node, Event::Stored { version: *version });
                    Some(())
                }
                Freight::Pulse { .. } | Freight::Seen(_) | Freight::Remembered { .. } | Freight::Ended { .. } => {
                    self.deliver(state, flight, None)
                }
            };
            debug_assert!(delivered.is_some(), "a resumed process takes what waited");
        }
        if self.budget.carriers > 0 {
            self.report_facts(state, node);
        }
        self.handle(state, node, Event::Tick);
    }

    /// Ends a node's process. `written`: its write under way has arrived. What the node was told
    /// counts only as far as its disk has it.
    fn kill(&self, state: &mut State, node: usize, written: bool) {
        let ours = |flight: &Arc<Flight>| flight.to == node && flight.is_stored();
        let writes = |flight: &&Arc<Flight>| ours(flight) && matches!(flight.freight, Freight::Stored { .. });
        let first = state.air.iter().find(writes).cloned();
        if let (true, Some(flight)) = (written, first)
            && let Freight::Stored { state: content, .. } = &flight.freight
        {
            self.write_disk(state, node, content);
        }
        state.air.retain(|flight| !ours(flight));
        let machine = Arc::make_mut(&mut state.nodes[node]);
        machine.engine = None;
        machine.pause = None;
        machine.told = match &machine.disk {
            Loaded::State(state) => state.groups[0].seen.max(state.groups[0].held),
            Loaded::Fresh | Loaded::Damaged => Epoch::NONE,
        };
    }

    /// The state after a node's agent has started and adopted what its kernel holds.
    pub fn start(&self, state: &State, node: usize) -> State {
        let mut next = state.clone();
        let machine = Arc::make_mut(&mut next.nodes[node]);
        machine.life += 1;
        machine.said = Said::default();
        let forgotten = self.plant == Some(Plant::DiskForgets);
        let disk = if forgotten { Loaded::Fresh } else { machine.disk.clone() };
        machine.engine = Some(Engine::new(self.setup(node, machine.life, &disk), machine.now()));
        let kernel = machine.kernel;
        if kernel.generation != 0 {
            next.ghost.adopted();
            let open: Vec<_> = kernel.open.iter().map(|epoch| (GROUP, *epoch)).collect();
            let Kernel { until, generation, refused, .. } = kernel;
            self.handle(&mut next, node, Event::Adopted { interface: ETH, until, generation, refused, open: &open });
        }
        for other in (0..self.nodes).filter(|other| *other != node) {
            for path in self.paths() {
                let link = LinkId { peer: id(other), path };
                self.handle(&mut next, node, Event::Link { link, open: true });
            }
        }
        if self.witness {
            let link = LinkId { peer: NodeId::FIRST_WITNESS, path: PATHS[0] };
            self.handle(&mut next, node, Event::Link { link, open: true });
        }
        self.report_facts(&mut next, node);
        next
    }

    /// Lets a running engine handle the facts of its interface: carrier, address, gate.
    fn report_facts(&self, state: &mut State, node: usize) {
        let machine: &Node = &state.nodes[node];
        let (carrier, mac) = (machine.carrier, mac(node));
        let facts = InterfaceFacts { exists: true, enslaved: false, carrier, mac, gate: true };
        if machine.is_running() {
            self.handle(state, node, Event::Interface { interface: ETH, facts });
            // Asked with an address of its own: whatever is asked so is answered by an open gate.
            let own = OwnAddress { address: Ipv4Addr::new(10, 0, 0, 200).into(), prefix: 8 };
            self.handle(state, node, Event::OwnAddresses { interface: ETH, own: &[own] });
            self.handle(state, node, Event::Addresses { group: GROUP, there: true });
        }
    }

    /// The state after `ticks` ticks in which nothing goes wrong and everything happens as soon as
    /// it can.
    pub fn calm(&self, state: &State, ticks: usize) -> State {
        let (mut state, mut left) = (state.clone(), ticks);
        while left > 0 {
            let mut acts = Vec::new();
            self.possible(&state, &mut acts);
            let act = acts.into_iter().find(|act| matches!(act, Act::Wake { .. } | Act::Arrive { .. } | Act::Pass));
            let Some(act) = act else { return state };
            left -= usize::from(act == Act::Pass);
            let Some(next) = self.step(&state, act) else { return state };
            state = next;
        }
        state
    }
}

/// Takes the price of an act out of the budget.
fn pay(budget: &mut Budget, act: Act) {
    let price = match act {
        Act::Pass
        | Act::Wake { .. }
        | Act::Arrive { .. }
        | Act::Resume { .. }
        | Act::Start { .. }
        | Act::Mend
        | Act::Carrier { up: true, .. } => return,
        Act::Slip { .. } => &mut budget.slips,
        Act::ArriveTwice { .. } => &mut budget.copies,
        Act::Lose { .. } => &mut budget.losses,
        Act::Delay { .. } => &mut budget.delays,
        Act::Stop { .. } => &mut budget.stops,
        Act::Freeze { .. } => &mut budget.freezes,
        Act::WakeTrapped { .. } | Act::ArriveTrapped { .. } => &mut budget.traps,
        Act::Kill { .. } => &mut budget.kills,
        Act::Crash { .. } => &mut budget.crashes,
        Act::Cut { .. } => &mut budget.cuts,
        Act::Carrier { up: false, .. } => &mut budget.carriers,
        Act::Order { .. } => &mut budget.orders,
    };
    *price -= 1;
    budget.any -= 1;
}
