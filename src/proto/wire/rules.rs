//! Rules of the wire that a mutant can break, as functions of one line.
//!
//! Owns: what decides whether a datagram, a session or a row is let in. Never does: read bytes. In what
//! ships every question is a constant.

use crate::mutant::{Mutant, Mutants};

/// The tag of a datagram decides (S6).
pub(super) fn checks_tags(mutants: Mutants) -> bool {
    !mutants.is_on(Mutant::TagNotChecked)
}

/// Whether a datagram is let in, as far as its counter tells: `fresh` says that it is no copy (S6).
pub(super) fn is_admitted(mutants: Mutants, fresh: bool) -> bool {
    fresh || mutants.is_on(Mutant::ReplayWindowOff)
}

/// Whether a pulse answers to our session, of whether it echoes it (S6).
pub(super) fn answers_us(mutants: Mutants, echoes: bool) -> bool {
    echoes || mutants.is_on(Mutant::EchoNotRequired)
}

/// A session proves that it is younger than the one before (S6).
pub(super) fn sessions_need_proof(mutants: Mutants) -> bool {
    !mutants.is_on(Mutant::ProofNotRequired)
}

/// Whether rows are missing before those of a pulse, of whether some were never told (L5).
pub(super) fn is_gap(mutants: Mutants, missing: bool) -> bool {
    missing && !mutants.is_on(Mutant::RowGapsIgnored)
}
