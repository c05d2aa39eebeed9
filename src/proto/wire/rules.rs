//! Rules of the wire that a mutant can break, as functions of one line.
//!
//! Owns: what decides whether a datagram, a session or a row is let in. Never does: read bytes. In
//! what ships every question is a constant.

use crate::mutant::{Mutant, Mutants};

/// The tag of a datagram decides (S6).
pub(super) fn checks_tags(mutants: Mutants) -> bool {
    !mutants.is_on(Mutant::TagNotChecked)
}

/// Whether a datagram's counter lets it in. `fresh`: the datagram is no copy of an earlier one
/// (S6).
pub(super) fn is_admitted(mutants: Mutants, fresh: bool) -> bool {
    fresh || mutants.is_on(Mutant::ReplayWindowOff)
}

/// Whether a pulse counts as an answer to our session: only if it `echoes` it (S6).
pub(super) fn answers_us(mutants: Mutants, echoes: bool) -> bool {
    echoes || mutants.is_on(Mutant::EchoNotRequired)
}

/// A session proves that it is younger than the one before (S6).
pub(super) fn sessions_need_proof(mutants: Mutants) -> bool {
    !mutants.is_on(Mutant::ProofNotRequired)
}

/// Whether a pulse's rows leave a gap in the copy of a table. `missing`: rows before them were
/// never told (L5).
pub(super) fn is_gap(mutants: Mutants, missing: bool) -> bool {
    missing && !mutants.is_on(Mutant::RowGapsIgnored)
}
