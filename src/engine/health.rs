//! How the service does on either node, and what follows.
//!
//! Checks run elsewhere; here a group has one number, [`Row::health`](crate::wire::pulse::Row).

use super::Engine;

/// What is known of a group's service on this node.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Service {
    /// How badly it does.
    pub health: u8,
    /// It was told in this life; before that it is the worst that may be.
    pub known: bool,
}

impl Engine {
    /// Takes note of how a group's service does here.
    pub(super) fn handle_health(&mut self, at: usize, health: u8) {
        self.groups[at].service = Service { health, known: true };
        self.dirty = true;
    }
}
