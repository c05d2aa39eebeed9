//! Every mutant is killed, and the engine as it is passes the same seeds under the same rules.

use super::Want;
use super::play::{Mode, run_mutated};
use crate::mutant::{Mutant, Mutants};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The run that killed a mutant.
struct Kill {
    /// Number of seeds up to that run.
    seeds: u64,
    /// Time that these runs took.
    spent: Duration,
    /// The first line of the violation.
    story: String,
}

/// Runs seeds from 0 on until one breaks a promise; `None` if `limit` seeds break none.
fn hunt(mutants: Mutants, mode: Mode, limit: u64) -> Option<Kill> {
    let start = Instant::now();
    (0..limit).find_map(|seed| {
        let story = run_mutated(seed, mutants, mode, Want::Nothing).failure?;
        let story = story.lines().next().unwrap_or_default().to_owned();
        Some(Kill { seeds: seed + 1, spent: start.elapsed(), story })
    })
}

/// Calls `work` for each number below `count`, on all cores, and returns the results in order.
fn on_all_cores<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    if piece >= count {
                        return;
                    }
                    let result = work(piece);
                    done.lock().unwrap().push((piece, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(piece, _)| *piece);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A mutant, the mode in which it is hunted, and the promises that it may break first.
type Case = (Mutant, Mode, &'static [&'static str]);

