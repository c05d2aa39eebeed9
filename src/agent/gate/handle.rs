//! The gate's switches: memory shared with the program in the kernel.
//!
//! Owns: the order of stores. Never does: a system call, an allocation, a lock; so the hot thread
//! may use it at any time. Stores cannot fail. When the process dies, the memory stays with the
//! program, and what is written there ends at its deadlines.

use std::io;
use std::net::Ipv6Addr;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::types::{Epoch, GroupKey, MacAddr, MonoTime};

/// Slot of addresses that belong to no group any more: never opened.
pub(super) const RETIRED: u16 = 0;

/// `struct lease` in gate.bpf.c.
#[repr(C)]
pub(super) struct Lease {
    until: AtomicU64,
    generation: AtomicU64,
    refused: AtomicU64,
    pad: AtomicU64,
}

/// `struct slot` in gate.bpf.c.
#[repr(C)]
pub(super) struct Slot {
    answer_until: AtomicU64,
    carry_until: AtomicU64,
    forward_until: AtomicU64,
    forward_mac: AtomicU64,
    key: AtomicU64,
    epoch: AtomicU64,
    own: [AtomicU64; 2],
}

/// A hardware address as gate.bpf.c has it: six bytes in memory order, then two zero bytes.
pub(super) fn as_number(mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_ne_bytes([a, b, c, d, e, f, 0, 0])
}

/// Memory of one mapped map; unmapped when dropped.
struct Region {
    start: NonNull<libc::c_void>,
    length: usize,
}

