//! Shapes of model searches with a witness, by name: what may go wrong in each, and how often. And
//! the broken rules of the vote that they find.

use super::super::act::Act;
use super::shapes::{LINK, both_ways};
use super::*;

/// Number of the witness, as an end of ways and in acts.
const WITNESS: usize = 2;
/// Number of ticks in which everything comes to rest.
const REST: usize = 40;

/// Cuts between a node and the witness in both directions.
fn witness_apart(node: usize) -> Cuts {
    Cuts::of(&[(node, WITNESS, LINK), (WITNESS, node, LINK)])
}

/// Cuts of all ways between the nodes in both directions.
fn nodes_apart() -> Cuts {
    both_ways(LINK).with(both_ways(SEGMENT))
}

/// A shape of a settled pair with a witness, in which whatever `budget` allows may go wrong.
fn pair_with(name: &'static str, budget: Budget) -> Shape {
    Shape { budget, ..Shape::voted(name) }
}

/// A shape in which anything can happen to processes, hosts, datagrams and clocks, the witness's
/// too, `any` times in all. One slip of a clock at most: two in one lease are more than the drift
/// that the times allow for.
pub fn faults(name: &'static str, any: u8) -> Shape {
    pair_with(name, Budget { slips: any.min(1), ..shapes::faults(name, any).budget })
}

/// A shape in which anything can happen to processes and hosts, `any` times in all.
pub fn processes(name: &'static str, any: u8) -> Shape {
    pair_with(name, shapes::processes(name, any).budget)
}

/// A shape in which the nodes may be cut from each other, or one of them from the witness, or from
/// both, and up to `faults` more things go wrong.
pub fn parted(name: &'static str, faults: u8) -> Shape {
    let any = faults + 1;
    let slips = faults.min(1);
    let budget = Budget { any, cuts: 1, stops: faults, traps: faults, kills: faults, slips, ..Budget::default() };
    let cuts = vec![
        nodes_apart(),
        witness_apart(0),
        witness_apart(1),
        nodes_apart().with(witness_apart(0)),
        nodes_apart().with(witness_apart(1)),
    ];
    Shape { cuts, ..pair_with(name, budget) }
}

/// A shape in which one of six directions is cut at a time (between the nodes, or between a node
/// and the witness, each way), and up to `faults` more things go wrong.
pub fn one_way_cut(name: &'static str, faults: u8) -> Shape {
    let nodes = |from, to| Cuts::of(&[(from, to, LINK), (from, to, SEGMENT)]);
    let witness = |from, to| Cuts::of(&[(from, to, LINK)]);
    let cuts = vec![
        nodes(0, 1),
        nodes(1, 0),
        witness(0, WITNESS),
        witness(WITNESS, 0),
        witness(1, WITNESS),
        witness(WITNESS, 1),
    ];
    Shape { cuts, moves: faults > 0, ..parted(name, faults) }
}

/// A shape in which datagrams are lost, doubled and held up, `any` times in all.
pub fn datagrams(name: &'static str, any: u8) -> Shape {
    Shape { moves: false, ..pair_with(name, shapes::datagrams(name, any).budget) }
}

/// A shape that begins before anybody has started, and in which up to `any` things happen to
/// processes and hosts.
pub fn starting(name: &'static str, any: u8) -> Shape {
    Shape { settled: false, stagger: 3, moves: any > 0, ..processes(name, any) }
}

/// A shape in which a guest is frozen together with its clock, which is the exception to S1, and up
/// to `faults` processes are stopped or killed. Clocks run true, so that what is left of the frozen
/// guest's lease is exact.
pub fn frozen(name: &'static str, faults: u8) -> Shape {
    let budget = Budget { any: 1 + faults, freezes: 1, stops: faults, kills: faults, ..Budget::default() };
    pair_with(name, budget)
}

/// A shape that begins while node 1 prepares the group, and in which whatever `budget` allows may
/// go wrong.
pub fn prepared(name: &'static str, budget: Budget) -> Shape {
    shapes::prepared(name, budget).with_witness()
}

/// A shape that begins while node 1 prepares the group and its guest is frozen.
pub fn frozen_prepared(name: &'static str) -> Shape {
    shapes::frozen_prepared(name).with_witness()
}

