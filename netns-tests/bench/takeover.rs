//! Cost of one takeover for the agents: processor time, context switches, wake-ups, packets.
//!
//! Owns: the half second before a move and the half second from the move on, side by side. Never
//! does: subtracting them; an agent without a peer hears less than one with a peer. The kernel's
//! work on other processes' time is not counted.

use super::figures::Unit::{Count, Milliseconds};
use super::figures::{Figure, Section, Unit, figure};
use super::pair::vanish;
use super::record::Results;
use super::scale::{bring_up, shape_text, wait_settled};
use super::usage::{Spent, Usage};
use super::{Block, Topic, sample};
use crate::lab::Server;
use crate::scene::Scene;
use std::fmt::Write;
use std::time::Duration;

/// Cost of one takeover.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("takeover-1", 25, || measure(1, 1)),
        Block::new("takeover-10000", 25, || measure(10_000, 1)),
        Block::new("takeover-1000-groups", 25, || measure(1_000, 1_000)),
    ],
    sections,
    configuration: |_| String::new(),
};

/// Time over which the cost is counted before a move and after it.
const STRETCH: Duration = Duration::from_millis(500);
/// Pause between two moves: announcements are repeated for 5 s, and must not count as the time
/// before the next move.
const PAUSE: Duration = Duration::from_secs(6);
/// Number of losses, and of switches, in one run.
const MOVES: u32 = 3;

/// Row of the table: addresses, groups, key, and what moved them.
type Row = (u32, u32, &'static str, &'static str);

/// Rows of the table, in its order.
const ROWS: [Row; 5] = [
    (1, 1, "loss", "host loss, the survivor"),
    (1, 1, "switch", "planned switch, both agents together"),
    (10_000, 1, "loss", "host loss, the survivor"),
    (10_000, 1, "switch", "planned switch, both agents together"),
    (1_000, 1_000, "loss", "host loss, the survivor"),
];

/// Quantity that is counted: ending of the key, title, unit, and how to read it.
type Quantity = (&'static str, &'static str, Unit, fn(&Spent) -> f64);

/// Quantities that are counted, in the order of the table.
const QUANTITIES: [Quantity; 4] = [
    ("cpu", "processor time", Milliseconds, |spent| spent.cpu.as_secs_f64() * 1e3),
    ("switches", "context switches", Count, |spent| f64::from(spent.switches)),
    ("wakes", "wake-ups of the thread that pulses", Count, |spent| f64::from(spent.wakes)),
    ("packets", "packets sent", Count, |spent| f64::from(spent.packets)),
];

/// Key of a quantity of one row, `before` the move or `after` it.
fn key((count, groups, kind, _): Row, when: &str, quantity: &str) -> String {
    format!("takeover-{count}-{groups}-{kind}-{when}-{quantity}")
}

/// Measures [`MOVES`] moves for each row of this shape.
fn measure(count: u32, groups: u32) {
    let (mut scene, mut owner, _) = bring_up(count, groups);
    for row in ROWS.into_iter().filter(|row| (row.0, row.1) == (count, groups)) {
        for _ in 0..MOVES {
            match row.2 {
                "loss" => {
                    let fault = count_around(&scene, row, &[owner.other()], |scene| vanish(&scene.lab, owner).1);
                    assert!(scene.lab.lift(fault) > 0, "the fault did not strike");
                }
                _ => count_around(&scene, row, &Server::BOTH, |scene| {
                    scene.agent(owner).command(&["switch", "group0"]).map(drop).unwrap_or_else(|e| panic!("{e}"));
                }),
            }
            let now = wait_settled(&scene, groups);
            assert_eq!(now, owner.other(), "the move did not last");
            owner = now;
            std::thread::sleep(PAUSE);
        }
    }
    scene.power_off(owner);
}

/// Counts what the agents of these servers use in the half second before `act` and in that from
/// `act` on.
fn count_around<T>(scene: &Scene, row: Row, servers: &[Server], act: impl FnOnce(&Scene) -> T) -> T {
    let all = || -> Vec<Usage> {
        servers.iter().map(|server| Usage::of(&scene.lab, *server, scene.agent(*server).pid())).collect()
    };
    let before = all();
    std::thread::sleep(STRETCH);
    let from = all();
    let result = act(scene);
    std::thread::sleep(STRETCH);
    let after = all();
    for (when, from, to) in [("before", &before, &from), ("after", &from, &after)] {
        let spent = from.iter().zip(to).map(|(from, to)| from.spent_until(*to)).fold(Spent::default(), |a, b| a + b);
        for (what, _, _, read) in QUANTITIES {
            sample(&key(row, when, what), read(&spent));
        }
    }
    result
}

/// Sections of the page: what the agents use around a move.
fn sections() -> Vec<Section> {
    let of = |row: Row, when: &str, words: &str| -> Figure {
        let title = format!("{}, {}: processor time {words}", shape_text(row.0, row.1), row.3);
        figure(key(row, when, "cpu"), title, Milliseconds)
    };
    let figures = ROWS
        .into_iter()
        .flat_map(|row| [of(row, "before", "in the half second before"), of(row, "after", "from the move on")])
        .collect();
    vec![Section {
        text: TEXT.to_owned(),
        table: Some(table),
        ..Section::new("Cost of a takeover (`fast`)", figures)
    }]
}

const TEXT: &str = "\
What the agents use in the half second before a move and in the half second from the move on; each cell: median before → median
after. At rest an agent wakes up for its own pulses and for the peer's, which end with the peer. A planned switch counts from
before `vipair switch` is called. Each address is announced twice in that time, as a request and as a reply each time, and what
a server's interfaces send is counted, whoever sends it. What the kernel does on other processes' time is not in it.";

/// Table of the section, in Markdown: medians before a move and after it, a line for each kind of
/// move.
fn table(results: &Results) -> String {
    // Writing to a String cannot fail.
    let mut text = "| addresses | groups | moved by | moves |".to_owned();
    for (_, title, ..) in QUANTITIES {
        let _ = write!(text, " {title} |");
    }
    text += "\n|--:|--:|---|--:|--:|--:|--:|--:|\n";
    for row in ROWS {
        let (count, groups, _, how) = row;
        let moves = results.spread(&key(row, "after", "cpu")).map_or(0, |spread| spread.runs());
        let _ = write!(text, "| {count} | {groups} | {how} | {moves} |");
        for (what, _, unit, _) in QUANTITIES {
            let of = |when| {
                results.spread(&key(row, when, what)).map_or("–".to_owned(), |spread| unit.show(spread.median()))
            };
            let _ = write!(text, " {} → {} |", of("before"), of("after"));
        }
        text.push('\n');
    }
    text
}
