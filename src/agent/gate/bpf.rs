//! The bpf(2) calls that the loader library does not offer: programs and maps by id, and their
//! descriptions.
//!
//! Owns: the argument layouts (kernel ABI, include/uapi/linux/bpf.h). Never does: load or attach.
//! An error carries errno.
//!
//! Objects by id need CAP_SYS_ADMIN (kernel/bpf/syscall.c, bpf_prog_get_fd_by_id), which a hardened
//! service does not have; therefore a search looks first through descriptors that an earlier life
//! of the agent has kept (systemd's descriptor store), which need no privilege.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_MAP_GET_FD_BY_ID: libc::c_long = 14;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;

/// Most map ids read of one program; a gate's programs have five.
const MAX_MAP_IDS: usize = 16;

/// `struct bpf_prog_info` up to the name.
#[repr(C)]
#[derive(Default)]
struct RawProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    translated_len: u32,
    jited: u64,
    translated: u64,
    load_time: u64,
    created_by: u32,
    map_count: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// `struct bpf_map_info` up to the name.
#[repr(C)]
#[derive(Default)]
struct RawMapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: [u8; 16],
}

/// The part of `union bpf_attr` that BPF_*_GET_FD_BY_ID reads.
#[repr(C)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The part of `union bpf_attr` that BPF_OBJ_GET_INFO_BY_FD reads.
#[repr(C)]
struct ByFd {
    fd: u32,
    length: u32,
    info: u64,
}

/// Description of a program in the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ProgramInfo {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) map_ids: Vec<u32>,
}

/// Description of a map in the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MapInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
    pub(super) name: String,
}

/// Name up to its first zero byte.
fn text(name: &[u8; 16]) -> String {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}

/// Opens the object with this id: a program or a map, as `command` says. Needs CAP_SYS_ADMIN.
fn by_id(command: libc::c_long, id: u32) -> io::Result<OwnedFd> {
    let attributes = ById { id, next_id: 0, open_flags: 0 };
    // SAFETY: the kernel reads `size_of::<ById>()` bytes of a live, initialised value and keeps no
    // reference.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attributes, size_of::<ById>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Fills `info` with the kernel's description of the object behind `fd`.
fn info<T>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attributes = ByFd {
        fd: u32::try_from(fd.as_raw_fd()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        length: u32::try_from(size_of::<T>()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        info: std::ptr::from_mut(info) as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes into `info`, a plain struct of integers of
    // that size that outlives the call; any bytes are valid for it.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw mut attributes, size_of::<ByFd>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Description of the program behind `fd`.
///
/// # Errors
/// EINVAL if `fd` is no program.
pub(super) fn program_info(fd: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let mut ids = [0_u32; MAX_MAP_IDS];
    let mut raw = RawProgramInfo {
        map_count: u32::try_from(MAX_MAP_IDS).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        map_ids: ids.as_mut_ptr() as u64,
        ..RawProgramInfo::default()
    };
    info(fd, &mut raw)?;
    let count = usize::try_from(raw.map_count).unwrap_or(MAX_MAP_IDS).min(MAX_MAP_IDS);
    Ok(ProgramInfo { id: raw.id, name: text(&raw.name), map_ids: ids[..count].to_vec() })
}

/// Description of the map behind `fd`.
///
/// # Errors
/// EINVAL if `fd` is no map.
pub(super) fn map_info(fd: BorrowedFd<'_>) -> io::Result<MapInfo> {
    let mut raw = RawMapInfo::default();
    info(fd, &mut raw)?;
    Ok(MapInfo {
        kind: raw.kind,
        id: raw.id,
        key_size: raw.key_size,
        value_size: raw.value_size,
        max_entries: raw.max_entries,
        flags: raw.flags,
        name: text(&raw.name),
    })
}

/// Whether `fd` is of this kind, such as `anon_inode:bpf-prog`. The link in /proc tells programs
/// and maps apart: BPF_OBJ_GET_INFO_BY_FD answers for both, and their ids are numbered apart.
fn is_kind(fd: BorrowedFd<'_>, kind: &str) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).is_ok_and(|link| link.ends_with(kind))
}

/// Descriptor of the program with this id.
///
/// # Errors
/// ENOENT: the program is gone. EPERM: it is not among `kept` and the process lacks CAP_SYS_ADMIN.
pub(super) fn program_by_id(id: u32, kept: &[OwnedFd]) -> io::Result<OwnedFd> {
    for fd in kept.iter().filter(|fd| is_kind(fd.as_fd(), "anon_inode:bpf-prog")) {
        if program_info(fd.as_fd())?.id == id {
            return fd.try_clone();
        }
    }
    by_id(BPF_PROG_GET_FD_BY_ID, id)
}

/// Descriptor of the map with this id.
///
/// # Errors
/// As [`program_by_id`].
pub(super) fn map_by_id(id: u32, kept: &[OwnedFd]) -> io::Result<OwnedFd> {
    for fd in kept.iter().filter(|fd| is_kind(fd.as_fd(), "anon_inode:bpf-map")) {
        if map_info(fd.as_fd())?.id == id {
            return fd.try_clone();
        }
    }
    by_id(BPF_MAP_GET_FD_BY_ID, id)
}

/// Runs the program on a frame `repeat` times without sending it. Returns its verdict and the mean
/// time of a run in nanoseconds.
#[cfg(test)]
pub(super) fn test_run(fd: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> io::Result<(i32, u32)> {
    const BPF_PROG_TEST_RUN: libc::c_long = 10;
    /// The part of `union bpf_attr` that BPF_PROG_TEST_RUN reads and writes here.
    #[repr(C)]
    #[derive(Default)]
    struct TestRun {
        fd: u32,
        verdict: u32,
        size_in: u32,
        size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
    }
    let number = |n: usize| u32::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let mut attributes = TestRun {
        fd: u32::try_from(fd.as_raw_fd()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        size_in: number(frame.len())?,
        data_in: frame.as_ptr() as u64,
        repeat,
        ..TestRun::default()
    };
    // SAFETY: the kernel reads `frame`, which outlives the call, and writes only into `attributes`.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut attributes, size_of::<TestRun>()) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok((attributes.verdict.cast_signed(), attributes.duration))
    }
}
