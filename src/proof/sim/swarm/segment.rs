//! The make of the clients' segments: who is there, and what the switches let through.

use crate::sim::random::Random;

/// One host on a clients' segment.
#[derive(Clone, Copy, Debug)]
pub struct HostPlan {
    pub interface: usize,
    /// Whether the host learns from gratuitous ARP requests.
    pub requests: bool,
    /// Whether the host learns from gratuitous ARP replies.
    pub replies: bool,
}

/// What the switches of the segments let through, and whom they know.
#[derive(Clone, Copy, Default, Debug)]
pub struct SwitchPlan {
    /// The nodes have no addresses of their own: they can name none when they ask.
    pub without_own: bool,
    /// Questions whose asker names no address are dropped, as by ARP inspection.
    pub drops_nameless: bool,
    /// Frames of ARP are policed at the ports of the nodes.
    pub polices: bool,
}

impl SwitchPlan {
    /// Switches that police are for the directed runs that look at what passes.
    pub(super) fn draw(random: &mut Random) -> SwitchPlan {
        SwitchPlan { without_own: random.chance(15), drops_nameless: random.chance(25), polices: false }
    }
}
