//! Checks of the check: an engine that breaks a rule about hostile input does not pass.

use super::super::hostile::{besiege, seeds};
use super::super::input::Input;
use super::super::rig::Rig;
use super::Mutator;
use crate::mutant::{Mutant, Mutants};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The number of the input that finds it out.
fn found_out(mutant: Mutant) -> Option<usize> {
    let seeds = seeds();
    let inputs: Vec<&[u8]> = seeds.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let rigs = [0, 1, 2].map(|choice| Rig::with(choice, Mutants::only(mutant)));
    let mut mutator = Mutator::new(1);
    let mutations = (0..300).map(|_| mutator.mutate(&inputs)).collect::<Vec<_>>();
    inputs.iter().copied().chain(mutations.iter().map(Vec::as_slice)).position(|bytes| {
        let mut input = Input::new(bytes);
        let rig = rigs[usize::from(input.byte()) % 3].clone();
        catch_unwind(AssertUnwindSafe(|| besiege(rig, input))).is_err()
    })
}

#[test]
fn an_engine_that_does_not_check_tags_is_found_out() {
    assert!(found_out(Mutant::TagNotChecked).is_some());
}

#[test]
fn an_engine_without_a_replay_window_is_found_out() {
    assert!(found_out(Mutant::ReplayWindowOff).is_some());
}
