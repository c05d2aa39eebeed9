//! Somebody else's BPF program on an interface, attached by TCX before all others (kernels since
//! 6.6).
//!
//! Owns: one program that gives every frame the same verdict. Never does: detach it by itself. A
//! refusal of the kernel ends the test.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Verdict "go on with the next program".
pub const NEXT: i32 = -1;
/// Verdict "let the frame pass", which ends the asking.
pub const PASS: i32 = 0;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_DETACH: libc::c_long = 9;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_F_BEFORE: u32 = 1 << 3;

/// Hook of TCX: an `enum bpf_attach_type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Hook {
    /// Frames that come in.
    Ingress = 46,
    /// Frames that go out.
    Egress = 47,
}

/// A program in the kernel.
#[derive(Debug)]
pub struct Stranger(OwnedFd);

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

/// One bpf(2) call, which must succeed.
fn call<T>(command: libc::c_long, attributes: &mut T) -> i32 {
    // SAFETY: the kernel reads at most `size_of::<T>()` bytes of a live value made of integers; what
    // its pointers name outlives the call, too.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    assert!(result >= 0, "bpf command {command}: {}", std::io::Error::last_os_error());
    i32::try_from(result).expect("a descriptor, or 0")
}

impl Stranger {
    /// Loads a program that gives every frame this verdict.
    #[must_use]
    pub fn load(verdict: i32) -> Stranger {
        // struct bpf_insn: mov64 r0, verdict; exit
        let instructions = [0xb7 | u64::from(verdict.cast_unsigned()) << 32, 0x95];
        let license = *b"GPL\0";
        let mut load = Load {
            kind: BPF_PROG_TYPE_SCHED_CLS,
            count: 2,
            instructions: instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            name: *b"stranger\0\0\0\0\0\0\0\0",
            ..Load::default()
        };
        let fd = call(BPF_PROG_LOAD, &mut load);
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        Stranger(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Attaches the program before all others, in the calling thread's network namespace.
    pub fn attach_first(&self, ifindex: u32, hook: Hook) {
        call(BPF_PROG_ATTACH, &mut self.change(ifindex, hook, BPF_F_BEFORE));
    }

    /// Detaches the program.
    pub fn detach(&self, ifindex: u32, hook: Hook) {
        call(BPF_PROG_DETACH, &mut self.change(ifindex, hook, 0));
    }

    /// The attributes of a change at one hook.
    fn change(&self, ifindex: u32, hook: Hook, flags: u32) -> Change {
        let program = u32::try_from(self.0.as_raw_fd()).expect("a descriptor");
        Change { ifindex, program, hook: hook as u32, flags, ..Change::default() }
    }
}
