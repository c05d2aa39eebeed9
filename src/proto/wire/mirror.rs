//! The mirror: the stream over TCP that tells the standby of the active's connections. Both ends
//! prove that they have the cluster's key; then frames tell which connections came and went.
//!
//! Owns: bytes ↔ values of the greeting, the introduction, the confirmation and the frames, and
//! their tags. Never does: sockets, clocks, random numbers (challenges are given). A frame whose
//! tag or content is wrong ends the TCP connection; nothing of it has an effect.
//!
//! The listener greets with a challenge; the caller introduces itself with a challenge of its own
//! and a tag over both; the listener confirms with a tag over all of it. From both challenges comes
//! a key that no other TCP connection has, and every frame's tag covers its direction and its
//! number: so a recording of another connection, or of another place in this one, is worthless. The
//! keys are HMAC-SHA256(*K*, "vipair mirror 1" ‖ cluster): no tag of a pulse is a tag of these.
//! What is said is not secret: the clients' segment shows all of it.

use crate::types::NodeId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

mod frame;
#[cfg(test)]
mod tests;

pub use frame::{Frame, MAX_BODY, MAX_CONNECTIONS, Session};

/// The TCP port.
pub const PORT: u16 = 7812;
/// The first two bytes of greeting and introduction.
pub const MAGIC: [u8; 2] = [0x76, 0xAA];
/// The version of greeting, introduction and frames.
pub const VERSION: u8 = 1;
/// Bytes of a challenge.
pub const CHALLENGE_SIZE: usize = 32;
/// Bytes of a tag: the whole HMAC-SHA256 output.
pub const TAG_SIZE: usize = 32;
/// Bytes of a greeting.
pub const GREETING_SIZE: usize = 4 + CHALLENGE_SIZE;
/// Bytes of an introduction: all that is read of a caller who has not proven anything.
pub const INTRODUCTION_SIZE: usize = 12 + CHALLENGE_SIZE + TAG_SIZE;

type HmacSha256 = Hmac<Sha256>;

/// One TCP connection of a service address, IPv4 addresses in their IPv6 form (RFC 4291 section
/// 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Connection {
    /// The service address.
    pub local: Ipv6Addr,
    /// The client's address.
    pub remote: Ipv6Addr,
    /// The service's port.
    pub local_port: u16,
    /// The client's port.
    pub remote_port: u16,
}

impl Connection {
    /// A connection between these ends.
    #[must_use]
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Connection {
        let (local_port, remote_port) = (local.port(), remote.port());
        Connection { local: wide(local.ip()), remote: wide(remote.ip()), local_port, remote_port }
    }

    /// Both addresses of a connection over IPv4; `None` for IPv6.
    #[must_use]
    pub fn v4(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        Some((self.local.to_ipv4_mapped()?, self.remote.to_ipv4_mapped()?))
    }
}

/// An address in its IPv6 form, 16 bytes.
#[must_use]
pub fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The reason to end a TCP connection of the mirror.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Not the mirror's protocol at all.
    #[error("it does not speak this protocol")]
    Magic,
    /// Another version of the mirror's protocol.
    #[error("it speaks another version")]
    Version,
    /// A key that this node does not have.
    #[error("it has another key")]
    KeyId,
    /// From another cluster, for another node, or from a sender that is no peer.
    #[error("it is not meant for this node")]
    Addressee,
    /// Forged, damaged, replayed, or another key.
    #[error("its proof is wrong")]
    Tag,
    /// Authentic, but outside the layout of this version.
    #[error("it is not understood")]
    Malformed,
}

/// A key of the mirror, derived from one of the cluster's.
#[derive(Clone)]
struct Key {
    id: u8,
    state: HmacSha256,
}

/// The mirror's keys of one cluster. The first introduces, all of them admit.
#[derive(Clone)]
pub struct MirrorKeys {
    keys: Vec<Key>,
    cluster: u32,
}

impl fmt::Debug for MirrorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u8> = self.keys.iter().map(|key| key.id).collect();
        f.debug_struct("MirrorKeys").field("key_ids", &ids).finish_non_exhaustive()
    }
}

/// The bytes of a greeting.
pub type Greeting = [u8; GREETING_SIZE];
/// The bytes of an introduction.
pub type Introduction = [u8; INTRODUCTION_SIZE];

/// The greeting of a listener, with its challenge: the first bytes on the TCP connection.
#[must_use]
pub fn greeting(challenge: [u8; CHALLENGE_SIZE]) -> Greeting {
    let mut bytes = [0; GREETING_SIZE];
    bytes[..4].copy_from_slice(&[MAGIC[0], MAGIC[1], VERSION, 0]);
    bytes[4..].copy_from_slice(&challenge);
    bytes
}

