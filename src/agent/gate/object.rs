//! The two programs and five maps of one gate in the kernel: loaded fresh, or taken over from an
//! earlier life.
//!
//! Owns: sizes, layouts, descriptors. Never does: open a group, attach or detach. On failure
//! nothing stays behind.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader, Pod};

use super::bpf::{self, MapInfo};
use super::error::GateError;
use super::former::Note;
use super::handle::{Lease, Mapping, Slot};
use super::place::{Direction, Place, Program, Site, Standing};
use crate::types::Vip;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gate.bpf.o"));
/// Name of the ingress program in the kernel; its last eight digits change with the source.
pub(super) const INGRESS: &str = env!("VIPAIR_GATE_INGRESS");
/// Name of the egress program, formed as [`INGRESS`].
pub(super) const EGRESS: &str = env!("VIPAIR_GATE_EGRESS");
/// Names of the programs of both directions, as the kernel shows them. They change with the source.
pub const PROGRAMS: [&str; 2] = [INGRESS, EGRESS];

/// Most addresses of one family on one interface: two million bytes of hash table.
pub(super) const MAX_ADDRESSES: u32 = 131_072;
/// Most slots on one interface: slot numbers are 16 bits.
pub(super) const MAX_SLOTS: u32 = 32_768;

// <linux/bpf.h>
const TYPE_HASH: u32 = 1;
const TYPE_ARRAY: u32 = 2;
const TYPE_PERCPU_ARRAY: u32 = 6;
const FLAG_NO_PREALLOC: u32 = 1;
const FLAG_MMAPABLE: u32 = 1 << 10;

/// Frames that the gate let pass or dropped for one group, since the group got its slot.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// ARP requests and neighbour solicitations for an address that were let in, so that the kernel
    /// answers.
    pub answered: u64,
    /// ARP requests and neighbour solicitations dropped because the group was closed.
    pub answers_refused: u64,
    /// IP packets to and from an address that passed.
    pub carried: u64,
    /// IP packets to and from an address that were dropped.
    pub carry_refused: u64,
    /// Outgoing ARP and neighbour discovery frames that claim an address, dropped because this node
    /// may not claim it.
    pub claims_refused: u64,
    /// TCP segments sent on to the node that had the group before.
    pub forwarded: u64,
}

// SAFETY: six u64 without padding; every bit pattern is valid.
unsafe impl Pod for Counters {}

impl Counters {
    /// Sum of the counters of all processors.
    pub(super) fn sum(all: &[Counters]) -> Counters {
        all.iter().fold(Counters::default(), |sum, one| Counters {
            answered: sum.answered + one.answered,
            answers_refused: sum.answers_refused + one.answers_refused,
            carried: sum.carried + one.carried,
            carry_refused: sum.carry_refused + one.carry_refused,
            claims_refused: sum.claims_refused + one.claims_refused,
            forwarded: sum.forwarded + one.forwarded,
        })
    }

    /// Every counter with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("answered", self.answered),
            ("answers_refused", self.answers_refused),
            ("carried", self.carried),
            ("carry_refused", self.carry_refused),
            ("claims_refused", self.claims_refused),
            ("forwarded", self.forwarded),
        ]
    }
}

/// Numbers of entries that a gate has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limits {
    /// Slots, with slot 0, which is nobody's.
    pub(super) slots: u32,
    pub(super) addresses4: u32,
    pub(super) addresses6: u32,
}

impl Limits {
    /// Twice the room that is needed now, so that most reloads fit: at least 64 slots and 1,024
    /// addresses of each family.
    pub(super) fn roomy(groups: usize, addresses4: usize, addresses6: usize) -> Result<Limits, GateError> {
        let room = |need: usize, least: u32, most: u32, what: &str| {
            let need = u32::try_from(need).ok().filter(|need| *need < most).ok_or_else(|| {
                GateError::Groups(format!("{need} {what} on one interface; the limit is {}", most - 1))
            })?;
            Ok((need + 1).saturating_mul(2).next_power_of_two().clamp(least, most))
        };
        Ok(Limits {
            slots: room(groups, 64, MAX_SLOTS, "groups")?,
            addresses4: room(addresses4, 1024, MAX_ADDRESSES, "IPv4 addresses")?,
            addresses6: room(addresses6, 1024, MAX_ADDRESSES, "IPv6 addresses")?,
        })
    }

