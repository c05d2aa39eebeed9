//! System calls that fail when a test says so.
//!
//! Owns: a seccomp filter that asks the lab about every system call of a process before the kernel
//! carries it out (seccomp_unotify(2)), the thread that answers, and the list of calls seen. So a
//! fault begins and ends at a moment of a test's choice, in the program as it ships. Never does:
//! change what a call does: it is carried out, or it fails with an error number and nothing has
//! happened. Programs that the process starts are asked about, too, but are let alone.
//!
//! The process waits for the answer. The thread that answers therefore has a real-time priority
//! above the agent's; an answer takes some ten microseconds. Without the thread every call fails
//! with ENOSYS.

pub mod calls;
mod filter;

use calls::Asker;
pub use calls::Call;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair};
use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Real-time priority of the thread that answers.
const PRIORITY: i32 = 50;
/// How often the thread looks whether it is to end, in milliseconds.
const LOOK_MS: u16 = 50;

/// Which of the calls fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// All of them.
    Always,
    /// The one with this number, counted from 1 since the process was started.
    Nth(u64),
}

/// A fault: a call that fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The call.
    pub call: Call,
    /// The error number that it fails with.
    pub errno: i32,
    /// Which of the calls.
    pub when: When,
}

/// What the test and the thread share.
#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    /// Calls that have failed since the fault was set.
    struck: AtomicU64,
    ended: AtomicBool,
}

/// The fault in force, and what was seen.
#[derive(Debug, Default)]
struct Plan {
    fault: Option<Fault>,
    /// Every call seen since the process was started, and how often.
    seen: BTreeMap<Call, u64>,
    /// Whether the program itself runs, and no longer the loader of its libraries.
    begun: bool,
}

/// A process whose system calls can be made to fail. Give it to one process after the other.
#[derive(Debug, Default)]
pub struct Injector {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Injector {
    /// Sets the fault that is in force from now on; `None`: every call is carried out.
    pub fn set(&self, fault: Option<Fault>) {
        self.plan().fault = fault;
        self.shared.struck.store(0, Ordering::Relaxed);
    }

    /// How many calls have failed since the fault was set.
    pub fn struck(&self) -> u64 {
        self.shared.struck.load(Ordering::Relaxed)
    }

    /// The calls that the process has made since its start, and how often.
    pub fn seen(&self) -> BTreeMap<Call, u64> {
        self.plan().seen.clone()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `command` install the filter as the last thing before its program is loaded. Returns the
    /// socket by which the descriptor that tells of the calls comes back.
    pub fn watch_on_exec(command: &mut Command) -> OwnedFd {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)
            .expect("a pair of sockets");
        let program = filter::program();
        // SAFETY: between fork and exec only system calls run (dup3, seccomp, sendmsg); `program`
        // and the socket are owned by the closure.
        unsafe {
            command.pre_exec(move || {
                let listener = filter::install(&program, theirs.as_raw_fd())?;
                filter::send_descriptor(listener)
            });
        }
        ours
    }

    /// Answers for the process `pid` from now on, whose filter was installed by
    /// [`Injector::watch_on_exec`].
    pub fn answer(&mut self, pid: i32, socket: OwnedFd) {
        self.end();
        let listener = receive_descriptor(&socket).unwrap_or_else(|e| panic!("the filter's descriptor: {e}"));
        let asker = Asker::new(pid).unwrap_or_else(|e| panic!("a handle of process {pid}: {e}"));
        let plan = Plan { fault: self.plan().fault.clone(), ..Plan::default() };
        let shared = Arc::new(Shared { plan: Mutex::new(plan), ..Shared::default() });
        self.shared = Arc::clone(&shared);
        let body = move || {
            filter::be_realtime(PRIORITY).unwrap_or_else(|e| panic!("priority of the injector: {e}"));
            answer_calls(&listener, &asker, &shared);
        };
        self.thread = Some(std::thread::Builder::new().name("injector".into()).spawn(body).expect("a thread"));
    }

    /// Ends the thread; the process must be gone, or its calls fail.
    fn end(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        }
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has told so itself.
            let _panicked = thread.join();
        }
    }
}

/// Takes the descriptor that the child has sent.
fn receive_descriptor(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let (mut byte, mut space) = ([0], nix::cmsg_space!([std::os::fd::RawFd; 1]));
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(list) = part
            && let Some(&fd) = list.first()
        {
            // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Answers every question of the kernel until the process is gone, or the test is over.
fn answer_calls(listener: &OwnedFd, asker: &Asker, shared: &Shared) {
    while !shared.ended.load(Ordering::Relaxed) {
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(LOOK_MS)) {
            Ok(0) | Err(_) => continue,
            Ok(_) => {}
        }
        let events = ready[0].revents().unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLIN) {
            return;
        }
        // The asker may have been killed before its question is taken.
        let Ok(question) = filter::receive(listener) else { continue };
        let errno = judge(&question, asker, shared);
        // As above.
        let _gone = filter::respond(listener, question.id, errno);
    }
}

/// The error number with which the call of `question` is to fail; `None` if it is to be carried
/// out. Counts it.
fn judge(question: &libc::seccomp_notif, asker: &Asker, shared: &Shared) -> Option<i32> {
    if !asker.has_thread(question.pid) {
        return None;
    }
    let call = Call::of(asker, &question.data);
    let mut plan = shared.plan.lock().unwrap_or_else(PoisonError::into_inner);
    // The first thing that a program of Rust does is to look after its signals.
    plan.begun |= call.name() == "rt_sigaction";
    if !plan.begun {
        return None;
    }
    let count = plan.seen.entry(call.clone()).or_default();
    *count += 1;
    let count = *count;
    let fault = plan.fault.as_ref().filter(|fault| fault.call == call)?;
    let strikes = match fault.when {
        When::Always => true,
        When::Nth(number) => number == count,
    };
    if !strikes {
        return None;
    }
    shared.struck.fetch_add(1, Ordering::Relaxed);
    Some(fault.errno)
}
