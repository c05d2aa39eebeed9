//! One slot of the store: a state and the number of its write, as bytes that prove that they are
//! whole.
//!
//! Layout, network byte order: magic (8), format (4), sequence (8), length of the payload (4),
//! payload, SHA-256 of all of that (32), zeros up to a multiple of `BLOCK`. Payload: node (1),
//! cluster (8), lease in µs (4, 0: not known), number of groups (2), and for each group key, seen,
//! reserve and held (8 each) and one byte of flags (bit 0: paused). Format 1, which is still read,
//! has no lease.
//!
//! Owns: the format. Never does: touch a file. Bytes that are not a whole slot give an error with
//! the reason, never a panic.

use super::State;
use crate::durable::GroupState;
use crate::types::{Epoch, GroupKey, NodeId};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The size of a slot is a multiple of this many bytes, so that rewriting one seldom needs new
/// space on the disk.
pub(super) const BLOCK: usize = 4096;
/// Largest slot in bytes: 65,535 groups need 2.2 MB.
pub(super) const MAX_SLOT: usize = 4 << 20;

/// First bytes of every slot.
const MAGIC: &[u8; 8] = b"vipairS\n";
/// Format that this version writes.
const FORMAT: u32 = 2;
/// Format of versions that did not write the lease down.
const WITHOUT_LEASE: u32 = 1;
/// Length of magic, format, sequence and length, in bytes.
const HEADER: usize = 24;
/// Length of the payload before its groups, in bytes.
const PAYLOAD_HEADER: usize = 15;
/// Length of one group, in bytes.
const GROUP: usize = 33;
/// Length of the digest, in bytes.
const DIGEST: usize = 32;
/// Bit of a paused group in its flags.
const PAUSED: u8 = 1;

/// The reason for which bytes are no slot that this program can use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SlotError {
    /// The bytes are torn, flipped, cut, or never were a slot. The text says which.
    Damaged(&'static str),
    /// The slot is whole, in this format of another version of the program.
    Format(u32),
}

/// Encodes a state and the number of its write as the bytes of a slot.
///
/// # Errors
/// When there are more groups than a number of two bytes can count, or the lease is out of all
/// bounds.
pub fn encode(sequence: u64, state: &State) -> Result<Vec<u8>, &'static str> {
    let count = u16::try_from(state.groups.len()).map_err(|_| "more than 65,535 groups")?;
    let length = PAYLOAD_HEADER + GROUP * state.groups.len();
    let mut bytes = Vec::with_capacity((HEADER + length + DIGEST).next_multiple_of(BLOCK));
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(u32::try_from(length).map_err(|_| "too long")?.to_be_bytes());
    bytes.push(state.node.0);
    bytes.extend(state.cluster.to_be_bytes());
    // Rounded up: a lease that is a little longer than it was does no harm.
    let lease = state.lease.unwrap_or_default().as_nanos().div_ceil(1000);
    bytes.extend(u32::try_from(lease).map_err(|_| "a lease of more than an hour")?.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    for group in &state.groups {
        for number in [group.key.0, group.seen.0, group.reserve.0, group.held.0] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.push(if group.paused { PAUSED } else { 0 });
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    Ok(bytes)
}

/// Decodes the bytes of a slot: the number of its write, and the state.
///
/// # Errors
/// When they are not a whole slot of this format.
pub fn decode(bytes: &[u8]) -> Result<(u64, State), SlotError> {
    let mut reader = Reader(bytes);
    if reader.take::<8>()? != *MAGIC {
        return Err(SlotError::Damaged("it does not begin like a state file"));
    }
    let format = u32::from_be_bytes(reader.take()?);
    let sequence = reader.number()?;
    let length = usize::try_from(u32::from_be_bytes(reader.take()?)).unwrap_or(usize::MAX);
    let end = HEADER.saturating_add(length);
    let (Some(covered), Some(digest)) = (bytes.get(..end), bytes.get(end..end.saturating_add(DIGEST))) else {
        return Err(SlotError::Damaged("it is cut short"));
    };
    if Sha256::digest(covered).as_slice() != digest {
        return Err(SlotError::Damaged("its checksum does not fit"));
    }
    if format != FORMAT && format != WITHOUT_LEASE {
        return Err(SlotError::Format(format));
    }
    Ok((sequence, decode_payload(&covered[HEADER..], format)?))
}

/// Decodes the payload of a slot in this format.
fn decode_payload(bytes: &[u8], format: u32) -> Result<State, SlotError> {
    let mut reader = Reader(bytes);
    let [node] = reader.take()?;
    let cluster = reader.number()?;
    let lease_us = if format == WITHOUT_LEASE { 0 } else { u32::from_be_bytes(reader.take()?) };
    let lease = (lease_us != 0).then(|| Duration::from_micros(lease_us.into()));
    let count = u16::from_be_bytes(reader.take()?);
    let mut groups = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        groups.push(GroupState {
            key: GroupKey(reader.number()?),
            seen: Epoch(reader.number()?),
            reserve: Epoch(reader.number()?),
            held: Epoch(reader.number()?),
            paused: reader.take::<1>()?[0] & PAUSED != 0,
        });
    }
    Ok(State { node: NodeId(node), cluster, lease, groups })
}

/// Bytes that are not decoded yet.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Takes `N` bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SlotError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SlotError::Damaged("it is cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Takes a number of eight bytes.
    fn number(&mut self) -> Result<u64, SlotError> {
        Ok(u64::from_be_bytes(self.take()?))
    }
}