impl Region {
    /// Maps `bytes` of a BPF map into this process, shared with the program in the kernel.
    fn map(fd: impl AsFd, bytes: usize) -> io::Result<Region> {
        let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let flags = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh shared mapping at an address of the kernel's choice; it touches no memory
        // of ours.
        let start = unsafe { mmap(None, length, flags, MapFlags::MAP_SHARED, fd, 0) }.map_err(io::Error::from)?;
        Ok(Region { start, length: bytes })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `start` and `length` are those of a live mapping that only this value owns.
        // munmap of such a mapping cannot fail in a way that matters: at worst the memory stays
        // mapped.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}

/// Memory of the two maps that switch a gate: its lease and its slots.
pub(super) struct Mapping {
    lease: Region,
    slots: Region,
    count: u16,
}

// SAFETY: the regions are plain shared memory that lives as long as the value and is only accessed
// through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps LEASE and SLOTS (`count` entries).
    ///
    /// # Errors
    /// mmap's: the map is not BPF_F_MMAPABLE, or memory is short.
    pub(super) fn new(lease: impl AsFd, slots: impl AsFd, count: u16) -> io::Result<Mapping> {
        Ok(Mapping {
            lease: Region::map(lease, size_of::<Lease>())?,
            slots: Region::map(slots, size_of::<Slot>() * usize::from(count))?,
            count,
        })
    }

    /// Number of slots, with slot 0, which is never opened.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// The lease in shared memory.
    fn lease(&self) -> &Lease {
        // SAFETY: the region is at least one page, page-aligned, zero-initialised by the kernel and
        // lives as long as `self`; `Lease` is only atomics, so concurrent writes by the kernel are
        // fine.
        unsafe { self.lease.start.cast::<Lease>().as_ref() }
    }

    /// A slot in shared memory; panics if the slot does not exist.
    fn slot(&self, slot: u16) -> &Slot {
        assert!(slot < self.count, "gate invariant: slot {slot} of {} exists", self.count);
        // SAFETY: `slot` is inside the region (just asserted); otherwise as in `lease`.
        unsafe { self.slots.start.cast::<Slot>().add(usize::from(slot)).as_ref() }
    }

    /// Takes over another gate's state: the slots first; last the lease, which opens them.
    pub(super) fn copy_from(&self, other: &Mapping) {
        let copy = |to: &AtomicU64, from: &AtomicU64| to.store(from.load(Ordering::Acquire), Ordering::Release);
        for slot in 1..self.count.min(other.count) {
            let (to, from) = (self.slot(slot), other.slot(slot));
            copy(&to.key, &from.key);
            copy(&to.epoch, &from.epoch);
            copy(&to.forward_mac, &from.forward_mac);
            copy(&to.forward_until, &from.forward_until);
            copy(&to.carry_until, &from.carry_until);
            copy(&to.answer_until, &from.answer_until);
        }
        let (to, from) = (self.lease(), other.lease());
        copy(&to.generation, &from.generation);
        copy(&to.refused, &from.refused);
        copy(&to.until, &from.until);
    }

    /// Refuses our generation if the other gate has refused it.
    pub(super) fn copy_refusal(&self, other: &Mapping) {
        let refused = other.lease().refused.load(Ordering::Acquire);
        if refused == self.lease().generation.load(Ordering::Acquire) {
            self.lease().refused.store(refused, Ordering::SeqCst);
        }
    }

    /// Makes the gate take a question from this sender for one to itself; `None` ends that. Slot 0
    /// forwards nothing, so the number has its place there.
    pub(super) fn expect_question(&self, from: Option<MacAddr>) {
        self.slot(RETIRED).forward_mac.store(from.map_or(0, as_number), Ordering::SeqCst);
    }

    /// Stores the server's own link-local address in slot 0, which no group has. Its first half is
    /// the same for all of them, so the gate never reads half of one and half of another.
    pub(super) fn set_own_address(&self, own: Option<Ipv6Addr>) {
        let [first, second] = &self.slot(RETIRED).own;
        let (head, tail) = own.map_or(([0; 8], [0; 8]), |own| {
            let bytes = own.octets();
            (
                <[u8; 8]>::try_from(&bytes[..8]).unwrap_or_default(),
                <[u8; 8]>::try_from(&bytes[8..]).unwrap_or_default(),
            )
        });
        if own.is_some() {
            second.store(u64::from_ne_bytes(tail), Ordering::Release);
        }
        first.store(u64::from_ne_bytes(head), Ordering::Release);
    }

    /// Group that has the slot; `None` if it is free.
    pub(super) fn key(&self, slot: u16) -> Option<GroupKey> {
        match self.slot(slot).key.load(Ordering::Acquire) {
            0 => None,
            key => Some(GroupKey(key)),
        }
    }

    /// Closes a slot and gives it to `key`, or frees it.
    pub(super) fn assign(&self, slot: u16, key: Option<GroupKey>) {
        let entry = self.slot(slot);
        for field in [&entry.answer_until, &entry.carry_until, &entry.forward_until, &entry.forward_mac, &entry.epoch]
        {
            field.store(0, Ordering::Release);
        }
        entry.key.store(key.map_or(0, |key| key.0), Ordering::Release);
    }
}

/// The lease as the kernel sees it now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseView {
    /// Deadline of the lease; [`MonoTime::ZERO`] is closed.
    pub until: MonoTime,
    /// Generation of the grant that the deadline belongs to; 0 is none.
    pub generation: u64,
    /// Newest generation that the gate found lapsed when a client or probe asked.
    pub refused: u64,
}

impl LeaseView {
    /// Whether this generation is dead: only [`GateHandle::begin`] with a new one opens the gate
    /// again.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused == self.generation
    }
}

/// A group's slot as the kernel sees it now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotView {
    /// Group that has the slot; `None` if it is free.
    pub key: Option<GroupKey>,
    /// Epoch that [`GateHandle::open`] stored last.
    pub epoch: Epoch,
    /// End of answering ARP and neighbour discovery.
    pub answer_until: MonoTime,
    /// End of passing IP.
    pub carry_until: MonoTime,
    /// End of sending segments of unknown connections to `forward_to`.
    pub forward_until: MonoTime,
    /// Hardware address of the node that had the group before.
    pub forward_to: MacAddr,
}

