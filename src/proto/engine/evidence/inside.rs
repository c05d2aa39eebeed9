//! Machines inside this server that share a clients' segment: virtual machines on ports of a bridge.
//!
//! They are heard whatever has become of the cable, so all is as if they were not there: what they
//! say is no life on the segment, they are not asked, and a segment where nobody else is known is one
//! where nobody is known. A claim of theirs for a service address counts as anybody's.
//!
//! Owns: who is inside. Never does: find out who is; the host tells. It tells a moment after a machine
//! was first heard at worst, and what was made of that machine until then is taken back.

use super::Evidence;
use super::segment::{Neighbour, Segment};
use crate::types::{InterfaceId, MacAddr, MonoTime};
use std::time::Duration;

/// The host tells of a machine inside this server well within this time of its first frame. Whoever
/// was a neighbour for longer was outside.
const TOLD: Duration = Duration::from_secs(2);

impl Segment {
    /// True if a hardware address is that of a machine inside this server. The gateway is where
    /// clients come from, wherever it is.
    pub fn is_inside(&self, mac: MacAddr) -> bool {
        let gateway = self.gateway.is_some_and(|(_, gateway)| gateway == Some(mac));
        !gateway && self.inside.binary_search(&mac).is_ok()
    }
}

impl Evidence {
    /// Notes who is inside this server on a segment, and forgets what they were taken for.
    ///
    /// While a peer is asked, a neighbour of long standing stays one, and is silent from now on. If
    /// the last neighbour went, a segment on which nobody answers would count as one where nobody is
    /// known.
    pub fn note_inside(&mut self, interface: InterfaceId, macs: &[MacAddr], now: MonoTime) {
        let asking = self.is_watching();
        let segment = &mut self[interface];
        let mut inside = macs.to_vec();
        inside.sort_unstable();
        let before = std::mem::replace(&mut segment.inside, inside);
        let neighbours = std::mem::take(&mut segment.neighbours);
        let stood = |known: &Neighbour| asking && now.since(known.since) >= TOLD;
        let stays = |known: &Neighbour| !segment.is_inside(known.mac) || stood(known);
        segment.neighbours = neighbours.into_iter().filter(stays).collect();
        // It may have been one of them who was heard last.
        if macs.iter().any(|mac| before.binary_search(mac).is_err()) {
            segment.traffic = None;
            segment.nameless = segment.nameless.filter(|seen| now.since(*seen) >= TOLD);
        }
    }
}
