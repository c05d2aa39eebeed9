//! Hosts on the clients' segments, each with a cache of who has which address.

use super::swarm::HostPlan;
use crate::types::MacAddr;

/// One host on a clients' segment.
pub struct Host {
    pub plan: HostPlan,
    /// By group: the hardware address that the host sends to; `None` if it never spoke to the
    /// address.
    pub cache: Vec<Option<MacAddr>>,
}

impl Host {
    /// A host with an empty cache.
    pub fn new(plan: HostPlan, groups: usize) -> Host {
        Host { plan, cache: vec![None; groups] }
    }
}
