//! Tests of the simulator's oracle: every rule fires on a violation that is planted, and on that
//! one.

use super::Oracle;
use crate::durable::{Durable, GroupState, Loaded};
use crate::engine::{Action, Cause, Command, Event, GateAction, Notice};
use crate::mutant::Mutants;
use crate::sim::Want;
use crate::sim::calm::calm;
use crate::sim::clock::Real;
use crate::sim::faults::settle;
use crate::sim::names::{group_id, id, interface_id, key, mac, ms, udp};
use crate::sim::node::Waiting;
use crate::sim::swarm::{Fault, Plan};
use crate::sim::world::Sim;
use crate::types::{Epoch, LinkId, MonoTime};
use crate::wire::pulse::Role;

/// A cluster at rest, the node that answers for group 0, and the other.
struct Scene {
    sim: Sim,
    active: usize,
    standby: usize,
}

/// The group of all tests here, by its number in the simulation and in the nodes' tables.
const G: usize = 0;

impl Scene {
    /// The scene of the first seed whose plan replays and forges and has a host on the group's
    /// segment.
    fn new() -> Scene {
        let fits = |sim: &Sim| {
            let forged = sim.plan.has(&[Fault::Forge]) && sim.plan.has(&[Fault::Replay]);
            forged && sim.hosts.iter().any(|host| host.plan.interface == sim.plan.groups[G].interface)
        };
        let mut sims = (0..).map(|seed| Sim::new(seed, Mutants::NONE, Want::Nothing));
        let mut sim = sims.find(fits).unwrap();
        calm(&mut sim);
        assert_eq!(sim.oracle.violation, None, "nothing is wrong before something is planted");
        let active = sim.answering(G)[0];
        Scene { sim, active, standby: 1 - active }
    }

    /// The interface of the group.
    fn interface(&self) -> usize {
        self.sim.plan.groups[G].interface
    }

    /// Changes a gate by a decision of this instant (`now`), or of a nanosecond ago: a late
    /// decision is not checked for its evidence.
    fn change_gate(&mut self, node: usize, gate: GateAction, now: bool) {
        let local = self.sim.local(node);
        let decided = if now { local } else { local.back(ms(0) + std::time::Duration::from_nanos(1)) };
        Oracle::change_gate(&mut self.sim, node, gate, decided);
    }

    /// Opens the group's gate on a node; `now` as in [`Scene::change_gate`].
    fn open_gate(&mut self, node: usize, epoch: Epoch, now: bool) {
        self.change_gate(node, GateAction::Open { group: group_id(G), epoch }, now);
    }

    /// An epoch that a node may open with.
    fn fresh(&self, node: usize) -> Epoch {
        Epoch::new(1_000, id(node))
    }

    /// Opens at the standby as on silence, with everything else in order.
    fn open_on_silence(&mut self) {
        let (node, epoch) = (self.standby, self.fresh(self.standby));
        self.sim.oracle.seen[node].claims[G] = (epoch, MonoTime::ZERO);
        self.open_gate(node, epoch, true);
    }

    /// Lets the oracle look at a node, whether anything has changed or not.
    fn look(&mut self, node: usize) {
        self.sim.oracle.seen[node].stamped = false;
        Oracle::after_event(&mut self.sim, node);
    }

    /// Opens the group's gate on both nodes, and sets every account of the oracle as if the nodes
    /// were cut off from each other.
    fn divide(&mut self) {
        let node = self.standby;
        self.sim.nodes[node].kernel.open[G] = self.fresh(node);
        self.sim.oracle.doubled[G] = Some(Real(0));
        let pair = self.sim.oracle.pair(0, 1).clone();
        assert!(pair.joined.is_some() && pair.hears.is_some(), "at rest both hear each other");
        for (first, second) in [(0, 1), (1, 0)] {
            let pair = self.sim.oracle.pair(first, second);
            (pair.joined, pair.hears) = (None, None);
            pair.segment.fill(None);
        }
    }

