//! The two slots of a voter's memory on a disk that may be slow, torn, damaged or put back.

use crate::store::dir::found;
use crate::store::slot::encode;
use crate::types::NodeId;
use crate::voter::{Loaded, Memory};
use crate::witness::state::{loaded, state};

/// What happens to a disk while its process is restarted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    None,
    /// The write under way ends after this number of bytes.
    Torn(u16),
    /// The bit of this number is flipped in the newer slot, so that the older one is read.
    Damaged(u16),
    /// The bit of this number is flipped in both slots.
    BothDamaged(u16),
    /// Both slots are missing.
    Gone,
    /// Both slots are as they were before the last writes.
    PutBack,
}

/// The disk of one voter.
#[derive(Default)]
pub(super) struct Disk {
    slots: [Option<Vec<u8>>; 2],
    /// The slots as they were before each of the last writes.
    former: Vec<[Option<Vec<u8>>; 2]>,
    /// The number of the last write.
    sequence: u64,
    /// The state to be written next, with its version; a newer one replaces it.
    waiting: Option<(u64, Memory)>,
    /// Whether the disk has lost something that was durable.
    lied: bool,
}

impl Disk {
    /// A disk of a voter that has answered for this lease before.
    pub fn with_lease(lease_us: u32) -> Disk {
        let mut disk = Disk::default();
        disk.take(0, &Memory { lease_us, ceilings: Vec::new() });
        disk.write();
        disk
    }

    /// Whether the disk never lost what it had.
    pub fn is_honest(&self) -> bool {
        !self.lied
    }

    /// Keeps a state until it is written.
    pub fn take(&mut self, version: u64, memory: &Memory) {
        self.waiting = Some((version, memory.clone()));
    }

    /// Writes what waits to the older slot, and to both as long as one is missing. Returns the
    /// version that is durable then, `None` if nothing waited.
    pub fn write(&mut self) -> Option<u64> {
        let (version, memory) = self.waiting.take()?;
        self.former.push(self.slots.clone());
        let lone = self.slots.contains(&None);
        for _ in 0..=usize::from(lone) {
            self.sequence += 1;
            self.slots[place(self.sequence)] = Some(slot(self.sequence, &memory));
        }
        Some(version)
    }

    /// Ends the process and with it the write under way, then does `fault`. The next process finds
    /// what is left.
    pub fn restart(&mut self, fault: Fault) {
        let waiting = self.waiting.take();
        match fault {
            Fault::None => {}
            // Only a slot that exists is written over and can be torn; a new one appears whole.
            Fault::Torn(cut) => {
                let there = self.slots[place(self.sequence + 1)].as_mut();
                if let (Some((_, memory)), Some(there)) = (waiting, there) {
                    let new = slot(self.sequence + 1, &memory);
                    let cut = usize::from(cut) % new.len();
                    there.resize(there.len().max(new.len()), 0);
                    there[..cut].copy_from_slice(&new[..cut]);
                }
            }
            Fault::Damaged(bit) => self.damage(place(self.sequence), bit),
            Fault::BothDamaged(bit) => (0..2).for_each(|number| self.damage(number, bit)),
            Fault::Gone => self.lose([None, None]),
            Fault::PutBack => {
                if let Some(former) = self.former.pop() {
                    self.lose(former);
                }
            }
        }
    }

    /// What a voter that starts now reads from the slots.
    pub fn loaded(&self) -> Loaded {
        loaded(&found([0, 1].map(|number| self.slots[number].as_deref())))
    }

    /// Flips the bit of number `bit` in the slot `number`.
    fn damage(&mut self, number: usize, bit: u16) {
        self.lied = true;
        if let Some(bytes) = &mut self.slots[number] {
            let position = usize::from(bit) % (bytes.len() * 8);
            bytes[position / 8] ^= 1 << (position % 8);
        }
    }

    /// Replaces the slots by others that know less.
    fn lose(&mut self, slots: [Option<Vec<u8>>; 2]) {
        self.lied = true;
        self.slots = slots;
    }
}

/// The slot, 0 or 1, that the write of this number goes to.
fn place(sequence: u64) -> usize {
    usize::from(!sequence.is_multiple_of(2))
}

/// The bytes of a slot that keeps `memory`.
fn slot(sequence: u64, memory: &Memory) -> Vec<u8> {
    encode(sequence, &state(memory, NodeId::FIRST_WITNESS, 7)).expect("a few groups")
}
