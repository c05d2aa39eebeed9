//! The place of a program on an interface: where it is attached, and who decides before it.
//!
//! Owns: the two places there are, the order in them, and the kernel's own account of it. Never
//! does: load a program, know what one decides, or touch a program that it was not told to. What
//! is attached outlives this process. A call that fails may have done its work at one of the two
//! hooks: ask for the standing.
//!
//! A program of ours counts as in its place only when it is the *first* to decide: whoever is
//! before it can let frames pass that it never sees.

mod clsact;
mod guard;
mod tcx;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::bpf;
use super::error::GateError;

/// Direction of frames, as seen from the interface: each has a hook of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Frames that come in.
    Ingress,
    /// Frames that go out.
    Egress,
}

impl Direction {
    /// Both directions, in the order in which a gate is attached: nothing goes out first.
    pub const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

    /// Name of the direction in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

/// A program in the kernel.
pub struct Program {
    pub(super) fd: OwnedFd,
    pub(super) id: u32,
}

/// An interface of the calling thread's network namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site<'a> {
    /// Number of the interface in the kernel: it is what counts.
    pub ifindex: u32,
    /// Name of the interface in messages.
    pub name: &'a str,
}

/// Where on an interface programs are attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the list that is asked before everything else (kernels since 6.6).
    Tcx,
    /// As a filter on the clsact qdisc.
    Clsact,
}

/// Where a program stands at one hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It decides before all others.
    First,
    /// Something else decides before it: what.
    Behind(String),
    /// It is not attached.
    Absent,
}

/// One of those who decide at a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Occupant {
    /// Number of its program, if it is one.
    pub id: Option<u32>,
    /// Name of its program, if the kernel tells it to us.
    pub name: Option<String>,
    /// It, as people are told of it.
    pub text: String,
}

impl Place {
    /// Both places, the one that is asked first at the beginning.
    pub const ALL: [Place; 2] = [Place::Tcx, Place::Clsact];

    /// The place that is asked first on this kernel.
    ///
    /// # Errors
    /// The kernel's refusal: ENODEV when the interface is gone, EPERM without CAP_NET_ADMIN.
    pub fn best(site: Site<'_>) -> Result<Place, GateError> {
        let listed = tcx::list(site, Direction::Ingress);
        let listed = listed.map_err(|cause| GateError::system("look for a place", site.name, cause))?;
        Ok(if listed.is_some() { Place::Tcx } else { Place::Clsact })
    }

    /// Makes sure that a program can be attached in this place.
    ///
    /// # Errors
    /// [`GateError::Place`] if something that is no program holds the place.
    pub fn check(self, site: Site<'_>) -> Result<(), GateError> {
        match self {
            Place::Tcx => Ok(()),
            Place::Clsact => clsact::check(site),
        }
    }

