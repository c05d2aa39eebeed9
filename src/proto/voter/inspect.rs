//! Views of a voter for simulator, model and fuzzing alone. They change nothing, and none of them
//! ships.

use super::Voter;
#[cfg(any(test, feature = "proof"))]
use crate::wire::auth::Rejects;
#[cfg(any(test, feature = "proof"))]
use crate::wire::pulse::Row;

impl Voter {
    /// The whole state as text, without the counts of datagrams turned away.
    #[cfg(any(test, feature = "proof"))]
    pub fn view_state(&self) -> String {
        format!("{:?}", Voter { rejects: Rejects::default(), ..self.clone() })
    }

    /// Whether the voter votes: its abstention is over, and it knows enough.
    #[cfg(any(test, feature = "proof"))]
    pub fn view_is_voting(&self) -> bool {
        self.is_voting()
    }

    /// The row of each group.
    #[cfg(any(test, feature = "proof"))]
    pub fn view_rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().map(|group| &group.row)
    }
}
