//! An engine as it was between two events, to be kept, written down, and gone on with elsewhere: what the flight
//! recorder's file begins with.
//!
//! Owns: which part of an engine is its state, and the way back. The setup (names, times, addresses) is shared and
//! travels on its own; keys and the seed of the session number never leave. Scratch memory and what follows from the
//! setup are made anew. A state that does not fit its setup is refused: it may come from a damaged file.

use super::setup::Setup;
use super::{Engine, Index};
use crate::durable::Loaded;
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
    /// What the engine is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.clone())
    }

    /// The engine goes on from `snapshot`, with the setup that [`Snapshot::setup`] told when it was taken, whose keys
    /// may be others. `None` if the two do not fit each other.
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
        &self.rejects
    }

    /// Every position that the state names exists.
    fn is_whole(&self) -> bool {
        let (groups, interfaces) = (self.groups.len(), self.interfaces.len());
        let setup = &self.setup;
        let tables = groups == setup.groups.len()
            && interfaces == usize::from(setup.interfaces)
            && interfaces == self.segments.len()
            && self.peers.len() == setup.peers.len();
        let group = |group: &super::group::Group| {
            usize::from(group.interface.0) < interfaces
                && group.offer.is_none_or(|offer| offer.peer < self.peers.len())
                && group.ballot.promise.is_none_or(|promise| promise.peer < self.peers.len())
        };
        tables
            && self.groups.iter().all(group)
            && self.peers.iter().all(|peer| peer.is_whole(groups, interfaces))
            && self.pending.iter().all(|pending| pending.group < groups)
            && self.stirred.iter().all(|at| *at < groups)
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
        self.0.last
    }
}

/// Stands where a decoded state has no setup yet.
pub(super) fn no_setup() -> Arc<Setup> {
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