    /// Whether so many groups and addresses fit.
    pub(super) fn hold(&self, groups: usize, addresses4: usize, addresses6: usize) -> bool {
        let fits = |need: usize, room: u32| u32::try_from(need).is_ok_and(|need| need <= room);
        // Slot 0 is nobody's, and one address is for the gate's question to itself.
        fits(groups + 1, self.slots) && fits(addresses4 + 1, self.addresses4) && fits(addresses6, self.addresses6)
    }
}

/// A whole gate, attached or not.
pub(super) struct Object {
    pub(super) ingress: Program,
    pub(super) egress: Program,
    lease: MapData,
    slots: MapData,
    counters: PerCpuArray<MapData, Counters>,
    addresses4: HashMap<MapData, [u8; 4], u32>,
    addresses6: HashMap<MapData, [u8; 16], u32>,
    counters_fd: OwnedFd,
    addresses4_fd: OwnedFd,
    addresses6_fd: OwnedFd,
    pub(super) limits: Limits,
    pub(super) mapping: Arc<Mapping>,
}

/// Descriptors of the five maps, in the order of [`LAYOUT`].
pub(super) struct MapFds(pub(super) [OwnedFd; 5]);

/// Name, type, key size, value size and flags of each map: what makes a running gate usable by this
/// program.
const LAYOUT: [(&str, u32, usize, usize, u32); 5] = [
    ("LEASE", TYPE_ARRAY, 4, size_of::<Lease>(), FLAG_MMAPABLE),
    ("SLOTS", TYPE_ARRAY, 4, size_of::<Slot>(), FLAG_MMAPABLE),
    ("COUNTERS", TYPE_PERCPU_ARRAY, 4, size_of::<Counters>(), 0),
    ("VIP4", TYPE_HASH, 4, 4, FLAG_NO_PREALLOC),
    ("VIP6", TYPE_HASH, 16, 4, FLAG_NO_PREALLOC),
];

/// Position in [`LAYOUT`] of a map that has name, type and sizes of one of the five.
pub(super) fn position(info: &MapInfo) -> Option<usize> {
    LAYOUT.iter().position(|(name, kind, key, value, flags)| {
        info.name == *name
            && info.kind == *kind
            && usize::try_from(info.key_size) == Ok(*key)
            && usize::try_from(info.value_size) == Ok(*value)
            && info.flags == *flags
    })
}

impl Object {
    /// Loads a fresh gate; everything in it is zero, which is closed.
    ///
    /// # Errors
    /// [`GateError::NotPermitted`]; [`GateError::Program`] with the verifier's words.
    pub(super) fn load(limits: Limits, interface: &str) -> Result<Object, GateError> {
        let failed = |error: aya::EbpfError| GateError::program("load gate", interface, &error);
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .map_max_entries("SLOTS", limits.slots)
            .map_max_entries("COUNTERS", limits.slots)
            .map_max_entries("VIP4", limits.addresses4)
            .map_max_entries("VIP6", limits.addresses6)
            .load(OBJECT)
            .map_err(failed)?;
        let ingress = load_program(&mut ebpf, INGRESS, interface)?;
        let egress = load_program(&mut ebpf, EGRESS, interface)?;
        let mut fds = Vec::with_capacity(LAYOUT.len());
        for (name, ..) in LAYOUT {
            let map = ebpf.map(name).ok_or_else(|| missing(interface, name))?;
            let (Map::Array(data) | Map::PerCpuArray(data) | Map::HashMap(data)) = map else {
                return Err(missing(interface, name));
            };
            let fd = data.fd().as_fd().try_clone_to_owned();
            fds.push(fd.map_err(|error| GateError::system("keep gate map", interface, error))?);
        }
        let fds: [OwnedFd; 5] = fds.try_into().map_err(|_| missing(interface, "maps"))?;
        drop(ebpf);
        give_memory_back();
        Object::assemble(ingress, egress, MapFds(fds), interface)
    }

