//! What a former life of this agent may have left open, and what a later life must know of this one.
//!
//! A process that was killed leaves a gate behind that answers until its lease is over. Until the gate is found, or that
//! time has passed, this node is *blind*: it consents to nothing, says no goodbye, and does not call its table whole, for
//! nobody may take that it does not have a group for word that its kernel does not answer for it.
//! How long that is, the former life has written down: its file may have given it a longer lease than ours does. So
//! that this is always true, no gate is renewed for longer than the disk knows.
//! The same number says how long a later life votes for nobody, for it has forgotten what this one promised: so nothing
//! is promised for a lease that is longer than ours before the disk knows of it.

use super::send::micros;
use super::{Engine, Setup};
use crate::mutant::Mutant;
use crate::rules::vote::abstention;
use crate::types::{InterfaceId, MonoTime};
use std::time::Duration;

/// Leases of this node that may run, other than by the present configuration.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Leases {
    /// Some gate of a former life was not found yet.
    pub(super) blind: bool,
    /// When a gate that was not found is closed in any case.
    pub(super) blind_until: MonoTime,
    /// The longest lease of a former life, or of the configuration before …
    pub(super) former: Duration,
    /// … and when the last of them is over, and with witnesses whatever that life promised.
    pub(super) former_until: MonoTime,
    /// The longest that the disk knows of, whichever state a later life finds there.
    pub(super) durable: Duration,
    /// What the newest state on its way to the disk says.
    pub(super) sent: Duration,
    /// The longest lease that another node has stated to this life: what it asks votes for is promised for as long.
    pub(super) stated: Duration,
    /// The longest that a later life finds on the disk in any case.
    pub(super) written: Duration,
}

impl Leases {
    pub fn new(setup: &Setup, now: MonoTime) -> Leases {
        let (known, timing) = (setup.loaded.lease(), &setup.timing);
        let former = known.unwrap_or_default();
        // What it promised to others lasts longer than what others promised to it.
        let promised = abstention(micros(former), timing.drift_ppm);
        let over = if setup.votes.is_some() { promised } else { former };
        Leases {
            blind: true,
            blind_until: now + timing.listen.max(former),
            former,
            former_until: now + over,
            // Where nothing is known there is nothing to keep to; before the first opening something is written.
            durable: known.unwrap_or(Duration::MAX),
            sent: Duration::ZERO,
            stated: Duration::ZERO,
            written: former,
        }
    }
}

impl Engine {
    /// True while a gate of a former life may be open on an interface.
    pub(super) fn is_blind(&self, interface: InterfaceId, now: MonoTime) -> bool {
        let found = self.interfaces[usize::from(interface.0)].generation != 0;
        self.leases.blind && !found && now < self.leases.blind_until && !self.is_mutant(Mutant::BlindStartConsents)
    }

    /// Notes when every gate of a former life is found or closed: from then on the table that was told is whole.
    pub(super) fn end_blindness(&mut self, now: MonoTime) {
        let blind = |at| self.is_blind(super::watch::interface_id(at), now);
        if self.leases.blind && !(0..self.interfaces.len()).any(blind) {
            self.leases.blind = false;
            self.table += 1;
            self.dirty = true;
        }
    }

    /// When blindness ends if nothing is found.
    pub(super) fn blind_deadline(&self) -> MonoTime {
        if self.leases.blind { self.leases.blind_until } else { MonoTime::FOREVER }
    }

    /// The lease with which gates are renewed.
    pub(super) fn lease(&self) -> Duration {
        self.setup.timing.lease.min(self.leases.durable)
    }

    /// The longest lease under which a gate may be open now or until the next change: what the disk must know.
    pub(super) fn longest_lease(&self) -> Duration {
        let lease = self.setup.timing.lease.max(self.leases.stated);
        if self.last < self.leases.former_until { lease.max(self.leases.former) } else { lease }
    }

    /// Time from one pulse to the next. A lease that has to wait for the disk is renewed as often as three times.
    pub(super) fn pulse_interval(&self) -> Duration {
        let (pulse, lease) = (self.setup.timing.pulse, self.lease());
        if lease < self.setup.timing.lease { pulse.min(lease / 3) } else { pulse }
    }

    /// The configuration has another lease: gates renewed before run as long as they were told to.
    pub(super) fn change_lease(&mut self, before: Duration, now: MonoTime) {
        let running = before.min(self.leases.durable);
        let former = if now < self.leases.former_until { self.leases.former.max(running) } else { running };
        self.leases.former = former;
        self.leases.former_until = self.leases.former_until.max(now + running);
        self.want_lease_durable();
    }

    /// Sees to it that the disk learns of a longer lease.
    pub(super) fn want_lease_durable(&mut self) {
        self.persist_wanted |= self.leases.durable < self.setup.timing.lease;
    }

    /// True if a later life of this node abstains for long enough, should it forget what is promised for a lease.
    pub(super) fn is_lease_known(&self, lease: Duration) -> bool {
        lease <= self.setup.timing.lease || lease <= self.leases.written
    }

    /// Notes the lease for which another node asks votes. While the disk does not know it, nothing is promised for it.
    pub(super) fn note_stated(&mut self, lease: Duration) -> bool {
        self.leases.stated = self.leases.stated.max(lease);
        let known = self.is_lease_known(lease);
        self.persist_wanted |= !known && self.leases.sent < lease;
        known
    }

    /// A state goes to the disk; until it is there, a later life may find it or the one before.
    pub(super) fn note_lease_sent(&mut self) {
        self.leases.sent = self.longest_lease();
        self.leases.durable = self.leases.durable.min(self.leases.sent);
        self.leases.written = self.leases.written.min(self.leases.sent);
    }

    /// The newest state is on the disk.
    pub(super) fn note_lease_durable(&mut self, version: u64) {
        if version >= self.persist_version && self.persist_version > 0 {
            self.leases.durable = self.leases.sent;
            self.leases.written = self.leases.sent;
        }
    }
}
