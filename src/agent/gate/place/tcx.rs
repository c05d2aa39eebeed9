//! The place on kernels since 6.6: TCX, a list of programs that is asked before every tc filter and
//! needs no qdisc.
//!
//! Owns: the bytes of these bpf(2) calls (kernel ABI, include/uapi/linux/bpf.h; the order is that
//! of kernel/bpf/mprog.c). Never does: hold an attachment. A program attached without a link stays
//! when the process is gone, until somebody detaches it or the interface goes. An error carries
//! errno.

use std::io;
use std::os::fd::AsRawFd;

use super::{Direction, Program, Site};

const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_F_REPLACE: u32 = 1 << 2;
const BPF_F_BEFORE: u32 = 1 << 3;
const BPF_F_AFTER: u32 = 1 << 4;
const BPF_F_ID: u32 = 1 << 5;
/// Most programs at one hook: `BPF_MPROG_MAX` of include/linux/bpf_mprog.h.
const MAX: usize = 64;
/// Times that a removal is tried when others change the list at the same time.
const TRIES: usize = 8;

/// The part of `union bpf_attr` that BPF_PROG_ATTACH and BPF_PROG_DETACH read.
#[repr(C)]
#[derive(Default)]
struct Change {
    ifindex: u32,
    program: u32,
    hook: u32,
    flags: u32,
    replaced: u32,
    relative: u32,
    revision: u64,
}

/// The part of `union bpf_attr` that BPF_PROG_QUERY reads and writes.
#[repr(C)]
#[derive(Default)]
struct Query {
    ifindex: u32,
    hook: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    pad: u32,
    program_flags: u64,
    link_ids: u64,
    link_flags: u64,
    revision: u64,
}

/// The programs at one hook, in the order in which they are asked.
pub(super) struct List {
    pub(super) ids: Vec<u32>,
    /// Number of the list's state, which rises with each change.
    revision: u64,
}

/// `enum bpf_attach_type`: BPF_TCX_INGRESS, BPF_TCX_EGRESS.
fn hook(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => 46,
        Direction::Egress => 47,
    }
}

/// One bpf(2) call.
fn call<T>(command: libc::c_long, attributes: &mut T) -> io::Result<()> {
    // SAFETY: the kernel reads and writes at most `size_of::<T>()` bytes of a live value made of
    // integers alone, for which any bytes are valid, and keeps no reference.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The programs at one hook of an interface; `None` if the kernel has no TCX.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN, ENODEV when the interface is gone.
pub(super) fn list(site: Site<'_>, direction: Direction) -> io::Result<Option<List>> {
    let mut ids = [0_u32; MAX];
    let mut query = Query {
        ifindex: site.ifindex,
        hook: hook(direction),
        ids: ids.as_mut_ptr() as u64,
        count: u32::try_from(MAX).map_err(io::Error::other)?,
        ..Query::default()
    };
    match call(BPF_PROG_QUERY, &mut query) {
        Ok(()) => {}
        // Nothing was ever attached here (kernel/bpf/tcx.c, tcx_prog_query).
        Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => {
            return Ok(Some(List { ids: Vec::new(), revision: 0 }));
        }
        // The kernel does not know the hook: it is older, or built without it.
        Err(cause) if cause.raw_os_error() == Some(libc::EINVAL) => return Ok(None),
        Err(cause) => return Err(cause),
    }
    let count = usize::try_from(query.count).unwrap_or(MAX).min(MAX);
    Ok(Some(List { ids: ids[..count].to_vec(), revision: query.revision }))
}

/// Attaches a program before all others.
///
/// # Errors
/// The kernel's: EEXIST if the program is in the list, ERANGE if that is full.
pub(super) fn put_first(site: Site<'_>, direction: Direction, program: &Program) -> io::Result<()> {
    let fd = u32::try_from(program.fd.as_raw_fd()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut change = Change {
        ifindex: site.ifindex,
        program: fd,
        hook: hook(direction),
        flags: BPF_F_BEFORE,
        ..Change::default()
    };
    call(BPF_PROG_ATTACH, &mut change)
}

/// Puts `new` where `old` is, in one step.
///
/// # Errors
/// The kernel's: ENOENT if `old` is not in the list, EEXIST if `new` is.
pub(super) fn replace(site: Site<'_>, direction: Direction, old: &Program, new: &Program) -> io::Result<()> {
    let number = |program: &Program| {
        u32::try_from(program.fd.as_raw_fd()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
    };
    let mut change = Change {
        ifindex: site.ifindex,
        program: number(new)?,
        replaced: number(old)?,
        hook: hook(direction),
        flags: BPF_F_REPLACE,
        ..Change::default()
    };
    call(BPF_PROG_ATTACH, &mut change)
}

/// Attaches a program right after the one with this id.
///
/// # Errors
/// As [`put_first`]; ENOENT if the other one is not in the list.
pub(super) fn put_after(site: Site<'_>, direction: Direction, program: &Program, id: u32) -> io::Result<()> {
    let fd = u32::try_from(program.fd.as_raw_fd()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut change = Change {
        ifindex: site.ifindex,
        program: fd,
        hook: hook(direction),
        flags: BPF_F_AFTER | BPF_F_ID,
        relative: id,
        ..Change::default()
    };
    call(BPF_PROG_ATTACH, &mut change)
}

/// Detaches the program with this id; a missing one is no error. The program is named by its
/// neighbour in the list, because its own descriptor is not to be had without CAP_SYS_ADMIN.
///
/// # Errors
/// The kernel's: EBUSY if a link holds the program.
pub(super) fn take_away(site: Site<'_>, direction: Direction, id: u32) -> io::Result<()> {
    let mut last = io::Error::from_raw_os_error(libc::ESTALE);
    for _ in 0..TRIES {
        let Some(list) = list(site, direction)? else { return Ok(()) };
        let Some(place) = list.ids.iter().position(|other| *other == id) else { return Ok(()) };
        let (flags, relative) = match place.checked_sub(1) {
            Some(before) => (BPF_F_AFTER | BPF_F_ID, list.ids[before]),
            None => (BPF_F_BEFORE, 0),
        };
        let hook = hook(direction);
        let mut change =
            Change { ifindex: site.ifindex, hook, flags, relative, revision: list.revision, ..Change::default() };
        match call(BPF_PROG_DETACH, &mut change) {
            // Somebody changed the list since we read it: the neighbour may be another one now.
            Err(cause) if cause.raw_os_error() == Some(libc::ESTALE) => last = cause,
            other => return other,
        }
    }
    Err(last)
}
