//! Counters of a gate, readable from any thread without the gate's owner.
//!
//! Owns: a descriptor of the counters' map. Never does: change anything. When the gate is gone, the
//! last figures stay readable.

use super::GateError;
use super::object::Counters;
use aya::maps::{Map, MapData, PerCpuArray};
use std::os::fd::OwnedFd;

/// Reads the counters of one gate.
pub struct CounterReader {
    counters: PerCpuArray<MapData, Counters>,
}

impl std::fmt::Debug for CounterReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CounterReader").finish_non_exhaustive()
    }
}

impl CounterReader {
    pub(super) fn new(fd: OwnedFd, interface: &str) -> Result<CounterReader, GateError> {
        let failed = |error: aya::maps::MapError| GateError::program("open gate counters", interface, &error);
        let map = Map::PerCpuArray(MapData::from_fd(fd).map_err(failed)?);
        Ok(CounterReader { counters: PerCpuArray::try_from(map).map_err(failed)? })
    }

    /// Counters of a slot, summed over all processors; zeros if the slot does not exist.
    #[must_use]
    pub fn read(&self, slot: u16) -> Counters {
        self.counters.get(&u32::from(slot), 0).map_or_else(|_| Counters::default(), |all| Counters::sum(&all))
    }
}
