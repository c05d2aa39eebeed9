//! When the machine stood still: a watch that no load of ours can delay.
//!
//! Owns: one thread on each core, of a priority above all others of the tests, that wakes up every few
//! milliseconds and notes each time that it could not; and the report of the cases that were overtaken.
//! Never does: judging a case. Without real-time priority it says so once and sees nothing.
//!
//! A core on which such a thread does not run ran nothing else of ours: the host of this machine had
//! taken it away, or its kernel was busy. What a case measured meanwhile says nothing about the product,
//! whether the case ended well or not. So its name goes to the file [`REPORT`], and `scripts/cases` plays
//! it anew.

use super::clock::now;
use super::confine::set_policy;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fmt::{self, Display, Formatter};
use std::io::Write as _;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use vipair::types::MonoTime;

/// Variable of the environment with the path of the report: a line for each case that was overtaken.
pub const REPORT: &str = "VIPAIR_OVERTAKEN";
/// Time between two looks of a core's thread.
const LOOK: Duration = Duration::from_millis(5);
/// Shortest pause that is noted, and that excuses a case that failed: the leases of the quickest pairs in
/// the cases are about as long.
const SHORTEST: Duration = Duration::from_millis(15);
/// Shortest pause for which a case that ended well is played anew: what was to be seen may not have had the
/// time to happen.
const LONG: Duration = Duration::from_millis(100);
/// Priority of the watch: above the agents' and the probes'.
const PRIORITY: i32 = 80;
/// Number of pauses that are remembered.
const MOST: usize = 100_000;

/// A time in which a core did not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    core: usize,
    from: MonoTime,
    until: MonoTime,
}

static PAUSES: Mutex<Vec<Pause>> = Mutex::new(Vec::new());
static STARTED: Once = Once::new();

impl Display for Pause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "core {} stood still for {} ms", self.core, self.until.since(self.from).as_millis())
    }
}

/// Starts the watch, once in a process; it runs until the process ends.
pub fn watch() {
    STARTED.call_once(|| {
        let allowed = sched_getaffinity(Pid::from_raw(0)).expect("a process may ask for its own cores");
        for core in (0..CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true)) {
            let watch = std::thread::Builder::new().name(format!("watch-{core}")).spawn(move || look_on(core));
            drop(watch.expect("a thread can be started"));
        }
    });
}

/// Watches one core for as long as the process lives.
fn look_on(core: usize) {
    let mut only = CpuSet::new();
    only.set(core).expect("the core was read from such a set");
    sched_setaffinity(Pid::from_raw(0), &only).expect("the core is one of ours");
    if let Err(cause) = set_policy(0, libc::SCHED_FIFO, PRIORITY) {
        eprintln!("pauses of core {core} are not seen: no real-time priority ({cause})");
        return;
    }
    loop {
        let from = now();
        std::thread::sleep(LOOK);
        let until = now();
        if until.since(from) >= LOOK + SHORTEST {
            let mut pauses = PAUSES.lock().unwrap_or_else(PoisonError::into_inner);
            if pauses.len() < MOST {
                pauses.push(Pause { core, from, until });
            }
        }
    }
}

/// The pauses that ended after `since`, in order.
pub fn since(since: MonoTime) -> Vec<Pause> {
    let pauses = PAUSES.lock().unwrap_or_else(PoisonError::into_inner);
    pauses.iter().filter(|pause| pause.until > since).copied().collect()
}

/// Says of the case that this thread plays, and that began at `began`, whether the machine overtook it:
/// on standard error with each pause, and by its name in the report if there is to be one.
pub fn report(began: MonoTime) {
    let pauses = since(began);
    let shortest = if std::thread::panicking() { SHORTEST } else { LONG };
    if !pauses.iter().any(|pause| pause.until.since(pause.from) >= LOOK + shortest) {
        return;
    }
    let thread = std::thread::current();
    let case = thread.name().unwrap_or("a case without a name");
    let told: Vec<String> = pauses.iter().map(ToString::to_string).collect();
    eprintln!("the machine overtook {case}: {}", told.join(", "));
    if let Some(path) = std::env::var_os(REPORT) {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(format!("{case}\n").as_bytes()));
        if let Err(cause) = written {
            eprintln!("the report {} lacks {case}: {cause}", path.display());
        }
    }
}
