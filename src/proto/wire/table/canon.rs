//! What of a copy can matter from now on; see [`crate::engine`]'s `canon`.

use super::TableCopy;
use crate::canon::Canon;

impl TableCopy {
    /// `mine` is our session, `theirs` that of the table's owner.
    pub fn canon(&self, mine: u64, theirs: u64, canon: &mut Canon) {
        let TableCopy { rows, told, fetch, have, newest } = self;
        canon.counter(mine, *fetch);
        canon.list(rows, |canon, row| canon.option(row.as_ref(), |canon, row| row.canon(canon)));
        canon.flags(told);
        canon.version(theirs, *have);
        canon.version(theirs, *newest);
    }
}
