//! Votes: what a row asks of a voter, what it gives up, and how long a promise binds. The same for
//! a node that votes and for a witness.

use crate::timing::stretch;
use crate::types::{Epoch, NodeId};
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

/// A row's request for a vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// The node wants to open with this epoch.
    Claims(Epoch),
    /// The node is active with this epoch.
    Holds(Epoch),
}

impl Ask {
    /// The epoch that the vote is asked for.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        match self {
            Ask::Claims(epoch) | Ask::Holds(epoch) => epoch,
        }
    }
}

/// The request in a node's row; `None` if there is none, or if the epoch is not the node's own.
#[must_use]
pub fn ask(node: NodeId, row: &Row) -> Option<Ask> {
    let ask = match row.role {
        // In a handover `claim` is the epoch that the peer is offered.
        Role::Active | Role::Handover => Ask::Holds(row.epoch),
        Role::Starting | Role::Standby | Role::Fault | Role::Paused | Role::Witness => Ask::Claims(row.claim),
    };
    (ask.epoch() != Epoch::NONE && ask.epoch().node() == node).then_some(ask)
}

/// Whether a row proves that its node never opens with `epoch` again, and has closed what it had
/// opened with it.
///
/// The row of a node that starts proves nothing: its kernel's gate may be open with the epoch of
/// its former life, and the node does not know yet.
#[must_use]
pub fn gives_up(node: NodeId, row: &Row, epoch: Epoch) -> bool {
    match row.role {
        Role::Starting | Role::Witness => false,
        Role::Standby | Role::Fault | Role::Paused | Role::Active | Role::Handover => {
            row.reserve != epoch && ask(node, row).is_none_or(|ask| ask.epoch() != epoch)
        }
    }
}

/// The span in which a voter votes for nobody else, from its receipt of a pulse that states a lease
/// of `lease_us`.
#[must_use]
pub fn promise(lease_us: u32, drift_ppm: u64) -> Duration {
    stretch(Duration::from_micros(u64::from(lease_us)), drift_ppm)
}

/// The span in which a voter that has just started votes for nobody, if no earlier life of it
/// granted under a lease longer than `lease_us`.
#[must_use]
pub fn abstention(lease_us: u32, drift_ppm: u64) -> Duration {
    stretch(promise(lease_us, drift_ppm), drift_ppm)
}
