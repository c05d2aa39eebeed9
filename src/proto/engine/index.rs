//! Which group an address or a key belongs to: made once from the setup, so that no frame and no row is looked for.

use super::group_id;
use super::setup::Setup;
use crate::types::{GroupId, GroupKey, Vip};
use std::collections::HashMap;

/// Made anew with every configuration, and shared by copies of the engine.
#[derive(Debug, Default)]
pub(super) struct Index {
    addresses: HashMap<Vip, GroupId>,
    places: HashMap<GroupKey, usize>,
}

impl Index {
    pub fn new(setup: &Setup) -> Index {
        let count = setup.groups.iter().map(|group| group.addresses.len()).sum();
        let mut addresses = HashMap::with_capacity(count);
        let mut places = HashMap::with_capacity(setup.groups.len());
        for (at, group) in setup.groups.iter().enumerate() {
            places.insert(group.key, at);
            addresses.extend(group.addresses.iter().map(|address| (*address, group_id(at))));
        }
        Index { addresses, places }
    }

    /// The group that has an address.
    pub fn group_of(&self, address: Vip) -> Option<GroupId> {
        self.addresses.get(&address).copied()
    }

    /// The position of a group.
    pub fn place(&self, key: GroupKey) -> Option<usize> {
        self.places.get(&key).copied()
    }
}