    /// Checks a datagram with these numbers as if the standby had believed it; `sealed`: the tag is
    /// right.
    fn check_believed(&mut self, session: u64, counter: u64, echo: u64, sealed: bool) {
        let (node, from) = (self.standby, self.active);
        let mut bytes = Vec::new();
        self.sim.strict.begin(&mut bytes);
        bytes.extend_from_slice(&[0; 8]);
        for number in [session, counter, echo] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        self.sim.strict.seal(&mut bytes);
        if !sealed {
            *bytes.last_mut().unwrap() ^= 1;
        }
        let before = self.sim.nodes[node].engine.as_ref().unwrap().view_believed() - 1;
        let link = LinkId { peer: id(from), path: udp(0) };
        Oracle::check_beliefs(&mut self.sim, node, &Event::Datagram { link, bytes: &bytes }, before);
    }

    /// The sessions of the active and of the standby.
    fn sessions(&self) -> (u64, u64) {
        let session = |node: usize| self.sim.nodes[node].engine.as_ref().unwrap().view_session();
        (session(self.active), session(self.standby))
    }
}

/// Plants something in a cluster at rest, and checks that the oracle's violation has `rule` in its
/// text.
fn fires(rule: &str, plant: impl FnOnce(&mut Scene)) {
    let mut scene = Scene::new();
    plant(&mut scene);
    let violation = scene.sim.oracle.violation.unwrap_or_default();
    assert!(violation.contains(rule), "expected: {rule}; told: {violation:?}");
}

#[test]
fn rules_about_epochs_fire() {
    fires("S2: node", |scene| scene.open_gate(scene.standby, scene.fresh(scene.active), false));
    fires("the epoch of another", |scene| scene.open_gate(scene.standby, scene.fresh(scene.active), false));
    fires(" after ", |scene| {
        let epoch = scene.sim.oracle.seen[scene.active].used[G];
        scene.open_gate(scene.active, epoch, false);
    });
    fires("although it was told", |scene| {
        scene.sim.oracle.seen[scene.standby].told[G] = Epoch(u64::MAX);
        scene.open_gate(scene.standby, scene.fresh(scene.standby), false);
    });
    fires("goes on with", |scene| {
        scene.sim.oracle.seen[scene.active].told[G] = Epoch(u64::MAX);
        scene.look(scene.active);
    });
    fires("S2: a durable epoch of node 0 falls", |scene| {
        let state = |counter| GroupState {
            key: key(G),
            seen: Epoch::new(counter, id(0)),
            reserve: Epoch::NONE,
            held: Epoch::NONE,
            paused: false,
        };
        let durable = |counter| Durable { lease: None, groups: vec![state(counter)] };
        scene.sim.oracle.check_durable(0, &Loaded::State(durable(5)), &durable(4));
    });
    fires("on consent of node", |scene| {
        let epoch = scene.sim.nodes[scene.active].kernel.open[G];
        scene.sim.oracle.seen[scene.standby].told[G] = Epoch(u64::MAX);
        scene.open_gate(scene.active, epoch, true);
    });
}

