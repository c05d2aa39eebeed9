//! What simulator and model may look at, and nobody else. Nothing here changes anything, and none of it ships.

use super::Voter;
use crate::wire::pulse::Row;

impl Voter {
    /// It votes: its abstention is over, and it knows enough.
    pub(crate) fn view_is_voting(&self) -> bool {
        self.is_voting()
    }

    /// What it says of each group.
    pub(crate) fn view_rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().map(|group| &group.row)
    }
}
