//! What a former life of this agent may have left open, and what a later life must know of this one.
//!
//! A process that was killed leaves a gate behind that answers until its lease is over. Until the gate is found, or that
//! time has passed, this node is *blind*: it consents to nothing, says no goodbye, and does not call its table whole, because
//! a peer must not conclude from a missing row that our kernel's gate is closed.
//! How long that is, the former life has written down: its file may have given it a longer lease than ours does. So
//! that this is always true, no gate is renewed for longer than the disk knows.
//! The same number says how long a later life votes for nobody, for it has forgotten what this one promised: so nothing
//! is promised for a lease that is longer than ours before the disk knows of it.

use crate::engine::peer::micros;
use crate::engine::setup::Setup;
use crate::rules::vote::abstention;
use crate::timing::Timing;
use crate::types::MonoTime;
use std::time::Duration;

/// Leases of this node that may run, other than by the present configuration.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Former {
    /// Some gate of a former life was not found yet.
    pub blind: bool,
    /// When a gate that was not found is closed in any case.
    pub blind_until: MonoTime,
    /// The longest lease of a former life, or of the configuration before this one.
    pub longest: Duration,
    /// When the last of those leases is over, and with witnesses whatever that life promised.
    pub until: MonoTime,
    /// The longest lease that the disk knows of, whichever state a later life finds there.
    pub durable: Duration,
    /// The lease in the newest state on its way to the disk.
    pub sent: Duration,
    /// The longest lease that another node has stated to this life: what it asks votes for is promised for as long.
    pub stated: Duration,
    /// The longest lease that a later life finds on the disk in any case.
    pub written: Duration,
}

impl Former {
    pub fn new(setup: &Setup, now: MonoTime) -> Former {
        let (known, timing) = (setup.loaded.lease(), &setup.timing);
        let longest = known.unwrap_or_default();
        // What it promised to others lasts longer than what others promised to it.
        let promised = abstention(micros(longest), timing.drift_ppm);
        let over = if setup.votes.is_some() { promised } else { longest };
        Former {
            blind: true,
            blind_until: now + timing.listen.max(longest),
            longest,
            until: now + over,
            // Where nothing is known there is nothing to keep to; before the first opening something is written.
            durable: known.unwrap_or(Duration::MAX),
            sent: Duration::ZERO,
            stated: Duration::ZERO,
            written: longest,
        }
    }

    /// When blindness ends if nothing is found.
    pub fn blind_deadline(&self) -> MonoTime {
        if self.blind { self.blind_until } else { MonoTime::FOREVER }
    }

    /// The longest lease under which a gate may be open now or until the next change: what the disk must know.
    pub fn to_be_durable(&self, timing: &Timing, now: MonoTime) -> Duration {
        let lease = timing.lease.max(self.stated);
        if now < self.until { lease.max(self.longest) } else { lease }
    }

    /// Notes that the configuration has another lease: gates renewed with the one `before` run as long as they were told to.
    pub fn change_lease(&mut self, before: Duration, now: MonoTime) {
        let running = before.min(self.durable);
        self.longest = if now < self.until { self.longest.max(running) } else { running };
        self.until = self.until.max(now + running);
    }

    /// True if the disk has to learn of a longer lease.
    pub fn wants_durable(&self, timing: &Timing) -> bool {
        self.durable < timing.lease
    }

    /// True if a later life of this node abstains for long enough, should it forget what is promised for a lease.
    pub fn is_lease_known(&self, lease: Duration, timing: &Timing) -> bool {
        lease <= timing.lease || lease <= self.written
    }

    /// Notes the lease for which another node asks votes. Returns whether the disk knows it, without which nothing is promised
    /// for it, and whether it has to be sent there.
    pub fn note_stated(&mut self, lease: Duration, timing: &Timing) -> (bool, bool) {
        self.stated = self.stated.max(lease);
        let known = self.is_lease_known(lease, timing);
        (known, !known && self.sent < lease)
    }

    /// Notes that a state goes to the disk; until it is there, a later life may find it or the one before.
    pub fn note_sent(&mut self, timing: &Timing, now: MonoTime) {
        self.sent = self.to_be_durable(timing, now);
        self.durable = self.durable.min(self.sent);
        self.written = self.written.min(self.sent);
    }

    /// Notes that the newest state is on the disk.
    pub fn note_durable(&mut self) {
        self.durable = self.sent;
        self.written = self.sent;
    }
}
