//! Which group an address or a key belongs to: made once from the setup, so that no frame and no row is looked for.

use super::Setup;
use crate::types::{GroupId, GroupKey, Vip};
use std::collections::HashMap;

/// Made anew with every configuration, and shared by copies of the engine.
#[derive(Debug, Default)]
pub(super) struct Index {
    addresses: HashMap<Vip, GroupId>,
    keys: HashMap<GroupKey, GroupId>,
}

impl Index {
    pub fn new(setup: &Setup) -> Index {
        let count = setup.groups.iter().map(|group| group.addresses.len()).sum();
        let mut addresses = HashMap::with_capacity(count);
        let mut keys = HashMap::with_capacity(setup.groups.len());
        for (id, group) in (0..).map(GroupId).zip(&setup.groups) {
            keys.insert(group.key, id);
            addresses.extend(group.addresses.iter().map(|address| (*address, id)));
        }
        Index { addresses, keys }
    }

    /// The group that has an address.
    pub fn group_of(&self, address: Vip) -> Option<GroupId> {
        self.addresses.get(&address).copied()
    }

    /// The group of this key.
    pub fn group_named(&self, key: GroupKey) -> Option<GroupId> {
        self.keys.get(&key).copied()
    }
}
