//! What a former life of this agent may have left open, and what a later life must know of this
//! one.
//!
//! A process that was killed leaves a gate behind that answers until its lease is over. Until the
//! gate is found, or that time has passed, this node is *blind*: it consents to nothing, says no
//! goodbye, and does not call its table whole, because a peer must not conclude from a missing row
//! that our kernel's gate is closed.
//!
//! The disk names the longest lease of a life, because the configuration of that life may have had
//! a longer one than ours. A later life relies on that number twice:
//! - It waits so long for a gate that was left open. Therefore no gate is renewed with a longer
//!   lease than the disk names.
//! - It votes for nobody for so long (stretched for clock drift), because it has forgotten what
//!   this life promised. Therefore nothing is promised for a lease longer than ours before the disk
//!   names that lease.

use crate::engine::peer::micros;
use crate::engine::setup::Setup;
use crate::rules::vote::abstention;
use crate::timing::Timing;
use crate::types::MonoTime;
use std::time::Duration;

/// Leases of this node that may still run although the present configuration has another one, and
/// what the disk names of them.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Former {
    /// Whether a gate of a former life may be open that was not found yet.
    pub blind: bool,
    /// Instant from which a gate that was not found is closed in any case.
    pub blind_until: MonoTime,
    /// The longest lease of a former life, or of the configuration before this one.
    pub longest: Duration,
    /// End of the last lease of length `longest`; with witnesses, also of every promise of that
    /// life.
    pub until: MonoTime,
    /// Longest lease that the disk surely names, whether a later life finds the newest state there
    /// or the one before. Caps the lease that we renew gates with. [`Duration::MAX`], no limit,
    /// while nothing is known of the disk.
    pub durable: Duration,
    /// The lease in the newest state that was sent to the disk; zero before the first one of this
    /// life. `durable` and `written` become this when the disk has answered.
    pub sent: Duration,
    /// Longest lease for which another node has asked this life for votes: the next state that is
    /// sent names it, if it is longer than ours.
    pub stated: Duration,
    /// The same as `durable`, but zero while nothing is known of the disk. Caps the lease that we
    /// promise votes for, if that is longer than ours.
    pub written: Duration,
}

impl Former {
    /// What a life that begins at `now` assumes, by the lease that the state on disk names.
    pub fn new(setup: &Setup, now: MonoTime) -> Former {
        let (known, timing) = (setup.loaded.lease(), &setup.timing);
        let longest = known.unwrap_or_default();
        // The former life's promises to others last longer than its own gate: they are stretched
        // for clock drift.
        let promised = abstention(micros(longest), timing.drift_ppm);
        let over = if setup.votes.is_some() { promised } else { longest };
        Former {
            blind: true,
            blind_until: now + timing.listen.max(longest),
            longest,
            until: now + over,
            // No state names a lease, so none caps ours; one is written before the first opening.
            durable: known.unwrap_or(Duration::MAX),
            sent: Duration::ZERO,
            stated: Duration::ZERO,
            written: longest,
        }
    }

    /// When blindness ends if no gate is found; FOREVER if this node is not blind.
    pub fn blind_deadline(&self) -> MonoTime {
        if self.blind { self.blind_until } else { MonoTime::FOREVER }
    }

    /// The lease that a state sent to the disk now has to name: the longest under which a gate of
    /// ours may be open, or a vote promised, until the next state is sent.
    pub fn lease_for_disk(&self, timing: &Timing, now: MonoTime) -> Duration {
        let lease = timing.lease.max(self.stated);
        if now < self.until { lease.max(self.longest) } else { lease }
    }

    /// Notes that the configuration has another lease. A gate that was renewed with the lease
    /// `before` may be open until that lease is over.
    pub fn change_lease(&mut self, before: Duration, now: MonoTime) {
        let running = before.min(self.durable);
        self.longest = if now < self.until { self.longest.max(running) } else { running };
        self.until = self.until.max(now + running);
    }

    /// True if a state must be sent to the disk because the one there names a shorter lease than
    /// ours.
    pub fn wants_durable(&self, timing: &Timing) -> bool {
        self.durable < timing.lease
    }

    /// True if a promise for this lease may be given: a later life of this node, which knows
    /// nothing of the promise, abstains for at least as long.
    pub fn is_lease_known(&self, lease: Duration, timing: &Timing) -> bool {
        lease <= timing.lease || lease <= self.written
    }

    /// Notes the lease for which another node asks votes. Returns two flags: whether a promise for
    /// it may be given (see [`Former::is_lease_known`]), and whether a state that names it must be
    /// sent to the disk.
    pub fn note_stated(&mut self, lease: Duration, timing: &Timing) -> (bool, bool) {
        self.stated = self.stated.max(lease);
        let known = self.is_lease_known(lease, timing);
        (known, !known && self.sent < lease)
    }

    /// Notes that a state goes to the disk. Until the disk answers, a later life may find it or the
    /// one before, so the shorter lease of the two counts.
    pub fn note_sent(&mut self, timing: &Timing, now: MonoTime) {
        self.sent = self.lease_for_disk(timing, now);
        self.durable = self.durable.min(self.sent);
        self.written = self.written.min(self.sent);
    }

    /// Notes that the newest state is on the disk.
    pub fn note_durable(&mut self) {
        self.durable = self.sent;
        self.written = self.sent;
    }
}
