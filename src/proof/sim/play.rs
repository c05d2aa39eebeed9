//! A run: what is done to the nodes in which order, and the story of a failure.

use super::calm::calm;
use super::coverage::Coverage;
use super::directed;
use super::faults;
use super::history::Want;
use super::oracle::states;
use super::service::ServiceScript;
use super::swarm::{Fault, Plan, SwitchPlan};
use super::votes;
use super::world::Sim;
use crate::mutant::Mutants;
use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of lines of history that a failure shows; `vipair sim --seed` shows all.
const STORY: usize = 150;

/// What is done to the nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Mode {
    /// Everything of the seed's swarm
    Play,
    /// What is no failure: no takeover may follow (L2)
    Disturb,
    /// A host is lost: it is taken over within the bound (L1)
    LoseHost,
    /// A group is moved by an operator (L3)
    HandOver,
    /// An agent says goodbye: nobody waits for a silence (L1)
    Leave,
    /// An agent is restarted within its lease (L2)
    Restart,
    /// Somebody answers probes in the name of a dead node (S6)
    ForgeAnswers,
    /// Neighbours fall silent when a host is lost (S6)
    FallSilent,
    /// An active loses its carrier (L1)
    LoseCarrier,
    /// The preferred node has its groups
    Prefer,
    /// Hosts miss the first announcement (L4)
    MissFirst,
    /// All wires between the nodes are cut, and mended (S8, L4)
    Divide,
    /// A process is stopped while it lets go (S8)
    StopInHandover,
    /// A consent is read late (S8)
    ConsentLate,
    /// A cable holds now and then (S8)
    LooseCable,
    /// Both nodes ask for a group at the same moment
    Cross,
    /// A goodbye overtakes what was said before (L1)
    GoodbyeOvertakes,
    /// One of many groups is served when its agent dies (S8)
    ServeOne,
    /// An agent dies behind a switch that drops questions without a sender (S8)
    Inspect,
    /// A host is lost behind a switch that polices ARP (L1, L4)
    Police,
    /// Both nodes have one hardware address when an agent dies (S8)
    ShareMac,
    /// An agent is restarted with the number of the other node (S2, S8)
    Renumber,
    /// A standby hears nothing and is heard (S8)
    GoUnheard,
    /// A lease is renewed after it has run out (S7, S8)
    RenewLate,
    /// An agent finds a lease that its gate has refused (S7)
    AdoptRefused,
    /// An agent is restarted and finds its gate late (S8)
    RestartBlind,
    /// A service fails on the active (HP-8)
    FailService,
    /// A guest is frozen while it prepares a group (S8)
    FreezePrepared,
    /// Everything of the seed's swarm, with witnesses
    Vote,
    /// With witnesses: a host is lost, and taken over when the promises to it are over (L1)
    VoteLoseHost,
    /// With witnesses: what is no failure, or heals soon, moves nothing (FJ-10)
    VoteDisturb,
    /// With witnesses: an active's process stops, all clocks as wrong as they may be (S5)
    VoteStopActive,
    /// With witnesses: a node that has missed much is alone with witnesses that were started anew
    /// (S2)
    VoteForget,
    /// With witnesses: an active guest is frozen, the one exception to S1
    VoteFreeze,
}

/// The result of a run.
pub struct Outcome {
    /// The violation, if there was one; its last line names the promise.
    pub failure: Option<String>,
    /// What was seen.
    pub coverage: Coverage,
    /// The history, if it was wanted.
    pub lines: Vec<String>,
}

thread_local! {
    /// The seed that this thread runs.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// Makes every panic print the seed first, for builds in which a panic ends the process.
pub fn tell_seed_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let (seed, revision) = (CURRENT.get(), crate::REVISION);
        // A panic while a panic is told would hide it.
        let _nobody_reads = writeln!(std::io::stderr(), "seed {seed}, revision {revision}: an engine panics");
        usual(panic);
    }));
}

