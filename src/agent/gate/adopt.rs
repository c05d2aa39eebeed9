//! Adoption: the gate that an earlier life left on an interface is found, brought to the place
//! where it decides first, and another build's program is replaced by ours.
//!
//! Owns: what makes a running gate ours (program names, map layouts). Never does: open anything
//! that was not open, or leave a moment without a gate: the new place is taken before the old one
//! is left. On failure the running gate stays as it is, and the caller gets a reason.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::bpf;
use super::error::GateError;
use super::former::{Former, Note};
use super::object::{self, MapFds, Object};
use super::place::{Direction, Occupant, Place, Program, Site, Standing};

/// Names of the two programs in the kernel. They end in eight digits that change with the source;
/// the part before is what makes a program a gate of ours.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) ingress: &'static str,
    pub(super) egress: &'static str,
}

/// Names of the built-in programs.
pub(super) const CURRENT: Names = Names { ingress: object::INGRESS, egress: object::EGRESS };

/// Digits at the end of a program's name that change with the source.
pub(super) const TAG: usize = 8;

impl Names {
    /// Name of the program of one direction.
    fn of(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }

    /// Whether a program of this name is a gate's, whichever build it is from.
    fn covers(&self, direction: Direction, name: &str) -> bool {
        let current = self.of(direction);
        name.starts_with(&current[..current.len() - TAG])
    }
}

/// A running gate of ours.
pub(super) struct Found {
    pub(super) object: Object,
    /// Where it is attached.
    pub(super) place: Place,
    /// Whether its programs are the built-in ones. Otherwise another build loaded them: their maps
    /// can be understood, their rules may be older or newer.
    pub(super) is_current: bool,
    /// Whether it is the first to decide, in both directions.
    pub(super) is_first: bool,
}

/// Finds the gate of ours that runs on the interface, with its maps, in whichever place. `former`
/// is what an earlier life left beside the kernel; that needs no privilege.
///
/// # Errors
/// A text for the log that says why no gate can be taken over. No gate is an error too; the caller
/// then installs a new one.
pub(super) fn find_gate(site: Site<'_>, names: Names, former: &Former) -> Result<Found, String> {
    let mut reasons = Vec::new();
    for place in Place::ALL {
        match find_at(place, site, names, former) {
            Ok(found) => return Ok(found),
            Err(reason) => reasons.push(format!("{}: {reason}", place.name())),
        }
    }
    Err(reasons.join("; "))
}

/// Finds the gate of ours in one place.
fn find_at(place: Place, site: Site<'_>, names: Names, former: &Former) -> Result<Found, String> {
    let (ingress, mut maps, first) = find_program(place, site, Direction::Ingress, names, former)?;
    let (egress, mut others, second) = find_program(place, site, Direction::Egress, names, former)?;
    maps.sort_unstable();
    others.sort_unstable();
    if maps != others {
        return Err("ingress and egress belong to different gates".to_owned());
    }
    let mut found: [Option<OwnedFd>; 5] = Default::default();
    for id in maps {
        let text = |error: io::Error| format!("map {id}: {error}");
        let fd = former.map(id).map_err(text)?;
        if let Some(position) = object::position(&bpf::map_info(fd.as_fd()).map_err(text)?) {
            found[position] = Some(fd);
        }
    }
    let [Some(lease), Some(slots), Some(counters), Some(four), Some(six)] = found else {
        return Err("its maps have another layout".to_owned());
    };
    let object = Object::assemble(ingress, egress, MapFds([lease, slots, counters, four, six]), site.name)
        .map_err(|error| error.to_string())?;
    let is_first = object.standing(place, site).map_err(|error| error.to_string())? == Standing::First;
    Ok(Found { object, place, is_current: first && second, is_first })
}

