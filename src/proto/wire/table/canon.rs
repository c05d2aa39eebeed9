//! The canon of a copy of somebody's table: what of it can matter from now on. See
//! [`crate::canon`].

use super::TableCopy;
use crate::canon::Canon;

impl TableCopy {
    /// Adds the copy. `mine` is our session, `theirs` that of the table's owner.
    pub fn canon(&self, mine: u64, theirs: u64, canon: &mut Canon) {
        let TableCopy { rows, told, strange, fetch, have, newest } = self;
        canon.counter(mine, *fetch);
        canon.list(rows, |canon, row| canon.option(row.as_ref(), |canon, row| row.canon(canon)));
        canon.flags(told);
        canon.list(strange, |canon, (row, told)| {
            row.canon(canon);
            canon.flags(&[*told]);
        });
        canon.version(theirs, *have);
        canon.version(theirs, *newest);
    }
}