    /// Puts an object together from descriptors, and maps its switches into memory.
    ///
    /// # Errors
    /// [`GateError::System`] and [`GateError::Program`] of opening and mapping the maps.
    pub(super) fn assemble(
        ingress: Program,
        egress: Program,
        maps: MapFds,
        interface: &str,
    ) -> Result<Object, GateError> {
        let system = |error: io::Error| GateError::system("open gate map", interface, error);
        let [lease, slots, counters, addresses4, addresses6] = maps.0;
        let entries = |fd: &OwnedFd| bpf::map_info(fd.as_fd()).map(|info| info.max_entries).map_err(system);
        let limits =
            Limits { slots: entries(&slots)?, addresses4: entries(&addresses4)?, addresses6: entries(&addresses6)? };
        let count = u16::try_from(limits.slots.min(MAX_SLOTS)).expect("MAX_SLOTS fits in 16 bits");
        let mapping = Mapping::new(lease.as_fd(), slots.as_fd(), count)
            .map_err(|error| GateError::system("map gate memory", interface, error))?;
        let failed = |error: MapError| GateError::program("open gate map", interface, &error);
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(system);
        let (counters_fd, addresses4_fd, addresses6_fd) = (copy(&counters)?, copy(&addresses4)?, copy(&addresses6)?);
        let data = |fd: OwnedFd| MapData::from_fd(fd).map_err(failed);
        Ok(Object {
            ingress,
            egress,
            lease: data(lease)?,
            slots: data(slots)?,
            counters: PerCpuArray::try_from(Map::PerCpuArray(data(counters)?)).map_err(failed)?,
            addresses4: HashMap::try_from(Map::HashMap(data(addresses4)?)).map_err(failed)?,
            addresses6: HashMap::try_from(Map::HashMap(data(addresses6)?)).map_err(failed)?,
            counters_fd,
            addresses4_fd,
            addresses6_fd,
            limits,
            mapping: Arc::new(mapping),
        })
    }

