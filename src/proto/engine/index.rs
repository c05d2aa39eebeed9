//! Index of groups by address, by key and by the digest of all addresses, built once per
//! configuration: the group of a frame or of a row is found without a search.

use super::Setup;
use crate::types::{GroupId, GroupKey, Vip};
use std::collections::HashMap;

/// The groups of one configuration, by address and by key. Copies of an engine share it.
#[derive(Debug, Default)]
pub(super) struct Index {
    addresses: HashMap<Vip, GroupId>,
    keys: HashMap<GroupKey, GroupId>,
    digests: HashMap<u32, GroupId>,
}

impl Index {
    /// The index of the setup's groups.
    pub fn new(setup: &Setup) -> Index {
        let count = setup.groups.iter().map(|group| group.addresses.len()).sum();
        let mut addresses = HashMap::with_capacity(count);
        let mut keys = HashMap::with_capacity(setup.groups.len());
        let mut digests = HashMap::with_capacity(setup.groups.len());
        for (id, group) in (0..).map(GroupId).zip(&setup.groups) {
            keys.insert(group.key, id);
            digests.insert(group.addresses_digest, id);
            addresses.extend(group.addresses.iter().map(|address| (*address, id)));
        }
        Index { addresses, keys, digests }
    }

    /// The group that has an address.
    pub fn group_of(&self, address: Vip) -> Option<GroupId> {
        self.addresses.get(&address).copied()
    }

    /// The group that has exactly the addresses of this digest.
    pub fn group_of_digest(&self, digest: u32) -> Option<GroupId> {
        self.digests.get(&digest).copied()
    }

    /// The group of this key.
    pub fn group_named(&self, key: GroupKey) -> Option<GroupId> {
        self.keys.get(&key).copied()
    }
}
