//! The searches of the model, as tests: short ones in every run of the tests, all with
//! `--include-ignored`, long ones by hand.
//!
//! `cargo test -p vipair-proof --profile checked model:: -- --include-ignored --skip by_hand`
//! By hand: `MODEL_FAULTS=3 MODEL_THREADS=2 cargo test -p vipair-proof --profile checked
//! model_by_hand -- --ignored --nocapture`

use super::Shape;
use super::rules;
use super::shape::{GROUP, Plant, SEGMENT};
use super::state::{Budget, Cuts, Order};
use super::story;
use crate::engine::Command;
use crate::mutant::Mutant;
use stateright::{Checker, HasDiscoveries, Model};
use std::time::{Duration, Instant};

mod canon;
mod deep;
mod shapes;
mod voted;

/// The result of a search.
struct Found {
    /// Number of different states.
    unique: usize,
    /// Number of steps that were taken.
    generated: usize,
    /// Number of acts in the longest history.
    depth: usize,
    took: Duration,
    /// Whether the search has seen everything; otherwise it was given up.
    whole: bool,
    /// The first promise that was broken, and the story of the history that broke it.
    broken: Option<(&'static str, String)>,
    /// Rules of what had to happen at least once and did not.
    unseen: Vec<&'static str>,
}

/// Goes through everything that a shape allows, to the end or to the first broken promise. Gives up
/// after three times the steps that the shape is known to have, before no memory is left.
fn search(shape: &Shape, threads: usize) -> Found {
    let (start, most) = (Instant::now(), shape.steps * 3);
    let checker = shape.clone().checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.target_state_count(most);
    result_of(shape, start, &checker.spawn_bfs().join())
}

/// The result of a search in width that has ended.
fn result_of(shape: &Shape, start: Instant, checker: &impl Checker<Shape>) -> Found {
    let most = shape.steps * 3;
    let discoveries = checker.discoveries();
    // A state may break several promises; the first in the order of the rules is told.
    let rules = shape.properties().into_iter().map(|property| property.name);
    let broken = rules.filter(|name| !name.starts_with("seen")).find_map(|name| discoveries.get_key_value(name));
    let seen = |name: &&'static str| discoveries.contains_key(name);
    let wanted = shape.properties().into_iter().map(|property| property.name).filter(|name| name.starts_with("seen"));
    Found {
        unique: checker.unique_state_count(),
        generated: checker.state_count(),
        depth: checker.max_depth(),
        took: start.elapsed(),
        whole: checker.state_count() < most,
        broken: broken.map(|(name, path)| (*name, story::told(shape, &path.clone().into_vec()))),
        unseen: wanted.filter(|name| !seen(name)).collect(),
    }
}

/// Goes through everything that a shape allows, and fails if a promise is broken, if the search is
/// given up, or if a state that must be reached is not. Returns the number of different states.
fn prove(shape: &Shape, threads: usize) -> usize {
    // A search in width finds the shortest history first; a search in depth needs little memory.
    let deep = number_from_env("MODEL_IN_DEPTH", 0) > 0;
    let found = if deep { deep::search(shape, shape.steps * 3) } else { search(shape, threads) };
    if let Some((rule, story)) = found.broken {
        panic!("{story}\n{rule}");
    }
    println!(
        "{:<28} {:>9} states, {:>9} steps, depth {:>3}, {:.1} s",
        shape.name,
        found.unique,
        found.generated,
        found.depth,
        found.took.as_secs_f64()
    );
    assert!(found.whole, "{}: given up, it should end after {} steps", shape.name, shape.steps);
    assert!(found.unseen.is_empty(), "{}: never {:?}", shape.name, found.unseen);
    found.unique
}

/// The number in an environment variable, `default` without one.
fn number_from_env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A search ends because everything was seen: a pair at rest comes back to where it was.
#[test]
fn a_pair_at_rest_has_few_states() {
    let mut shape = Shape::pair("at rest");
    shape.stagger = 1;
    let found = search(&shape, 1);
    assert!(found.broken.is_none() && found.whole, "{:?}", found.broken);
    assert!(found.unique < 200, "{} states", found.unique);
}

#[test]
fn a_pair_with_a_witness_at_rest_has_few_states() {
    let shape = Shape::voted("at rest with a witness");
    let settled = shape.beginnings().remove(0);
    assert_eq!(settled.answering(false), 1, "{settled:?}");
    assert!(
        settled.witness.as_ref().is_some_and(|witness| !witness.said.is_nothing()),
        "the witness votes: {settled:?}"
    );
    let found = search(&shape, 1);
    assert!(found.broken.is_none() && found.whole, "{:?}", found.broken);
    assert!(found.unique < 1_000, "{} states", found.unique);
}

#[test]
#[ignore = "with --profile checked"]
fn every_history_with_one_fault_keeps_the_promises() {
    let states: usize = shapes::one_fault().iter().map(|shape| prove(shape, 1)).sum();
    assert!(states > 10_000, "{states}");
}

// S1, S2, S4, S5, S7, S8
#[test]
#[ignore = "minutes: with --profile checked"]
fn every_small_history_keeps_the_promises_in_ten_million_states() {
    let threads = number_from_env("MODEL_THREADS", 2);
    let states: usize = shapes::all().iter().map(|shape| prove(shape, threads)).sum();
    println!("{states} states in all");
    assert!(states >= 10_000_000, "{states}");
}

// S1, S2, S4, S5, S7
#[test]
#[ignore = "minutes: with --profile checked"]
fn every_small_history_with_a_witness_keeps_the_promises() {
    let threads = number_from_env("MODEL_THREADS", 2);
    let states: usize = voted::standing().iter().map(|shape| prove(shape, threads)).sum();
    println!("{states} states in all");
    assert!(states >= 400_000, "{states}");
}

#[test]
#[ignore = "by hand: as long as one likes"]
fn model_by_hand() {
    let faults = u8::try_from(number_from_env("MODEL_FAULTS", 3)).unwrap();
    let only = std::env::var("MODEL_SHAPE").ok();
    for shape in shapes::by_hand(faults) {
        if only.as_ref().is_none_or(|name| shape.name.contains(name.as_str())) {
            prove(
                &shape.with_steps(number_from_env("MODEL_STEPS", 100_000_000)),
                number_from_env("MODEL_THREADS", 1),
            );
        }
    }
}

/// Checks that a search finds one of these rules broken, and that its story is told.
fn expect_broken(shape: &Shape, rules: &[&'static str]) {
    let found = search(shape, 1);
    let Some((rule, story)) = found.broken else {
        panic!("{}: {} states, and nothing found", shape.name, found.unique);
    };
    println!("{:<40} {rule}: {} states, {:.1} s", shape.name, found.unique, found.took.as_secs_f64());
    assert!(rules.contains(&rule), "{story}\n{rule}");
    assert!(story.contains("gate") && story.lines().count() > 2, "a story is told: {story}");
}

#[test]
#[ignore = "with --profile checked"]
fn each_rule_fires_on_a_planted_violation() {
    let plant = |name, plant| shapes::faults(name, 1).with_plant(plant);
    expect_broken(&plant("gate ignores its deadline", Plant::GateIgnoresDeadline), &[rules::ALONE]);
    expect_broken(&plant("deadline from the write", Plant::DeadlineFromWrite), &[rules::S4]);
    expect_broken(&plant("disk forgets", Plant::DiskForgets), &[rules::S2]);
    expect_broken(&plant("gate never closes", Plant::GateNeverCloses), &[rules::S7, rules::S5]);
    let mut secret = shapes::parted("secret cut", 1).with_plant(Plant::SecretCut);
    expect_broken(&secret, &[rules::JOINED, rules::LATCHED]);
    secret.plant = None;
    // A bare pair cannot keep S1, and is found out.
    secret.one = true;
    expect_broken(&secret, &[rules::S1]);
    let mut silent = shapes::starting("disk silent", 0, Order::Bursts).with_plant(Plant::DiskSilent);
    silent.liveness = true;
    expect_broken(&silent, &[rules::SETTLED]);
    let mut spared = shapes::standby("spared", 1);
    spared.spared = Some(1);
    expect_broken(&spared, &[rules::SPARED]);
}

/// The rules that bound how long something may last fire, too, when the engine breaks a rule of its
/// own that ends it.
#[test]
#[ignore = "with --profile checked"]
fn the_bounds_and_the_rules_of_consent_fire_on_mutants() {
    let outlasted = shapes::half_mended("deaf rival outlasted").with_mutant(Mutant::DeafRivalOutlasted);
    expect_broken(&outlasted, &[rules::HEARD, rules::LATCHED]);
    expect_broken(
        &shapes::parted("higher epoch ignored", 1).with_mutant(Mutant::HigherEpochIgnored),
        &[rules::JOINED],
    );
    expect_broken(
        &shapes::orders("consent while open").with_mutant(Mutant::ConsentWhileOpen),
        &[rules::S5, rules::ALONE],
    );
    let old = shapes::frozen_prepared("opened on words before its hook");
    expect_broken(&old.with_mutant(Mutant::OpenedOnWordsBeforeHook), &[rules::ALONE, rules::S2]);
    expect_broken(&shapes::orders("consent before closing").with_mutant(Mutant::ConsentBeforeClosing), &[rules::S5]);
}

/// Prints which of the named mutants a search over the small shapes kills, and how fast.
#[test]
#[ignore = "by hand: minutes"]
fn mutants_by_hand() {
    for mutant in shapes::mutants() {
        let killed = shapes::all().into_iter().find_map(|shape| {
            let found = search(&shape.with_mutant(mutant), number_from_env("MODEL_THREADS", 1));
            found.broken.map(|(rule, _)| (rule, found.unique, found.took))
        });
        match killed {
            Some((rule, states, took)) => {
                println!("{mutant:?}: killed by {rule} after {states} states, {:.1} s", took.as_secs_f64());
            }
            None => println!("{mutant:?}: survives"),
        }
    }
}

/// Each of these breaks a promise in its search, and the rule as it is breaks none.
#[test]
#[ignore = "with --profile checked"]
fn broken_rules_of_the_vote_are_found() {
    let mut kept = Vec::new();
    for (mutant, shape, rules) in voted::mutants() {
        // Where many parties may start at any time, the search without a mutant has millions of
        // states.
        let long = shape.history.len() > 2;
        if !long && !kept.contains(&shape.name) {
            prove(&shape, 1);
            kept.push(shape.name);
        }
        println!("{mutant:?}");
        expect_broken(&shape.with_mutant(mutant), rules);
    }
}
