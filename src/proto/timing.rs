//! Times: every derived time, computed in this one place and shown by `vipair check`.
//!
//! ρ (rho) is the bound on the relative error of clock rates, g the slack for timer granularity.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A named set of times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// 10 ms pulses, 18 ms silence.
    Fast,
    /// 50 ms pulses, 180 ms silence. The default.
    Lan,
    /// 1 s pulses, 3 s silence.
    Wan,
}

impl Profile {
    /// All profiles, fastest first.
    pub const ALL: [Profile; 3] = [Profile::Fast, Profile::Lan, Profile::Wan];

    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Profile::Fast => "fast",
            Profile::Lan => "lan",
            Profile::Wan => "wan",
        }
    }

    /// The profile that has exactly these times, with or without a witness; `None` when some were
    /// overridden.
    #[must_use]
    pub fn matching(timing: &Timing, witness: bool) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.timing(witness) == *timing)
    }

    /// The times of the profile, with or without a witness.
    #[must_use]
    pub fn timing(self, witness: bool) -> Timing {
        if witness { Timing::with_witness(self) } else { Timing::of(self) }
    }
}

/// ρ unless `drift_ppm` says otherwise, in parts per million. 500 ppm is what `adjtimex` can slew
/// at most.
pub const DRIFT_PPM: u64 = 500;
/// Slack for timer granularity and the path from decision to wire.
pub const SLACK: Duration = Duration::from_millis(1);

/// Range of `lease_ms`: a short stall must not close the gate, and a dead agent's server must not
/// answer for long.
pub const LEASE_MS: RangeInclusive<u64> = 50..=60_000;

/// The party whose evidence promotes a standby. A majority of votes is needed in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Promote {
    /// The standby's own evidence: the active is silent on every link, and every promise to it is
    /// over.
    #[default]
    Peer,
    /// The witness's word that the active has failed.
    Witness,
    /// Both.
    Both,
}

impl Promote {
    /// All choices, the default first.
    pub const ALL: [Promote; 3] = [Promote::Peer, Promote::Witness, Promote::Both];

    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Promote::Peer => "peer",
            Promote::Witness => "witness",
            Promote::Both => "both",
        }
    }
}

/// All times that the engine uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// Time between two pulses on every link.
    pub pulse: Duration,
    /// Silence on all links after which a standby promotes (with unanswered probes).
    pub silence: Duration,
    /// Time for which the kernel keeps the gate open without a renewal.
    pub lease: Duration,
    /// Silence after which a standby asks: 1.25 × pulse.
    pub suspicion: Duration,
    /// Time between two queries or probes: pulse / 10, at least 1 ms.
    pub probe: Duration,
    /// Time for which a starting node listens before it may promote without a word from its peer:
    /// lease × (1+ρ)/(1−ρ) + slack, and never less than silence.
    pub listen: Duration,
    /// Longest time for which answered probes alone, without any authenticated word, can delay a
    /// promotion: 10 × lease, at least 2 s.
    pub veto: Duration,
    /// Time for which a node that is not preferred waits for the preferred one before it claims a
    /// free group: 3 × pulse.
    pub election: Duration,
    /// Time for which a voter that has granted votes for nobody else: lease × (1+ρ)/(1−ρ) + slack,
    /// from its receipt of the request. Longer than the granted lease, whichever of the two clocks
    /// is fast.
    pub promise: Duration,
    /// Time for which a voter that has just started votes for nobody: promise × (1+ρ)/(1−ρ) +
    /// slack. Every promise that it made before, and has forgotten, is over then.
    pub abstain: Duration,
    /// ρ in parts per million: no clock's rate differs from true time by more.
    pub drift_ppm: u64,
    /// Waits that no key sets.
    pub patience: Patience,
}

