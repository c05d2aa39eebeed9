//! The canon's tests: two states are one if they are the same situation at another time, with other
//! epochs, sessions and counters; never if something differs that can matter.

use super::super::state::State;
use super::*;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The hash of a state's canon: equal for states that are one.
fn mark(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// A settled pair, `ticks` ticks after the search would begin.
fn settled(shape: &Shape, ticks: usize) -> State {
    let mut state = shape.beginnings().remove(0);
    state.budget = Budget::default();
    state.ghost = shape.sound();
    shape.calm(&state, ticks)
}

/// Takes the same 400 acts from two states; the step at which their marks differ, `None` if they
/// never do.
fn compare(shape: &Shape, one: &State, other: &State) -> Option<usize> {
    let (mut one, mut other) = (one.clone(), other.clone());
    for step in 0..400 {
        if mark(&one) != mark(&other) {
            return Some(step);
        }
        let (mut acts, mut same) = (Vec::new(), Vec::new());
        shape.possible(&one, &mut acts);
        shape.possible(&other, &mut same);
        assert_eq!(acts, same, "equal states allow the same");
        // Walks through all kinds of acts, but not through all histories.
        let act = acts[step * 7 % acts.len()];
        match (shape.step(&one, act), shape.step(&other, act)) {
            (Some(next), Some(same)) => (one, other) = (next, same),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => return Some(step),
        }
    }
    None
}

#[test]
fn the_same_situation_later_is_the_same_state() {
    let shape = shapes::faults("later", 3);
    let mut early = settled(&shape, 0);
    let mut late = settled(&shape, 2_000);
    (early.budget, late.budget) = (shape.budget, shape.budget);
    assert!(late.nodes[0].clock > early.nodes[0].clock + 1_000);
    assert_eq!(compare(&shape, &early, &late), None, "\n{early:?}\n{late:?}");
}

#[test]
fn epochs_are_told_from_the_lowest() {
    let shape = shapes::faults("epochs", 3);
    let mut later = shape.clone();
    later.floor = 1_000;
    let (one, other) = (shape.beginnings().remove(0), later.beginnings().remove(0));
    assert_ne!(one.nodes[0].used, other.nodes[0].used);
    assert_eq!(compare(&shape, &one, &other), None, "\n{one:?}\n{other:?}");
}

#[test]
fn what_can_matter_is_told() {
    let shape = shapes::faults("differences", 1);
    let mut state = shape.calm(&shape.beginnings().remove(0), 1);
    assert!(state.air.is_empty());
    shape.handle(&mut state, 1, crate::engine::Event::Tick);
    let first = mark(&state);
    let differs = |what: &str, change: &dyn Fn(&mut State)| {
        let mut changed = state.clone();
        change(&mut changed);
        assert_ne!(mark(&changed), first, "{what} makes another state");
    };
    differs("a later clock with the same deadlines", &|state| Arc::make_mut(&mut state.nodes[0]).clock += 1);
    differs("a refused lease", &|state| Arc::make_mut(&mut state.nodes[0]).kernel.refused = true);
    differs("a closed gate", &|state| Arc::make_mut(&mut state.nodes[0]).kernel.open = None);
    differs("an empty disk", &|state| Arc::make_mut(&mut state.nodes[0]).disk = crate::durable::Loaded::Fresh);
    differs("a dead agent", &|state| Arc::make_mut(&mut state.nodes[0]).engine = None);
    differs("no carrier", &|state| Arc::make_mut(&mut state.nodes[1]).carrier = false);
    differs("less to go wrong", &|state| state.budget.stops = 0);
    differs("a cut", &|state| state.cut = Cuts::of(&[(0, 1, 0)]));
    differs("a datagram in flight", &|state| {
        let mut acts = Vec::new();
        while state.air.is_empty() {
            acts.clear();
            shape.possible(state, &mut acts);
            *state = shape.step(state, acts[0]).unwrap();
        }
    });
    for event in [
        crate::engine::Event::Command { id: 1, command: Command::Pause(GROUP) },
        crate::engine::Event::StoreFailed,
        crate::engine::Event::Tick,
    ] {
        let quiet = matches!(event, crate::engine::Event::Tick);
        let mut changed = state.clone();
        shape.handle(&mut changed, 1, event);
        changed.air.clear();
        assert_eq!(
            mark(&changed) == first,
            quiet,
            "{event:?}: an event of consequence, and only such a one, is told"
        );
    }
}
