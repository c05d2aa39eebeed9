//! Anomalies: what deserves a recording.
//!
//! Owns: the choice, made from a notice of the engine alone. Never does: remember; how far
//! recordings keep apart is the schedule's business.

use crate::engine::{Cause, Notice};
use crate::wire::pulse::Role;
use std::time::Duration;

/// A node that becomes active this soon after its start is only beginning.
const BEGINNING: Duration = Duration::from_secs(30);

/// Kind of anomaly, the gravest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Anomaly {
    Conflict,
    Lapsed,
    Takeover,
    /// A group was closed here and not handed over.
    Closed,
    Veto,
    Isolated,
    Stranger,
    /// A deadline was missed.
    Stalled,
    /// A witness is not heard, or too few are.
    Witness,
}

impl Anomaly {
    /// Number of kinds.
    pub const COUNT: usize = 9;

    /// The anomaly that a notice tells of. `age`: since the agent's start.
    pub fn of(notice: &Notice, age: Duration) -> Option<Anomaly> {
        match *notice {
            Notice::Role { to: Role::Active, cause, .. } => match cause {
                Cause::Silence => Some(Anomaly::Takeover),
                Cause::Free => (age >= BEGINNING).then_some(Anomaly::Takeover),
                Cause::Adopted
                | Cause::Heard
                | Cause::Handover
                | Cause::Operator
                | Cause::Interface
                | Cause::Mended
                | Cause::Lapsed
                | Cause::NoMajority
                | Cause::HigherEpoch
                | Cause::Unheard
                | Cause::Stopping
                | Cause::Pause
                | Cause::Health
                | Cause::Lacks
                | Cause::SameNumber
                | Cause::Removed => None,
            },
            Notice::Role { from: Role::Active | Role::Handover, cause, .. } => {
                let unplanned = matches!(
                    cause,
                    Cause::Interface
                        | Cause::Lapsed
                        | Cause::NoMajority
                        | Cause::HigherEpoch
                        | Cause::Unheard
                        | Cause::SameNumber
                );
                unplanned.then_some(Anomaly::Closed)
            }
            Notice::Conflict { .. } | Notice::SameNumber { link: Some(_) } => Some(Anomaly::Conflict),
            Notice::LeaseLapsed { .. } | Notice::NoMajority { .. } => Some(Anomaly::Lapsed),
            Notice::WitnessLost { .. } | Notice::Alone { alone: true } => Some(Anomaly::Witness),
            Notice::Veto { .. } | Notice::StillAnswered { .. } => Some(Anomaly::Veto),
            Notice::Isolated { .. } | Notice::Reach { reached: false, .. } => Some(Anomaly::Isolated),
            Notice::Stranger { .. } => Some(Anomaly::Stranger),
            Notice::Stalled { .. } => Some(Anomaly::Stalled),
            Notice::Role { .. }
            | Notice::Hook { .. }
            | Notice::Unrest { .. }
            | Notice::Reach { reached: true, .. }
            | Notice::PeerUp { .. }
            | Notice::PeerSilent { .. }
            | Notice::PeerLeft { .. }
            | Notice::Link { .. }
            | Notice::WitnessHeard { .. }
            | Notice::Alone { alone: false }
            | Notice::Differs { .. }
            | Notice::SameNumber { link: None }
            | Notice::SameMac { .. }
            | Notice::TooLarge { .. }
            | Notice::StoreFailed
            | Notice::StoreMended => None,
        }
    }

    /// Word for the anomaly in a file's name and in its header.
    pub fn name(self) -> &'static str {
        match self {
            Anomaly::Conflict => "conflict",
            Anomaly::Lapsed => "lapsed",
            Anomaly::Takeover => "takeover",
            Anomaly::Closed => "closed",
            Anomaly::Veto => "veto",
            Anomaly::Isolated => "isolated",
            Anomaly::Stranger => "stranger",
            Anomaly::Stalled => "stalled",
            Anomaly::Witness => "witness",
        }
    }

    /// Whether the anomaly can recur for hours, so that its first recordings tell all there is to
    /// tell.
    pub fn is_lasting(self) -> bool {
        match self {
            Anomaly::Conflict | Anomaly::Lapsed | Anomaly::Takeover | Anomaly::Closed => false,
            Anomaly::Veto | Anomaly::Isolated | Anomaly::Stranger | Anomaly::Stalled | Anomaly::Witness => true,
        }
    }
}
