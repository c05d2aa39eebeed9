//! The ways between those who vote: two servers and a witness, each direction for itself.
//!
//! Owns: which ports a way leads through, and losing all that goes along it. Never does: touching the clients' ways; a
//! client that both servers can reach stays so.

use super::faults::{Drops, Fault, What};
use super::{Lab, Port, Server};

/// One that votes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Party {
    /// A server.
    Node(Server),
    /// The host of the witness, with all witnesses on it.
    Witness,
}

/// alpha, as one that votes.
pub const ALPHA: Party = Party::Node(Server::Alpha);
/// beta, as one that votes.
pub const BETA: Party = Party::Node(Server::Beta);
/// The witness.
pub const WITNESS: Party = Party::Witness;

/// A way in one direction.
pub type Way = (Party, Party);

/// All six ways.
pub const WAYS: [Way; 6] =
    [(ALPHA, BETA), (BETA, ALPHA), (ALPHA, WITNESS), (WITNESS, ALPHA), (BETA, WITNESS), (WITNESS, BETA)];

impl Party {
    /// For the journal.
    pub fn name(self) -> &'static str {
        match self {
            Party::Node(server) => server.name(),
            Party::Witness => "witness",
        }
    }

    /// All its ports, those that are not plugged in included.
    fn ports(self) -> Vec<Port> {
        match self {
            Party::Node(server) => vec![server.port(), server.heartbeat(), server.voters()],
            Party::Witness => vec![Port::Witness, Port::WitnessSegment],
        }
    }
}

/// Both directions between two.
pub fn between(one: Party, other: Party) -> [Way; 2] {
    [(one, other), (other, one)]
}

impl Lab {
    /// Everything that goes along these ways is lost, in one instant: pulses, probes, answers.
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
                    what: What::Everything,
                    percent: 100,
                }));
            }
        }
        self.drop_frames(&drops)
    }
}