/// Runs a seed in a mode, and keeps its history as `want` says.
pub fn run(seed: u64, mode: Mode, want: Want) -> Outcome {
    run_mutated(seed, Mutants::NONE, mode, want)
}

/// Runs a seed with rules of the protocol broken. A panic of an engine is a violation like others.
pub fn run_mutated(seed: u64, mutants: Mutants, mode: Mode, want: Want) -> Outcome {
    CURRENT.set(seed);
    let mut sim = match mode {
        Mode::Vote
        | Mode::VoteLoseHost
        | Mode::VoteDisturb
        | Mode::VoteStopActive
        | Mode::VoteForget
        | Mode::VoteFreeze => Sim::planned(seed, mutants, want, Plan::draw_with_witnesses),
        _ => Sim::new(seed, mutants, want),
    };
    if !matches!(mode, Mode::Play | Mode::Vote) {
        // Hooks and checks take time of their own, so the bounds of these modes would not hold.
        sim.plan.service = ServiceScript::default();
        let without_own = mode == Mode::Inspect && sim.plan.switch.without_own ^ seed.is_multiple_of(2);
        let (drops_nameless, polices) = (mode == Mode::Inspect, mode == Mode::Police);
        sim.plan.switch = SwitchPlan { without_own, drops_nameless, polices };
    }
    let ended = catch_unwind(AssertUnwindSafe(|| run_mode(&mut sim, mode)));
    if let Err(cause) = ended {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned();
        // An engine in the middle of a panic has nothing left to say.
        sim.oracle.violated(|| text);
    }
    let failure = sim.oracle.violation.clone();
    if failure.is_some() && want != Want::Nothing {
        for line in states(&sim) {
            sim.note(|_| line);
        }
    }
    let mut coverage = sim.coverage;
    coverage.runs = 1;
    coverage.steps = sim.steps;
    coverage.divided = u64::from(sim.oracle.both > 0);
    Outcome { failure, coverage, lines: sim.history.lines }
}

/// Does what the mode says.
fn run_mode(sim: &mut Sim, mode: Mode) {
    let directed = match mode {
        Mode::Play | Mode::Vote => return play(sim),
        Mode::Disturb => disturb,
        Mode::LoseHost => lose_host,
        Mode::HandOver => directed::hand_over,
        Mode::Leave => directed::leave,
        Mode::Restart => directed::restart,
        Mode::ForgeAnswers => directed::forge_answers,
        Mode::FallSilent => directed::fall_silent,
        Mode::LoseCarrier => directed::lose_carrier,
        Mode::Prefer => directed::prefer,
        Mode::MissFirst => directed::miss_first,
        Mode::Divide => directed::divide,
        Mode::StopInHandover => directed::stop_in_handover,
        Mode::ConsentLate => directed::consent_late,
        Mode::LooseCable => directed::loose_cable,
        Mode::Cross => directed::cross,
        Mode::GoodbyeOvertakes => directed::goodbye_overtakes,
        Mode::ServeOne => directed::serve_one,
        Mode::Inspect => directed::inspect,
        Mode::Police => directed::police,
        Mode::ShareMac => directed::share_mac,
        Mode::Renumber => directed::renumber,
        Mode::GoUnheard => directed::go_unheard,
        Mode::RenewLate => directed::renew_late,
        Mode::AdoptRefused => directed::adopt_refused,
        Mode::RestartBlind => directed::restart_blind,
        Mode::FailService => directed::fail_service,
        Mode::FreezePrepared => return directed::freeze_prepared(sim),
        Mode::VoteLoseHost => return votes::lose_host(sim),
        Mode::VoteDisturb => return votes::disturb(sim),
        Mode::VoteStopActive => return votes::stop_active(sim),
        Mode::VoteForget => return votes::forget(sim),
        Mode::VoteFreeze => return votes::freeze(sim),
    };
    calm(sim);
    directed(sim);
}

