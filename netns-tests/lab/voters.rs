//! The ways between the voters: two servers and a witness, each direction for itself.
//!
//! Owns: which ports a way leads through, and losing all frames that take it. Never does: touching
//! the clients' ways; a client that both servers can reach stays so.

use super::faults::{Drops, Fault, FrameKind};
use super::{Lab, Port, Server};

/// A voter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Party {
    /// A server of the pair.
    Node(Server),
    /// The host of the witness, with all witnesses on it.
    Witness,
}

/// alpha as a voter.
pub const ALPHA: Party = Party::Node(Server::Alpha);
/// beta as a voter.
pub const BETA: Party = Party::Node(Server::Beta);
/// The witness as a voter.
pub const WITNESS: Party = Party::Witness;

/// A way from one voter to another, in this direction only.
pub type Way = (Party, Party);

/// All six ways.
pub const WAYS: [Way; 6] =
    [(ALPHA, BETA), (BETA, ALPHA), (ALPHA, WITNESS), (WITNESS, ALPHA), (BETA, WITNESS), (WITNESS, BETA)];

impl Party {
    /// Name in the lab's history.
    pub fn name(self) -> &'static str {
        match self {
            Party::Node(server) => server.name(),
            Party::Witness => "witness",
        }
    }

    /// All ports of the voter, those that are not plugged in included.
    fn ports(self) -> Vec<Port> {
        match self {
            Party::Node(server) => vec![server.port(), server.second_link(), server.voters()],
            Party::Witness => vec![Port::Witness, Port::WitnessSegment],
        }
    }
}

/// Both directions between two voters.
pub fn between(one: Party, other: Party) -> [Way; 2] {
    [(one, other), (other, one)]
}

impl Lab {
    /// Loses everything that takes these ways, from one instant on: pulses, probes, answers.
    pub fn sever(&self, ways: &[Way]) -> Fault {
        let names: Vec<String> = ways.iter().map(|(from, to)| format!("{} → {}", from.name(), to.name())).collect();
        self.note(format!("severed: {}", names.join(", ")));
        let mut drops = Vec::new();
        for (from, to) in ways {
            for from in from.ports() {
                let to = to.ports().into_iter().filter(|to| to.bridge() == from.bridge());
                drops.extend(to.map(|to| Drops {
                    from: Some(from),
                    to: Some(to),
                    kind: FrameKind::Everything,
                    percent: 100,
                    beyond: 0,
                    shuts: false,
                }));
            }
        }
        self.drop_frames(&drops)
    }
}
