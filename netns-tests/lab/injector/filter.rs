//! The filter in the kernel, and the talk with it: seccomp(2), seccomp_unotify(2).
//!
//! Owns: the filter's program, and the layout of questions and answers. Never does: decide what
//! fails. A system call that fails here is an error of the caller's.

use super::calls;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Descriptor in the child, before its program is loaded, by which the filter's own leaves. The
/// filter lets through what is sent there.
const WAY_OUT: RawFd = 900;

/// The filter's program: everything is asked about, but for calls that cannot fail usefully, and
/// for the one message by which its descriptor leaves the child.
pub fn program() -> Vec<libc::sock_filter> {
    let load = |offset: usize| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, narrow(offset));
    let give = |verdict: u32| statement(libc::BPF_RET | libc::BPF_K, verdict);
    let mut program = vec![load(mem::offset_of!(libc::seccomp_data, nr))];
    for number in calls::unasked() {
        program.push(jump(narrow(number), 0, 1));
        program.push(give(libc::SECCOMP_RET_ALLOW));
    }
    program.push(jump(narrow(libc::SYS_sendmsg), 0, 3));
    program.push(load(mem::offset_of!(libc::seccomp_data, args)));
    program.push(jump(narrow(WAY_OUT), 0, 1));
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program.push(give(libc::SECCOMP_RET_USER_NOTIF));
    program
}

/// A number that fits into 32 bits.
fn narrow(number: impl TryInto<u32>) -> u32 {
    number.try_into().ok().expect("numbers of calls and offsets are small")
}

/// An instruction of the filter without a branch.
fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).expect("codes are small"), jt: 0, jf: 0, k }
}

/// A comparison with `k`: so many instructions are skipped if it is equal, or if it is not.
fn jump(k: u32, equal: u8, other: u8) -> libc::sock_filter {
    libc::sock_filter { jt: equal, jf: other, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k) }
}

/// Installs the filter in the calling process, for good; returns its descriptor. `socket` becomes
/// [`WAY_OUT`]. Async-signal-safe.
pub fn install(program: &[libc::sock_filter], socket: RawFd) -> io::Result<RawFd> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: both are plain system calls; `program` and what it points to live for the call.
    unsafe {
        if libc::dup3(socket, WAY_OUT, libc::O_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error());
        }
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        let listener =
            libc::syscall(libc::SYS_seccomp, mode, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER, &raw const program);
        if listener < 0 { Err(io::Error::last_os_error()) } else { Ok(RawFd::try_from(listener).unwrap_or(-1)) }
    }
}

/// Sends a descriptor out of the child by [`WAY_OUT`]. Async-signal-safe.
pub fn send_descriptor(fd: RawFd) -> io::Result<()> {
    #[repr(C, align(8))]
    struct Rights {
        header: libc::cmsghdr,
        fd: RawFd,
        padding: u32,
    }
    // SAFETY: zeroes are valid for both structures. All that the message points to lives for the
    // call; the control part has the layout of cmsg(3) with one descriptor.
    unsafe {
        let mut rights: Rights = mem::zeroed();
        rights.header.cmsg_len = libc::CMSG_LEN(4) as _;
        (rights.header.cmsg_level, rights.header.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        rights.fd = fd;
        let mut byte = libc::iovec { iov_base: (&raw mut rights.padding).cast(), iov_len: 1 };
        let mut message: libc::msghdr = mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut byte, 1);
        (message.msg_control, message.msg_controllen) = ((&raw mut rights).cast(), mem::size_of::<Rights>());
        let sent = libc::syscall(libc::SYS_sendmsg, WAY_OUT, &raw const message, 0);
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Takes one question. Waits for it.
pub fn receive(listener: &OwnedFd) -> io::Result<libc::seccomp_notif> {
    // SAFETY: zeroes are valid, and what the kernel demands; it fills exactly this structure.
    unsafe {
        let mut question: libc::seccomp_notif = mem::zeroed();
        let done = libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut question);
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(question) }
    }
}

/// Answers the question `id`: the call fails with `errno`, or is carried out.
pub fn respond(listener: &OwnedFd, id: u64, errno: Option<i32>) -> io::Result<()> {
    let go_on = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
    let flags = if errno.is_some() { 0 } else { go_on };
    let mut answer = libc::seccomp_notif_resp { id, val: 0, error: -errno.unwrap_or(0), flags };
    // SAFETY: the kernel reads exactly this structure, which lives for the call.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the calling thread a real-time priority.
pub fn be_realtime(priority: i32) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` lives for the call; thread 0 is the calling one.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
