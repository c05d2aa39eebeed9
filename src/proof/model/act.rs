//! Acts: what can happen next in a state of the model, and which acts are possible there.

use super::shape::Shape;
use super::state::{Cuts, Freight, Order, State};
use crate::engine::Command;

/// One step of the world. Flights are named by their position in the air.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// A tick passes for everybody.
    Pass,
    /// A tick passes, but on this node's clock none, or two.
    Slip { node: usize, ticks: u64 },
    /// An engine is called because its deadline has come.
    Wake { node: usize },
    /// A flight arrives.
    Arrive { flight: usize },
    /// A flight arrives and will arrive again.
    ArriveTwice { flight: usize },
    /// A flight is lost.
    Lose { flight: usize },
    /// A flight is held up for the shape's delay.
    Delay { flight: usize },
    /// A process is stopped between two events.
    Stop { node: usize },
    /// A guest is stopped, and its clock with it.
    Freeze { node: usize },
    /// An engine is called, and its process is stopped before change `change` of the gate, from 0.
    WakeTrapped { node: usize, change: usize },
    /// A flight arrives, and the process is stopped before change `change` of the gate, from 0.
    ArriveTrapped { flight: usize, change: usize },
    /// A stopped process goes on.
    Resume { node: usize },
    /// A process ends; `written`: the write under way has arrived.
    Kill { node: usize, written: bool },
    /// A host loses its power; `written`: the write under way has arrived.
    Crash { node: usize, written: bool },
    /// An agent starts.
    Start { node: usize },
    /// Exactly these ways are cut from now on.
    Cut { ways: Cuts },
    /// All ways are mended.
    Mend,
    /// The interface loses its carrier, or has it again.
    Carrier { node: usize, up: bool },
    /// An operator gives a command.
    Order { node: usize, command: Command },
}

/// Number of changes of the gate in one decision before which a process may be stopped: the first
/// closes or begins, the second comes after.
const TRAPS: usize = 2;

impl Shape {
    /// Adds every act that is possible in a state to `acts`; none after a broken promise, where the
    /// search ends.
    pub fn possible(&self, state: &State, acts: &mut Vec<Act>) {
        if state.broken.is_some() {
            return;
        }
        self.due(state, acts);
        let quiet = acts.is_empty();
        if quiet {
            self.passing(state, acts);
        }
        if state.budget.any > 0 {
            self.faults(state, acts);
        }
        if quiet || matches!(self.order, Order::Any | Order::Queues) {
            self.repairs(state, acts);
        }
    }

    /// Adds the acts that must happen before time goes on: wake-ups and arrivals that are due, each
    /// also with a process stopped in the middle if the budget pays for that.
    fn due(&self, state: &State, acts: &mut Vec<Act>) {
        let trap = state.budget.any > 0 && state.budget.traps > 0;
        let turn = if self.order == Order::Rounds { self.turn(state) } else { None };
        let is_turn = |node: usize| turn.is_none_or(|turn| turn == node);
        for node in (0..state.nodes.len()).filter(|node| is_turn(*node)) {
            if state.nodes[node].is_due() {
                acts.push(Act::Wake { node });
                let trap = trap && self.spared != Some(node);
                acts.extend((0..TRAPS).filter(|_| trap).map(|change| Act::WakeTrapped { node, change }));
            }
        }
        for flight in self.arrivals(state).into_iter().filter(|flight| is_turn(state.air[*flight].to)) {
            acts.push(Act::Arrive { flight });
            let to = state.air[flight].to;
            if trap && self.spared != Some(to) && state.nodes.get(to).is_some_and(|node| node.is_running()) {
                acts.extend((0..TRAPS).map(|change| Act::ArriveTrapped { flight, change }));
            }
        }
    }

    /// The party whose turn it is in the present round; `None` when nothing is left of the round.
    pub fn turn(&self, state: &State) -> Option<usize> {
        let woken = state.nodes.iter().position(|node| node.is_due());
        let reached = state.air.iter().filter(|flight| state.is_due(flight)).map(|flight| flight.to).min();
        woken.into_iter().chain(reached).min()
    }

    /// Positions in the air of the flights that may arrive now: the first of each queue or burst,
    /// as the shape's order says.
    fn arrivals(&self, state: &State) -> Vec<usize> {
        let first = |position: &usize| {
            let flight = &state.air[*position];
            let ahead = |other: &std::sync::Arc<super::state::Flight>| {
                state.is_due(other)
                    && match self.order {
                        Order::Any => flight.is_stored() && other.queue() == flight.queue(),
                        Order::Queues => other.queue() == flight.queue(),
                        Order::Bursts | Order::Rounds => (other.from, other.to) == (flight.from, flight.to),
                    }
            };
            state.is_due(flight) && !state.air[..*position].iter().any(ahead)
        };
        (0..state.air.len()).filter(first).collect()
    }