    /// Program of one direction.
    pub(super) fn program(&self, direction: Direction) -> &Program {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Puts both programs first in this place. An earlier gate there is replaced, or stays behind
    /// this one ([`Place::put_first`]). Their numbers are noted first.
    ///
    /// # Errors
    /// As [`Place::put_first`]; egress may then be attached and ingress not.
    pub(super) fn attach(&self, place: Place, site: Site<'_>, note: Option<&Note>) -> Result<(), GateError> {
        if let Some(note) = note {
            note.add(site, [self.ingress.id, self.egress.id]);
        }
        for (direction, name) in Direction::BOTH.into_iter().zip([EGRESS, INGRESS]) {
            place.put_first(site, direction, self.program(direction), name)?;
        }
        Ok(())
    }

    /// Puts both programs where those of `old` are.
    ///
    /// # Errors
    /// As [`Place::replace`]: one of the two directions may have changed over.
    pub(super) fn replace(
        &self,
        old: &Object,
        place: Place,
        site: Site<'_>,
        note: Option<&Note>,
    ) -> Result<(), GateError> {
        if let Some(note) = note {
            note.add(site, [self.ingress.id, self.egress.id]);
        }
        for (direction, name) in Direction::BOTH.into_iter().zip([EGRESS, INGRESS]) {
            place.replace(site, direction, (old.program(direction), self.program(direction)), name)?;
        }
        Ok(())
    }

    /// Where the two programs stand, in the kernel's own words: what is wrong with one of them, or
    /// that both are first.
    ///
    /// # Errors
    /// As [`Place::standing`].
    pub(super) fn standing(&self, place: Place, site: Site<'_>) -> Result<Standing, GateError> {
        for direction in Direction::BOTH {
            match place.standing(site, direction, self.program(direction).id)? {
                Standing::First => {}
                Standing::Absent => return Ok(Standing::Absent),
                Standing::Behind(other) => {
                    return Ok(Standing::Behind(format!("{other} decides before it on {}", direction.name())));
                }
            }
        }
        Ok(Standing::First)
    }

    /// Takes both programs away from this place.
    ///
    /// # Errors
    /// As [`Place::take_away`]; the second direction is tried nevertheless.
    pub(super) fn detach(&self, place: Place, site: Site<'_>) -> Result<(), GateError> {
        let results = Direction::BOTH.map(|direction| place.take_away(site, direction, self.program(direction).id));
        results.into_iter().collect()
    }

    /// Descriptors that an adopter needs, each with its name.
    pub(super) fn descriptors(&self) -> [(&'static str, BorrowedFd<'_>); 7] {
        [
            ("gate-ingress", self.ingress.fd.as_fd()),
            ("gate-egress", self.egress.fd.as_fd()),
            ("gate-lease", self.lease.fd().as_fd()),
            ("gate-slots", self.slots.fd().as_fd()),
            ("gate-counters", self.counters_fd.as_fd()),
            ("gate-vip4", self.addresses4_fd.as_fd()),
            ("gate-vip6", self.addresses6_fd.as_fd()),
        ]
    }

    /// Gates `address` by `slot`.
    pub(super) fn set_address(&mut self, address: Vip, slot: u16) -> Result<(), MapError> {
        match address {
            IpAddr::V4(address) => self.addresses4.insert(address.octets(), u32::from(slot), 0),
            IpAddr::V6(address) => self.addresses6.insert(address.octets(), u32::from(slot), 0),
        }
    }

    /// Stops gating `address`. An address that is not gated is no error.
    pub(super) fn remove_address(&mut self, address: Vip) -> Result<(), MapError> {
        let result = match address {
            IpAddr::V4(address) => self.addresses4.remove(&address.octets()),
            IpAddr::V6(address) => self.addresses6.remove(&address.octets()),
        };
        match result {
            Err(MapError::KeyNotFound) => Ok(()),
            other => other,
        }
    }

    /// All gated addresses with their slots.
    pub(super) fn addresses(&self) -> Result<Vec<(Vip, u32)>, MapError> {
        let four = self.addresses4.iter().map(|entry| entry.map(|(key, slot)| (IpAddr::from(key), slot)));
        let six = self.addresses6.iter().map(|entry| entry.map(|(key, slot)| (IpAddr::from(key), slot)));
        four.chain(six).collect()
    }

    /// Sums a slot's counters over all processors.
    pub(super) fn counters(&self, slot: u16) -> Result<Counters, MapError> {
        Ok(Counters::sum(&self.counters.get(&u32::from(slot), 0)?))
    }

    /// Another descriptor of the counters' map.
    pub(super) fn counters_fd(&self) -> io::Result<OwnedFd> {
        self.counters_fd.try_clone()
    }

    /// Sets a slot's counters to zero, for a new owner.
    pub(super) fn reset_counters(&mut self, slot: u16) -> Result<(), MapError> {
        let processors = self.counters.get(&u32::from(slot), 0)?.len();
        let zero = PerCpuValues::try_from(vec![Counters::default(); processors]).map_err(MapError::from)?;
        self.counters.set(u32::from(slot), zero, 0)
    }
}

/// Returns the loader's memory to the system. The loader reads the whole kernel's type information
/// (5 MB), which the program does not need, and the allocator would keep that memory. The agent is
/// to stay small: a process that holds much memory dies slowly.
pub(super) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim only releases free memory of the allocator and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Error: the built-in object lacks a program or map.
pub(super) fn missing(interface: &str, what: &str) -> GateError {
    GateError::Program {
        operation: "load gate",
        object: interface.to_owned(),
        cause: format!("the built-in program lacks {what}"),
    }
}

/// Has the kernel verify and load one program of the object; returns its descriptor and number.
pub(super) fn load_program(ebpf: &mut Ebpf, name: &str, interface: &str) -> Result<Program, GateError> {
    let failed = |error: aya::programs::ProgramError| GateError::program("load gate program", interface, &error);
    let program = ebpf.program_mut(name).ok_or_else(|| missing(interface, name))?;
    let program: &mut SchedClassifier = program.try_into().map_err(failed)?;
    program.load().map_err(failed)?;
    let system = |error: io::Error| GateError::system("keep gate program", interface, error);
    let fd = program.fd().map_err(failed)?.as_fd().try_clone_to_owned().map_err(system)?;
    let id = bpf::program_info(fd.as_fd()).map_err(system)?.id;
    Ok(Program { fd, id })
}
