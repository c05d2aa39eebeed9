//! One fault after another, several at a time.
//!
//! Owns: the faults that were begun and must be ended. Never does: giving a verdict. At most one
//! fault at a time is about the process or the interfaces of one party; faults of the ways between
//! the parties come on top.

use super::draws::Chance;
use crate::lab::confine::Confinement;
use crate::lab::faults::{Drops, Fault, FrameKind};
use crate::lab::voters::WAYS;
use crate::lab::{Port, Server, clock};
use crate::scene::{GROUP, Scene};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fmt;
use vipair::types::MonoTime;

/// Most faults at once.
const MOST: usize = 3;
/// Share of the faults that is about the ways between the parties, in percent.
const WAYS_PERCENT: u64 = 30;
/// Share of the faults that is about one of the servers, in percent; the rest is about the witness.
const NODE_PERCENT: u64 = 50;

/// The way to end a fault.
enum Remedy {
    /// Ends a drop rule of the switch.
    Lift(Fault),
    /// Plugs the server's cables in again.
    Join(Server),
    /// Gives the server's interface its carrier back.
    Carrier(Server),
    /// Continues the server's stopped agent.
    Wake(Server),
    StartAgent(Server),
    PowerOn(Server),
    /// Ends the limit on the processor time of the server's agent.
    Free(Server, Confinement),
    /// Continues the stopped witness.
    WakeWitness,
    /// Starts the killed witness; `rolled_back`: with an old copy of its state.
    StartWitness {
        rolled_back: bool,
    },
}

/// The party, or the ways, that a fault is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Ways,
    Node(Server),
    Witness,
}

impl Subject {
    /// Draws the subject of the next fault.
    fn draw(chance: &mut Chance) -> Subject {
        let server = chance.pick(&Server::BOTH);
        let percent = chance.between(0, 99);
        if percent < WAYS_PERCENT {
            Subject::Ways
        } else if percent < WAYS_PERCENT + NODE_PERCENT {
            Subject::Node(server)
        } else {
            Subject::Witness
        }
    }
}

impl Remedy {
    /// What the fault that this ends is about.
    fn subject(&self) -> Subject {
        match self {
            Remedy::Lift(_) => Subject::Ways,
            Remedy::Join(server)
            | Remedy::Carrier(server)
            | Remedy::Wake(server)
            | Remedy::StartAgent(server)
            | Remedy::PowerOn(server)
            | Remedy::Free(server, _) => Subject::Node(*server),
            Remedy::WakeWitness | Remedy::StartWitness { .. } => Subject::Witness,
        }
    }
}