impl MirrorKeys {
    /// Derives the mirror's keys from those of the key file, the one that introduces first.
    /// `cluster`: name and number of the cluster.
    #[must_use]
    pub fn new((name, cluster): (&str, u32), keys: &[(u8, [u8; 32])]) -> MirrorKeys {
        let derive = |(id, key): &(u8, [u8; 32])| {
            let derived = tag(&keyed(key), &[b"vipair mirror 1", name.as_bytes()]);
            Key { id: *id, state: keyed(&derived) }
        };
        MirrorKeys { keys: keys.iter().map(derive).collect(), cluster }
    }

    /// The answer of a caller to a greeting, and what it needs to believe the confirmation. `None`
    /// if there is no key, which the configuration never yields.
    ///
    /// # Errors
    /// [`Refusal::Magic`] and [`Refusal::Version`]: the other end is no listener of ours.
    pub fn introduce(
        &self,
        greeting: &Greeting,
        (me, peer): (NodeId, NodeId),
        challenge: [u8; CHALLENGE_SIZE],
    ) -> Result<(Introduction, Expected), Refusal> {
        check_version(greeting)?;
        let key = self.keys.first().ok_or(Refusal::KeyId)?;
        let mut bytes = [0; INTRODUCTION_SIZE];
        bytes[..4].copy_from_slice(&[MAGIC[0], MAGIC[1], VERSION, key.id]);
        bytes[4..8].copy_from_slice(&self.cluster.to_be_bytes());
        bytes[8..12].copy_from_slice(&[me.0, peer.0, 0, 0]);
        bytes[12..12 + CHALLENGE_SIZE].copy_from_slice(&challenge);
        let proof = tag(&key.state, &[b"caller", greeting, &bytes[..INTRODUCTION_SIZE - TAG_SIZE]]);
        bytes[INTRODUCTION_SIZE - TAG_SIZE..].copy_from_slice(&proof);
        let confirmation = tag(&key.state, &[b"listener", greeting, &bytes]);
        let session = Session::new(&tag(&key.state, &[b"session", greeting, &bytes]), true);
        Ok((bytes, Expected { confirmation, session }))
    }

    /// Admits a caller by its introduction. Returns the caller's number, the confirmation to send,
    /// and the session.
    ///
    /// # Errors
    /// The reason to end the TCP connection.
    pub fn admit(
        &self,
        greeting: &Greeting,
        introduction: &Introduction,
        me: NodeId,
    ) -> Result<(NodeId, [u8; TAG_SIZE], Session), Refusal> {
        check_version(introduction)?;
        let key = self.keys.iter().find(|key| key.id == introduction[3]).ok_or(Refusal::KeyId)?;
        let (said, proof) = introduction.split_at(INTRODUCTION_SIZE - TAG_SIZE);
        let mut mac = key.state.clone();
        [b"caller".as_slice(), greeting, said].iter().for_each(|part| mac.update(part));
        mac.verify_slice(proof).map_err(|_| Refusal::Tag)?;
        let [from, to] = [introduction[8], introduction[9]].map(NodeId);
        if introduction[4..8] != self.cluster.to_be_bytes() || to != me || from == me || from.is_witness() {
            return Err(Refusal::Addressee);
        }
        let confirmation = tag(&key.state, &[b"listener", greeting, introduction]);
        let session = Session::new(&tag(&key.state, &[b"session", greeting, introduction]), false);
        Ok((from, confirmation, session))
    }
}

/// The confirmation that a caller waits for.
pub struct Expected {
    confirmation: [u8; TAG_SIZE],
    session: Session,
}

impl Expected {
    /// The session, if the listener has proven that it has the key.
    ///
    /// # Errors
    /// [`Refusal::Tag`] if not.
    pub fn confirm(self, confirmation: &[u8; TAG_SIZE]) -> Result<Session, Refusal> {
        // In constant time: whoever answers must not find the bytes one by one.
        let different = self.confirmation.iter().zip(confirmation).fold(0, |all, (one, other)| all | (one ^ other));
        if different == 0 { Ok(self.session) } else { Err(Refusal::Tag) }
    }
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expected").finish_non_exhaustive()
    }
}

/// Checks that a greeting or an introduction has our magic and version.
fn check_version(bytes: &[u8]) -> Result<(), Refusal> {
    match bytes {
        [high, low, version, ..] if [*high, *low] == MAGIC => {
            if *version == VERSION {
                Ok(())
            } else {
                Err(Refusal::Version)
            }
        }
        _ => Err(Refusal::Magic),
    }
}

/// The state of HMAC-SHA256 with this key.
fn keyed(key: &[u8; 32]) -> HmacSha256 {
    <HmacSha256 as KeyInit>::new_from_slice(key).expect("invariant: HMAC accepts a 32-byte key")
}

/// The tag over `parts`, one after another.
fn tag(state: &HmacSha256, parts: &[&[u8]]) -> [u8; TAG_SIZE] {
    let mut mac = state.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
