//! The model check: every history of a small cluster, not a sample of them.
//!
//! Owns: a world in which time goes in ticks, and a search through all of it. The transition
//! function is the engine's [`handle`](crate::engine::Engine::handle), the datagrams are sealed and
//! opened by the real wire code; only the world around them is modelled: clocks, kernels, disks,
//! wires. What may go wrong is a budget that is part of the state, so the search ends by itself,
//! and what it has not found does not exist within that budget.
//!
//! | file | noun |
//! |---|---|
//! | `shape` | what a search is about: times, nodes, faults |
//! | `state` | one state of the world, and when two states are the same |
//! | `budget` | what may still go wrong, and which ways are cut |
//! | `flight` | something on its way |
//! | `act` | what can happen next |
//! | `step` | what comes of it |
//! | `carry` | what the world does with an engine's actions |
//! | `witness` | the witness, and what was granted |
//! | `rules` | the promises, as properties |
//! | `story` | a counterexample for people |
//!
//! # Time
//! Each node has a clock of its own that counts ticks; a tick is a probe interval, a pulse is two.
//! Time passes for all at once, and only when nothing is left to do at the present instant: every
//! datagram that is due was delivered and no running engine has a deadline. Within an instant
//! everything may happen in any order. A datagram may be held up for some ticks, a clock may lose a
//! tick or gain one, a process may be stopped between any two of its events or between its decision
//! and any of its writes to the gate: all of that costs budget.
//!
//! # What is left out
//! Hosts on the segment other than the nodes (so isolation is never found), strangers,
//! reconfiguration, lost and damaged state files, clocks whose rates differ by more than a tick in
//! a lease. The simulator has them.

mod act;
mod budget;
mod carry;
mod flight;
mod rules;
mod shape;
mod state;
mod step;
mod story;
#[cfg(test)]
mod tests;
mod witness;

use act::Act;
use shape::Shape;
use state::State;
use stateright::{Model, Property};

impl Model for Shape {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        self.beginnings()
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        self.possible(state, acts);
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        self.step(state, act)
    }

    fn properties(&self) -> Vec<Property<Shape>> {
        self.rules()
    }
}