    /// Name of the place in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Place::Tcx => "TCX",
            Place::Clsact => "clsact",
        }
    }

    /// Puts a program before all others of this place at one hook, and makes sure that it is. A
    /// program that is first already stays.
    ///
    /// On TCX an earlier program of ours stays behind this one: [`Place::take_away`] it afterwards.
    /// On clsact this one takes its place in one step. Either way no frame passes undecided.
    ///
    /// # Errors
    /// The kernel's refusal; [`GateError::Place`] if others are first nevertheless, or if on TCX
    /// this program is attached and not first: load another one, and put that first.
    pub fn put_first(
        self,
        site: Site<'_>,
        direction: Direction,
        program: &Program,
        name: &str,
    ) -> Result<(), GateError> {
        match self {
            Place::Tcx => match tcx::put_first(site, direction, program) {
                Err(cause) if cause.raw_os_error() == Some(libc::EEXIST) => {}
                other => other.map_err(|cause| failed("attach gate", site, direction, cause))?,
            },
            Place::Clsact => clsact::put_first(site, direction, program, name)?,
        }
        let cause = match self.standing_here(site, direction, program.id)? {
            Standing::First => return Ok(()),
            Standing::Behind(other) => format!("{other} decides before it on {}", direction.name()),
            Standing::Absent => format!("it was taken away from {} at once", direction.name()),
        };
        Err(GateError::Place { interface: site.name.to_owned(), cause })
    }

    /// Puts `new` where `old` decides first. On TCX that is one change instead of two: each waits until
    /// no frame is judged by the former list any more, which takes some ten milliseconds.
    ///
    /// # Errors
    /// As [`Place::put_first`].
    pub fn replace(
        self,
        site: Site<'_>,
        direction: Direction,
        (old, new): (&Program, &Program),
        name: &str,
    ) -> Result<(), GateError> {
        if self == Place::Tcx && tcx::replace(site, direction, old, new).is_ok() {
            return match self.standing_here(site, direction, new.id)? {
                Standing::First => Ok(()),
                Standing::Behind(_) | Standing::Absent => {
                    let cause = format!("it was displaced on {} at once", direction.name());
                    Err(GateError::Place { interface: site.name.to_owned(), cause })
                }
            };
        }
        self.put_first(site, direction, new, name)?;
        self.take_away(site, direction, old.id)
    }

    /// Takes the program with this id away from one hook. If it is not there, that is no error. On
    /// clsact only a filter in our own place is taken.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn take_away(self, site: Site<'_>, direction: Direction, id: u32) -> Result<(), GateError> {
        match self {
            Place::Tcx => match tcx::take_away(site, direction, id) {
                Err(cause) if cause.raw_os_error() == Some(libc::ENODEV) => Ok(()),
                other => other.map_err(|cause| failed("detach gate", site, direction, cause)),
            },
            Place::Clsact => clsact::take_away(site, direction, id),
        }
    }

    /// Where the program with this id stands at one hook, in the kernel's own words. A filter behind
    /// a program on TCX is not the first.
    ///
    /// # Errors
    /// The kernel's refusal; an interface that is gone has nothing attached.
    pub fn standing(self, site: Site<'_>, direction: Direction, id: u32) -> Result<Standing, GateError> {
        match (self, self.standing_here(site, direction, id)?) {
            (Place::Clsact, Standing::First) => Ok(match list(site, direction)?.first() {
                Some(first) => Standing::Behind(of_list(*first).text),
                None => Standing::First,
            }),
            (Place::Tcx | Place::Clsact, standing) => Ok(standing),
        }
    }

    /// Where the program stands among those of this place alone.
    fn standing_here(self, site: Site<'_>, direction: Direction, id: u32) -> Result<Standing, GateError> {
        match self {
            Place::Tcx => {
                let listed = list(site, direction)?;
                Ok(match listed.iter().position(|other| *other == id) {
                    None => Standing::Absent,
                    Some(0) => Standing::First,
                    Some(_) => Standing::Behind(of_list(listed[0]).text),
                })
            }
            Place::Clsact => clsact::standing(site, direction, id),
        }
    }

    /// All that decide at one hook of this place, in their order.
    ///
    /// # Errors
    /// The kernel's refusal; an interface that is gone has none.
    pub fn occupants(self, site: Site<'_>, direction: Direction) -> Result<Vec<Occupant>, GateError> {
        match self {
            Place::Tcx => Ok(list(site, direction)?.into_iter().map(of_list).collect()),
            Place::Clsact => clsact::occupants(site, direction),
        }
    }
}

/// Numbers of the programs on TCX; none where there is no TCX, or no interface.
fn list(site: Site<'_>, direction: Direction) -> Result<Vec<u32>, GateError> {
    match tcx::list(site, direction) {
        Ok(list) => Ok(list.map(|list| list.ids).unwrap_or_default()),
        Err(cause) if cause.raw_os_error() == Some(libc::ENODEV) => Ok(Vec::new()),
        Err(cause) => Err(failed("list programs", site, direction, cause)),
    }
}

/// A program on TCX. Its name needs CAP_SYS_ADMIN.
fn of_list(id: u32) -> Occupant {
    let info = bpf::program_by_id(id, &[]).and_then(|fd| bpf::program_info(fd.as_fd()));
    let name = info.ok().map(|info| info.name);
    let shown = name.as_deref().filter(|name| !name.is_empty()).map(|name| format!(" {name}")).unwrap_or_default();
    Occupant { id: Some(id), text: format!("TCX program{shown} (number {id})"), name }
}

/// Error of an operation at one hook.
fn failed(operation: &'static str, site: Site<'_>, direction: Direction, cause: io::Error) -> GateError {
    GateError::system(operation, format!("{} {}", site.name, direction.name()), cause)
}