/// Our program in one direction, the numbers of its maps, and whether its name is the built-in
/// one's.
///
/// # Errors
/// A text for the log: there is no program, only somebody else's, or it cannot be opened.
fn find_program(
    place: Place,
    site: Site<'_>,
    direction: Direction,
    names: Names,
    former: &Former,
) -> Result<(Program, Vec<u32>, bool), String> {
    let on = direction.name();
    let mut reason = format!("nothing attached on {on}");
    for occupant in place.occupants(site, direction).map_err(|error| error.to_string())? {
        let Some(id) = occupant.id else { continue };
        let described = former.program(id).and_then(|fd| Ok((bpf::program_info(fd.as_fd())?, fd)));
        match described {
            Ok((info, fd)) if names.covers(direction, &info.name) => {
                let is_current = info.name == names.of(direction);
                return Ok((Program { fd, id }, info.map_ids, is_current));
            }
            Ok(_) => reason = format!("only somebody else on {on}: {}", occupant.text),
            Err(error) => reason = format!("program {id} on {on}: {error}"),
        }
    }
    Err(reason)
}

/// Brings a running gate to `place`, first of all, with this build's program in it. Returns the
/// gate, and the former one if another took its place: that still runs behind it.
///
/// # Errors
/// As [`Object::load`] and [`Object::attach`]: the running gate is still in place, at least in one
/// direction.
pub(super) fn take_over(
    found: Found,
    place: Place,
    site: Site<'_>,
    note: Option<&Note>,
) -> Result<(Object, Option<Object>), GateError> {
    let moves = found.place != place;
    if found.is_current && found.is_first && !moves {
        return Ok((found.object, None));
    }
    // A program is attached at most once on TCX: one that is not the first cannot be put there.
    if found.is_current && (moves || place == Place::Clsact) {
        found.object.attach(place, site, note)?;
        return Ok((found.object, None));
    }
    let object = modernise(&found.object, site.name)?;
    object.attach(place, site, note)?;
    Ok((object, Some(found.object)))
}

/// Loads the built-in program with the lease, slots and addresses of another gate.
fn modernise(old: &Object, interface: &str) -> Result<Object, GateError> {
    let failed = |error: aya::maps::MapError| GateError::program("copy gate addresses", interface, &error);
    let mut new = Object::load(old.limits, interface)?;
    for (vip, slot) in old.addresses().map_err(failed)? {
        // A slot number beyond 16 bits cannot be ours; slot 0 never opens.
        new.set_address(vip, u16::try_from(slot).unwrap_or(super::handle::RETIRED)).map_err(failed)?;
    }
    new.mapping.copy_from(&old.mapping);
    Ok(new)
}

/// Takes every gate of ours away from the interface that is not `object` in `place`: a former one
/// behind the new, or what a change that was interrupted has left. Closed for ever, it would drop
/// what the present gate lets pass.
///
/// # Errors
/// As [`Place::take_away`].
pub(super) fn sweep(
    object: &Object,
    place: Place,
    site: Site<'_>,
    names: Names,
    former: &Former,
) -> Result<(), GateError> {
    let noted = former.note().map(|note| note.programs(site)).unwrap_or_default();
    for other in Place::ALL {
        for direction in Direction::BOTH {
            let present = object.program(direction).id;
            for occupant in other.occupants(site, direction)? {
                let Some(id) = occupant.id.filter(|id| other != place || *id != present) else { continue };
                if id == present || noted.contains(&id) || is_gate(&occupant, id, direction, names, former) {
                    other.take_away(site, direction, id)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether a gate of ours, from whichever build, is attached to the interface in either place.
///
/// # Errors
/// As [`Place::occupants`].
pub(super) fn is_on(site: Site<'_>, former: &Former) -> Result<bool, GateError> {
    let noted = former.note().map(|note| note.programs(site)).unwrap_or_default();
    for place in Place::ALL {
        for direction in Direction::BOTH {
            let ours = |occupant: &Occupant| {
                let is_gate = |id| noted.contains(&id) || is_gate(occupant, id, direction, CURRENT, former);
                occupant.id.is_some_and(is_gate)
            };
            if place.occupants(site, direction)?.iter().any(ours) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether somebody at a hook is a gate of ours. Without CAP_SYS_ADMIN the kernel tells the name of
/// a tc filter, but not that of a program on TCX.
fn is_gate(occupant: &Occupant, id: u32, direction: Direction, names: Names, former: &Former) -> bool {
    let named = |name: &str| names.covers(direction, name);
    if occupant.name.as_deref().is_some_and(named) {
        return true;
    }
    let info = former.program(id).and_then(|fd| bpf::program_info(fd.as_fd()));
    info.is_ok_and(|info| named(&info.name))
}
