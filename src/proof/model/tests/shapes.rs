//! Shapes of model searches with bare pairs, by name: what may go wrong in each, and how often.

use super::super::act::Act;
use super::*;

/// Position of the link among the paths.
pub const LINK: usize = 0;

/// Cuts of a path between the nodes in both directions.
pub fn both_ways(path: usize) -> Cuts {
    Cuts::of(&[(0, 1, path), (1, 0, path)])
}

/// A shape in which anything can happen to processes, hosts, datagrams and clocks, `any` times in
/// all. The wires are sound.
pub fn faults(name: &'static str, any: u8) -> Shape {
    let mut shape = Shape::pair(name);
    shape.stagger = 1;
    shape.budget = Budget {
        any,
        losses: any,
        copies: any,
        delays: any,
        stops: any,
        traps: any,
        kills: any,
        crashes: any,
        slips: any,
        ..Budget::default()
    };
    shape
}

/// A shape in which anything can happen to processes and hosts, `any` times in all.
pub fn processes(name: &'static str, any: u8) -> Shape {
    let mut shape = faults(name, any);
    shape.stagger = 0;
    shape.budget = Budget { any, stops: any, traps: any, kills: any, crashes: any, ..Budget::default() };
    shape
}

/// A shape in which anything can happen to the process and host of the standby alone, `any` times
/// in all.
pub fn standby(name: &'static str, any: u8) -> Shape {
    let mut shape = processes(name, any);
    shape.stagger = 1;
    shape.spared = Some(0);
    shape
}

/// A shape in which anything can happen to datagrams, `any` times in all, in any order of arrival.
pub fn datagrams(name: &'static str, any: u8) -> Shape {
    let mut shape = faults(name, any);
    shape.order = Order::Any;
    shape.moves = false;
    shape.budget = Budget { any, losses: any, copies: any, delays: any, ..Budget::default() };
    shape
}

/// A shape in which all ways between the nodes are cut and mended once, and up to `faults` more
/// things go wrong.
pub fn parted(name: &'static str, faults: u8) -> Shape {
    let mut shape = Shape::pair(name);
    shape.cuts = vec![both_ways(LINK).with(both_ways(SEGMENT))];
    let any = faults + 1;
    shape.budget = Budget { any, cuts: 1, stops: faults, traps: faults, kills: faults, ..Budget::default() };
    shape
}

/// A shape in which all ways are cut and one direction is mended before the other: for a time only
/// one node knows of the conflict.
pub fn half_mended(name: &'static str) -> Shape {
    let mut shape = one_way_cut(name, 0);
    shape.cuts.push(both_ways(LINK).with(both_ways(SEGMENT)));
    shape.budget.any = 2;
    shape.budget.cuts = 2;
    shape
}

/// A shape in which all ways of one direction are cut and mended, and up to `faults` more things go
/// wrong.
pub fn one_way_cut(name: &'static str, faults: u8) -> Shape {
    let mut shape = parted(name, faults);
    let way = |from, to| Cuts::of(&[(from, to, LINK), (from, to, SEGMENT)]);
    shape.cuts = vec![way(0, 1), way(1, 0)];
    shape
}

/// A shape in which the link is cut and mended, the segment never, and up to `faults` more things
/// go wrong.
pub fn links(name: &'static str, faults: u8) -> Shape {
    let mut shape = parted(name, faults);
    shape.cuts = vec![both_ways(LINK)];
    shape.moves = faults > 0;
    shape
}

/// A shape that begins before anybody has started, and in which up to `any` things happen to
/// processes and hosts; datagrams arrive in `order`.
pub fn starting(name: &'static str, any: u8, order: Order) -> Shape {
    let mut shape = processes(name, any);
    shape.moves = any > 0;
    shape.settled = false;
    shape.stagger = 3;
    shape.order = order;
    shape
}

/// A shape in which an operator gives one order, to switch or to stop, and one more thing goes
/// wrong.
pub fn orders(name: &'static str) -> Shape {
    let mut shape = faults(name, 1);
    shape.budget.any = 2;
    shape.budget.orders = 1;
    shape.orders = vec![(0, Command::Switch(GROUP)), (1, Command::Switch(GROUP)), (0, Command::Stop)];
    shape
}

/// A shape in which the interface of one node loses its carrier, and one more thing goes wrong.
pub fn carriers(name: &'static str) -> Shape {
    let mut shape = processes(name, 1);
    shape.budget.any = 2;
    shape.budget.carriers = 1;
    shape
}

