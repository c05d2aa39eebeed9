//! Epochs of one group, and their reservation on disk ahead of need: a promotion never waits for a
//! disk.
//!
//! Each group keeps one epoch that is durably reserved and above everything this node has seen.
//! When it is used, or something higher is seen, the next one is sent to the store; until that is
//! durable the node is not ready.

use crate::durable::{GroupState, Loaded};
use crate::engine::setup::Setup;
use crate::types::{Epoch, GroupKey};

/// What this node knows of a group's epochs.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Epochs {
    /// The epoch this node is active with; NONE when it is not.
    pub own: Epoch,
    /// The highest epoch known to be in use anywhere.
    pub seen: Epoch,
    /// Durably reserved, usable once.
    pub reserve: Epoch,
    /// On its way to the disk, with the version of the state that carries it.
    pub reserving: Option<(Epoch, Option<u64>)>,
    /// The highest epoch this node has opened with, or may have: what a former life had reserved
    /// counts as used, for it may have ended before its disk could tell.
    pub held: Epoch,
    /// The highest epoch that this node ever consented to, if its consent is for a lower one now: a
    /// peer whose disk was not honest may be active with less than it had claimed.
    pub pledged: Epoch,
    /// What the former life last knew to have used, and what it had reserved: its running gate has
    /// one of the two.
    pub found: [Epoch; 2],
    /// A counter that no lost state of this group can have reached; 0 when its state is known.
    pub floor: u64,
    /// The state is lost, and not every peer has told what it knows.
    pub damaged: bool,
}

impl Epochs {
    /// The epochs at start, by what the store knows of the group.
    pub fn new(key: GroupKey, state: Option<GroupState>, setup: &Setup) -> Epochs {
        let rules = setup.rules();
        let is_known = |state: &GroupState| state.seen.max(state.reserve).max(state.held) != Epoch::NONE;
        let is_new = !state.as_ref().is_some_and(is_known);
        let (seen, reserve, held) = (Epoch::NONE, Epoch::NONE, Epoch::NONE);
        let known = state.unwrap_or(GroupState { key, seen, reserve, held, paused: false });
        Epochs {
            own: Epoch::NONE,
            seen: known.seen,
            reserve: Epoch::NONE,
            reserving: None,
            held: rules.held_by_former_life(&known),
            pledged: Epoch::NONE,
            found: [known.held, known.reserve],
            floor: if is_new { setup.epoch_floor } else { 0 },
            damaged: is_new && setup.loaded == Loaded::Damaged && rules.damaged_state_waits(),
        }
    }

    /// True if a gate that was found open with this epoch was opened by the former life of this
    /// node.
    pub fn may_adopt(&self, epoch: Epoch) -> bool {
        epoch != Epoch::NONE && self.found.contains(&epoch)
    }

    /// Takes over the epoch of a gate that was found open.
    pub fn adopt(&mut self, epoch: Epoch) {
        self.own = epoch;
        self.held = self.held.max(epoch);
        self.seen = self.seen.max(epoch);
    }

    /// Uses the reservation: the gate opens with it.
    pub fn open(&mut self) -> Epoch {
        let epoch = self.reserve;
        self.own = epoch;
        self.held = epoch;
        self.seen = epoch;
        self.reserve = Epoch::NONE;
        epoch
    }

    /// Our epoch when `open`, else the highest that was seen.
    pub fn told(&self, open: bool) -> Epoch {
        if open { self.own } else { self.seen }
    }

    /// Reserves the next epoch if the one that is reserved, or on its way, is not above `unusable`.
    /// True if it must be made durable.
    pub fn reserve(&mut self, unusable: Epoch, setup: &Setup) -> bool {
        let coming = self.reserving.is_some_and(|(epoch, _)| epoch > unusable);
        let usable = self.reserve != Epoch::NONE && self.reserve > unusable;
        if self.damaged || usable || coming {
            return false;
        }
        // Without an epoch above all that is known the group stays without a reservation, and
        // therefore closed.
        let Some(next) = unusable.max(self.reserve).max(self.held).next_for(setup.me) else { return false };
        let next = next.max(Epoch::new(self.floor, setup.me));
        self.reserving = Some((next, None));
        if !setup.rules().reserves_on_disk_first() {
            self.reserve = next;
        }
        true
    }

    /// Notes which version of the state carries a reservation under way.
    pub fn note_version(&mut self, version: u64) {
        if let Some((_, carried @ None)) = &mut self.reserving {
            *carried = Some(version);
        }
    }

    /// Notes that all versions up to this one are durable.
    pub fn note_stored(&mut self, version: u64) {
        if let Some((epoch, Some(carried))) = self.reserving
            && carried <= version
        {
            self.reserve = epoch;
            self.reserving = None;
        }
    }

    /// What a later life must know to be reserved.
    pub fn durable_reserve(&self) -> Epoch {
        self.reserving.map_or(self.reserve, |(epoch, _)| epoch)
    }
}
