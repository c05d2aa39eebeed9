//! System calls: their names, what they are about, and how they can fail.
//!
//! Owns: the table of errors that a kernel short of something gives. Never does: list which calls
//! the program makes; the injector finds that out. A call that no line names can fail for want of
//! memory.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

/// What a descriptor leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The call has no descriptor, or one of no kind below.
    Other,
    /// A file or directory.
    File,
    /// Standard output or standard error.
    Log,
    /// A socket of a network, or of netlink.
    Socket,
    /// A socket of the machine itself (unix(7)); what waits there can always be taken.
    Local,
    Pipe,
    /// A timer, a wake-up, a poll: they never fail for want of anything.
    Event,
}

/// A kind of call: its number, and what its descriptor leads to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Call {
    number: i64,
    kind: Kind,
}

/// Calls that are carried out without a question: they cannot fail, or what they say is not
/// checked by anybody, or the question itself would hang.
const UNASKED: [i64; 27] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_rt_sigprocmask,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_munmap,
    libc::SYS_timerfd_settime,
    libc::SYS_sched_getparam,
    libc::SYS_set_tid_address,
    libc::SYS_arch_prctl,
    libc::SYS_geteuid,
    libc::SYS_sigaltstack,
    libc::SYS_wait4,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_brk,
];

/// Calls about which nobody is asked.
pub fn unasked() -> impl Iterator<Item = i64> {
    UNASKED.into_iter()
}

impl Call {
    /// The call that a process is about to make.
    pub fn of(asker: &Asker, data: &libc::seccomp_data) -> Call {
        let number = i64::from(data.nr);
        let name = name_of(number);
        let kind = if takes_descriptor(&name) { asker.kind_of(data.args[0]) } else { Kind::Other };
        Call { number, kind }
    }

    /// Name of the call, as its page of the manual has it.
    pub fn name(&self) -> String {
        name_of(self.number)
    }

    /// The errors with which a kernel that is short of something fails this call; empty for one
    /// that does not fail so.
    pub fn errors(&self) -> &'static [i32] {
        use libc::{EAGAIN, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC, EPERM, EROFS};
        let name = self.name();
        match (name.as_str(), self.kind) {
            (_, Kind::Event | Kind::Log)
            | ("close" | "rt_sigaction" | "prctl" | "lseek" | "uname" | "kill" | "getsockname", _)
            | ("prlimit64" | "sched_getaffinity", _) => &[],
            ("openat" | "open" | "openat2", _) => &[EMFILE, ENFILE, ENOMEM, EIO],
            ("socket" | "socketpair", _) => &[EMFILE, ENFILE, ENOBUFS, ENOMEM],
            ("accept4" | "epoll_create1" | "eventfd2" | "timerfd_create" | "pipe2" | "dup" | "pidfd_open", _) => {
                &[EMFILE, ENFILE, ENOMEM]
            }
            ("bpf", _) => &[ENOMEM, EPERM, EMFILE],
            ("fcntl", _) => &[EMFILE],
            ("read" | "write" | "writev", Kind::Pipe | Kind::Other)
            | ("read" | "recvfrom" | "recvmsg", Kind::Local) => &[],
            ("write" | "writev" | "sendto" | "sendmsg", Kind::Local) => &[ENOBUFS, ENOMEM],
            ("write" | "writev" | "sendto" | "sendmsg" | "sendmmsg", Kind::Socket) => &[ENOBUFS, ENOMEM, EPERM],
            ("bind" | "connect" | "setsockopt" | "listen", _) => &[ENOMEM, ENOBUFS, EPERM],
            ("recvfrom" | "recvmsg" | "recvmmsg" | "read", Kind::Socket) => &[ENOMEM, ENOBUFS],
            ("read" | "pread64" | "getdents64" | "statx" | "fstat" | "newfstatat" | "stat" | "readlink", _) => {
                &[EIO, ENOMEM]
            }
            ("write" | "pwrite64" | "fsync" | "fdatasync" | "ftruncate", _)
            | ("renameat" | "rename" | "unlinkat" | "unlink" | "mkdir" | "chmod" | "fchmod", _) => {
                &[ENOSPC, EIO, EROFS]
            }
            ("clone3" | "clone" | "vfork" | "fork" | "mlockall", _) => &[EAGAIN, ENOMEM],
            ("epoll_ctl", _) => &[ENOMEM, ENOSPC],
            ("sched_setscheduler" | "setsid", _) => &[EPERM],
            _ => &[ENOMEM],
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Other => write!(f, "{}", self.name()),
            kind => write!(f, "{} ({kind:?})", self.name()),
        }
    }
}

