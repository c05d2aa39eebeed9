//! What a header says of its sender's configuration.

use super::Digests;

/// The parts of a header that describe its sender's configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct PeerConfig {
    /// Its pulse in µs.
    pub pulse_us: u32,
    /// Its silence bound in µs.
    pub silence_us: u32,
    /// Its lease in µs.
    pub lease_us: u32,
    /// Digests of its nodes and groups.
    pub digests: Digests,
}