/// Waits that no key sets. They stand here, not beside the code that waits, so that a model can run
/// with other ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Patience {
    /// Time for which a node that has consented claims nothing: 10 × pulse, at least 300 ms and
    /// `listen`. Longer than a lease, because the other node may be stopped between its decision to
    /// open and the store that does it.
    pub hold: Duration,
    /// Time for which a node keeps a group that it has given away for its health three times
    /// lately; each further move doubles it: 4 × `hold`.
    pub unrest: Duration,
    /// The bound of that: 300 s.
    pub unrest_most: Duration,
    /// Time for which an offered group waits to be taken: 10 × pulse, at least 500 ms.
    pub offer: Duration,
    /// Longest time for which answers for the address by an unknown machine can delay a node that
    /// has never heard its peer: 30 s. Longer than the ordinary veto, because at start there is no
    /// earlier word from the peer to count from.
    pub first_veto: Duration,
    /// Longest time for which silent neighbours hold a takeover up (S6): 600 s. A forger of
    /// neighbours that fall silent must not hold it up for ever.
    pub isolation: Duration,
    /// Time for which a standby asks fast; after it, one question per pulse: 2 × lease, at least 5
    /// s. Longer than the lease of a peer whose agent died, because its kernel answers until then.
    pub asking: Duration,
    /// Time between two questions to known neighbours while all is well: 5 s.
    pub anchors: Duration,
    /// Longest time between two questions on a segment that can wait, to a silent peer: 200 ms, at
    /// least one pulse. They begin a pulse apart, and become rarer.
    pub slowest: Duration,
    /// Time that makes up for one frame on a segment: what can wait is asked no more often than once
    /// in it, on the long run. 200 ms: some switches drop more than 15 frames of ARP in a second, or
    /// shut the port.
    pub frame: Duration,
    /// Time for which the segment is used beside the links after a peer did not hear us: 60 s.
    pub deaf: Duration,
    /// Time between two pulses on a segment link that is not needed, so that the path is known to
    /// work: 1 s.
    pub segment: Duration,
    /// Time without anybody heard on a clients' segment after which everybody there is asked, and
    /// for which an active that can reach nobody waits for its peer to find out as much: 1.5 ×
    /// (`segment` + pulse). Between two pulses of a peer there pass `segment` and a pulse.
    pub reach: Duration,
    /// Time between two announcements of an active: 60 s. Switches forget silent addresses after
    /// 300 s.
    pub announcements: Duration,
}

impl Patience {
    /// As `reach`: no segment is ever doubted. For models, which would have to count its rounds.
    pub const UNDOUBTED: Duration = Duration::MAX;
}

impl Timing {
    /// Derives all times from the three that can be configured, with ρ as it is unless configured.
    #[must_use]
    pub fn derive(pulse: Duration, silence: Duration, lease: Duration) -> Timing {
        Timing::derive_with(pulse, silence, lease, DRIFT_PPM)
    }

    /// Derives all times from the four that can be configured. `drift_ppm` is ρ.
    #[must_use]
    pub fn derive_with(pulse: Duration, silence: Duration, lease: Duration, drift_ppm: u64) -> Timing {
        let ms = Duration::from_millis;
        let promise = stretch(lease, drift_ppm);
        let listen = promise.max(silence);
        let hold = (pulse * 10).max(ms(300)).max(listen);
        Timing {
            pulse,
            silence,
            lease,
            suspicion: pulse * 5 / 4,
            probe: (pulse / 10).max(ms(1)),
            listen,
            veto: (lease * 10).max(ms(2_000)),
            election: pulse * 3,
            promise,
            abstain: stretch(promise, drift_ppm),
            drift_ppm,
            patience: Patience {
                hold,
                unrest: hold * 4,
                unrest_most: ms(300_000).max(hold * 4),
                offer: (pulse * 10).max(ms(500)),
                first_veto: ms(30_000),
                isolation: ms(600_000),
                asking: (lease * 2).max(ms(5_000)),
                anchors: ms(5_000),
                slowest: pulse.max(ms(200)),
                frame: ms(200),
                deaf: ms(60_000),
                segment: ms(1_000),
                reach: (ms(1_000) + pulse) * 3 / 2,
                announcements: ms(60_000),
            },
        }
    }

    /// The times of a profile in a pair without a witness.
    #[must_use]
    pub fn of(profile: Profile) -> Timing {
        let ms = Duration::from_millis;
        match profile {
            Profile::Fast => Timing::derive(ms(10), ms(18), ms(250)),
            Profile::Lan => Timing::derive(ms(50), ms(180), ms(250)),
            Profile::Wan => Timing::derive(ms(1000), ms(3000), ms(5000)),
        }
    }

    /// The times of a profile with a witness. Votes renew the lease, and a takeover waits until it
    /// is over: it is short, a few pulses.
    #[must_use]
    pub fn with_witness(profile: Profile) -> Timing {
        let ms = Duration::from_millis;
        let bare = Timing::of(profile);
        let lease = match profile {
            Profile::Fast => ms(35),
            Profile::Lan => ms(170),
            Profile::Wan => ms(3500),
        };
        Timing::derive(bare.pulse, bare.silence, lease)
    }

    /// Time after the last word of another node in which a lease of it may run: its `lease`, or ours
    /// if that is longer, begun or renewed unheard one `pulse` later at most.
    #[must_use]
    pub fn unheard_lease(&self, lease: Duration, pulse: Duration) -> Duration {
        self.listen.max(stretch(lease, self.drift_ppm)) + self.pulse.max(pulse)
    }
}

/// The longest that `period` on another node's clock can last on ours: period × (1+ρ)/(1−ρ) +
/// slack, with ρ in parts per million.
#[must_use]
pub fn stretch(period: Duration, drift_ppm: u64) -> Duration {
    let fast = u128::from(MILLION.saturating_add(drift_ppm));
    let slow = u128::from(MILLION.saturating_sub(drift_ppm).max(1));
    let nanos = (period.as_nanos() * fast).div_ceil(slow);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).saturating_add(SLACK)
}

/// Parts per million.
const MILLION: u64 = 1_000_000;
