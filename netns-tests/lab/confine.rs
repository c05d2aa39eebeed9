//! A process that gets too little processor time.
//!
//! Owns: a control group with a processor quota, of version 1 or 2, whichever this machine has.
//! Never does: limits on anything else. On drop the process is free again and the group is gone;
//! what a killed process of ours left behind, the next start removes.

use super::Lab;
use nix::errno::Errno;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Roots of the processor's control groups, version 1 and 2; each lab's group is directly below one
/// of them.
const V1: &str = "/sys/fs/cgroup/cpu";
const V2: &str = "/sys/fs/cgroup";
/// Time over which a quota is counted, in microseconds: the kernel's own default.
const PERIOD_US: u32 = 100_000;

/// A quota in force, ended by dropping it.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Confinement {
    dir: PathBuf,
    pid: i32,
    /// Threads that were real-time ones, with policy and priority.
    urgent: Vec<(i32, i32, i32)>,
}

impl Lab {
    /// Limits a process, all its threads together, to `percent` of one core. Real-time threads
    /// become ordinary ones first, because a quota does not bind them.
    pub fn confine(&self, pid: i32, percent: u32) -> Confinement {
        self.note(format!("process {pid} gets {percent} % of a core"));
        let root = cgroup_root();
        let dir = root.join(format!("{}-cpu{pid}", self.prefix()));
        fs::create_dir(&dir).unwrap_or_else(|e| panic!("make {}: {e}", dir.display()));
        let quota = PERIOD_US / 100 * percent;
        if dir.join("cpu.cfs_quota_us").exists() {
            write_setting(&dir.join("cpu.cfs_period_us"), &PERIOD_US.to_string());
            write_setting(&dir.join("cpu.cfs_quota_us"), &quota.to_string());
        } else {
            write_setting(&dir.join("cpu.max"), &format!("{quota} {PERIOD_US}"));
        }
        let mut confinement = Confinement { dir, pid, urgent: Vec::new() };
        let limit = Instant::now() + Duration::from_secs(2);
        loop {
            make_ordinary(pid, &mut confinement.urgent);
            // The kernel refuses this while a thread of the process is a real-time one again.
            match fs::write(confinement.dir.join("cgroup.procs"), pid.to_string()) {
                Ok(()) => return confinement,
                Err(cause) => assert!(Instant::now() < limit, "confine {pid}: {cause}"),
            }
        }
    }
}

impl Confinement {
    /// How often the quota has run out so far. A test that finds 0 has proved nothing.
    pub fn throttle_count(&self) -> u64 {
        let text = fs::read_to_string(self.dir.join("cpu.stat")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Confinement {
    fn drop(&mut self) {
        // A process that has ended needs no freeing.
        let _ = fs::write(cgroup_root().join("cgroup.procs"), self.pid.to_string());
        for (task, policy, priority) in self.urgent.drain(..) {
            let _ = set_policy(task, policy, priority);
        }
        remove_group(&self.dir);
    }
}

/// Removes groups of labs whose process is gone.
pub fn sweep() {
    for root in [V1, V2] {
        let Ok(entries) = fs::read_dir(root) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("vp") && super::netns::is_orphan(name)) {
                remove_group(&entry.path());
            }
        }
    }
}

/// Root of the control groups that limit the processor here; panics when there are none.
fn cgroup_root() -> PathBuf {
    if Path::new(V1).join("cpu.cfs_quota_us").exists() || Path::new(V1).join("cpu.shares").exists() {
        return V1.into();
    }
    let controls = Path::new(V2).join("cgroup.subtree_control");
    assert!(controls.exists(), "no control groups for the processor at {V1} or {V2}");
    write_setting(&controls, "+cpu");
    V2.into()
}

/// Gives every thread of a process the ordinary scheduling policy, and adds those that had another
/// to `urgent`.
fn make_ordinary(pid: i32, urgent: &mut Vec<(i32, i32, i32)>) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap_or_else(|e| panic!("threads of {pid}: {e}"));
    for task in tasks.flatten().filter_map(|t| t.file_name().to_str()?.parse::<i32>().ok()) {
        let (policy, priority) = policy(task);
        if priority > 0 {
            urgent.push((task, policy, priority));
        }
        match set_policy(task, libc::SCHED_OTHER, 0) {
            // A thread that has just ended needs no policy.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(cause) => panic!("schedule thread {task}: {cause}"),
        }
    }
}

/// The scheduling policy and priority of a thread; an ordinary one's if it has ended.
fn policy(task: i32) -> (i32, i32) {
    let mut how = libc::sched_param { sched_priority: 0 };
    // SAFETY: both calls read a number, and the pointer is to a live sched_param.
    let policy = unsafe {
        libc::sched_getparam(task, &raw mut how);
        libc::sched_getscheduler(task)
    };
    (policy, how.sched_priority)
}

/// Gives a thread a scheduling policy, and a priority if the policy is a real-time one. Thread 0 is
/// the calling one.
pub fn set_policy(task: i32, policy: i32, sched_priority: i32) -> nix::Result<()> {
    let how = libc::sched_param { sched_priority };
    // SAFETY: the pointer is to a live sched_param.
    Errno::result(unsafe { libc::sched_setscheduler(task, policy, &raw const how) }).map(drop)
}

/// Removes a group, which is possible only when its last process is gone: tries for two seconds.
fn remove_group(dir: &Path) {
    let limit = Instant::now() + Duration::from_secs(2);
    while let Err(cause) = fs::remove_dir(dir) {
        if Instant::now() > limit {
            eprintln!("remove {}: {cause}", dir.display());
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Writes a setting of a control group.
fn write_setting(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("write {text} to {}: {e}", path.display()));
}
