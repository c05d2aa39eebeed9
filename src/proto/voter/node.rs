//! A node as a voter knows it.

use crate::types::{MonoTime, NodeId};
use crate::wire::pulse::Digests;
use crate::wire::session::Sessions;
use crate::wire::table::TableCopy;

/// One node of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub id: NodeId,
    pub sessions: Sessions,
    pub copy: TableCopy,
    /// Version of our table that it has completely.
    pub acked: u64,
    /// What it holds is promised to it until then. All its groups in one place: being alive costs the same for one and
    /// for a thousand.
    pub until: MonoTime,
    /// It asks for something that it has not been granted.
    pub waiting: bool,
    /// A promise to it ran out, and it has not been heard since.
    pub lapsed: bool,
    /// The last of its datagrams that was answered although it knows another session of ours.
    pub unaware: u64,
    /// A row of it was left out: there was no room for another group.
    pub skipped: bool,
    /// What the newest of its pulses says of its configuration, to be said back.
    pub times: Times,
}

/// What a pulse says of its sender's configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Times {
    pub pulse_us: u32,
    pub silence_us: u32,
    pub lease_us: u32,
    pub digests: Digests,
}

impl Node {
    pub fn new(id: NodeId, sessions: Sessions, groups: usize) -> Node {
        Node {
            id,
            sessions,
            copy: TableCopy::new(groups),
            acked: 0,
            until: MonoTime::ZERO,
            waiting: false,
            lapsed: false,
            unaware: 0,
            skipped: false,
            times: Times::default(),
        }
    }
}