    /// Adds the passing of a tick, and slips of clocks that the budget pays for.
    fn passing(&self, state: &State, acts: &mut Vec<Act>) {
        acts.push(Act::Pass);
        if state.budget.any > 0 && state.budget.slips > 0 {
            for node in 0..state.nodes.len() + usize::from(state.witness.is_some()) {
                acts.extend([0, 2].map(|ticks| Act::Slip { node, ticks }));
            }
        }
    }

    /// Adds the faults that the budget pays for.
    fn faults(&self, state: &State, acts: &mut Vec<Act>) {
        let budget = &state.budget;
        for flight in (0..state.air.len()).filter(|flight| state.air[*flight].late == 0) {
            let pulse = matches!(state.air[flight].freight, Freight::Pulse { .. });
            if budget.losses > 0 && !state.air[flight].is_stored() {
                acts.push(Act::Lose { flight });
            }
            if budget.copies > 0 && pulse {
                acts.push(Act::ArriveTwice { flight });
            }
            if budget.delays > 0 {
                acts.push(Act::Delay { flight });
            }
        }
        let harmed = |(node, _): &(usize, &std::sync::Arc<super::state::Node>)| self.spared != Some(*node);
        self.witness_faults(state, acts);
        for (node, machine) in state.nodes.iter().enumerate().filter(harmed) {
            if budget.freezes > 0 && machine.is_running() {
                acts.push(Act::Freeze { node });
            }
            if budget.stops > 0 && machine.is_running() {
                acts.push(Act::Stop { node });
            }
            let writing = |flight: &std::sync::Arc<super::state::Flight>| {
                flight.to == node && matches!(flight.freight, Freight::Stored { .. })
            };
            let writing = state.air.iter().any(writing);
            for written in [false, true].into_iter().filter(|written| writing || !written) {
                if budget.kills > 0 && machine.engine.is_some() {
                    acts.push(Act::Kill { node, written });
                }
                if budget.crashes > 0 && (machine.engine.is_some() || machine.kernel.generation != 0) {
                    acts.push(Act::Crash { node, written });
                }
            }
            if budget.carriers > 0 && machine.carrier {
                acts.push(Act::Carrier { node, up: false });
            }
        }
        if budget.cuts > 0 {
            let news = self.cuts.iter().filter(|ways| **ways != state.cut);
            acts.extend(news.map(|ways| Act::Cut { ways: *ways }));
        }
        if budget.orders > 0 {
            let able = self.orders.iter().filter(|(node, _)| state.nodes[*node].is_running());
            acts.extend(able.map(|(node, command)| Act::Order { node: *node, command: *command }));
        }
    }

    /// Adds the acts that mend something: they are free, and may happen at any time or never.
    fn repairs(&self, state: &State, acts: &mut Vec<Act>) {
        for (node, machine) in state.nodes.iter().enumerate() {
            if machine.pause.is_some() {
                acts.push(Act::Resume { node });
            }
            if machine.engine.is_none() {
                acts.push(Act::Start { node });
            }
            if !machine.carrier {
                acts.push(Act::Carrier { node, up: true });
            }
        }
        if !state.cut.is_none() && !self.lasting {
            acts.push(Act::Mend);
        }
        let node = self.witness_end();
        match &state.witness {
            Some(witness) if witness.pause.is_some() => acts.push(Act::Resume { node }),
            Some(witness) if witness.voter.is_none() => acts.push(Act::Start { node }),
            Some(_) | None => {}
        }
    }

    /// Adds the faults of the witness that the budget pays for.
    fn witness_faults(&self, state: &State, acts: &mut Vec<Act>) {
        let Some(witness) = &state.witness else { return };
        let (budget, node) = (&state.budget, self.witness_end());
        if budget.stops > 0 && witness.is_running() {
            acts.push(Act::Stop { node });
        }
        if budget.kills > 0 && witness.voter.is_some() {
            let writing = state.air.iter().any(|flight| flight.to == node && flight.is_stored());
            acts.extend(
                [false, true]
                    .into_iter()
                    .filter(|written| writing || !written)
                    .map(|written| Act::Kill { node, written }),
            );
        }
    }
}
