//! The role table of the engine as one list: every legal change of role, with its causes. A change
//! that is not here must not happen, and each one that is here must have been seen.

use crate::engine::Cause;
use crate::wire::pulse::Role::{self, Active, Fault, Handover, Paused, Standby, Starting};

/// Legal changes of role: from, to, cause.
pub const LEGAL: [(Role, Role, Cause); 33] = [
    (Starting, Active, Cause::Adopted),
    (Starting, Standby, Cause::Heard),
    (Starting, Paused, Cause::Heard),
    (Standby, Active, Cause::Free),
    (Standby, Active, Cause::Silence),
    (Standby, Active, Cause::Handover),
    (Standby, Fault, Cause::Interface),
    (Standby, Paused, Cause::Pause),
    (Active, Handover, Cause::Operator),
    (Active, Handover, Cause::Health),
    (Active, Handover, Cause::Lacks),
    (Active, Fault, Cause::Interface),
    (Active, Standby, Cause::HigherEpoch),
    (Active, Standby, Cause::Unheard),
    (Active, Standby, Cause::Lapsed),
    (Active, Standby, Cause::NoMajority),
    // In a pair a node whose number is used elsewhere has nobody to hand over to.
    (Active, Standby, Cause::SameNumber),
    (Handover, Standby, Cause::SameNumber),
    (Active, Standby, Cause::Stopping),
    (Active, Standby, Cause::Removed),
    (Handover, Active, Cause::Operator),
    (Handover, Standby, Cause::Handover),
    (Handover, Fault, Cause::Interface),
    (Handover, Standby, Cause::HigherEpoch),
    (Handover, Standby, Cause::Unheard),
    (Handover, Standby, Cause::Lapsed),
    (Handover, Standby, Cause::NoMajority),
    (Handover, Standby, Cause::Stopping),
    (Handover, Standby, Cause::Removed),
    (Fault, Standby, Cause::Mended),
    (Fault, Paused, Cause::Pause),
    // The gate of a former life may be found after the listening time, if its lease was longer than
    // the present one.
    (Fault, Active, Cause::Adopted),
    (Paused, Standby, Cause::Pause),
];

/// Legal changes that chance builds in one of some ten thousand runs: tests of the engine show them.
pub const RARE: [(Role, Role, Cause); 1] = [(Handover, Standby, Cause::SameNumber)];

/// Position of a change in [`LEGAL`]; `None` if it is not legal.
pub fn position(from: Role, to: Role, cause: Cause) -> Option<usize> {
    LEGAL.iter().position(|legal| *legal == (from, to, cause))
}

/// Whether a role may change in this way.
pub fn is_legal(from: Role, to: Role, cause: Cause) -> bool {
    position(from, to, cause).is_some()
}
