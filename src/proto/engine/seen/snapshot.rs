//! An engine as it was between two events, to be kept, written down, and gone on with elsewhere:
//! what the flight recorder's file begins with.
//!
//! Owns: which part of an engine is its state, and the way back. The setup (names, times,
//! addresses) is shared and travels on its own; keys and the seed of the session number never
//! leave. Scratch memory and what follows from the setup are made anew. A state that does not fit
//! its setup is refused: it may come from a damaged file.

use crate::durable::Loaded;
use crate::engine::group::Group;
use crate::engine::setup::Setup;
use crate::engine::{Engine, Index};
use crate::timing::{Profile, Timing};
use crate::types::{MonoTime, NodeId};
use crate::wire::auth::{KeyRing, Rejects};
use crate::wire::pulse::Digests;
use std::sync::Arc;

/// A copy of an engine, cheap to take: addresses and setup are shared with it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Snapshot(Engine);

impl Engine {
    /// A snapshot of the engine as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.clone())
    }

    /// The engine goes on from `snapshot`, with the setup that [`Snapshot::setup`] told when it was
    /// taken, whose keys may be others. `None` if the two do not fit each other.
    #[must_use]
    pub fn restore(snapshot: Snapshot, setup: Arc<Setup>) -> Option<Engine> {
        let mut engine = snapshot.0;
        engine.index = Arc::new(Index::new(&setup));
        engine.setup = setup;
        engine.is_whole().then_some(engine)
    }

    /// What the engine was built from, with every configuration it has gone on with since.
    #[must_use]
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// Datagrams turned away so far, by reason.
    #[must_use]
    pub fn rejects(&self) -> &Rejects {
        &self.turned_away.counts
    }

    /// True if the state fits the setup: table sizes agree, and every position that it names
    /// exists.
    fn is_whole(&self) -> bool {
        let (groups, peers, interfaces) = (self.groups.len(), self.peers.len(), self.leases.len());
        let setup = &self.setup;
        let witnesses = setup.votes.map_or(0, |votes| usize::from(votes.witnesses));
        let tables = groups == setup.groups.len()
            && interfaces == usize::from(setup.interfaces)
            && peers == setup.peers.len()
            && self.peers.is_split_at(witnesses)
            && self.evidence.is_whole(peers, interfaces);
        let numbered = |(group, id): (&Group, crate::types::GroupId)| {
            group.id == id
                && usize::from(group.interface.0) < interfaces
                && group.offer.is_none_or(|offer| self.peers.has(offer.peer))
                && group.ballot.promise.is_none_or(|promise| self.peers.has(promise.peer))
        };
        tables
            && self.groups.iter().zip(self.groups.ids()).all(numbered)
            && self.peers.iter().all(|peer| peer.is_whole(groups))
            && self.commands.are_within(groups)
            && self.groups.alone.iter().all(|group| self.groups.get(*group).is_some())
    }
}

impl Snapshot {
    /// What the engine was built from, as far as it is still of use.
    #[must_use]
    pub fn setup(&self) -> &Arc<Setup> {
        &self.0.setup
    }

    /// The time of the last event before.
    #[must_use]
    pub fn last(&self) -> MonoTime {
        self.0.turn.last
    }
}

/// An empty setup: the place holder of a decoded state before [`Engine::restore`].
pub(in crate::engine) fn no_setup() -> Arc<Setup> {
    Arc::new(Setup {
        me: NodeId(0),
        cluster: 0,
        timing: Timing::of(Profile::Lan),
        keys: Arc::new(KeyRing::new("", &[(0, [0; 32])])),
        seed: [0; 32],
        epoch_floor: 0,
        loaded: Loaded::Fresh,
        digests: Digests::default(),
        peers: Vec::new(),
        votes: None,
        interfaces: 0,
        groups: Vec::new(),
        mutants: crate::mutant::Mutants::NONE,
    })
}
