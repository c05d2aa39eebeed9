//! The group table as the gate needs it: checked, and keyed by address.
//!
//! Owns: nothing; pure. Never does: touch the kernel. A table that cannot be gated is an error.

use std::collections::{HashMap, HashSet};

use super::error::GateError;
use crate::types::{GroupKey, Vip};

/// Group of each address.
///
/// # Errors
/// [`GateError::Groups`] for a key used twice, key 0, an address in two groups, or an address that
/// no host can own.
pub(super) fn desired(groups: &[(GroupKey, Vec<Vip>)]) -> Result<HashMap<Vip, GroupKey>, GateError> {
    let mut keys = HashSet::new();
    let mut table = HashMap::new();
    for (key, addresses) in groups {
        if key.0 == 0 || !keys.insert(*key) {
            return Err(GateError::Groups(format!("key {:#018x} is zero or used twice", key.0)));
        }
        for address in addresses {
            // 0.0.0.0 and :: are the senders of probes: guarding them would blind the standby.
            if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
                return Err(GateError::Groups(format!("{address} cannot be shared")));
            }
            if table.insert(*address, *key).is_some_and(|other| other != *key) {
                return Err(GateError::Groups(format!("{address} belongs to two groups")));
            }
        }
    }
    Ok(table)
}

/// Numbers of distinct IPv4 and of distinct IPv6 addresses.
pub(super) fn count<'a>(addresses: impl Iterator<Item = &'a Vip>) -> (usize, usize) {
    let distinct: HashSet<&Vip> = addresses.collect();
    let four = distinct.iter().filter(|address| address.is_ipv4()).count();
    (four, distinct.len() - four)
}
