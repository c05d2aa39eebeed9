//! Attacks on both clusters by somebody without the key.

use super::{Cluster, GROUPS, LEASE_US, NODES, Scene};
use crate::fuzz::input::Input;
use crate::voter::talker::{Home, Talker};
use crate::wire::auth::{MAGIC, MAX_DATAGRAM, VERSION};
use vipair_host::testing::{Usage, measured};

impl Scene {
    /// Sends the cluster at `place` what somebody without its key can send: noise, forgeries,
    /// recordings whole, damaged or readdressed, and datagrams under the other cluster's seal.
    pub(super) fn attack(&mut self, place: usize, node: usize, input: &mut Input<'_>) {
        let (how, number) = (input.byte(), input.below(MAX_DATAGRAM + 100));
        let cluster = &mut self.clusters[place];
        let recording = cluster.recorded.get(number % cluster.recorded.len().max(1)).cloned().unwrap_or_default();
        let other = self.clusters[1 - place].home.clone();
        let cluster = &mut self.clusters[place];
        let mut hostile = match how % 6 {
            0 => input.take(number).to_vec(),
            1 => [&[MAGIC[0], MAGIC[1], VERSION, 1], input.take(number)].concat(),
            2 => recording.clone(),
            3 => damaged(recording, number * 256 + usize::from(input.byte())),
            // A datagram for this cluster, sealed with the other's key.
            4 => Talker::new(&Home { cluster: cluster.home.cluster, ..other }, NODES[node], 77, GROUPS[0], LEASE_US)
                .pulse(self.now),
            // A datagram sealed with this cluster's key, for the other.
            _ => recording,
        };
        if how % 6 == 5 && hostile.len() > 12 {
            hostile[8..12].copy_from_slice(&other_number(cluster.home.cluster));
        }
        let whole = cluster.recorded.contains(&hostile);
        self.besiege(place, &hostile, whole);
    }

    /// Checks that a hostile datagram changes no promise and nothing in memory. A recording of a
    /// whole datagram (`whole`) may be answered; anything else changes only counters and costs no
    /// memory.
    fn besiege(&mut self, place: usize, hostile: &[u8], whole: bool) {
        let now = self.now;
        // First the voters note whatever is due by now.
        for cluster in &mut self.clusters {
            self.out.clear();
            cluster.voter.handle(now, &[], &mut self.out);
            cluster.follow(&self.out);
        }
        let state_of = |cluster: &Cluster| (cluster.voter.promises(now).collect::<Vec<_>>(), cluster.voter.memory());
        let before: Vec<_> = self.clusters.iter().map(state_of).collect();
        if whole {
            self.give(place, hostile);
        } else {
            let states: Vec<String> = self.clusters.iter().map(|cluster| cluster.voter.view_state()).collect();
            for (cluster, state) in self.clusters.iter_mut().zip(states) {
                self.out.clear();
                let ((), usage) = measured(|| cluster.voter.handle(now, hostile, &mut self.out));
                assert_eq!(usage, Usage::default(), "what nobody sealed costs no memory");
                assert!(self.out.answers.is_empty(), "what nobody sealed is answered");
                assert!(self.out.persist.is_none() && self.out.notices.is_empty());
                assert!(cluster.voter.view_state() == state, "only counters have changed");
            }
        }
        let after: Vec<_> = self.clusters.iter().map(state_of).collect();
        assert_eq!(before, after, "promises and memory are as before");
    }
}

/// `bytes` with one bit flipped.
fn damaged(mut bytes: Vec<u8>, bit: usize) -> Vec<u8> {
    if !bytes.is_empty() {
        let position = bit % (bytes.len() * 8);
        bytes[position / 8] ^= 1 << (position % 8);
    }
    bytes
}

/// The number of the other cluster, as a datagram has it.
fn other_number(cluster: u32) -> [u8; 4] {
    (15 - cluster).to_be_bytes()
}
