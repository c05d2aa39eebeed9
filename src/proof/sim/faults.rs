//! Faults of a run: one after another, drawn from the swarm of the seed, and everything mended at
//! the end. A fault that finds nothing to strike changes nothing, and is not counted.

use super::names::{STRANGER, ms, vip};
use super::node::Waiting;
use super::swarm::{Fault, Plan};
use super::world::Sim;
use crate::durable::Loaded;
use crate::wire::frame::Sighting;
use std::time::Duration;

mod mend;
mod operator;
mod unkind;
mod voters;
mod wires;

pub use mend::{mend, settle};
pub use unkind::strike_unkindly;
pub use wires::weather;

/// Draws one fault and a place for it, and lets it strike.
pub fn strike(sim: &mut Sim) {
    let fault = Plan::draw_of(&sim.plan.swarm, &mut sim.random);
    let node = pick_target(sim);
    let interface = sim.random.below(sim.plan.interfaces);
    if apply(sim, fault, node, interface) {
        sim.coverage.count_fault(fault);
    }
}

/// The node that a fault strikes: mostly one with an open group.
fn pick_target(sim: &mut Sim) -> usize {
    let group = sim.random.below(sim.plan.groups.len());
    let holder = (0..sim.nodes.len()).find(|&node| sim.nodes[node].kernel.is_open(group));
    match holder {
        Some(node) if sim.random.chance(60) => node,
        Some(_) | None => sim.random.below(sim.nodes.len()),
    }
}

/// Lets a fault strike a node; false if there was nothing to strike.
fn apply(sim: &mut Sim, fault: Fault, node: usize, interface: usize) -> bool {
    match fault {
        Fault::Loss
        | Fault::Delay
        | Fault::Duplicates
        | Fault::CutOne
        | Fault::CutAll
        | Fault::OneWay
        | Fault::Deafen
        | Fault::Isolate
        | Fault::Heal => wires::strike(sim, fault, node, interface),
        Fault::Kill
        | Fault::PowerLoss
        | Fault::Reboot
        | Fault::Start
        | Fault::Hang
        | Fault::HangMidList
        | Fault::Suspend
        | Fault::Freeze
        | Fault::ClockRate => strike_machine(sim, fault, node),
        Fault::DiskSlow
        | Fault::DiskFails
        | Fault::DiskTorn
        | Fault::DiskDamaged
        | Fault::DiskLost
        | Fault::DiskRolledBack => strike_disk(sim, fault, node),
        Fault::Carrier
        | Fault::GateLost
        | Fault::GateReplaced
        | Fault::InterfaceGone
        | Fault::InterfaceRenamed
        | Fault::Enslaved => strike_interface(sim, fault, node, interface),
        Fault::BrokenSwitch => operator::break_switch(sim, node),
        Fault::Switch | Fault::Pause | Fault::Resume | Fault::Stop => operator::order(sim, fault, node),
        Fault::Reconfigure => reconfigure(sim, node),
        Fault::Health => sim.change_service(node),
        Fault::Lacks => sim.change_lacks(node),
        Fault::Bare => strip_or_restore(sim, node),
        Fault::Refused => report_refused(sim, node),
        Fault::Replay => replay_recordings(sim),
        Fault::Forge => send_forgery(sim, node),
        Fault::Stranger => claim_as_stranger(sim, node),
        Fault::Traffic => pass_traffic(sim),
        Fault::SameNumber
        | Fault::Renamed
        | Fault::Cloned
        | Fault::OtherMac
        | Fault::Recreated
        | Fault::Narrow
        | Fault::SocketDies
        | Fault::GateDisplaced
        | Fault::Squatter => unkind::strike(sim, fault, node, interface),
        Fault::WitnessCut
        | Fault::WitnessApart
        | Fault::WitnessKill
        | Fault::WitnessPowerLoss
        | Fault::WitnessHang
        | Fault::WitnessFreeze
        | Fault::WitnessClockRate
        | Fault::WitnessDiskSlow
        | Fault::WitnessDiskFails
        | Fault::WitnessSlotDamaged
        | Fault::WitnessDiskDamaged
        | Fault::WitnessDiskLost
        | Fault::WitnessDiskRolledBack
        | Fault::WitnessCheck
        | Fault::WitnessReplay => voters::strike(sim, fault, node),
    }
}