const CASES: &[Case] = &[
    (Mutant::LeaseFromNextPulse, Mode::Play, &["S4"]),
    (Mutant::LeaseRelative, Mode::Play, &["S4"]),
    (Mutant::LapsedLeaseRenewed, Mode::Play, &["S7"]),
    (Mutant::RefusalIgnored, Mode::Play, &["S7"]),
    (Mutant::RefusedLeaseAdopted, Mode::AdoptRefused, &["S7"]),
    (Mutant::LapseClosesNothing, Mode::Play, &["S7"]),
    (Mutant::GenerationReused, Mode::Play, &["S7"]),
    (Mutant::LatchOff, Mode::RenewLate, &["S7", "S8"]),
    (Mutant::CarrierLossIgnored, Mode::LoseCarrier, &["L1"]),
    (Mutant::ReleaseWithoutHeir, Mode::LoseCarrier, &["L1"]),
    (Mutant::DrainForgotten, Mode::HandOver, &["L3"]),
    (Mutant::AnnouncedBeforeOpening, Mode::Play, &["S3"]),
    (Mutant::AnnouncedOnce, Mode::MissFirst, &["L4"]),
    (Mutant::WinnerSilent, Mode::Divide, &["L4"]),
    (Mutant::HealthIgnored, Mode::FailService, &["HP-8"]),
    (Mutant::OpenedBeforeHook, Mode::Play, &["HP-8"]),
    (Mutant::HookOfAnotherEpoch, Mode::Play, &["HP-8"]),
    (Mutant::OpenedOnWordsBeforeHook, Mode::FreezePrepared, &["S8", "S2"]),
    (Mutant::ReserveBeforeDisk, Mode::Play, &["S2"]),
    (Mutant::OpenedWithoutReserve, Mode::Play, &["S2"]),
    (Mutant::FailedWriteTrusted, Mode::Play, &["S2", "S7"]),
    (Mutant::FormerReserveReused, Mode::Play, &["S2", "HP-8"]),
    (Mutant::EpochsNotLearned, Mode::Play, &["S2", "L5"]),
    (Mutant::OutrankedStays, Mode::Play, &["S2"]),
    (Mutant::DamagedStateOpens, Mode::Play, &["S7"]),
    (Mutant::PausedOpens, Mode::Play, &["S7", "L5"]),
    (Mutant::ConsentWhileOpen, Mode::HandOver, &["S8"]),
    (Mutant::ConsentBeforeClosing, Mode::StopInHandover, &["S8"]),
    (Mutant::ConsentsCross, Mode::Cross, &["prefer"]),
    (Mutant::LowEpochConsented, Mode::Play, &["S2", "S8"]),
    (Mutant::StaleConsentCounts, Mode::ConsentLate, &["S8"]),
    (Mutant::HoldIgnored, Mode::HandOver, &["L2"]),
    (Mutant::NoRightOfWay, Mode::Prefer, &["prefer"]),
    (Mutant::PreemptsAtOnce, Mode::Prefer, &["prefer"]),
    (Mutant::BlindStartConsents, Mode::RestartBlind, &["S8"]),
    (Mutant::RowsSentOnce, Mode::Play, &["L5", "S8"]),
    (Mutant::FormerAckCounts, Mode::Play, &["L5", "S8"]),
    (Mutant::RowGapsIgnored, Mode::Play, &["S8", "S2", "L5"]),
    (Mutant::StallNotNoticed, Mode::Play, &["S8"]),
    (Mutant::ClaimNotSent, Mode::Play, &["S8"]),
    (Mutant::NoListening, Mode::Play, &["S7", "S8"]),
    (Mutant::VetoIgnored, Mode::Play, &["S8"]),
    (Mutant::VetoUnlimited, Mode::ForgeAnswers, &["S6"]),
    (Mutant::OneProbeEnough, Mode::Restart, &["L2"]),
    (Mutant::AnyAddressProbed, Mode::ServeOne, &["S8"]),
    (Mutant::UnknownQuestionCounts, Mode::Inspect, &["S8"]),
    (Mutant::AsksAllTheTime, Mode::Police, &["L4"]),
    (Mutant::IsolatedTakesOver, Mode::Play, &["S8"]),
    (Mutant::InsideCounts, Mode::Play, &["S8"]),
    (Mutant::IsolationUnlimited, Mode::FallSilent, &["S6"]),
    (Mutant::IsolatedProbesCount, Mode::LooseCable, &["S8"]),
    (Mutant::RefusedIsGoodbye, Mode::Play, &["S8"]),
    (Mutant::GoodbyeIgnored, Mode::Leave, &["L1"]),
    (Mutant::OldGoodbyeCounts, Mode::Play, &["S8", "node"]),
    (Mutant::GoodbyeWhileOpen, Mode::Leave, &["S8"]),
    (Mutant::SegmentUnused, Mode::Play, &["S8", "L5"]),
    (Mutant::HigherEpochIgnored, Mode::Divide, &["S2", "S8"]),
    (Mutant::LowerEpochWins, Mode::Divide, &["S2", "S8", "L5"]),
    (Mutant::DeafClaimIgnored, Mode::GoUnheard, &["S8"]),
    (Mutant::DeafRivalOutlasted, Mode::Play, &["S8"]),
    (Mutant::DeafNotTold, Mode::Play, &["S8", "L5"]),
    (Mutant::DoubleIgnored, Mode::Play, &["S8", "S2"]),
    (Mutant::AnyEpochAdopted, Mode::Renumber, &["S8", "S2"]),
    (Mutant::SharedMacAsked, Mode::ShareMac, &["S8"]),
    (Mutant::NewMacNotAnnounced, Mode::Play, &["L4"]),
    (Mutant::NameForThing, Mode::Play, &["S8"]),
    (Mutant::NarrowPathIgnored, Mode::Play, &["L5", "S8"]),
    (Mutant::TagNotChecked, Mode::Play, &["S6"]),
    (Mutant::ReplayWindowOff, Mode::Play, &["S6"]),
    (Mutant::EchoNotRequired, Mode::Play, &["S6"]),
    (Mutant::ProofNotRequired, Mode::Play, &["S6"]),
    (Mutant::OvertakenBelieved, Mode::GoodbyeOvertakes, &["L1"]),
    (Mutant::PromiseIgnored, Mode::Vote, VOTED),
    (Mutant::PromiseTooShort, Mode::VoteStopActive, VOTED),
    (Mutant::PromiseNotStretched, Mode::VoteStopActive, VOTED),
    (Mutant::PromiseNotRenewed, Mode::Vote, VOTED),
    (Mutant::PromiseEndsWithSilence, Mode::Vote, VOTED),
    (Mutant::StarterReleases, Mode::VoteStopActive, VOTED),
    (Mutant::NewSessionReleases, Mode::VoteStopActive, VOTED),
    (Mutant::ReserveReleases, Mode::Vote, VOTED),
    (Mutant::WitnessNotAbstaining, Mode::VoteStopActive, VOTED),
    (Mutant::NodeNotAbstaining, Mode::VoteStopActive, VOTED),
    (Mutant::OwnVotePromised, Mode::Vote, VOTED),
    (Mutant::OwnLeasePromised, Mode::VoteStopActive, VOTED),
    (Mutant::NodePromiseNotStretched, Mode::VoteStopActive, VOTED),
    (Mutant::CeilingNotAwaited, Mode::VoteForget, &["S2"]),
    (Mutant::CeilingForgotten, Mode::VoteForget, &["S2"]),
    (Mutant::DamagedMemoryGrants, Mode::VoteForget, &["S2", "L5"]),
    (Mutant::LeaseFromReceipt, Mode::Vote, &["S4", "S1"]),
    (Mutant::GrantFromPart, Mode::Vote, &["S4", "S1"]),
    (Mutant::OldGrantCounts, Mode::Vote, &["S4", "S1"]),
    (Mutant::FirstGrantDecides, Mode::Vote, &["S4", "S1"]),
    (Mutant::OwnVoteAlone, Mode::Vote, &["S4", "S1", "node"]),
    (Mutant::RenewedBeyondVotes, Mode::Vote, &["S4", "S1"]),
    (Mutant::LatestGroupDecides, Mode::Vote, &["S4", "S1"]),
    (Mutant::BarNotLearned, Mode::Vote, &["L5"]),
    (Mutant::StrictIgnored, Mode::Vote, VOTED),
];

