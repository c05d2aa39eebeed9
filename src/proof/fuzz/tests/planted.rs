//! Checks of the checks: an engine or a voter that breaks a rule does not pass its target.

use super::super::hostile::{besiege, seeds};
use super::super::input::Input;
use super::super::rig::Rig;
use super::super::voter;
use super::Mutator;
use crate::mutant::{Mutant, Mutants};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Index of the input that notices a broken rule of the engine, of the seeds of `hostile` and 300
/// mutations of them; `None` if none does.
fn engine_found_out(mutant: Mutant) -> Option<usize> {
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
    assert!(engine_found_out(Mutant::TagNotChecked).is_some());
}

#[test]
fn an_engine_without_a_replay_window_is_found_out() {
    assert!(engine_found_out(Mutant::ReplayWindowOff).is_some());
}

/// Index of the input that notices a broken rule of the voter, of the tree's corpus and 300
/// mutations of it; `None` if none does.
fn voter_found_out(mutant: Mutant) -> Option<usize> {
    let target = super::TARGETS.iter().find(|target| target.name == "voter").unwrap();
    let corpus = super::corpus(target);
    let inputs: Vec<&[u8]> = corpus.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let mut mutator = Mutator::new(1);
    let mutations = (0..300).map(|_| mutator.mutate(&inputs)).collect::<Vec<_>>();
    inputs.iter().copied().chain(mutations.iter().map(Vec::as_slice)).position(|bytes| {
        let play = || voter::vote(bytes, Mutants::only(mutant));
        catch_unwind(AssertUnwindSafe(play)).is_err()
    })
}

#[test]
fn a_voter_that_breaks_one_of_six_rules_is_found_out() {
    use Mutant::{
        CeilingForgotten, CeilingNotAwaited, PromiseIgnored, PromiseTooShort, TagNotChecked, WitnessNotAbstaining,
    };
    let all =
        [PromiseIgnored, PromiseTooShort, WitnessNotAbstaining, CeilingForgotten, CeilingNotAwaited, TagNotChecked];
    let found = all.map(|mutant| (mutant, voter_found_out(mutant)));
    assert!(found.iter().all(|(_, input)| input.is_some()), "{found:?}");
}
