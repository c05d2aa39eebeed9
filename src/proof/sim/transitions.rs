//! The role table of the engine as one list: every change of role that is legal, with its causes. What is not here
//! must not happen, and what is here must have been seen.

use crate::engine::Cause;
use crate::wire::pulse::Role::{self, Active, Fault, Handover, Paused, Standby, Starting};

/// From, to, why.
pub const LEGAL: [(Role, Role, Cause); 30] = [
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
    (Active, Fault, Cause::Interface),
    (Active, Standby, Cause::HigherEpoch),
    (Active, Standby, Cause::Unheard),
    (Active, Standby, Cause::Lapsed),
    (Active, Standby, Cause::NoMajority),
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
    // The gate of a former life is found after the listening time: its lease was longer than the present one.
    (Fault, Active, Cause::Adopted),
    (Paused, Standby, Cause::Pause),
];

/// Position of a change in [`LEGAL`].
pub fn position(from: Role, to: Role, cause: Cause) -> Option<usize> {
    LEGAL.iter().position(|legal| *legal == (from, to, cause))
}

pub fn is_legal(from: Role, to: Role, cause: Cause) -> bool {
    position(from, to, cause).is_some()
}