/// Lets hosts ask; false if there are none.
fn pass_traffic(sim: &mut Sim) -> bool {
    sim.traffic();
    !sim.hosts.is_empty()
}

/// Gives a node another file; false if no process reads it.
fn reconfigure(sim: &mut Sim, node: usize) -> bool {
    let running = sim.nodes[node].is_running();
    sim.reconfigure(node);
    running
}

/// Takes all addresses of a group away from a node, or puts them back. Always true: it has struck.
fn strip_or_restore(sim: &mut Sim, node: usize) -> bool {
    let group = sim.random.below(sim.plan.groups.len());
    let bare = !sim.nodes[node].bare[group];
    sim.set_bare(node, group, bare);
    true
}

/// Tells a node that nobody listens at the other end of a link, true or not.
fn report_refused(sim: &mut Sim, node: usize) -> bool {
    let from = pick_other(sim, node);
    let wire = sim.random.below(sim.net.udp);
    let link = sim.link(node, from, wire);
    sim.offer(node, Waiting::Refused(link));
    true
}

/// Lets a stranger claim a group's address on a node's segment; false if no agent can see that.
fn claim_as_stranger(sim: &mut Sim, node: usize) -> bool {
    let group = sim.random.below(sim.plan.groups.len());
    let interface = sim.plan.groups[group].interface;
    let reached = sim.nodes[node].is_connected(interface) && sim.nodes[node].is_running();
    if reached {
        sim.offer(
            node,
            Waiting::Seen(interface, Sighting::Claim { address: vip(group), mac: STRANGER, nameless: None }),
        );
    }
    reached
}

/// A node drawn from all but `node`.
fn pick_other(sim: &mut Sim, node: usize) -> usize {
    let count = sim.nodes.len();
    (node + 1 + sim.random.below(count - 1)) % count
}

/// A span for which a process or machine stops: up to three leases.
fn draw_stop_span(sim: &mut Sim, node: usize) -> Duration {
    let timing = sim.nodes[node].config.timing;
    let longest = match sim.random.below(4) {
        0 => timing.pulse * 2,
        1 => timing.lease + timing.silence,
        2 => timing.lease,
        _ => timing.lease * 3,
    };
    sim.random.span(longest)
}

/// Strikes process, power or clock of a node; false if the node is in no state for this fault.
fn strike_machine(sim: &mut Sim, fault: Fault, node: usize) -> bool {
    let alive = sim.nodes[node].engine.is_some() && !sim.nodes[node].asleep;
    let running = sim.nodes[node].is_running();
    match fault {
        Fault::Kill if alive => sim.kill(node),
        Fault::PowerLoss if sim.nodes[node].powered => sim.lose_power(node, false),
        Fault::Reboot if sim.nodes[node].powered => {
            sim.lose_power(node, false);
            let rest = sim.plan.timing().silence;
            let delay = sim.random.span(rest * 3);
            start_later(sim, node, delay);
        }
        Fault::Start => return start_dead(sim),
        Fault::Hang if running => {
            let span = draw_stop_span(sim, node);
            sim.hang(node, span);
        }
        Fault::HangMidList if running => sim.nodes[node].trap = Some(draw_stop_span(sim, node)),
        Fault::Suspend if running => {
            let span = draw_stop_span(sim, node);
            sim.sleep(node, span, false);
        }
        Fault::Freeze if running => {
            let span = draw_stop_span(sim, node);
            sim.sleep(node, span, true);
        }
        Fault::ClockRate if sim.plan.ppm != 0 && sim.nodes[node].powered && !sim.nodes[node].asleep => {
            let ppm = sim.draw_ppm();
            sim.note(|_| format!("node {node}: its clock is {ppm} ppm fast"));
            let now = sim.now;
            sim.nodes[node].clock.set_rate(now, ppm);
            sim.set_wake(node);
        }
        _ => return false,
    }
    true
}

/// Starts a node after `delay`, unless its life ends before.
fn start_later(sim: &mut Sim, node: usize, delay: Duration) {
    let life = sim.nodes[node].life;
    sim.schedule(super::world::Due::Start { to: node, life }, delay);
}

/// Starts every node whose agent is dead or has ended; false if there was none.
fn start_dead(sim: &mut Sim) -> bool {
    let mut any = false;
    for node in 0..sim.nodes.len() {
        if sim.nodes[node].exited {
            sim.kill(node);
        }
        if sim.nodes[node].engine.is_none() {
            sim.start(node);
            any = true;
        }
    }
    any
}

