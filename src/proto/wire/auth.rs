//! Seals datagrams and opens them: HMAC-SHA256 under the cluster's key, checked before anything
//! else is parsed.
//!
//! Owns the first four bytes (magic, version, key id) and the last 32 (tag) of every datagram; what
//! lies between is [`super::pulse`]'s. Never does: I/O, freshness (that is [`super::session`]), key
//! files. A datagram that does not open has no effect but a count in
//! [`Rejects`](super::reject::Rejects).
//!
//! Each key of the ring is bound to the protocol and the cluster first: HMAC-SHA256(key, "vipair 1"
//! ‖ cluster). Two clusters that share a key file by mistake therefore still do not understand each
//! other. Two keys may be accepted at once, for rotation: give every node the new key as second,
//! then make it the first everywhere, then remove the old one. The keyed hash states are prepared
//! once, so a datagram costs only the blocks it has.

pub use super::reject::{Reject, Rejects};
use crate::mutant::Mutants;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

#[cfg(test)]
mod tests;

type HmacSha256 = Hmac<Sha256>;

/// The first two bytes of every datagram.
pub const MAGIC: [u8; 2] = [0x76, 0xA9];
/// Bytes before the body: magic, version, key id.
pub const PREFIX_SIZE: usize = 4;
/// Bytes after the body: the whole HMAC-SHA256 output.
pub const TAG_SIZE: usize = 32;
/// Version of the layout of a datagram: the third byte of every one.
pub const VERSION: u8 = 3;
/// Largest datagram, in bytes, prefix and tag included.
pub const MAX_DATAGRAM: usize = 1200;
/// Number of keys that a ring may hold.
pub const KEYS_MAX: usize = 2;

#[derive(Clone)]
struct Key {
    id: u8,
    state: HmacSha256,
}

/// The keys of one cluster. The first seals, all of them open.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
    mutants: Mutants,
}

/// Shows the key ids, never a key.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u8> = self.keys.iter().map(|key| key.id).collect();
        f.debug_struct("KeyRing").field("key_ids", &ids).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Prepares `keys`, pairs of key id and key, for `cluster`. The first one seals, all of them
    /// open.
    ///
    /// # Panics
    /// If there is no key, more than [`KEYS_MAX`], or two with one id: the configuration never
    /// yields such a list.
    #[must_use]
    pub fn new(cluster: &str, keys: &[(u8, [u8; 32])]) -> KeyRing {
        assert!((1..=KEYS_MAX).contains(&keys.len()), "invariant: a key ring has one or two keys");
        let keys = keys.iter().map(|(id, key)| Key::derive(cluster, *id, key)).collect();
        let ring = KeyRing { keys, mutants: Mutants::NONE };
        let distinct = ring.keys.iter().all(|key| ring.keys.iter().filter(|other| other.id == key.id).count() == 1);
        assert!(distinct, "invariant: the keys of a ring have different ids");
        ring
    }

    /// The ids of the keys, the one that seals first.
    #[must_use]
    pub fn numbers(&self) -> Vec<u8> {
        self.keys.iter().map(|key| key.id).collect()
    }

    /// A ring whose keys have these ids and are nobody's: for a replay, which has the datagrams and
    /// must not have the keys. `None` unless there are one or two different ids.
    #[must_use]
    pub fn substitute(numbers: &[u8]) -> Option<KeyRing> {
        let right = match numbers {
            [_] => true,
            [one, other] => one != other,
            [] | [_, _, _, ..] => false,
        };
        let keys: Vec<(u8, [u8; 32])> = numbers.iter().map(|number| (*number, [*number; 32])).collect();
        right.then(|| KeyRing::new("substitute", &keys))
    }

    /// Appends the tag of the key whose id `datagram` carries; false if it is too short to carry
    /// one, or the ring has no such key.
    pub fn seal_again(&self, datagram: &mut Vec<u8>) -> bool {
        let number = datagram.get(PREFIX_SIZE - 1);
        let Some(key) = self.keys.iter().find(|key| Some(&key.id) == number) else { return false };
        let mut mac = key.state.clone();
        mac.update(datagram);
        datagram.extend_from_slice(&mac.finalize().into_bytes());
        true
    }

    /// The same ring with a rule broken on purpose; no rule in what ships.
    #[must_use]
    pub fn mutated(self, mutants: Mutants) -> KeyRing {
        KeyRing { mutants, ..self }
    }

    /// Empties `buffer` and writes the prefix. The caller appends the body, then calls
    /// [`KeyRing::seal`].
    pub fn begin(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&MAGIC);
        buffer.push(VERSION);
        buffer.push(self.keys[0].id);
    }

    /// Appends the tag over everything in `buffer`, which [`KeyRing::begin`] has begun.
    pub fn seal(&self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.len() >= PREFIX_SIZE && buffer.len() + TAG_SIZE <= MAX_DATAGRAM);
        let mut mac = self.keys[0].state.clone();
        mac.update(buffer);
        buffer.extend_from_slice(&mac.finalize().into_bytes());
    }

    /// Checks length, magic, version, key id and then, in constant time, the tag. Returns the body.
    ///
    /// # Errors
    /// The reason to drop the datagram: one of `TooShort`, `TooLong`, `Magic`, `Version`, `KeyId`,
    /// `Tag`, `Release`.
    pub fn open<'a>(&self, datagram: &'a [u8]) -> Result<&'a [u8], Reject> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Reject::TooLong);
        }
        let Some((sealed, tag)) = datagram.split_last_chunk::<TAG_SIZE>() else {
            return Err(Reject::TooShort);
        };
        let Some((prefix, body)) = sealed.split_first_chunk::<PREFIX_SIZE>() else {
            return Err(Reject::TooShort);
        };
        let [magic_high, magic_low, version, key_id] = *prefix;
        if [magic_high, magic_low] != MAGIC {
            return Err(Reject::Magic);
        }
        // What follows the prefix may be laid out in another way there, but not the tag: it tells
        // another release from anybody else.
        let known = version == VERSION;
        let key = self.keys.iter().find(|key| key.id == key_id);
        let key = key.ok_or(if known { Reject::KeyId } else { Reject::Version })?;
        let mut mac = key.state.clone();
        mac.update(sealed);
        match (mac.verify_slice(tag), known) {
            (Ok(()), true) => Ok(body),
            (Ok(()), false) => Err(Reject::Release),
            (Err(_), false) => Err(Reject::Version),
            (Err(_), true) if super::rules::checks_tags(self.mutants) => Err(Reject::Tag),
            (Err(_), true) => Ok(body),
        }
    }
}

impl Key {
    fn derive(cluster: &str, id: u8, key: &[u8; 32]) -> Key {
        let mut bind = keyed(key);
        bind.update(b"vipair 1");
        bind.update(cluster.as_bytes());
        let derived: [u8; 32] = bind.finalize().into_bytes().into();
        Key { id, state: keyed(&derived) }
    }
}

fn keyed(key: &[u8; 32]) -> HmacSha256 {
    // HMAC takes keys of every length, so a 32-byte key cannot fail.
    <HmacSha256 as KeyInit>::new_from_slice(key).expect("invariant: HMAC accepts a 32-byte key")
}
