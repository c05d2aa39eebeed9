//! What is done to the nodes: drawn from the seed, one fault after another, and everything mended at the end.

use super::names::{group_id, id, mac, ms, vip};
use super::net::{Net, PATHS};
use super::node::{Node, Waiting};
use super::random::Random;
use super::world::{Plan, Sim};
use crate::config::Profile;
use crate::engine::{Command, Loaded};
use crate::types::{LinkId, MonoTime};
use crate::wire::frame::Sighting;
use std::time::Duration;

/// Draws what a seed decides once.
pub fn plan(random: &mut Random) -> Plan {
    let profile = match random.below(10) {
        0 => Profile::Lan,
        1 => Profile::Wan,
        _ => Profile::Fast,
    };
    let groups = (0..1 + random.below(4)).map(|_| (id(random.below(2)), random.chance(30))).collect();
    let backlog = if random.chance(30) { 3 } else { 1000 };
    Plan { profile, groups, bystander: random.chance(70), backlog }
}

/// Draws loss, delay and duplication of every path.
pub fn weather(sim: &mut Sim) {
    let bad = sim.random.chance(60);
    for path in 0..3 {
        let loss = if bad && sim.random.chance(40) { sim.random.below(41) } else { 0 };
        sim.net.loss[path] = loss;
        // Probes count as unanswered after three intervals: the segment must be quicker than that.
        let longest = if path == 2 { sim.timing.probe / 2 } else { sim.timing.pulse };
        sim.net.delay[path] =
            if sim.random.chance(50) { sim.random.span(longest) } else { Duration::from_micros(50) };
    }
    sim.net.duplicates = if sim.random.chance(40) { sim.random.below(30) } else { 0 };
}

/// One fault, whatever comes.
pub fn strike(sim: &mut Sim) {
    let at = sim.random.below(2);
    match sim.random.below(26) {
        0..=2 => cut_one(sim),
        3 => cut_all(sim),
        4 | 5 => heal(sim),
        6 => sim.net.isolated[at] = !sim.net.isolated[at],
        7 => one_way(sim, at),
        8 => sim.kill(at),
        9 => reboot(sim, at),
        10..=12 => {
            if sim.nodes[at].engine.is_none() || sim.nodes[at].exited {
                restart(sim, at);
            }
        }
        13 => {
            let span = stop_span(sim);
            sim.stop(at, span);
        }
        14 | 15 => sim.nodes[at].trap = Some(stop_span(sim)),
        16 => disk(sim, at),
        17 | 18 => order(sim, at),
        19 => {
            sim.nodes[at].carrier = !sim.nodes[at].carrier;
            let up = sim.nodes[at].carrier;
            sim.note(format!("node {at}: carrier {up}"));
            sim.facts(at);
        }
        20 => {
            let link = LinkId { peer: id(1 - at), path: PATHS[sim.random.below(2)] };
            sim.offer(at, Waiting::Refused(link));
        }
        21 | 22 => replay(sim),
        23 => forge(sim, at),
        24 => weather(sim),
        _ => sim.traffic(),
    }
}

fn cut_one(sim: &mut Sim) {
    let (from, path) = (sim.random.below(2), sim.random.below(3));
    sim.net.cut[from][path] = !sim.net.cut[from][path];
    let cut = sim.net.cut;
    sim.note(format!("cuts are {cut:?}"));
}

fn cut_all(sim: &mut Sim) {
    let keep = sim.random.below(4);
    sim.net.cut = [[true; 3]; 2];
    if keep < 3 && sim.random.chance(50) {
        sim.net.cut[0][keep] = false;
        sim.net.cut[1][keep] = false;
    }
    let cut = sim.net.cut;
    sim.note(format!("cuts are {cut:?}"));
}

fn one_way(sim: &mut Sim, from: usize) {
    sim.net.cut[from] = [true, true, sim.random.chance(70)];
    if sim.random.chance(50) {
        sim.net.cut[1 - from] = [false; 3];
    }
    let cut = sim.net.cut;
    sim.note(format!("cuts are {cut:?}"));
}

fn heal(sim: &mut Sim) {
    sim.net.cut = [[false; 3]; 2];
    sim.net.isolated = [false; 2];
    sim.note("all wires mended".to_owned());
}

fn stop_span(sim: &mut Sim) -> Duration {
    let longest = match sim.random.below(4) {
        0 => sim.timing.pulse * 2,
        1 => sim.timing.lease + sim.timing.silence,
        _ => sim.timing.lease * 3,
    };
    sim.random.span(longest)
}

fn reboot(sim: &mut Sim, at: usize) {
    sim.crash(at);
    let fate = sim.random.below(20);
    let node = &mut sim.nodes[at];
    if fate < 2 {
        node.disk.content = Loaded::Fresh;
    } else if fate == 2 {
        node.disk.content = Loaded::Damaged;
    }
    let content = node.disk.content.clone();
    sim.oracle.forget(at, &content);
    if fate < 3 {
        sim.note(format!("node {at}: disk is {content:?}"));
    }
}

fn restart(sim: &mut Sim, at: usize) {
    if sim.nodes[at].engine.is_some() {
        sim.kill(at);
    }
    sim.start(at);
}

