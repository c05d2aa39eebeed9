//! What an engine is built from. Plain values: the daemon fills them from the configuration and the
//! store, the simulator from its seed.

use crate::durable::Loaded;
use crate::mutant::Mutants;
use crate::rules::Rules;
use crate::timing::{Promote, Timing};
use crate::types::{GroupKey, InterfaceId, LinkPath, NodeId, Vip};
use crate::wire::auth::KeyRing;
use crate::wire::pulse::Digests;
use std::sync::Arc;
use std::time::Duration;

/// Everything an engine needs to know before the first event.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Setup {
    /// This node.
    pub me: NodeId,
    /// The cluster's number, from its name.
    pub cluster: u32,
    /// All derived times.
    pub timing: Timing,
    /// The keys that seal and open datagrams.
    #[serde(with = "key_numbers")]
    pub keys: Arc<KeyRing>,
    /// 32 bytes from the operating system's random source: the seed of session numbers.
    pub seed: [u8; 32],
    /// A counter that is above every counter a lost state could have used; only consulted for
    /// groups that have no state. The daemon passes minutes since 2026-01-01.
    pub epoch_floor: u64,
    /// What the store found.
    pub loaded: Loaded,
    /// Digests of our configuration.
    pub digests: Digests,
    /// The other nodes, then the witnesses.
    pub peers: Vec<PeerSetup>,
    /// Who votes; `None` in a bare pair, where nobody does.
    pub votes: Option<Votes>,
    /// How many client interfaces there are; [`InterfaceId`] counts from 0.
    pub interfaces: u8,
    /// The groups; [`GroupId`](crate::types::GroupId) is the position.
    pub groups: Vec<GroupSetup>,
    /// The rule that is broken to see whether it is noticed. None in what ships.
    #[serde(skip)]
    pub mutants: Mutants,
}

impl Setup {
    /// The rules that this engine keeps to.
    pub(super) fn rules(&self) -> Rules {
        Rules::of(self.mutants)
    }
}

/// What can change while an engine runs, for [`Engine::reconfigure`](super::Engine::reconfigure);
/// the fields are those of [`Setup`].
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Reconfiguration {
    /// All derived times.
    pub timing: Timing,
    /// The keys that seal and open datagrams.
    #[serde(with = "key_numbers")]
    pub keys: Arc<KeyRing>,
    /// Above every counter that a group without a state can have used.
    pub epoch_floor: u64,
    /// Digests of our configuration.
    pub digests: Digests,
    /// The groups, on the interfaces that there have been from the beginning.
    pub groups: Vec<GroupSetup>,
}

/// Who votes on who may open: every node and every witness has a vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Votes {
    /// How many witnesses there are, an odd number: they are the last of [`Setup::peers`].
    pub witnesses: u8,
    /// Without a majority no gate is open. If false, two nodes that hear each other and no majority
    /// of the witnesses go on as a bare pair.
    pub strict: bool,
}

/// One peer.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct PeerSetup {
    /// Its number; 241 and above is a witness.
    pub id: NodeId,
    /// The links to it.
    pub links: Vec<LinkPath>,
}

/// One group.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct GroupSetup {
    /// Its name as it travels.
    pub key: GroupKey,
    /// Where its addresses live on this node.
    pub interface: InterfaceId,
    /// Its addresses, at least one.
    pub addresses: Arc<[Vip]>,
    /// The node that should be active when both can.
    pub prefer: NodeId,
    /// Whether the preferred node takes it back.
    pub preempt: bool,
    /// How long the preferred node is ready before it does.
    pub preempt_delay: Duration,
    /// How long the former active carries connections after a handover.
    pub drain: Duration,
    /// Whose evidence promotes a standby; matters with a witness only.
    pub promote: Promote,
    /// How badly the service does here, as in [`Row::health`](crate::wire::pulse::Row), until the
    /// first [`Event::Health`](super::Event::Health): 255 where a check decides alone, else 0.
    pub health: u8,
    /// If hooks run before the group is opened: how long all of them together may take.
    pub before_open: Option<Duration>,
    /// If hooks run before the group is handed over: how long all of them together may take.
    pub before_close: Option<Duration>,
    /// Digest of the addresses.
    pub addresses_digest: u32,
    /// Digest of preference, preemption, drain and promotion.
    pub policy_digest: u32,
}

/// Keys are written down as their numbers alone, and come back as substitutes that nobody else has.
mod key_numbers {
    use crate::wire::auth::KeyRing;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub fn serialize<S: Serializer>(keys: &Arc<KeyRing>, serializer: S) -> Result<S::Ok, S::Error> {
        keys.numbers().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<KeyRing>, D::Error> {
        let numbers = Vec::<u8>::deserialize(deserializer)?;
        let keys = KeyRing::substitute(&numbers);
        keys.map(Arc::new).ok_or_else(|| serde::de::Error::custom("no list of one or two key numbers"))
    }
}
