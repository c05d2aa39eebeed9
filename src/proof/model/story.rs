//! A counterexample for people: every act, and the state after it.

use super::act::Act;
use super::shape::{GROUP, Shape};
use super::state::{Flight, Freight, Node, State};
use std::fmt::Write;

/// A state in one line.
pub fn line(state: &State) -> String {
    let mut text = String::new();
    for (node, machine) in state.nodes.iter().enumerate() {
        let _ = write!(text, "| {node} {} ", describe_node(machine));
    }
    if let Some(witness) = &state.witness {
        let life = match (&witness.voter, &witness.pause) {
            (None, _) => "dead".to_owned(),
            (Some(voter), None) => voter.gist(witness.now()),
            (Some(voter), Some(_)) => format!("STOPPED {}", voter.gist(witness.now())),
        };
        let _ = write!(text, "| witness t{} {life} ", witness.clock);
    }
    let _ = write!(text, "| {} in flight", state.air.len());
    if !state.cut.is_none() {
        let _ = write!(text, ", {:?}", state.cut);
    }
    if let Some(broken) = state.broken {
        let _ = write!(text, " *** {broken}");
    }
    text
}

/// A node in some words: clock, engine, gate.
fn describe_node(node: &Node) -> String {
    let life = match (&node.engine, &node.pause) {
        (None, _) => "dead".to_owned(),
        (Some(engine), None) => engine.gist(GROUP, node.now()),
        (Some(engine), Some(pause)) => {
            let (held, waiting) = (pause.held.len(), pause.backlog.len());
            format!("STOPPED ({held} held, {waiting} waiting) {}", engine.gist(GROUP, node.now()))
        }
    };
    let left = node.kernel.until.since(node.now()).as_secs() / super::shape::TICK.as_secs();
    let gate = match node.kernel.open {
        Some(epoch) if node.answers(false) => format!("OPEN {epoch} for {left}"),
        Some(epoch) => format!("lapsed {epoch}{}", if node.kernel.refused { " refused" } else { "" }),
        None => "closed".to_owned(),
    };
    format!("t{} {life}, gate {gate}{}", node.clock, if node.carrier { "" } else { ", no carrier" })
}

/// A flight in some words.
fn describe_flight(flight: &Flight) -> String {
    let way = format!("{}→{}", flight.from, flight.to);
    match &flight.freight {
        Freight::Pulse { path, header, rows, .. } => {
            let mut text = format!("pulse {way} path {path} #{}", header.counter);
            for row in rows {
                let _ = write!(text, " [{:?} {} claim {} consent {}]", row.role, row.epoch, row.claim, row.consent);
            }
            text + if header.flags.deaf { " deaf" } else { "" } + if header.flags.query { " query" } else { "" }
        }
        Freight::Seen(_) => format!("answer {way}"),
        Freight::Stored { version, .. } | Freight::Remembered { version, .. } => {
            format!("disk of {} has {version}", flight.to)
        }
        Freight::Ended { hook, epoch, .. } => format!("{hook:?} of {} for {epoch} has ended", flight.to),
    }
}

/// An act in some words, with the flight that it concerns.
fn describe_act(state: &State, act: Act) -> String {
    let of = |flight: usize| state.air.get(flight).map_or(String::new(), |flight| describe_flight(flight));
    match act {
        Act::Arrive { flight } => format!("arrives: {}", of(flight)),
        Act::ArriveTwice { flight } => format!("arrives, and will again: {}", of(flight)),
        Act::Lose { flight } => format!("LOST: {}", of(flight)),
        Act::Delay { flight } => format!("HELD UP: {}", of(flight)),
        Act::ArriveTrapped { flight, change } => format!("arrives, STOPPED before gate {change}: {}", of(flight)),
        Act::Pass
        | Act::Slip { .. }
        | Act::Wake { .. }
        | Act::Stop { .. }
        | Act::Freeze { .. }
        | Act::WakeTrapped { .. }
        | Act::Resume { .. }
        | Act::Kill { .. }
        | Act::Crash { .. }
        | Act::Start { .. }
        | Act::Cut { .. }
        | Act::Mend
        | Act::Carrier { .. }
        | Act::Order { .. } => format!("{act:?}"),
    }
}

/// The history that leads to the last state, two lines a step: a state, and the act that follows.
pub fn told(shape: &Shape, steps: &[(State, Option<Act>)]) -> String {
    let mut text = format!("{}: {:?}\n", shape.name, shape.budget);
    for (number, (state, act)) in steps.iter().enumerate() {
        let _ = writeln!(text, "{number:>4}  {}", line(state));
        if let Some(act) = act {
            let _ = writeln!(text, "      {}", describe_act(state, *act));
        }
    }
    text
}
