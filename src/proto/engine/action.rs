//! What the engine wants done. Actions are carried out in order; none of them waits for anything
//! slow.

use super::event::Hook;
use super::{Cause, Notice};
use crate::durable::Durable;
use crate::types::{Epoch, GroupId, InterfaceId, LinkId, MacAddr, MonoTime, Vip};
use std::ops::Range;

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send a datagram; its bytes lie in [`Actions::bytes`].
    Send {
        /// The link.
        link: LinkId,
        /// For a segment link: the peer's hardware address, broadcast if not known.
        to: MacAddr,
        /// Where its bytes lie.
        bytes: Range<usize>,
    },
    /// Change the gate of an interface: one or two stores to mapped memory.
    Gate(GateAction),
    /// Ask on the segment who answers for an address: an ARP request or a neighbour solicitation.
    Probe {
        /// The interface.
        interface: InterfaceId,
        /// The address that is asked for.
        address: Vip,
        /// The hardware address to ask; `None` asks everybody.
        to: Option<MacAddr>,
        /// The own address to ask with, as any host does that wants to send; `None` names nothing:
        /// an ARP probe (RFC 5227) or a solicitation from the unspecified address.
        sender: Option<Vip>,
    },
    /// Announce the addresses of a group.
    Announce {
        /// The group.
        group: GroupId,
        /// The only address to announce, in defence against a stranger who claims it; `None`
        /// announces all.
        address: Option<Vip>,
    },
    /// Make a state durable and report [`Event::Stored`](super::Event::Stored) with this version or
    /// a later one.
    Persist {
        /// Number of the state: rises with every change.
        version: u64,
        /// The whole state of the node.
        state: Durable,
    },
    /// Tell people.
    Notice(Notice),
    /// The answer to a command.
    Reply {
        /// The number that the command came with.
        id: u64,
        /// How the command ended.
        outcome: Outcome,
    },
    /// Run the hooks of a group and report [`Event::Hook`](super::Event::Hook) with the same group,
    /// hook and epoch. The engine waits for the hooks' own limit plus one second. Hooks of the same
    /// group that still run are to be ended first: their end is of no use any more.
    Hook {
        /// The group.
        group: GroupId,
        /// The hook.
        hook: Hook,
        /// The epoch that the group is to be opened with, or is active with.
        epoch: Epoch,
        /// Why the group is to be opened or closed.
        cause: Cause,
    },
    /// Every group is handed over or closed, and goodbye is said: the process may end.
    Stopped,
}

impl Action {
    /// The action that closes a group's gate and carries nothing on.
    pub(super) fn close(group: GroupId) -> Action {
        Action::Gate(GateAction::Close { group, carry_until: MonoTime::ZERO })
    }
}

/// A change of the gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum GateAction {
    /// Begin a new lease generation, without any time on it yet.
    Begin {
        /// The interface.
        interface: InterfaceId,
        /// Its number: never used before on this interface.
        generation: u64,
    },
    /// Set the deadline of the lease.
    Renew {
        /// The interface.
        interface: InterfaceId,
        /// Absolute, on CLOCK_BOOTTIME.
        until: MonoTime,
    },
    /// Open a group.
    Open {
        /// The group.
        group: GroupId,
        /// The epoch it is opened with.
        epoch: Epoch,
    },
    /// Close a group: answers end at once, traffic in flight is carried until `carry_until` (ZERO:
    /// not at all).
    Close {
        /// The group.
        group: GroupId,
        /// Absolute, on CLOCK_BOOTTIME.
        carry_until: MonoTime,
    },
    /// After a handover: pass connections we do not know on to the former active.
    Forward {
        /// The group.
        group: GroupId,
        /// Absolute, on CLOCK_BOOTTIME.
        until: MonoTime,
        /// The former active's hardware address.
        mac: MacAddr,
    },
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Outcome {
    /// Done.
    Done,
    /// It already was so.
    AlreadySo,
    /// The other node is not heard.
    NoPeer,
    /// The other node is heard but not ready; its own reason.
    PeerNotReady(crate::wire::pulse::Reason),
    /// This node is not ready.
    NotReady(crate::wire::pulse::Reason),
    /// It was begun and did not finish in time; the group is where it was or free to be taken over.
    TimedOut,
    /// The group was removed from the configuration.
    Removed,
    /// Another command for this group is under way, or the agent is stopping.
    Busy,
}

/// The engine's output: a list of actions and the bytes of its datagrams. Reused from call to call,
/// so that a running agent at rest allocates nothing.
#[derive(Debug, Default)]
pub struct Actions {
    /// In the order in which they must be carried out.
    pub list: Vec<Action>,
    /// What the [`Action::Send`]s send.
    pub bytes: Vec<u8>,
}

impl Actions {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
    }

    /// Moves closings with a drain behind all other actions. Only a mutant does so.
    pub(super) fn close_last(&mut self) {
        let late = |action: &Action| matches!(action, Action::Gate(GateAction::Close { carry_until, .. }) if *carry_until != MonoTime::ZERO);
        self.list.sort_by_key(late);
    }

    pub(super) fn push(&mut self, action: Action) {
        self.list.push(action);
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.list.push(Action::Notice(notice));
    }
}
