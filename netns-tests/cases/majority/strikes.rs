//! One fault after another, several at a time.
//!
//! Owns: the faults that were begun and must be ended. Never does: judging. At most one fault at a
//! time is about the process or the interfaces of one party; faults of the ways between the parties
//! come on top.

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

/// The way to end a fault.
enum End {
    Lift(Fault),
    Join(Server),
    Carrier(Server),
    Wake(Server),
    StartAgent(Server),
    PowerOn(Server),
    Free(Server, Confinement),
    WakeWitness,
    StartWitness { rolled_back: bool },
}

/// The party, or the ways, that a fault is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    Ways,
    Node(Server),
    Witness,
}

impl End {
    fn whom(&self) -> Whom {
        match self {
            End::Lift(_) => Whom::Ways,
            End::Join(server)
            | End::Carrier(server)
            | End::Wake(server)
            | End::StartAgent(server)
            | End::PowerOn(server)
            | End::Free(server, _) => Whom::Node(*server),
            End::WakeWitness | End::StartWitness { .. } => Whom::Witness,
        }
    }
}

/// The faults in force, and how many of each kind there were.
#[derive(Default)]
pub struct Strikes {
    live: Vec<(MonoTime, End)>,
    counts: BTreeMap<&'static str, u32>,
    copied: bool,
}

impl Strikes {
    /// Begins a fault by chance, unless enough are in force or the drawn party already has one.
    pub fn begin(&mut self, scene: &mut Scene, chance: &mut Chance) {
        if self.live.len() >= MOST {
            return;
        }
        let server = chance.pick(&Server::BOTH);
        let kind = chance.between(0, 99);
        let whom = match kind {
            0..30 => Whom::Ways,
            30..80 => Whom::Node(server),
            _ => Whom::Witness,
        };
        if whom != Whom::Ways && self.live.iter().any(|(_, end)| end.whom() == whom) {
            return;
        }
        let (name, longest_ms, end) = match whom {
            Whom::Ways => Self::strike_ways(scene, chance),
            Whom::Node(_) => match Self::strike_node(scene, chance, server) {
                Some(struck) => struck,
                None => return,
            },
            Whom::Witness => self.strike_witness(scene, chance),
        };
        *self.counts.entry(name).or_default() += 1;
        let until = clock::now() + chance.ms(1, longest_ms);
        self.live.push((until, end));
    }

    fn strike_ways(scene: &Scene, chance: &mut Chance) -> (&'static str, u64, End) {
        if chance.between(0, 4) == 0 {
            let lossy = |port| Drops::from(port, FrameKind::Everything).percent(30);
            let ports = [Port::AlphaHeartbeat, Port::BetaHeartbeat, Port::AlphaVoters, Port::Witness];
            return ("loss", 1_000, End::Lift(scene.lab.drop_frames(&ports.map(lossy))));
        }
        let ways: Vec<_> = WAYS.into_iter().filter(|_| chance.between(0, 2) == 0).collect();
        let ways = if ways.is_empty() { vec![chance.pick(&WAYS)] } else { ways };
        ("ways severed", 500, End::Lift(scene.lab.sever(&ways)))
    }

    fn strike_node(scene: &mut Scene, chance: &mut Chance, server: Server) -> Option<(&'static str, u64, End)> {
        Some(match chance.between(0, 9) {
            0 | 1 => {
                scene.cut_off(server);
                ("cut off", 400, End::Join(server))
            }
            2 => {
                scene.lab.carrier_down(&[server.port()]);
                ("carrier lost", 400, End::Carrier(server))
            }
            3 | 4 => {
                let (agent, lab) = scene.agent_mut(server);
                agent.signal(lab, Signal::SIGSTOP);
                ("agent stopped", 200, End::Wake(server))
            }
            5 | 6 => {
                scene.kill_agent(server);
                ("agent killed", 500, End::StartAgent(server))
            }
            7 => {
                scene.power_off(server);
                ("power lost", 800, End::PowerOn(server))
            }
            8 => {
                let pid = scene.agent(server).pid();
                let percent = u32::try_from(chance.between(2, 20)).expect("few");
                ("starved", 800, End::Free(server, scene.lab.confine(pid, percent)))
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

    fn strike_witness(&mut self, scene: &mut Scene, chance: &mut Chance) -> (&'static str, u64, End) {
        let draw = chance.between(0, 9);
        let (witness, lab) = scene.witness(1);
        if draw < 4 {
            witness.signal(lab, Signal::SIGSTOP);
            return ("witness stopped", 200, End::WakeWitness);
        }
        if !self.copied {
            witness.copy_state(lab);
            self.copied = true;
        }
        witness.kill(lab);
        let rolled_back = draw > 7;
        (if rolled_back { "witness rolled back" } else { "witness killed" }, 300, End::StartWitness { rolled_back })
    }

    /// Ends the faults that are due, or all of them.
    pub fn end_due(&mut self, scene: &mut Scene, all: bool) {
        let now = clock::now();
        let (due, live) = std::mem::take(&mut self.live).into_iter().partition(|(until, _)| all || *until <= now);
        self.live = live;
        for (_, end) in due {
            undo(scene, end);
        }
    }
}

fn undo(scene: &mut Scene, end: End) {
    match end {
        End::Lift(fault) => drop(scene.lab.lift(fault)),
        End::Join(server) => drop(scene.lab.join(&scene.lab.ports(server))),
        End::Carrier(server) => drop(scene.lab.carrier_up(&[server.port()])),
        End::Wake(server) => {
            let (agent, lab) = scene.agent_mut(server);
            agent.signal(lab, Signal::SIGCONT);
        }
        End::StartAgent(server) => drop(scene.start_agent(server)),
        End::PowerOn(server) => drop(scene.power_on(server)),
        End::Free(_, confinement) => drop(confinement),
        End::WakeWitness => {
            let (witness, lab) = scene.witness(1);
            witness.signal(lab, Signal::SIGCONT);
        }
        End::StartWitness { rolled_back } => {
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