#[test]
fn rules_about_the_gate_and_its_lease_fire() {
    fires("S3: node", |scene| {
        let (node, local) = (scene.standby, scene.sim.local(scene.standby));
        scene.sim.carry_out(node, &[Action::Announce { group: group_id(G), address: None }], &[], local);
    });
    fires("S4: a lease of node", |scene| {
        let (interface, lease) = (interface_id(scene.interface()), scene.sim.plan.timing().lease);
        let until = scene.sim.local(0) + lease + ms(1);
        scene.change_gate(0, GateAction::Renew { interface, until }, true);
    });
    fires("which its disk knows", |scene| {
        let (node, interface) = (scene.active, interface_id(scene.interface()));
        let lease = scene.sim.plan.timing().lease;
        let Loaded::State(state) = &mut scene.sim.nodes[node].disk.content else { panic!("it has opened") };
        state.lease = Some(lease - ms(1));
        let until = scene.sim.local(node) + lease;
        scene.change_gate(node, GateAction::Renew { interface, until }, true);
    });
    fires("twice", |scene| {
        let node = scene.standby;
        let generation = scene.sim.nodes[node].kernel.gates[scene.interface()].generation;
        scene.change_gate(node, GateAction::Begin { interface: interface_id(scene.interface()), generation }, true);
    });
    fires("begins a generation while something is open", |scene| {
        let (interface, generation) = (interface_id(scene.interface()), u64::MAX);
        scene.change_gate(scene.active, GateAction::Begin { interface, generation }, true);
    });
    fires("opens without a lease", |scene| {
        let interface = scene.interface();
        scene.sim.nodes[scene.standby].kernel.gates[interface].generation = 0;
        scene.open_gate(scene.standby, scene.fresh(scene.standby), false);
    });
    fires("thinks that it answers for group", |scene| {
        let interface = scene.interface();
        scene.sim.nodes[scene.active].kernel.gates[interface].until = MonoTime::ZERO;
        scene.look(scene.active);
    });
    fires("is renewed, and answers again", |scene| {
        let (node, interface) = (scene.active, scene.interface());
        let generation = scene.sim.nodes[node].kernel.gates[interface].generation;
        scene.sim.oracle.note_refusal(node, interface, generation);
        let until = scene.sim.local(node) + ms(1);
        scene.change_gate(node, GateAction::Renew { interface: interface_id(interface), until }, true);
    });
    fires("a lapsed lease of node", |scene| {
        scene.divide();
        let (node, interface) = (scene.active, scene.interface());
        let generation = scene.sim.nodes[node].kernel.gates[interface].generation;
        scene.sim.oracle.note_refusal(node, interface, generation);
        Oracle::check(&mut scene.sim);
    });
    fires("its role is", |scene| {
        scene.sim.nodes[scene.active].kernel.open[G] = Epoch::NONE;
        scene.look(scene.active);
    });
    fires("no pulse of node", |scene| {
        scene.sim.nodes[scene.active].config.timing.pulse = std::time::Duration::ZERO;
        scene.look(scene.active);
    });
    fires("although its carrier is lost", |scene| {
        let interface = scene.interface();
        scene.sim.now = scene.sim.now + ms(10_000);
        scene.sim.oracle.seen[scene.active].beliefs.dark[interface] = Some(Real(0));
        Oracle::check_active(&mut scene.sim, scene.active, G, Epoch(u64::MAX));
    });
}

#[test]
fn rules_about_what_a_gate_opens_on_fire() {
    fires("without a claim", |scene| scene.open_gate(scene.standby, scene.fresh(scene.standby), true));
    fires("after a stall", |scene| {
        scene.sim.oracle.seen[scene.standby].resumed = scene.sim.local(scene.standby);
        scene.open_on_silence();
    });
    fires("although it is off the segment", |scene| {
        let (node, now, interface) = (scene.standby, scene.sim.now, scene.interface());
        scene.sim.plan.profile = crate::timing::Profile::Fast;
        scene.sim.oracle.seen[node].isolated[interface] = Some(Real(0));
        scene.sim.oracle.note_neighbour(node, interface, now);
        scene.open_on_silence();
    });
    fires("after its start", |scene| {
        scene.sim.oracle.seen[scene.standby].beliefs.began = scene.sim.local(scene.standby);
        scene.open_on_silence();
    });
    fires("S8 V4", Scene::open_on_silence);
    fires("S8 V5", |scene| {
        let epoch = scene.sim.nodes[scene.active].kernel.open[G];
        scene.sim.nodes[scene.standby].kernel.open[G] = scene.fresh(scene.standby);
        scene.open_gate(scene.active, epoch, true);
    });
    fires("which is paused", |scene| {
        scene.sim.offer(scene.standby, Waiting::Command(Command::Pause(group_id(G))));
        scene.open_on_silence();
    });
    fires("its state damaged", |scene| {
        scene.sim.oracle.seen[scene.standby].beliefs.untold = true;
        scene.open_on_silence();
    });
}

