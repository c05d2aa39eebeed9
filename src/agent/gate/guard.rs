//! The guard: a program on the way out of every other Ethernet interface, which lets no claim for a
//! group's address leave there.
//!
//! Owns: the program, its maps, and how it comes and goes on one interface. Never does: open
//! anything; a gate is not needed for it, and what it holds back has no deadline. What is attached
//! outlives this process; the next life attaches its own and takes this one away. A call that fails
//! leaves an interface as it was, or without the guard.
//!
//! The kernel answers ARP for each of its addresses on every interface, unless told otherwise
//! (ip-sysctl, `arp_ignore`). So a second card on the clients' segment would answer for a group,
//! also on a standby. See guard.bpf.c for the rules frame by frame.

use std::collections::HashMap;
use std::net::IpAddr;

use aya::maps::{Array, HashMap as HashTable, Map, MapData, MapError, PerCpuArray};
use aya::{Ebpf, EbpfLoader, Pod};

use super::error::GateError;
use super::former::{Former, Note};
use super::handle::as_number;
use super::object::{MAX_ADDRESSES, give_memory_back, load_program, missing};
use super::place::{Direction, Place, Program, Site, Standing};
use crate::types::{InterfaceId, MacAddr, Vip};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard.bpf.o"));
/// Name of the program in the kernel; its last eight digits change with the source.
const NAME: &str = env!("VIPAIR_GUARD_EGRESS");
/// Least room for addresses of one family.
const LEAST_ROOM: u32 = 1024;
/// Line of the note for programs that are attached to many interfaces: it is no interface's.
const EVERYWHERE: Site<'static> = Site { ifindex: 0, name: "every other interface" };

/// The interface that may claim the addresses of some groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Owner {
    /// Number of the interface in the kernel; 0: it does not exist, and nobody may claim.
    pub ifindex: u32,
    /// Hardware address of the interface.
    pub mac: MacAddr,
    /// Number of the interface that its frames leave through as they are; 0: none.
    pub lower: u32,
}

/// `struct owner` in guard.bpf.c.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawOwner {
    mac: u64,
    home: u32,
    lower: u32,
}

// SAFETY: three integers without padding; every bit pattern is valid.
unsafe impl Pod for RawOwner {}

/// Frames that a guard has changed or dropped, on all interfaces: `struct guarded` in guard.bpf.c.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Claims that did not leave.
    pub dropped: u64,
    /// Questions that left without their sender.
    pub nameless: u64,
}

// SAFETY: two u64 without padding; every bit pattern is valid.
unsafe impl Pod for Held {}

/// A loaded guard. Dropping it leaves it where it is attached.
pub struct Guard {
    program: Program,
    /// Where it is attached; `None`: the best place of this kernel.
    place: Option<Place>,
    owners: Array<MapData, RawOwner>,
    held: PerCpuArray<MapData, Held>,
    four: HashTable<MapData, [u8; 4], u32>,
    six: HashTable<MapData, [u8; 16], u32>,
    room: (usize, usize),
    addresses: HashMap<Vip, InterfaceId>,
    known: HashMap<InterfaceId, Owner>,
    /// Numbers of the programs of earlier lives.
    earlier: Vec<u32>,
    /// Whether a program may be taken for one of an earlier life by its name: there is no note.
    by_name: bool,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("program", &self.program.id)
            .field("addresses", &self.addresses.len())
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// Loads a guard with room for so many addresses and more. It knows none, and is attached
    /// nowhere. `former`: what an earlier life left; its guards are recognised by it. `place`: where
    /// it will be attached; `None` is the best place of the kernel, another one is for tests.
    ///
    /// # Errors
    /// [`GateError::NotPermitted`]; [`GateError::Program`] with the verifier's words;
    /// [`GateError::Groups`]: too many addresses.
    pub fn load(place: Option<Place>, four: usize, six: usize, former: &Former) -> Result<Guard, GateError> {
        let room = |need: usize| {
            let need = u32::try_from(need).ok().filter(|need| *need < MAX_ADDRESSES);
            let need = need.ok_or_else(|| GateError::Groups(format!("more than {MAX_ADDRESSES} addresses")))?;
            Ok::<u32, GateError>(need.saturating_mul(2).next_power_of_two().clamp(LEAST_ROOM, MAX_ADDRESSES))
        };
        let (four, six) = (room(four)?, room(six)?);
        let object = EVERYWHERE.name;
        let failed = |error: aya::EbpfError| GateError::program("load guard", object, &error);
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .map_max_entries("GUARDED4", four)
            .map_max_entries("GUARDED6", six)
            .load(OBJECT)
            .map_err(failed)?;
        let program = load_program(&mut ebpf, NAME, object)?;
        let failed = |error: MapError| GateError::program("open guard map", object, &error);
        let owners = Array::try_from(take(&mut ebpf, "OWNERS")?).map_err(failed)?;
        let held = PerCpuArray::try_from(take(&mut ebpf, "GUARDED")?).map_err(failed)?;
        let table4 = HashTable::try_from(take(&mut ebpf, "GUARDED4")?).map_err(failed)?;
        let table6 = HashTable::try_from(take(&mut ebpf, "GUARDED6")?).map_err(failed)?;
        drop(ebpf);
        give_memory_back();
        let note: Option<Note> = former.note();
        let earlier = note.as_ref().map(|note| note.programs(EVERYWHERE)).unwrap_or_default();
        if let Some(note) = &note {
            note.add(EVERYWHERE, [program.id, program.id]);
        }
        Ok(Guard {
            program,
            place,
            owners,
            held,
            four: table4,
            six: table6,
            room: (usize::try_from(four).unwrap_or_default(), usize::try_from(six).unwrap_or_default()),
            addresses: HashMap::new(),
            known: HashMap::new(),
            earlier,
            by_name: note.is_none(),
        })
    }

