//! The guard's place on an interface: on the way out, before all others, but behind a gate of ours.
//!
//! Owns: where among the others it goes. Never does: put it before a gate, which would count as
//! lost then. To come before others again it leaves its place for some microseconds. A refusal
//! carries the kernel's own words.

use super::super::error::GateError;
use super::{Direction, Place, Program, Site, Standing, clsact, failed, list, of_list, tcx};

const EGRESS: Direction = Direction::Egress;
/// Handle of its filter on clsact, beside those of the gate.
const HANDLE: u32 = 0x7813;
/// Priority of its filter on an interface that has a gate: no other one is between the two, as long
/// as nobody takes the same.
const BEHIND_GATE: u32 = clsact::PRIORITY + 1;

impl Place {
    /// Puts a guard at the hook on the way out: first of all, or right behind the gate of ours whose
    /// program has the number `gate`. A guard that is there already stays.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(in super::super) fn put_guard(
        self,
        site: Site<'_>,
        program: &Program,
        name: &str,
        gate: Option<u32>,
    ) -> Result<(), GateError> {
        match self.guard_standing(site, program.id, gate)? {
            Standing::First => return Ok(()),
            Standing::Behind(_) => self.take_guard_away(site, program.id)?,
            Standing::Absent => {}
        }
        match self {
            Place::Tcx => {
                let gate = gate.filter(|gate| list(site, EGRESS).is_ok_and(|ids| ids.contains(gate)));
                let put = match gate {
                    Some(gate) => tcx::put_after(site, EGRESS, program, gate),
                    None => tcx::put_first(site, EGRESS, program),
                };
                put.map_err(|cause| failed("attach guard", site, EGRESS, cause))
            }
            Place::Clsact => {
                clsact::ensure_clsact(site)?;
                let priority = if gate.is_some() { BEHIND_GATE } else { clsact::PRIORITY };
                clsact::set(site, EGRESS, (priority, HANDLE), program, name)
            }
        }
    }

    /// Where the guard with this number stands, a gate of ours aside.
    ///
    /// # Errors
    /// The kernel's refusal; an interface that is gone has nothing attached.
    pub(in super::super) fn guard_standing(
        self,
        site: Site<'_>,
        id: u32,
        gate: Option<u32>,
    ) -> Result<Standing, GateError> {
        let before = match self {
            Place::Tcx => {
                let ids = list(site, EGRESS)?;
                let Some(at) = ids.iter().position(|other| *other == id) else { return Ok(Standing::Absent) };
                ids[..at].iter().find(|other| Some(**other) != gate).map(|other| of_list(*other).text)
            }
            Place::Clsact => {
                let filters = clsact::filters(site, EGRESS)?;
                let runs = |filter: &clsact::Filter| filter.program.as_ref().is_some_and(|(runs, _)| *runs == id);
                let Some(at) = filters.iter().position(runs) else { return Ok(Standing::Absent) };
                let other = filters[..at].iter().find(|filter| !filter.is_in_our_spot(EGRESS));
                other.map(clsact::Filter::shown)
            }
        };
        Ok(before.map_or(Standing::First, Standing::Behind))
    }

    /// Takes the guard with this number away. If it is not there, that is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(crate) fn take_guard_away(self, site: Site<'_>, id: u32) -> Result<(), GateError> {
        if self == Place::Tcx {
            return self.take_away(site, EGRESS, id);
        }
        for filter in clsact::filters(site, EGRESS)? {
            if filter.handle == HANDLE && filter.program.as_ref().is_some_and(|(runs, _)| *runs == id) {
                clsact::delete(site, EGRESS, (filter.priority, HANDLE))?;
            }
        }
        Ok(())
    }
}
