//! Hosts on the clients' segments, each with a cache of who has which address.

use super::swarm::HostPlan;

pub struct Host {
    pub plan: HostPlan,
    /// By group: the node it sends to.
    pub cache: Vec<Option<usize>>,
}

impl Host {
    pub fn new(plan: HostPlan, groups: usize) -> Host {
        Host { plan, cache: vec![None; groups] }
    }
}