/// The hot thread's end of a gate. Cheap to clone, lock-free, no system calls.
///
/// One thread at a time should write: each call is a sequence of atomic stores, whose order makes
/// it safe against the program in the kernel, not against another writer.
///
/// A slot number that does not exist, or slot 0, is a bug of the caller and panics.
#[derive(Clone)]
pub struct GateHandle(pub(super) Arc<Mapping>);

impl std::fmt::Debug for GateHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateHandle").field("lease", &self.lease()).field("slots", &self.0.count()).finish()
    }
}

impl GateHandle {
    /// The slot of a group; panics for slot 0.
    fn group(&self, slot: u16) -> &Slot {
        assert!(slot != RETIRED, "gate invariant: slot 0 is never opened");
        self.0.slot(slot)
    }

    /// The lease as it is now.
    #[must_use]
    pub fn lease(&self) -> LeaseView {
        let lease = self.0.lease();
        LeaseView {
            until: MonoTime(lease.until.load(Ordering::Acquire)),
            generation: lease.generation.load(Ordering::Acquire),
            refused: lease.refused.load(Ordering::Acquire),
        }
    }

    /// Starts a new generation: everything is closed until the first [`GateHandle::renew`].
    /// `generation` must not be 0 and must never have been used on this gate before: a used one may
    /// be refused already, or open too much. The caller closes every slot first, so that only what
    /// is granted again opens.
    pub fn begin(&self, generation: u64) {
        assert!(generation != 0, "gate invariant: generation 0 means none");
        let lease = self.0.lease();
        lease.until.store(0, Ordering::SeqCst);
        lease.generation.store(generation, Ordering::SeqCst);
    }

    /// Extends (or shortens) the lease to the absolute deadline `until`: one store, whatever the
    /// number of groups. Has no effect on a refused generation.
    pub fn renew(&self, until: MonoTime) {
        self.0.lease().until.store(until.0, Ordering::Release);
    }

    /// Lets a group answer and carry until `until` ([`MonoTime::FOREVER`] where only the lease
    /// bounds it). The epoch is stored for a later life that adopts the gate.
    pub fn open(&self, slot: u16, epoch: Epoch, until: MonoTime) {
        let group = self.group(slot);
        group.epoch.store(epoch.0, Ordering::Release);
        group.carry_until.store(until.0, Ordering::Release);
        group.answer_until.store(until.0, Ordering::Release);
    }

    /// Ends answering and forwarding now, and carrying at `carry_until` ([`MonoTime::ZERO`]: now,
    /// too).
    pub fn close(&self, slot: u16, carry_until: MonoTime) {
        let group = self.group(slot);
        group.answer_until.store(0, Ordering::SeqCst);
        group.carry_until.store(carry_until.0, Ordering::Release);
        group.forward_until.store(0, Ordering::Release);
    }

    /// Sends TCP segments that no socket here knows to `mac`, the node on the same segment that had
    /// the group before: until `until`, while the group answers here. [`MonoTime::ZERO`] ends that.
    pub fn forward(&self, slot: u16, until: MonoTime, mac: MacAddr) {
        let group = self.group(slot);
        // An old deadline must not meet the new address.
        group.forward_until.store(0, Ordering::SeqCst);
        group.forward_mac.store(as_number(mac), Ordering::Release);
        group.forward_until.store(until.0, Ordering::Release);
    }

    /// A group's slot as it is now.
    #[must_use]
    pub fn slot_view(&self, slot: u16) -> SlotView {
        let group = self.0.slot(slot);
        let [a, b, c, d, e, f, _, _] = group.forward_mac.load(Ordering::Acquire).to_ne_bytes();
        SlotView {
            key: self.0.key(slot),
            epoch: Epoch(group.epoch.load(Ordering::Acquire)),
            answer_until: MonoTime(group.answer_until.load(Ordering::Acquire)),
            carry_until: MonoTime(group.carry_until.load(Ordering::Acquire)),
            forward_until: MonoTime(group.forward_until.load(Ordering::Acquire)),
            forward_to: MacAddr([a, b, c, d, e, f]),
        }
    }
}