/// Promises that break when a vote is given twice. Of a group that had two names S8 alone is asked.
const VOTED: &[&str] = &["S5", "S1", "S4", "S8"];

/// Number of seeds after which a mutant counts as surviving.
const LIMIT: u64 = 2_000;
/// Least number of seeds of each mode that the engine as it is must pass: a single seed may pass by
/// chance.
const LEAST: u64 = 150;
/// Least number of seeds of modes that wait for minutes.
const LEAST_LONG: u64 = 5;

#[test]
fn every_mutant_has_its_case() {
    for (mutant, _) in Mutant::ALL {
        assert_eq!(CASES.iter().filter(|(other, ..)| other == mutant).count(), 1, "{mutant:?}");
    }
}

/// The promise that a violation names before its colon. "progress" is the name of the one violation
/// that has none: an engine asks for a deadline that has passed.
fn promise_in(story: &str) -> &str {
    story.split_once(':').map_or("progress", |(rule, _)| rule)
}

/// Hunts the mutants whose names contain what `VIPAIR_MUTANT` says, and tells what killed each.
#[test]
#[ignore = "by hand"]
fn mutants_of_one_name_are_hunted_by_hand() {
    let name = std::env::var("VIPAIR_MUTANT").unwrap_or_default();
    for (mutant, mode, _) in CASES.iter().filter(|(mutant, ..)| format!("{mutant:?}").contains(&name)) {
        let kill = hunt(Mutants::only(*mutant), *mode, LIMIT);
        let told = kill.map(|kill| (kill.seeds, kill.spent, kill.story));
        println!("{mutant:?} in {mode:?}: {told:?}");
        assert!(told.is_some(), "{mutant:?} survives");
    }
}

/// Writes the table of the documentation to the file that `VIPAIR_MUTANTS` names, if any.
#[test]
#[ignore = "a minute without optimisation; scripts/test runs it with the profile `checked`"]
fn every_mutant_is_killed_and_the_engine_passes_the_same_seeds() {
    let kills = on_all_cores(CASES.len(), |case| hunt(Mutants::only(CASES[case].0), CASES[case].1, LIMIT));
    let (mut survivors, mut needed, mut table) = (Vec::new(), Vec::<(Mode, u64)>::new(), String::new());
    for ((mutant, mode, killers), kill) in CASES.iter().zip(kills) {
        let what = Mutant::ALL.iter().find(|(other, _)| other == mutant).map_or("", |(_, what)| what.trim());
        let Some(Kill { seeds, spent, story }) = kill else {
            survivors.push(format!("{mutant:?} survives in {mode:?}"));
            continue;
        };
        println!("{mutant:?} in {mode:?}: {story}");
        let (rule, spent) = (promise_in(&story), spent.as_secs_f64() * 1e3);
        table += &format!("| {mutant:?} | {what} | `{mode:?}` | {rule} | {seeds} | {spent:.1} |\n");
        if !killers.iter().any(|killer| story.starts_with(killer)) {
            survivors.push(format!("{mutant:?} is killed in {mode:?} by another rule: {story}"));
        }
        match needed.iter_mut().find(|(other, _)| other == mode) {
            Some((_, most)) => *most = seeds.max(*most),
            None => needed.push((*mode, seeds)),
        }
    }
    if let Ok(file) = std::env::var("VIPAIR_MUTANTS") {
        std::fs::write(file, &table).unwrap();
    }
    for (mode, seeds) in &mut needed {
        let long = matches!(mode, Mode::ForgeAnswers | Mode::FallSilent | Mode::VoteForget);
        *seeds = (*seeds).max(if long { LEAST_LONG } else { LEAST });
    }
    let wrong = on_all_cores(needed.len(), |case| {
        Some((needed[case], hunt(Mutants::NONE, needed[case].0, needed[case].1)?.story))
    });
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    println!("the engine as it is passes {needed:?}");
    assert!(wrong.is_empty(), "the engine as it is fails: {wrong:?}");
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
    assert!(CASES.len() >= 20);
}
