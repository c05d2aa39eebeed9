//! What the kernel of a node holds: the gate with its lease and its latch.

use crate::types::{Epoch, GroupId, MonoTime};
use std::collections::HashMap;

#[derive(Default, Clone)]
pub struct Kernel {
    pub until: MonoTime,
    pub generation: u64,
    pub refused: u64,
    pub open: HashMap<GroupId, Epoch>,
}

impl Kernel {
    pub fn answers(&self, group: GroupId, now: MonoTime) -> bool {
        self.open.contains_key(&group) && now < self.until && self.refused != self.generation
    }
}