    /// Whether so many addresses fit.
    #[must_use]
    pub fn holds(&self, four: usize, six: usize) -> bool {
        four <= self.room.0 && six <= self.room.1
    }

    /// Says which interface may claim the addresses of `owner`.
    ///
    /// # Errors
    /// [`GateError::Program`]: another one may still do so.
    pub fn set_owner(&mut self, owner: InterfaceId, may: Owner) -> Result<(), GateError> {
        if self.known.get(&owner) == Some(&may) {
            return Ok(());
        }
        let raw = RawOwner { mac: as_number(may.mac), home: may.ifindex, lower: may.lower };
        let result = self.owners.set(u32::from(owner.0), raw, 0);
        result.map_err(|error| GateError::program("name the interface to the guard", EVERYWHERE.name, &error))?;
        self.known.insert(owner, may);
        Ok(())
    }

    /// Makes the guard hold back claims for exactly these addresses, each with its owner. New ones
    /// come before old ones go.
    ///
    /// # Errors
    /// [`GateError::Program`]: some may still be as before; call again.
    pub fn set_addresses(&mut self, wanted: &HashMap<Vip, InterfaceId>) -> Result<(), GateError> {
        let failed = |vip: Vip, error: &MapError| GateError::program("guard address", vip.to_string(), error);
        for (vip, owner) in wanted {
            if self.addresses.get(vip) != Some(owner) {
                let at = u32::from(owner.0);
                let result = match vip {
                    IpAddr::V4(four) => self.four.insert(four.octets(), at, 0),
                    IpAddr::V6(six) => self.six.insert(six.octets(), at, 0),
                };
                result.map_err(|error| failed(*vip, &error))?;
                self.addresses.insert(*vip, *owner);
            }
        }
        let stale: Vec<Vip> = self.addresses.keys().filter(|vip| !wanted.contains_key(*vip)).copied().collect();
        for vip in stale {
            let result = match vip {
                IpAddr::V4(four) => self.four.remove(&four.octets()),
                IpAddr::V6(six) => self.six.remove(&six.octets()),
            };
            match result {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(failed(vip, &error)),
            }
            self.addresses.remove(&vip);
        }
        Ok(())
    }

    /// Puts the guard on an interface, before all others but the gate of ours that is there (the
    /// number of its program on the way out), and takes away those of earlier lives.
    ///
    /// # Errors
    /// The kernel's refusal; the guard may not be there.
    pub fn attach(&self, site: Site<'_>, gate: Option<u32>) -> Result<(), GateError> {
        let place = self.place(site)?;
        place.put_guard(site, &self.program, NAME, gate)?;
        self.sweep(place, site)
    }

    /// Where on an interface the guard is attached.
    fn place(&self, site: Site<'_>) -> Result<Place, GateError> {
        self.place.map_or_else(|| Place::best(site), Ok)
    }

    /// Takes the guards of earlier lives off an interface.
    fn sweep(&self, place: Place, site: Site<'_>) -> Result<(), GateError> {
        for occupant in place.occupants(site, Direction::Egress)? {
            let Some(id) = occupant.id.filter(|id| *id != self.program.id) else { continue };
            let named = || occupant.name.as_deref().is_some_and(|name| name.starts_with(prefix()));
            if self.earlier.contains(&id) || (self.by_name && named()) {
                place.take_guard_away(site, id)?;
            }
        }
        Ok(())
    }

    /// Where the guard stands on an interface: first, also behind the gate of ours.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn standing(&self, site: Site<'_>, gate: Option<u32>) -> Result<Standing, GateError> {
        self.place(site)?.guard_standing(site, self.program.id, gate)
    }

    /// Takes the guard, and those of earlier lives, off an interface.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn detach(&self, site: Site<'_>) -> Result<(), GateError> {
        let place = self.place(site)?;
        place.take_guard_away(site, self.program.id)?;
        self.sweep(place, site)
    }

    /// What the guard has held back until now, on all interfaces together.
    #[must_use]
    pub fn held(&self) -> Held {
        let all = self.held.get(&0, 0).map(|all| all.to_vec()).unwrap_or_default();
        all.iter().fold(Held::default(), |sum, one| Held {
            dropped: sum.dropped + one.dropped,
            nameless: sum.nameless + one.nameless,
        })
    }
}

/// The part of the program's name that is the same in every build.
fn prefix() -> &'static str {
    &NAME[..NAME.len() - super::adopt::TAG]
}

/// A map of the loaded object.
fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, GateError> {
    ebpf.take_map(name).ok_or_else(|| missing(EVERYWHERE.name, name))
}
