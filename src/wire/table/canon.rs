//! What of a copy can matter from now on; see [`crate::engine`]'s `canon`.

use super::TableCopy;
use crate::engine::Words;

impl TableCopy {
    /// `mine` is our session, `theirs` that of the table's owner.
    pub(crate) fn tell(&self, mine: u64, theirs: u64, words: &mut Words) {
        let TableCopy { rows, told, fetch, have, newest } = self;
        words.counter(mine, *fetch);
        words.list(rows, |words, row| words.option(row.as_ref(), |words, row| row.tell(words)));
        words.flags(told);
        words.version(theirs, *have);
        words.version(theirs, *newest);
    }
}