/// Whether the first argument of a call is a descriptor that says what the call is about.
fn takes_descriptor(name: &str) -> bool {
    let families = ["read", "write", "pread", "pwrite", "send", "recv", "fstat", "fsync", "fdatasync", "ftruncate"];
    families.iter().any(|family| name.starts_with(family)) && name != "readlink" && name != "readlinkat"
}

/// The process whose calls are asked about.
#[derive(Debug)]
pub struct Asker {
    pid: i32,
    /// Handle of the process, by which copies of its descriptors are had.
    handle: OwnedFd,
}

impl Asker {
    /// The process with this number.
    pub fn new(pid: i32) -> io::Result<Asker> {
        // SAFETY: a plain system call; the kernel has made the descriptor for us alone.
        let handle = unsafe {
            let made = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            if made < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(RawFd::try_from(made).expect("descriptors are small"))
        };
        Ok(Asker { pid, handle })
    }

    /// Whether a thread is one of the process's own.
    pub fn has_thread(&self, thread: u32) -> bool {
        std::path::Path::new(&format!("/proc/{}/task/{thread}", self.pid)).exists()
    }

    /// What a descriptor of the process leads to.
    fn kind_of(&self, fd: u64) -> Kind {
        if fd == 1 || fd == 2 {
            return Kind::Log;
        }
        let leads = std::fs::read_link(format!("/proc/{}/fd/{fd}", self.pid)).unwrap_or_default();
        let leads = leads.to_string_lossy();
        match leads.split_once(':') {
            _ if leads.starts_with('/') => Kind::File,
            Some(("socket", _)) if self.domain_of(fd) == Some(libc::AF_UNIX) => Kind::Local,
            Some(("socket", _)) => Kind::Socket,
            Some(("pipe", _)) => Kind::Pipe,
            Some(("anon_inode", what)) if what.contains("event") || what.contains("timer") => Kind::Event,
            _ => Kind::Other,
        }
    }

    /// Family of addresses of a socket of the process; `None` if it is gone.
    fn domain_of(&self, fd: u64) -> Option<libc::c_int> {
        let (mut domain, mut length): (libc::c_int, libc::socklen_t) = (0, 4);
        // SAFETY: the copy of the descriptor is ours; the value is an int, as socket(7) says of
        // SO_DOMAIN, and lives for the call.
        unsafe {
            let copy = libc::syscall(libc::SYS_pidfd_getfd, self.handle.as_raw_fd(), fd, 0);
            let copy = OwnedFd::from_raw_fd(RawFd::try_from(copy).ok().filter(|copy| *copy >= 0)?);
            let (value, length) = ((&raw mut domain).cast(), &raw mut length);
            let told = libc::getsockopt(copy.as_raw_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN, value, length);
            (told == 0).then_some(domain)
        }
    }
}

/// Name of a call by its number.
fn name_of(number: i64) -> String {
    static NAMES: OnceLock<BTreeMap<i64, String>> = OnceLock::new();
    NAMES.get_or_init(read_names).get(&number).cloned().unwrap_or_else(|| format!("call {number}"))
}

/// The names of all calls, from the kernel's header for users, which the build needs as well.
fn read_names() -> BTreeMap<i64, String> {
    let triple = format!("/usr/include/{}-linux-gnu/asm", std::env::consts::ARCH);
    let files = [format!("{triple}/unistd_64.h"), "/usr/include/asm-generic/unistd.h".to_owned()];
    let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok()).expect("linux-libc-dev is installed");
    let line = |line: &str| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((number.trim().parse().ok()?, name.to_owned()))
    };
    text.lines().filter_map(line).collect()
}
