//! Adoption: the gate that an earlier life left on an interface is found, and another build's
//! program is replaced by ours.
//!
//! Owns: what makes a running gate ours (program names, map layouts). Never does: open anything
//! that was not open, or leave a moment without a gate. On failure the running gate stays as it is,
//! and the caller gets a reason.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::bpf;
use super::error::GateError;
use super::object::{self, MapFds, Object, Program};
use super::tc::{self, Direction};

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
const TAG: usize = 8;

/// A running gate of ours.
pub(super) struct Found {
    pub(super) object: Object,
    /// Whether its programs are the built-in ones. Otherwise another build loaded them: their maps
    /// can be understood, their rules may be older or newer.
    pub(super) is_current: bool,
}

/// Finds the gate of ours that runs on the interface, with its maps. `kept` are descriptors that an
/// earlier life left with systemd; they need no privilege.
///
/// # Errors
/// A text for the log that says why no gate can be taken over. No gate is an error too; the caller
/// then installs a new one.
pub(super) fn find_gate(ifindex: u32, interface: &str, names: Names, kept: &[OwnedFd]) -> Result<Found, String> {
    let (ingress, mut maps, first) = find_program(ifindex, interface, Direction::Ingress, names.ingress, kept)?;
    let (egress, mut others, second) = find_program(ifindex, interface, Direction::Egress, names.egress, kept)?;
    maps.sort_unstable();
    others.sort_unstable();
    if maps != others {
        return Err("ingress and egress belong to different gates".to_owned());
    }
    let mut found: [Option<OwnedFd>; 5] = Default::default();
    for id in maps {
        let text = |error: io::Error| format!("map {id}: {error}");
        let fd = bpf::map_by_id(id, kept).map_err(text)?;
        if let Some(position) = object::position(&bpf::map_info(fd.as_fd()).map_err(text)?) {
            found[position] = Some(fd);
        }
    }
    let [Some(lease), Some(slots), Some(counters), Some(four), Some(six)] = found else {
        return Err("its maps have another layout".to_owned());
    };
    let object = Object::assemble(ingress, egress, MapFds([lease, slots, counters, four, six]), interface)
        .map_err(|error| error.to_string())?;
    Ok(Found { object, is_current: first && second })
}

/// Our program in one direction, the numbers of its maps, and whether its name is `current`.
///
/// # Errors
/// A text for the log: there is no program, it is somebody else's, or it cannot be opened.
fn find_program(
    ifindex: u32,
    interface: &str,
    direction: Direction,
    current: &str,
    kept: &[OwnedFd],
) -> Result<(Program, Vec<u32>, bool), String> {
    let id = tc::attached_program(ifindex, interface, direction)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("nothing attached on {}", direction.name()))?;
    let text = |error: io::Error| format!("program {id} on {}: {error}", direction.name());
    let fd = bpf::program_by_id(id, kept).map_err(text)?;
    let info = bpf::program_info(fd.as_fd()).map_err(text)?;
    let ours = &current[..current.len() - TAG];
    if !info.name.starts_with(ours) {
        return Err(format!("a program of somebody else on {}: {}", direction.name(), info.name));
    }
    let is_current = info.name == current;
    Ok((Program { fd, id }, info.map_ids, is_current))
}

/// Puts the built-in program in the place of another build's, with the same lease, slots and
/// addresses.
///
/// # Errors
/// As [`Object::load`] and [`Object::attach`]: the other build's gate is still in place, at least
/// in one direction.
pub(super) fn modernise(old: &Object, ifindex: u32, interface: &str) -> Result<Object, GateError> {
    let failed = |error: aya::maps::MapError| GateError::program("copy gate addresses", interface, &error);
    let mut new = Object::load(old.limits, interface)?;
    for (vip, slot) in old.addresses().map_err(failed)? {
        // A slot number beyond 16 bits cannot be ours; slot 0 never opens.
        new.set_address(vip, u16::try_from(slot).unwrap_or(super::handle::RETIRED)).map_err(failed)?;
    }
    new.mapping.copy_from(&old.mapping);
    new.attach(ifindex, interface)?;
    // A question that the old program refused while we copied must not be forgotten.
    new.mapping.copy_refusal(&old.mapping);
    Ok(new)
}