/// Strikes the disk of a node; false if there was nothing to strike.
fn strike_disk(sim: &mut Sim, fault: Fault, node: usize) -> bool {
    match fault {
        Fault::DiskSlow => {
            let span = sim.random.span(ms(500));
            let disk = &mut sim.nodes[node].disk;
            disk.latency = if disk.latency > ms(3) { ms(3) } else { span };
            sim.note(|sim| format!("node {node}: its disk takes {:?}", sim.nodes[node].disk.latency));
        }
        Fault::DiskFails => {
            sim.nodes[node].disk.fails ^= true;
            sim.note(|sim| format!("node {node}: its disk fails: {}", sim.nodes[node].disk.fails));
        }
        _ => return strike_power(sim, fault, node),
    }
    true
}

/// Takes the power of a node away, and spoils its disk as `fault` says; the node starts again
/// within half a second. False if the node has no power.
fn strike_power(sim: &mut Sim, fault: Fault, node: usize) -> bool {
    if !sim.nodes[node].powered {
        return false;
    }
    sim.lose_power(node, fault == Fault::DiskTorn);
    let content = match fault {
        Fault::DiskDamaged => Some(Loaded::Damaged),
        Fault::DiskLost => Some(Loaded::Fresh),
        Fault::DiskRolledBack => Some(sim.nodes[node].disk.former.clone()),
        _ => None,
    };
    if let Some(content) = content {
        sim.note(|_| format!("node {node}: its disk holds {content:?}"));
        if fault == Fault::DiskRolledBack {
            sim.oracle.reset_to_old_disk(node, &content);
        } else {
            sim.oracle.reset_to_disk(node, &content);
        }
        sim.oracle.votes.note_disk_loss(node);
        sim.nodes[node].disk.content = content;
    }
    let delay = sim.random.span(ms(500));
    start_later(sim, node, delay);
    true
}

/// Strikes an interface of a node, or the gate on it; false if there was nothing to strike.
fn strike_interface(sim: &mut Sim, fault: Fault, node: usize, interface: usize) -> bool {
    let eth = sim.nodes[node].interfaces[interface];
    match fault {
        Fault::Carrier if eth.exists => sim.set_carrier(node, interface, !eth.carrier),
        Fault::GateLost if sim.nodes[node].kernel.gates[interface].there => sim.lose_gate(node, interface),
        Fault::GateReplaced if sim.nodes[node].is_attached(interface) => sim.replace_gate(node, interface),
        Fault::InterfaceGone => sim.set_existing(node, interface, !eth.exists),
        Fault::InterfaceRenamed if eth.exists => sim.set_named(node, interface, !eth.named),
        Fault::Enslaved if eth.exists => sim.set_enslaved(node, interface, !eth.enslaved),
        _ => return false,
    }
    true
}

/// Sends up to five recorded datagrams again, to their receivers or their senders; false if there
/// are none.
fn replay_recordings(sim: &mut Sim) -> bool {
    for _ in 0..1 + sim.random.below(5) {
        if sim.recorded.is_empty() {
            return false;
        }
        let which = sim.random.below(sim.recorded.len());
        let (to, from, wire) = (sim.recorded[which].to, sim.recorded[which].from, sim.recorded[which].wire);
        let bytes = sim.recorded[which].bytes.clone();
        let to = if sim.random.chance(80) { to } else { from };
        let from = pick_other(sim, to);
        let link = sim.link(to, from, wire);
        sim.offer(to, Waiting::Datagram(link, bytes));
    }
    true
}

/// Sends a node bytes that no key has sealed: a damaged recording, or noise.
fn send_forgery(sim: &mut Sim, node: usize) -> bool {
    let known = sim.recorded.first().map(|recording| recording.bytes.clone());
    let bytes = match known {
        Some(mut bytes) if sim.random.chance(70) => {
            let place = sim.random.below(bytes.len());
            bytes[place] ^= 1 << sim.random.below(8);
            bytes
        }
        Some(_) | None => (0..sim.random.below(200)).map(|_| sim.random.next().to_le_bytes()[0]).collect(),
    };
    let from = pick_other(sim, node);
    let wire = sim.random.below(sim.net.wires);
    let link = sim.link(node, from, wire);
    sim.offer(node, Waiting::Datagram(link, bytes));
    true
}