/// A shape in which one thing happens to a process or host, and the preferred node takes its group
/// back.
pub fn preempting(name: &'static str) -> Shape {
    let mut shape = processes(name, 1);
    shape.preempt = true;
    shape
}

/// A shape that begins when an operator has moved the group to node 1, which prepares it, and in
/// which whatever `budget` allows may go wrong.
pub fn prepared(name: &'static str, budget: Budget) -> Shape {
    let switch = Act::Order { node: 0, command: Command::Switch(GROUP) };
    Shape { hook: Some(4), history: vec![(switch, 1)], budget, ..Shape::pair(name) }
}

/// A shape that begins when the guest that prepares the group is frozen; it goes on at any time.
pub fn frozen_prepared(name: &'static str) -> Shape {
    let mut shape = prepared(name, Budget::default());
    shape.history.push((Act::Freeze { node: 1 }, 1));
    shape
}

/// Shapes whose searches are small enough for every run of the tests.
pub fn one_fault() -> Vec<Shape> {
    let mut calm = faults("one fault, L5", 1);
    calm.liveness = true;
    vec![
        calm,
        preempting("one fault, preemption"),
        links("the link cut", 0),
        standby("one fault of the standby", 1),
        prepared("a hook, an agent killed", Budget { any: 1, kills: 1, ..Budget::default() }),
        frozen_prepared("a hook in a frozen guest"),
    ]
}

/// The shapes that are searched in every run with the profile `checked`: ten million states and
/// more, in some minutes.
pub fn all() -> Vec<Shape> {
    let mut shapes = one_fault();
    shapes.extend([
        datagrams("two datagrams, any order", 2),
        starting("start and a fault", 1, Order::Bursts).with_steps(2_000_000),
        parted("parted and a fault", 1).with_steps(20_000_000),
    ]);
    shapes
}

/// Shapes of long searches in which up to `any` things go wrong, for bare pairs and with a witness.
pub fn by_hand(any: u8) -> Vec<Shape> {
    let mut all = vec![
        processes("processes", any),
        faults("faults", any),
        standby("standby", any),
        datagrams("datagrams", any),
        parted("parted", any - 1),
        one_way_cut("one way", any - 1),
        half_mended("half mended"),
        links("link cut", any - 1),
        carriers("carrier"),
        orders("orders"),
        starting("start", any - 1, Order::Bursts),
        prepared("a hook", processes("", any - 1).budget),
        voted::prepared("voted hook", processes("", any - 1).budget),
        starting("in order", any.saturating_sub(2), Order::Queues),
        voted::faults("voted faults", any),
        voted::processes("voted processes", any),
        voted::parted("voted apart", any - 1),
        voted::one_way_cut("voted one way", any - 1),
        voted::datagrams("voted datagrams", any),
        voted::starting("voted start", any - 1),
        voted::frozen("voted frozen", any - 1),
    ];
    let killed = Budget { any: 1, kills: 1, ..Budget::default() };
    all.push(Shape { budget: killed, ..voted::frozen_prepared("voted: a hook in a frozen guest, a process killed") });
    all.extend(voted::pairs());
    all
}

/// Mutants that break something which a bare pair without neighbours, strangers and recordings has.
pub fn mutants() -> Vec<Mutant> {
    use Mutant::*;
    vec![
        LeaseFromNextPulse,
        LeaseRelative,
        LapsedLeaseRenewed,
        RefusalIgnored,
        RefusedLeaseAdopted,
        LapseClosesNothing,
        GenerationReused,
        LatchOff,
        ReserveBeforeDisk,
        OpenedWithoutReserve,
        FormerReserveReused,
        EpochsNotLearned,
        OutrankedStays,
        ConsentWhileOpen,
        ConsentBeforeClosing,
        ConsentsCross,
        LowEpochConsented,
        StaleConsentCounts,
        HoldIgnored,
        BlindStartConsents,
        StallNotNoticed,
        ClaimNotSent,
        NoListening,
        VetoIgnored,
        OneProbeEnough,
        SegmentUnused,
        GoodbyeWhileOpen,
        HigherEpochIgnored,
        LowerEpochWins,
        DeafClaimIgnored,
        DeafRivalOutlasted,
        DeafNotTold,
        EchoNotRequired,
        ProofNotRequired,
        OvertakenBelieved,
    ]
}