#[test]
fn rules_about_two_that_answer_fire() {
    fires("S8 V1", |scene| {
        scene.divide();
        scene.sim.oracle.pair(0, 1).joined = Some(Real(0));
        Oracle::check(&mut scene.sim);
    });
    fires("S8 V2", |scene| {
        scene.divide();
        let interface = scene.interface();
        scene.sim.oracle.pair(0, 1).segment[interface] = Some(Real(0));
        Oracle::check(&mut scene.sim);
    });
    fires("S8 V3", |scene| {
        scene.divide();
        scene.sim.oracle.pair(0, 1).hears = Some(Real(0));
        Oracle::check(&mut scene.sim);
    });
}

#[test]
fn rules_about_what_is_believed_fire() {
    fires("S6: node", |scene| scene.check_believed(1, 1, 1, false));
    fires("nobody with the key", |scene| {
        let (theirs, own) = scene.sessions();
        scene.check_believed(theirs, u64::MAX, own, false);
    });
    fires("to an earlier life of it", |scene| {
        let (theirs, own) = scene.sessions();
        scene.check_believed(theirs, u64::MAX, own + 1, true);
    });
    fires("the same datagram twice", |scene| {
        let (theirs, own) = scene.sessions();
        scene.check_believed(theirs, u64::MAX, own, true);
        assert_eq!(scene.sim.oracle.violation, None);
        scene.check_believed(theirs, u64::MAX, own, true);
    });
    fires("an earlier life of node", |scene| {
        let (theirs, own) = scene.sessions();
        scene.sim.kill(scene.active);
        scene.sim.start(scene.active);
        let (younger, _) = scene.sessions();
        scene.check_believed(younger, u64::MAX, own, true);
        assert_eq!(scene.sim.oracle.violation, None);
        scene.check_believed(theirs, u64::MAX, own, true);
    });
}

#[test]
fn rules_about_what_must_happen_fire() {
    fires("L4: host", |scene| {
        let interface = scene.interface();
        let host = scene.sim.hosts.iter().position(|host| host.plan.interface == interface).unwrap();
        let mac = |node: usize| Some(mac(node, interface));
        scene.sim.hosts[host].cache[G] = mac(scene.standby);
        let opening = scene.sim.oracle.openings[G];
        scene.sim.hosts[host].cache[G] = mac(scene.active);
        scene.sim.run(ms(3_000));
        scene.sim.hosts[host].cache[G] = mac(scene.standby);
        Oracle::check_clients(&mut scene.sim, G, scene.active, opening);
    });
    fires("L5: not one active per group", |scene| {
        let (now, wires) = (scene.sim.now, scene.sim.net.wires);
        for wire in 0..wires {
            scene.sim.net.set_cut(0, 1, wire, true, now);
            scene.sim.net.set_cut(1, 0, wire, true, now);
        }
        scene.sim.touched = true;
        settle(&mut scene.sim);
    });
    fires("the role table has no", |scene| {
        let notice = Notice::Role {
            group: group_id(G),
            from: Role::Paused,
            to: Role::Active,
            epoch: Epoch::NONE,
            cause: Cause::Silence,
            silence: ms(0),
        };
        let local = scene.sim.local(0);
        scene.sim.carry_out(0, &[Action::Notice(notice)], &[], local);
    });
    fires("again and again", |scene| {
        let now = scene.sim.now;
        scene.sim.nodes[0].wake = now;
        scene.sim.nodes[0].spins = 1_000;
        scene.sim.run(ms(0));
    });
}

// S2
#[test]
fn a_grant_below_another_is_excused_only_where_nobody_is_left_to_tell() {
    for (damaged, removed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut sim = Sim::planned(1, Mutants::NONE, Want::Nothing, Plan::draw_with_witnesses);
        if damaged {
            sim.oracle.votes.note_damage(0);
        }
        if removed {
            sim.oracle.votes.note_removed(G);
        }
        let voter = sim.nodes.len();
        Oracle::check_rising(&mut sim, voter, G, 0, Epoch::new(9, id(0)));
        assert_eq!(sim.oracle.violation, None);
        Oracle::check_rising(&mut sim, voter, G, 1, Epoch::new(8, id(1)));
        assert_eq!(sim.oracle.violation.is_none(), damaged && removed, "{:?}", sim.oracle.violation);
    }
}
