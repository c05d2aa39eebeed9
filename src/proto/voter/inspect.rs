//! What simulator, model and fuzzing may look at, and nobody else. Nothing here changes anything, and none of it ships.

use super::Voter;
#[cfg(any(test, feature = "proof"))]
use crate::wire::auth::Rejects;
#[cfg(any(test, feature = "proof"))]
use crate::wire::pulse::Row;

impl Voter {
    /// All that it knows, without what it counts of datagrams turned away.
    #[cfg(any(test, feature = "proof"))]
    pub fn view_state(&self) -> String {
        format!("{:?}", Voter { rejects: Rejects::default(), ..self.clone() })
    }

    /// It votes: its abstention is over, and it knows enough.
    #[cfg(any(test, feature = "proof"))]
    pub fn view_is_voting(&self) -> bool {
        self.is_voting()
    }

    /// What it says of each group.
    #[cfg(any(test, feature = "proof"))]
    pub fn view_rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().map(|group| &group.row)
    }
}
