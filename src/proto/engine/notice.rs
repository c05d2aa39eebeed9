//! What the engine tells people. Plain facts; words are made of them on the slow side.

use super::event::Hook;
use crate::types::{Epoch, GroupId, InterfaceId, LinkId, MacAddr, NodeId, Vip};
use crate::wire::pulse::Role;
use std::time::Duration;

/// Why a group changed its role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Cause {
    /// The agent found its own running gate.
    Adopted,
    /// The listening time after the start is over, or a peer told how things stand.
    Heard,
    /// Nobody was active and the peer agreed.
    Free,
    /// The peer fell silent.
    Silence,
    /// The peer handed the group over, or said that it is leaving.
    Handover,
    /// An operator asked for it.
    Operator,
    /// The interface lost its carrier, its gate or its addresses.
    Interface,
    /// What made it faulty is mended.
    Mended,
    /// The lease ran out before it was renewed: this process was stopped or starved.
    Lapsed,
    /// No majority of votes let the gate be open any longer.
    NoMajority,
    /// Another node is active with a higher epoch.
    HigherEpoch,
    /// A peer that cannot hear us is about to take over.
    Unheard,
    /// The agent is stopping.
    Stopping,
    /// The operator's pause began or ended.
    Pause,
    /// The group was removed from the configuration.
    Removed,
    /// The service does worse here than on the peer.
    Health,
    /// This node lacks something that the peer has.
    Lacks,
    /// Another machine that uses our number is active as well.
    SameNumber,
}

/// Why a hook did not do what it was run for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum HookEnd {
    /// The hook failed.
    Failed,
    /// The hook did not end in its time.
    Late,
    /// The hook ended well, but the group is no longer to be opened or handed over.
    Unused,
}

/// Something worth a line in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Notice {
    /// A group changed its role on this node.
    Role {
        /// The group.
        group: GroupId,
        /// The role before.
        from: Role,
        /// The role after.
        to: Role,
        /// The epoch it concerns.
        epoch: Epoch,
        /// The cause of the change.
        cause: Cause,
        /// How long the peer had been silent, zero if it was not.
        silence: Duration,
    },
    /// A peer was heard for the first time in its present life.
    PeerUp {
        /// The peer.
        peer: NodeId,
    },
    /// A peer has been silent for the silence bound on every link.
    PeerSilent {
        /// The peer.
        peer: NodeId,
        /// How long it has been silent.
        silence: Duration,
    },
    /// A peer said goodbye.
    PeerLeft {
        /// The peer.
        peer: NodeId,
    },
    /// A single link fell silent or is heard again.
    Link {
        /// The link.
        link: LinkId,
        /// Whether it is heard.
        heard: bool,
    },
    /// A promotion waits because the address is still answered.
    Veto {
        /// The interface.
        interface: InterfaceId,
        /// The hardware address that answers.
        mac: MacAddr,
    },
    /// A group is opened because its holder is silent, and somebody still answers for an address of
    /// it: a stranger, or the holder itself for longer than answers hold a promotion up.
    StillAnswered {
        /// The group.
        group: GroupId,
        /// The hardware address that answers.
        mac: MacAddr,
    },
    /// A promotion waits because nobody is heard on the clients' segment.
    Isolated {
        /// The interface.
        interface: InterfaceId,
    },
    /// Nobody on the clients' segment can be reached any more, or somebody can again.
    Reach {
        /// The interface.
        interface: InterfaceId,
        /// Whether somebody is reached now.
        reached: bool,
    },
    /// Two nodes were active; the one with the lower epoch has closed.
    Conflict {
        /// The group.
        group: GroupId,
        /// The other node.
        peer: NodeId,
        /// Its epoch.
        epoch: Epoch,
        /// True if this node goes on.
        won: bool,
    },
    /// A stranger, which is no peer, claims an address of ours, and the address was announced again
    /// in defence. Told with each defence, at most once in ten seconds.
    Stranger {
        /// The group.
        group: GroupId,
        /// The address that is claimed.
        address: Vip,
        /// The hardware address of the stranger.
        mac: MacAddr,
    },
    /// The lease ran out before it was renewed.
    LeaseLapsed {
        /// The interface.
        interface: InterfaceId,
    },
    /// No majority of votes was renewed in time; what was open there is closed.
    NoMajority {
        /// The interface.
        interface: InterfaceId,
    },
    /// A witness is not heard: the next failure is one too many.
    WitnessLost {
        /// The witness.
        witness: NodeId,
        /// For how long it has been silent.
        silence: Duration,
    },
    /// A witness is heard, for the first time or again.
    WitnessHeard {
        /// The witness.
        witness: NodeId,
    },
    /// The pair goes on without its witnesses, or votes decide again.
    Alone {
        /// Whether the pair decides alone now.
        alone: bool,
    },
    /// Somebody authentic uses the number of this node, or does no more.
    SameNumber {
        /// Where it was heard; `None` if it is there no more.
        link: Option<LinkId>,
    },
    /// A peer has our hardware address, or has it no more.
    SameMac {
        /// The peer.
        peer: NodeId,
        /// The interface on which it is ours as well; `None` if it is on none any more.
        interface: Option<InterfaceId>,
    },
    /// A link does not take a datagram that is so long; from now on shorter ones are sent there.
    /// Told once for each link.
    TooLarge {
        /// The link.
        link: LinkId,
        /// Length of the datagram, in bytes.
        bytes: u16,
    },
    /// The peer's configuration differs from ours; `status` tells the fields.
    Differs {
        /// The peer.
        peer: NodeId,
        /// Whether it differs now.
        differs: bool,
    },
    /// The state directory cannot be written.
    StoreFailed,
    /// The state directory can be written again.
    StoreMended,
    /// A hook that the engine waited for did not do what it was run for.
    Hook {
        /// The group.
        group: GroupId,
        /// The hook.
        hook: Hook,
        /// The epoch it was run for.
        epoch: Epoch,
        /// Why it did not.
        end: HookEnd,
    },
    /// A group was given away for its health again and again: its fault follows it. Told once.
    Unrest {
        /// The group.
        group: GroupId,
        /// How long this node keeps it the next time, at least; each further move doubles that.
        pause: Duration,
    },
    /// This process did not run for two pulses or longer: silence of peers counts anew.
    Stalled {
        /// For how long this process did not run.
        stall: Duration,
    },
}
