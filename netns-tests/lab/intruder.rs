//! Programs of others on an interface, and the list of all (TCX, kernels since 6.6).
//!
//! Owns: one BPF program that gives every frame the same verdict, and the bpf(2) calls that attach
//! and detach. Never does: take anything away by itself: what is attached goes with the interface.
//! A refusal of the kernel panics.

use super::netns::Netns;
use nix::net::if_::if_nametoindex;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_F_BEFORE: u32 = 1 << 3;

/// Verdict "let the frame pass": nobody after this program is asked.
pub const PASS: i32 = 0;

/// Hook of an interface: an `enum bpf_attach_type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Hook {
    /// Frames that come in.
    Ingress = 46,
    /// Frames that go out.
    Egress = 47,
}

impl Hook {
    /// Both hooks.
    pub const BOTH: [Hook; 2] = [Hook::Ingress, Hook::Egress];
}

/// The part of `union bpf_attr` that BPF_PROG_LOAD reads.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

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
    more: [u64; 4],
}

/// One bpf(2) call.
fn call<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes at most `size_of::<T>()` bytes of a live value made of
    // integers; what its pointers name outlives the call, too.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

/// Attaches a program with this verdict before all others at a hook of an interface.
pub fn intrude(netns: &Netns, interface: &str, hook: Hook, verdict: i32) {
    // struct bpf_insn: mov64 r0, verdict; exit
    let instructions = [0xb7 | u64::from(verdict.cast_unsigned()) << 32, 0x95];
    let license = *b"GPL\0";
    let mut load = Load {
        kind: BPF_PROG_TYPE_SCHED_CLS,
        count: 2,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        name: *b"intruder\0\0\0\0\0\0\0\0",
        ..Load::default()
    };
    let fd = call(BPF_PROG_LOAD, &mut load).unwrap_or_else(|e| panic!("load a program: {e}"));
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let number = u32::try_from(program.as_raw_fd()).expect("a descriptor");
    change(netns, interface, BPF_PROG_ATTACH, hook, number);
}

/// Detaches the first program at a hook of an interface.
pub fn detach_first(netns: &Netns, interface: &str, hook: Hook) {
    change(netns, interface, BPF_PROG_DETACH, hook, 0);
}

/// Attaches or detaches before all others.
fn change(netns: &Netns, interface: &str, command: libc::c_long, hook: Hook, program: u32) {
    let result = netns.run(|| {
        let ifindex = if_nametoindex(interface).unwrap_or_else(|e| panic!("{interface}: {e}"));
        let flags = BPF_F_BEFORE;
        call(command, &mut Change { ifindex, program, hook: hook as u32, flags, ..Change::default() })
    });
    result.unwrap_or_else(|e| panic!("bpf command {command} on {interface}, {hook:?}: {e}"));
}

/// Numbers of the programs at a hook of an interface, the first one first; `None` if the kernel has
/// no such hooks.
pub fn programs(netns: &Netns, interface: &str, hook: Hook) -> Option<Vec<u32>> {
    netns.run(|| {
        let mut ids = [0_u32; 64];
        let mut query = Query {
            ifindex: if_nametoindex(interface).unwrap_or_else(|e| panic!("{interface}: {e}")),
            hook: hook as u32,
            ids: ids.as_mut_ptr() as u64,
            count: 64,
            ..Query::default()
        };
        match call(BPF_PROG_QUERY, &mut query) {
            Ok(_) => Some(ids[..usize::try_from(query.count).expect("few")].to_vec()),
            Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => Some(Vec::new()),
            Err(cause) if cause.raw_os_error() == Some(libc::EINVAL) => None,
            Err(cause) => panic!("programs of {interface}, {hook:?}: {cause}"),
        }
    })
}