fn disk(sim: &mut Sim, at: usize) {
    let disk = &mut sim.nodes[at].disk;
    disk.fails = !disk.fails && sim.random.chance(70);
    disk.latency = if sim.random.chance(50) { ms(3) } else { sim.random.span(ms(500)) };
    let (fails, latency) = (disk.fails, disk.latency);
    sim.note(format!("node {at}: disk fails {fails}, takes {latency:?}"));
}

fn order(sim: &mut Sim, at: usize) {
    let group = group_id(sim.random.below(sim.plan.groups.len()));
    let command = match sim.random.below(10) {
        0..=3 => Command::Switch(group),
        4 | 5 => Command::Pause(group),
        6..=8 => Command::Resume(group),
        _ => Command::Stop,
    };
    sim.note(format!("node {at}: {command:?}"));
    sim.offer(at, Waiting::Command(command));
}

/// A recording is played again, to its receiver or to the other node.
fn replay(sim: &mut Sim) {
    for _ in 0..1 + sim.random.below(5) {
        if sim.recorded.is_empty() {
            return;
        }
        let (to, path, bytes) = sim.recorded[sim.random.below(sim.recorded.len())].clone();
        let to = if sim.random.chance(80) { to } else { 1 - to };
        let link = LinkId { peer: id(1 - to), path: PATHS[path] };
        sim.offer(to, Waiting::Datagram(link, bytes));
    }
}

/// Bytes without the key, and claims by a stranger.
fn forge(sim: &mut Sim, at: usize) {
    let bytes = match sim.recorded.first() {
        Some((_, _, known)) if sim.random.chance(70) => {
            let mut bytes = known.clone();
            let place = sim.random.below(bytes.len());
            bytes[place] ^= 1 << sim.random.below(8);
            bytes
        }
        Some(_) | None => (0..sim.random.below(200)).map(|_| (sim.random.next() & 0xff) as u8).collect(),
    };
    let link = LinkId { peer: id(1 - at), path: PATHS[sim.random.below(3)] };
    sim.offer(at, Waiting::Datagram(link, bytes));
    if sim.random.chance(30) {
        let address = vip(sim.random.below(sim.plan.groups.len()));
        sim.offer(at, Waiting::Seen(Sighting::Claim { address, mac: mac(77) }));
    }
}

/// Faults stop: what is broken is mended, what is dead is started, unless the seed leaves one node dead.
pub fn mend(sim: &mut Sim) {
    sim.note("faults stop".to_owned());
    sim.net = Net::quiet();
    let dead = sim.random.chance(20).then(|| sim.random.below(2));
    for at in 0..2 {
        sim.nodes[at].trap = None;
        sim.nodes[at].disk.fails = false;
        sim.nodes[at].disk.latency = ms(3);
        if sim.nodes[at].exited || (dead == Some(at) && sim.nodes[at].engine.is_some()) {
            sim.kill(at);
        }
        if dead == Some(at) {
            continue;
        }
        sim.nodes[at].carrier = true;
        if sim.nodes[at].engine.is_none() {
            sim.start(at);
        } else {
            sim.resume(at);
            sim.nodes[at].trap = None;
            sim.facts(at);
        }
    }
}

/// L5: each group that somebody may have is answered by exactly one, and stays so.
pub fn settle(sim: &mut Sim) {
    let start = sim.now;
    let mut steady: Option<MonoTime> = None;
    let scale = sim.timing.pulse.max(ms(30)) * 10;
    // Slow profiles wait longer by design: a start listens for a lease, a right of way lasts ten pulses.
    let bound = match sim.plan.profile {
        Profile::Fast | Profile::Lan => Duration::from_secs(10),
        Profile::Wan => Duration::from_secs(60),
    };
    while steady.is_none_or(|since| sim.now.since(since) < scale) {
        steady = if is_settled(sim) { steady.or(Some(sim.now)) } else { None };
        let late = steady.is_none() && sim.now.since(start) > bound;
        assert!(!late, "L5: not one active per group after {bound:?}: {:?}", states(sim));
        sim.run(sim.timing.pulse);
        sim.traffic();
    }
}

fn is_settled(sim: &Sim) -> bool {
    (0..sim.plan.groups.len()).all(|group| {
        let may = |node: &Node| {
            node.is_running()
                && node.engine.as_ref().is_some_and(|engine| {
                    let state = engine.view_group(group);
                    let lost = state.state_damaged && engine.view_peer(0, sim.now).heard.is_none();
                    !state.paused && !lost
                })
        };
        let wanted = usize::from(sim.nodes.iter().any(may));
        sim.answering(group).len() == wanted
    })
}

pub fn states(sim: &Sim) -> Vec<String> {
    let mut lines = Vec::new();
    for at in 0..2 {
        let Some(engine) = &sim.nodes[at].engine else { continue };
        let (peer, report) = (engine.view_peer(0, sim.now), engine.report(sim.now));
        lines.push(format!("node {at}: {peer:?} rejects {:?}", report.rejects));
        for (group, state) in report.groups.iter().enumerate() {
            let view = engine.view_group(group);
            lines.push(format!(
                "node {at} group {group} prefers {:?}: {:?} {} {:?} {:?}, seen {} reserve {} claim {} consent {}",
                sim.plan.groups[group],
                state.role,
                state.epoch,
                state.reason,
                state.waiting,
                view.seen,
                view.reserve,
                view.claim,
                view.consent,
            ));
        }
    }
    lines
}
