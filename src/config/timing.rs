//! Every derived time, computed in this one place and shown by `vipair check`.
//!
//! ρ (rho) is the bound on the relative error of clock rates, g the slack for timer granularity.

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
    /// All of them, fastest first.
    pub const ALL: [Profile; 3] = [Profile::Fast, Profile::Lan, Profile::Wan];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Profile::Fast => "fast",
            Profile::Lan => "lan",
            Profile::Wan => "wan",
        }
    }

    /// The profile that has exactly these times; `None` when some were overridden.
    #[must_use]
    pub fn matching(timing: &Timing) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| Timing::of(*profile) == *timing)
    }
}

/// Bound on the error of clock rates, in parts per million. 500 ppm is what `adjtimex` can slew at most.
pub const RHO_PPM: u64 = 500;
/// Slack for timer granularity and the path from decision to wire.
pub const SLACK: Duration = Duration::from_millis(1);

/// All times the engine uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// A pulse goes out on every link this often.
    pub pulse: Duration,
    /// A standby promotes after this much silence on all links (and unanswered probes).
    pub silence: Duration,
    /// How long the kernel keeps the gate open without a renewal.
    pub lease: Duration,
    /// Silence after which a standby asks: 1.25 × pulse.
    pub suspicion: Duration,
    /// Time between two queries or probes: pulse / 10, at least 1 ms.
    pub probe: Duration,
    /// How long a starting node listens before it may promote without a word from its peer:
    /// lease × (1+ρ)/(1−ρ) + slack, and never less than silence.
    pub listen: Duration,
    /// How long answered probes alone, without any authenticated word, can delay a promotion:
    /// 10 × lease, at least 2 s.
    pub veto: Duration,
    /// How long a node that is not preferred waits for the preferred one before it claims a free group: 3 × pulse.
    pub election: Duration,
}

impl Timing {
    /// Derives all times from the three that can be configured.
    #[must_use]
    pub fn derive(pulse: Duration, silence: Duration, lease: Duration) -> Timing {
        Timing {
            pulse,
            silence,
            lease,
            suspicion: pulse * 5 / 4,
            probe: (pulse / 10).max(Duration::from_millis(1)),
            listen: stretch(lease).max(silence),
            veto: (lease * 10).max(Duration::from_secs(2)),
            election: pulse * 3,
        }
    }

    /// The times of a profile.
    #[must_use]
    pub fn of(profile: Profile) -> Timing {
        let ms = Duration::from_millis;
        match profile {
            Profile::Fast => Timing::derive(ms(10), ms(18), ms(250)),
            Profile::Lan => Timing::derive(ms(50), ms(180), ms(250)),
            Profile::Wan => Timing::derive(ms(1000), ms(3000), ms(5000)),
        }
    }
}

/// How long `period` on another node's clock can last on ours: period × (1+ρ)/(1−ρ) + slack.
#[must_use]
pub fn stretch(period: Duration) -> Duration {
    let nanos = period.as_nanos() * u128::from(1_000_000 + RHO_PPM) / u128::from(1_000_000 - RHO_PPM);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) + SLACK
}
