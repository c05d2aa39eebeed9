//! The two oracles of the random histories, the histories, and tests that the oracles would notice
//! a broken rule.

use super::*;
use proptest::prelude::*;

/// The oracles.
impl World {
    /// Notes a violation if `holds` is false; the first one of a history is kept.
    fn require(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds && self.violation.is_none() {
            self.violation = Some(violation());
        }
    }

    /// Checks an answer that leaves: if its receiver will take it for a grant, every other grant
    /// must be over (S5).
    pub(super) fn check_answer(&mut self, node: usize, answer: &[u8]) {
        let machine = &self.nodes[node];
        let mut ear = machine.talker.clone();
        ear.hear(MonoTime::ZERO, answer);
        let Some((sent, lease)) = ear.grant(GROUP).map(|counter| ear.sent(counter)) else { return };
        let row = ear.rows[0].1;
        let epoch = if row.role == Role::Active { row.epoch } else { row.claim };
        let over = true_ms(sent + Duration::from_micros(u64::from(lease)), machine.ppm);
        let now = self.now;
        let gone = |other: &Granted| {
            let given = self.nodes[other.node].given_up.iter();
            other.over <= now || given.clone().any(|(epoch, since)| *epoch == other.epoch && *since <= now)
        };
        let rival = self.granted.iter().find(|other| other.node != node && !gone(other)).copied();
        self.require(rival.is_none(), || format!("{now} ms: S5: {epoch} is granted to {node} while {rival:?} runs"));
        self.granted.retain(|other| other.over > now);
        self.granted.push(Granted { node, epoch, over });
    }

    /// Checks the gates, which stand open on the witness's word alone here: one at a time (S1),
    /// with rising epochs (S2).
    pub(super) fn check_gates(&mut self) {
        let now = self.now;
        let open = self.nodes.iter().filter(|node| node.gate.1 > local(now, node.ppm)).count();
        self.require(open <= 1, || format!("{now} ms: S1: both gates are open"));
        let rising = self.opened.windows(2).all(|pair| pair[0] < pair[1]);
        let opened = self.opened.clone();
        self.require(rising || !self.trusted, || format!("{now} ms: S2: opened with {opened:?}"));
    }
}

/// Any step of a history, by its weight.
fn any_step() -> impl Strategy<Value = Step> {
    let disk = prop_oneof![
        6 => Just(Disk::Whole), 1 => Just(Disk::Damaged), 1 => Just(Disk::Gone), 1 => Just(Disk::PutBack)
    ];
    prop_oneof![
        6 => (20..250u8).prop_map(Step::Pass),
        6 => (0..2usize).prop_map(Step::Claim),
        2 => (0..2usize).prop_map(Step::Withdraw),
        2 => (0..2usize).prop_map(Step::Close),
        6 => (0..2usize, any::<bool>()).prop_map(|(node, crash)| Step::Turn(node, crash)),
        1 => (0..2usize).prop_map(Step::Crash),
        1 => (0..2usize, 1..255u8).prop_map(|(node, ms)| Step::Stall(node, ms)),
        2 => (0..2usize, prop::bool::weighted(0.4)).prop_map(|(node, cut)| Step::Cut(node, cut)),
        1 => (0..2usize, 0..100u8).prop_map(|(node, ms)| Step::Delay(node, ms)),
        1 => (0..2usize, 0..100u8).prop_map(|(node, part)| Step::Lose(node, part)),
        1 => (0..2usize, any::<u8>()).prop_map(|(node, tens)| Step::Lease(node, tens)),
        1 => disk.prop_map(Step::Restart),
        1 => (0..60u8).prop_map(Step::SlowDisk),
    ]
}

/// A history: the clocks' errors, and what is done.
fn history() -> impl Strategy<Value = ([i64; 3], Vec<Step>)> {
    let rate = || prop_oneof![Just(-(PPM as i64)), Just(0), Just(PPM as i64)];
    ([rate(), rate(), rate()], proptest::collection::vec(any_step(), 5..40))
}

/// The world after a history, or at its first violation.
fn played(rates: [i64; 3], steps: &[Step], mutants: Mutants) -> World {
    let mut world = World::new(rates, mutants);
    // The voter is told everything and votes from then on.
    world.step(&Step::Pass(250));
    world.step(&Step::Pass(250));
    for step in steps {
        world.step(step);
        if world.violation.is_some() {
            break;
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // S5
    #[test]
    fn a_voter_never_has_overlapping_promises((rates, steps) in history()) {
        let world = played(rates, &steps, Mutants::NONE);
        prop_assert_eq!(world.violation, None);
    }
}

/// A runner of so many histories, the same ones in every run.
fn runner(cases: u32) -> proptest::test_runner::TestRunner {
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let config = Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn the_oracles_see_every_rule_that_is_broken() {
    use crate::mutant::Mutant::{PromiseIgnored, PromiseTooShort, StarterReleases, WitnessNotAbstaining};
    for broken in [PromiseIgnored, PromiseTooShort, WitnessNotAbstaining, StarterReleases] {
        let found = runner(600).run(&history(), |(rates, steps)| {
            let violation = played(rates, &steps, Mutants::only(broken)).violation;
            violation.map_or(Ok(()), |violation| Err(proptest::test_runner::TestCaseError::fail(violation)))
        });
        assert!(found.is_err(), "nobody notices {broken:?}");
    }
}

#[test]
fn the_histories_open_gates_and_change_the_active_often() {
    let (opened, taken) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let played = runner(32).run(&history(), |(rates, steps)| {
        let world = played(rates, &steps, Mutants::NONE);
        opened.set(opened.get() + world.opened.len());
        let turns = world.opened.windows(2).filter(|pair| pair[0].node() != pair[1].node()).count();
        taken.set(taken.get() + turns);
        Ok(())
    });
    assert!(played.is_ok());
    assert!(opened.get() > 64 && taken.get() > 24, "{} openings, {} changes", opened.get(), taken.get());
}
