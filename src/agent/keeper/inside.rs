//! Machines inside this server: who is behind the ports of a bridge that do not lead out.
//!
//! Owns: which hardware address is behind which of these ports, of one bridge. Never does: ask the
//! kernel; its caller does. A bridge forgets who was silent for some minutes; this does not, as long as the
//! port is there and nobody with that address is met outside. At the bound newcomers are left out,
//! and what they say counts as that of a machine outside, as it did before anybody knew.

use crate::io::netlink::BridgeEntry;
use crate::types::MacAddr;
use std::collections::BTreeMap;

/// Most machines that are told: as many as this server may have hardware addresses of its own.
const MOST: usize = 256;

/// The machines behind a bridge's ports.
#[derive(Debug, Default)]
pub(super) struct Inside {
    /// The port of each machine, by its number.
    ports: BTreeMap<MacAddr, u32>,
    /// Whether somebody was left out since the last reading.
    full: bool,
}

impl Inside {
    /// Takes in the bridge's whole table. `is_inner`: whether a port does not lead out. A machine that
    /// is met on both sides, as one with several VLANs may be, is outside.
    pub(super) fn read(&mut self, entries: &[BridgeEntry], is_inner: impl Fn(u32) -> bool) {
        let former = std::mem::take(&mut self.ports);
        self.full = false;
        for entry in entries.iter().filter(|entry| is_inner(entry.port)) {
            self.add(entry.mac, entry.port);
        }
        former.into_iter().filter(|(_, port)| is_inner(*port)).for_each(|(mac, port)| self.add(mac, port));
        for entry in entries.iter().filter(|entry| !is_inner(entry.port)) {
            self.ports.remove(&entry.mac);
        }
    }

    /// Takes in what the bridge has learned. `inner`: whether the port does not lead out.
    pub(super) fn learn(&mut self, entry: BridgeEntry, inner: bool) {
        if inner {
            self.add(entry.mac, entry.port);
        } else {
            self.ports.remove(&entry.mac);
        }
    }

    /// Forgets whoever is behind none of the inner ports.
    pub(super) fn retain(&mut self, is_inner: impl Fn(u32) -> bool) {
        self.ports.retain(|_, port| is_inner(*port));
    }

    /// Whether somebody was left out: another reading may make room.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The hardware addresses, in order.
    pub(super) fn macs(&self) -> impl Iterator<Item = MacAddr> + '_ {
        self.ports.keys().copied()
    }

    /// Adds a machine, if there is room or it is known.
    fn add(&mut self, mac: MacAddr, port: u32) {
        if self.ports.len() < MOST || self.ports.contains_key(&mac) {
            self.ports.insert(mac, port);
        } else {
            self.full = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The port of a virtual machine, and the one that leads out.
    const INNER: u32 = 4;
    const OUTER: u32 = 3;

    fn mac(number: usize) -> MacAddr {
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        MacAddr([2, 0, 0, 0, high, low])
    }

    fn entry(number: usize, port: u32) -> BridgeEntry {
        BridgeEntry { bridge: 2, port, mac: mac(number) }
    }

    fn macs(inside: &Inside) -> Vec<MacAddr> {
        inside.macs().collect()
    }

    // S8: a machine that is silent for longer than a bridge remembers is still inside
    #[test]
    fn a_machine_stays_inside_until_it_is_met_outside_or_its_port_is_gone() {
        let mut inside = Inside::default();
        inside.read(&[entry(1, INNER), entry(2, OUTER), entry(3, INNER)], |port| port == INNER);
        assert_eq!(macs(&inside), [mac(1), mac(3)]);
        inside.read(&[], |port| port == INNER);
        assert_eq!(macs(&inside), [mac(1), mac(3)], "the bridge has forgotten them");
        inside.learn(entry(1, OUTER), false);
        assert_eq!(macs(&inside), [mac(3)], "moved to another server");
        inside.learn(entry(1, INNER), true);
        assert_eq!(macs(&inside), [mac(1), mac(3)], "and back");
        inside.retain(|_| false);
        assert_eq!(macs(&inside), []);
    }

    #[test]
    fn a_machine_that_is_met_on_both_sides_is_outside() {
        let mut inside = Inside::default();
        for entries in [[entry(1, INNER), entry(1, OUTER)], [entry(1, OUTER), entry(1, INNER)]] {
            inside.read(&entries, |port| port == INNER);
            assert_eq!(macs(&inside), []);
        }
    }

    // S6: whoever invents hardware addresses inside this server fills a table of fixed size
    #[test]
    fn there_is_room_for_so_many_and_those_that_the_bridge_knows_come_first() {
        let mut inside = Inside::default();
        (0..MOST + 10).for_each(|number| inside.learn(entry(number, INNER), true));
        assert_eq!((macs(&inside).len(), inside.is_full()), (MOST, true));
        assert!(!macs(&inside).contains(&mac(MOST + 5)));
        inside.read(&[entry(MOST + 5, INNER)], |port| port == INNER);
        assert!(macs(&inside).contains(&mac(MOST + 5)), "some of those before are silent");
        assert_eq!(macs(&inside).len(), MOST);
    }
}