/// Runs a seed that has failed once more, and returns the end of its history with the failure.
pub fn story(seed: u64, mode: Mode) -> String {
    let outcome = run(seed, mode, Want::Lines);
    let failure =
        outcome.failure.unwrap_or_else(|| "does not fail again: the same seed is not the same run".to_owned());
    let mode = format!("{mode:?}").to_lowercase();
    let revision = crate::REVISION;
    let from = outcome.lines.len().saturating_sub(STORY);
    let lines = outcome.lines[from..].join("\n");
    format!("… {from} lines before\n{lines}\nseed {seed}, mode {mode}, revision {revision}: {failure}")
}

/// Strikes the cluster with faults of the kinds that the seed permits (its *swarm*), then mends it
/// and lets it settle. Ends early at the first failure.
fn play(sim: &mut Sim) {
    for witness in 0..sim.witnesses.len() {
        if sim.random.chance(90) {
            sim.start_witness(witness);
        }
    }
    for node in 0..sim.nodes.len() {
        if sim.random.chance(90) {
            sim.start(node);
        }
    }
    sim.traffic();
    let timing = sim.plan.timing();
    if sim.random.chance(30) {
        sim.run(timing.listen + timing.pulse * 5);
    }
    if sim.random.chance(50) {
        faults::weather(sim);
    }
    let strikes = 20 + sim.random.below(80);
    let pace = timing.pulse * u32::try_from(1 + sim.random.below(12)).unwrap_or(1);
    for _ in 0..strikes {
        let span = sim.random.span(pace);
        sim.run(span);
        if sim.has_failed() {
            return;
        }
        faults::strike(sim);
        faults::strike_unkindly(sim);
    }
    sim.run(pace);
    faults::mend(sim);
    faults::settle(sim);
}

// L2: short disturbances of one kind, drawn from lost pulses, loss on one of several links, and
// stops of a process, cause no takeover.
fn disturb(sim: &mut Sim) {
    let before = sim.oracle.openings.clone();
    let (timing, now) = (sim.plan.timing(), sim.now);
    let kind = if sim.net.udp == 1 { [0, 2][sim.random.below(2)] } else { sim.random.below(3) };
    // The disturbed link is the only one, unless loss on one of several is drawn.
    for from in 0..sim.nodes.len() {
        for to in sim.others(from) {
            for wire in 1..sim.net.udp {
                sim.net.set_cut(from, to, wire, kind != 1, now);
            }
        }
    }
    if kind == 1 {
        let wire = sim.random.below(sim.net.udp);
        sim.net.loss[wire] = 30 + sim.random.below(71);
    }
    sim.touched = true;
    for _ in 0..20 {
        let node = sim.random.below(sim.nodes.len());
        match kind {
            0 => sim.net.drop_next[node] = 1 + sim.random.below(2),
            1 => {}
            _ => {
                let span = sim.random.span(timing.lease - timing.pulse * 3 / 2);
                sim.hang(node, span);
                sim.run(span);
            }
        }
        let pause = timing.pulse * 6 + sim.random.span(timing.pulse * 6);
        sim.run(pause);
    }
    let taken = sim.oracle.openings != before;
    if taken {
        sim.oracle.violated(|| format!("L2: a takeover after a disturbance of kind {kind}"));
    }
}

// L1: the groups of a lost host are taken over within the bound.
fn lose_host(sim: &mut Sim) {
    let timing = sim.plan.timing();
    let gone = sim.random.below(sim.nodes.len());
    sim.lose_power(gone, false);
    sim.coverage.count_fault(Fault::PowerLoss);
    let bound = timing.silence + timing.probe * 2;
    sim.run(super::clock::stretched(bound, timing.drift_ppm));
    for group in 0..sim.plan.groups.len() {
        let answering = sim.answering(group);
        if answering.len() != 1 || answering[0] == gone {
            sim.oracle.violated(|| format!("L1: group {group} is not taken over in time"));
        }
    }
}