/// A fault that was just begun: its kind, the longest that it may last in milliseconds, and what
/// ends it.
type Begun = (&'static str, u64, Remedy);

/// The faults in force, and how many of each kind there were.
#[derive(Default)]
pub struct Strikes {
    /// Faults in force: when each is to end, and by what.
    live: Vec<(MonoTime, Remedy)>,
    /// Number of faults so far, by kind.
    counts: BTreeMap<&'static str, u32>,
    /// Whether a copy of the witness's state was made.
    copied: bool,
}

impl Strikes {
    /// Begins a fault by chance, unless enough are in force or the drawn party already has one.
    pub fn begin_fault(&mut self, scene: &mut Scene, chance: &mut Chance) {
        if self.live.len() >= MOST {
            return;
        }
        let subject = Subject::draw(chance);
        if subject != Subject::Ways && self.live.iter().any(|(_, remedy)| remedy.subject() == subject) {
            return;
        }
        let begun = match subject {
            Subject::Ways => Some(Self::strike_ways(scene, chance)),
            Subject::Node(server) => Self::strike_node(scene, chance, server),
            Subject::Witness => Some(self.strike_witness(scene, chance)),
        };
        let Some((name, longest_ms, remedy)) = begun else { return };
        *self.counts.entry(name).or_default() += 1;
        let until = clock::now() + chance.duration(1, longest_ms);
        self.live.push((until, remedy));
    }

    /// Loses 30 % of the frames on ways that clients do not use, one time in five; else severs
    /// some ways.
    fn strike_ways(scene: &Scene, chance: &mut Chance) -> Begun {
        if chance.between(0, 4) == 0 {
            let lossy = |port| Drops::from(port, FrameKind::Everything).percent(30);
            let ports = [Port::AlphaSecondLink, Port::BetaSecondLink, Port::AlphaVoters, Port::Witness];
            return ("loss", 1_000, Remedy::Lift(scene.lab.drop_frames(&ports.map(lossy))));
        }
        let ways: Vec<_> = WAYS.into_iter().filter(|_| chance.between(0, 2) == 0).collect();
        let ways = if ways.is_empty() { vec![chance.pick(&WAYS)] } else { ways };
        ("ways severed", 500, Remedy::Lift(scene.lab.sever(&ways)))
    }

    /// Strikes a server with one of six faults. `None`: asked for a planned switch instead, which
    /// is no fault.
    fn strike_node(scene: &mut Scene, chance: &mut Chance, server: Server) -> Option<Begun> {
        Some(match chance.between(0, 9) {
            0 | 1 => {
                scene.cut_off(server);
                ("cut off", 400, Remedy::Join(server))
            }
            2 => {
                scene.lab.carrier_down(&[server.port()]);
                ("carrier lost", 400, Remedy::Carrier(server))
            }
            3 | 4 => {
                let (agent, lab) = scene.agent_mut(server);
                agent.signal(lab, Signal::SIGSTOP);
                ("agent stopped", 200, Remedy::Wake(server))
            }
            5 | 6 => {
                scene.kill_agent(server);
                ("agent killed", 500, Remedy::StartAgent(server))
            }
            7 => {
                scene.power_off(server);
                ("power lost", 800, Remedy::PowerOn(server))
            }
            8 => {
                let pid = scene.agent(server).pid();
                let percent = u32::try_from(chance.between(2, 20)).expect("few");
                ("starved", 800, Remedy::Free(server, scene.lab.confine(pid, percent)))
            }
            _ => {
                scene.lab.note(format!("vipair switch {GROUP} on {}", server.name()));
                // The command is refused more often than not, because the other server is not
                // ready.
                let _ = scene.agent(server).command(&["switch", GROUP]);
                return None;
            }
        })
    }

    /// Stops the witness four times in ten; else kills it, and two times in ten rolls its state
    /// back.
    fn strike_witness(&mut self, scene: &mut Scene, chance: &mut Chance) -> Begun {
        let draw = chance.between(0, 9);
        let (witness, lab) = scene.witness(1);
        if draw < 4 {
            witness.signal(lab, Signal::SIGSTOP);
            return ("witness stopped", 200, Remedy::WakeWitness);
        }
        if !self.copied {
            witness.copy_state(lab);
            self.copied = true;
        }
        witness.kill(lab);
        let rolled_back = draw > 7;
        (
            if rolled_back { "witness rolled back" } else { "witness killed" },
            300,
            Remedy::StartWitness { rolled_back },
        )
    }

    /// Ends the faults that are due, or all of them.
    pub fn end_due(&mut self, scene: &mut Scene, all: bool) {
        let now = clock::now();
        let (due, live) = std::mem::take(&mut self.live).into_iter().partition(|(until, _)| all || *until <= now);
        self.live = live;
        for (_, remedy) in due {
            end_fault(scene, remedy);
        }
    }
}

/// Does what ends a fault.
fn end_fault(scene: &mut Scene, remedy: Remedy) {
    match remedy {
        Remedy::Lift(fault) => drop(scene.lab.lift(fault)),
        Remedy::Join(server) => drop(scene.lab.join(&scene.lab.ports(server))),
        Remedy::Carrier(server) => drop(scene.lab.carrier_up(&[server.port()])),
        Remedy::Wake(server) => {
            let (agent, lab) = scene.agent_mut(server);
            agent.signal(lab, Signal::SIGCONT);
        }
        Remedy::StartAgent(server) => drop(scene.start_agent(server)),
        Remedy::PowerOn(server) => drop(scene.power_on(server)),
        Remedy::Free(_, confinement) => drop(confinement),
        Remedy::WakeWitness => {
            let (witness, lab) = scene.witness(1);
            witness.signal(lab, Signal::SIGCONT);
        }
        Remedy::StartWitness { rolled_back } => {
            let (witness, lab) = scene.witness(1);
            if rolled_back {
                witness.roll_back_state(lab);
            }
            witness.launch(lab);
        }
    }
}

impl fmt::Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        write!(f, "{}", counts.join(", "))
    }
}