/// Shapes in which two things go wrong, one of each kind: what [`faults`] with two allows, in parts
/// that end.
pub fn pairs() -> Vec<Shape> {
    let two = Budget { any: 2, ..Budget::default() };
    vec![
        pair_with("voted pair: hang, crash", Budget { stops: 1, crashes: 1, ..two }),
        pair_with("voted pair: hang, kill", Budget { stops: 1, kills: 1, ..two }),
        pair_with("voted pair: hang within a step, crash", Budget { traps: 1, crashes: 1, ..two }),
        pair_with("voted pair: hang within a step, hang", Budget { traps: 1, stops: 1, ..two }),
        pair_with("voted pair: drift, hang", Budget { slips: 1, stops: 1, ..two }),
        pair_with("voted pair: drift, crash", Budget { slips: 1, crashes: 1, ..two }),
        pair_with("voted pair: drift, late", Budget { slips: 1, delays: 1, ..two }),
        pair_with("voted pair: late, hang", Budget { delays: 1, stops: 1, ..two }),
        pair_with("voted pair: late, crash", Budget { delays: 1, crashes: 1, ..two }),
        pair_with("voted pair: twice, late", Budget { copies: 1, delays: 1, ..two }),
        pair_with("voted pair: twice, crash", Budget { copies: 1, crashes: 1, ..two }),
        pair_with("voted pair: lost, hang", Budget { losses: 1, stops: 1, ..two }),
        pair_with("voted pair: lost, crash", Budget { losses: 1, crashes: 1, ..two }),
    ]
}

/// The shapes that are searched in every run with the profile `checked`.
pub fn standing() -> Vec<Shape> {
    vec![
        frozen("voted: a frozen guest", 0),
        frozen_prepared("voted: a hook in a frozen guest"),
        parted("voted: apart", 0),
        one_way_cut("voted: one way cut", 0),
        datagrams("voted: two datagrams", 2),
        starting("voted: start", 0),
        faults("voted: one fault of any kind", 1),
        Shape { liveness: true, ..frozen("voted: a frozen guest, L5", 0) },
    ]
}

/// A shape that begins long after the nodes were cut apart, when the witness alone keeps the active
/// up, and in which whatever `budget` allows may go wrong.
fn apart(name: &'static str, budget: Budget) -> Shape {
    Shape { history: vec![(Act::Cut { ways: nodes_apart() }, REST)], lasting: true, ..pair_with(name, budget) }
}

/// A shape that begins when node 0, active again and again while node 1 was off, has crashed, and
/// the witness, which alone knows what it has granted, is restarted. Nothing more goes wrong.
fn forgotten() -> Shape {
    let crash = |node| Act::Crash { node, written: true };
    let again = [(crash(0), 1), (Act::Start { node: 0 }, REST)];
    let mut history = vec![(crash(1), REST)];
    (0..4).for_each(|_| history.extend(again));
    let restart = [(Act::Kill { node: WITNESS, written: false }, 1), (Act::Start { node: WITNESS }, 0)];
    history.push((crash(0), REST));
    history.extend(restart);
    Shape { history, ..pair_with("voted: forgotten", Budget::default()) }
}

/// A shape that begins when the nodes are apart and the active's process is stopped, and in which a
/// clock may lose or gain as much as the times allow for.
fn slow() -> Shape {
    let budget = Budget { any: 1, slips: 1, ..Budget::default() };
    let mut shape = apart("voted: a slow clock", budget);
    shape.history.push((Act::Stop { node: 0 }, 0));
    shape
}

/// Broken rules of the vote, each with the shape whose search finds it and the promises that it
/// breaks there. The rule as it is keeps all promises in the same search.
pub fn mutants() -> Vec<(Mutant, Shape, &'static [&'static str])> {
    let votes: &[&str] = &[rules::S1, rules::S5_VOTER];
    let none = Budget { any: 1, ..Budget::default() };
    let kill = || apart("voted: killed", Budget { kills: 1, ..none });
    let stop = || apart("voted: stopped", Budget { stops: 1, ..none });
    let trap = pair_with("voted: trapped", Budget { traps: 1, ..none });
    let start = || Shape { stagger: 0, ..starting("voted: start", 0) };
    let cut = pair_with("voted: cut", Budget { cuts: 1, ..none });
    let cut = || Shape { cuts: vec![nodes_apart()], lasting: true, moves: false, ..cut.clone() };
    vec![
        (Mutant::WitnessNotAbstaining, kill(), votes),
        (Mutant::LeaseFromReceipt, start(), &[rules::S4]),
        (Mutant::CeilingForgotten, forgotten(), &[rules::S2]),
        (Mutant::LeaseRelative, trap, &[rules::S4]),
        (Mutant::PromiseNotStretched, slow(), votes),
        (Mutant::PromiseTooShort, stop(), votes),
        (Mutant::PromiseEndsWithSilence, stop(), votes),
        (Mutant::PromiseIgnored, cut(), votes),
        (Mutant::PromiseNotRenewed, cut(), votes),
        (Mutant::NewSessionReleases, kill(), votes),
        (Mutant::StarterReleases, kill(), votes),
        (Mutant::OwnVoteAlone, start(), votes),
        (Mutant::OpenedOnWordsBeforeHook, frozen_prepared("voted: a hook in a frozen guest"), &[rules::S5_VOTER]),
    ]
}
