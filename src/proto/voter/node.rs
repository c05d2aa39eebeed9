//! A node as a voter knows it.

use crate::types::{MonoTime, NodeId};
use crate::wire::fit::Fit;
use crate::wire::pulse::Digests;
use crate::wire::session::Sessions;
use crate::wire::table::TableCopy;

/// One node of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub id: NodeId,
    pub sessions: Sessions,
    pub copy: TableCopy,
    /// Version of our table up to which the node has every row, as it says.
    pub acked: u64,
    /// How many rows of one datagram get through to it, as its acknowledgements say.
    pub fit: Fit,
    /// End of every promise to the node that its pulses still renew. One instant serves all its
    /// groups, so a pulse costs the same for one group and for a thousand.
    pub until: MonoTime,
    /// Whether the node asks for something that it has not been granted.
    pub waiting: bool,
    /// Whether a promise to the node ran out and it has not been heard since.
    pub lapsed: bool,
    /// Counter of its last datagram that was answered although it echoes another session of ours.
    pub unaware: u64,
    /// Whether a row of its table was left out, for there was no room for another group.
    pub skipped: bool,
    /// Times and digests of its newest pulse, which are returned to it.
    pub times: Times,
}

/// Times and digests of a pulse's sender, times in µs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Times {
    pub pulse_us: u32,
    pub silence_us: u32,
    pub lease_us: u32,
    pub digests: Digests,
}

impl Node {
    /// A node that was never heard of. `groups`: the number of groups that the voter knows.
    pub fn new(id: NodeId, sessions: Sessions, groups: usize) -> Node {
        Node {
            id,
            sessions,
            copy: TableCopy::new(groups),
            acked: 0,
            fit: Fit::default(),
            until: MonoTime::ZERO,
            waiting: false,
            lapsed: false,
            unaware: 0,
            skipped: false,
            times: Times::default(),
        }
    }
}
