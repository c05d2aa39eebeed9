//! Network namespaces of the lab, and the tools that act in them.
//!
//! Owns: creating, entering and removing a namespace, and running `ip`, `nft`, `tc` in one. Never
//! does: anything in the namespace in which the tests were started. A failure panics with what the
//! tool said: a lab that is not as described must not be measured. Dropping a [`Netns`] ends every
//! process inside and removes it.

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Directory in which `ip netns` keeps named namespaces.
const NAMED: &str = "/run/netns";

/// A named network namespace that lives as long as this value, unless it is left standing.
#[derive(Debug)]
pub struct Netns {
    name: String,
    handle: File,
    keep: bool,
}

impl Netns {
    /// Creates the namespace and brings its loopback up.
    pub fn create(name: &str) -> Netns {
        tool("ip", &["netns", "add", name], "");
        let handle = File::open(format!("{NAMED}/{name}")).unwrap_or_else(|e| panic!("namespace {name}: {e}"));
        let netns = Netns { name: name.to_owned(), handle, keep: false };
        netns.ip("link set dev lo up");
        netns
    }

    /// Name by which `ip netns` knows the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Descriptor for `setns`, valid as long as this value.
    pub fn descriptor(&self) -> i32 {
        self.handle.as_raw_fd()
    }

    /// Leaves the namespace standing when this value is dropped.
    pub fn leave_standing(&mut self) {
        self.keep = true;
    }

    /// Runs `work` on a thread of its own inside the namespace. Sockets opened there stay in the
    /// namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                work()
            });
            inside.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        })
    }

    /// Moves the calling thread, and only it, into the namespace for good.
    pub fn enter(&self) {
        setns(&self.handle, CloneFlags::CLONE_NEWNET).unwrap_or_else(|e| panic!("enter {}: {e}", self.name));
    }

    /// Another handle on the same namespace, for a thread that enters it.
    pub fn door(&self) -> Door {
        Door(self.handle.try_clone().expect("duplicate a namespace descriptor"))
    }

    /// Runs lines of `ip` inside the namespace, in one batch.
    pub fn ip(&self, lines: &str) {
        tool("ip", &["-n", &self.name, "-batch", "-"], lines);
    }

    /// Runs one tool inside the namespace and returns what it printed.
    pub fn tool(&self, program: &str, args: &[&str], input: &str) -> String {
        let mut all = vec!["netns", "exec", &self.name, program];
        all.extend(args);
        tool("ip", &all, input)
    }

    /// Runs one tool inside the namespace, like [`Netns::tool`], for when failing is an answer.
    pub fn try_tool(&self, program: &str, args: &[&str], input: &str) -> Result<String, String> {
        let mut all = vec!["netns", "exec", &self.name, program];
        all.extend(args);
        try_tool("ip", &all, input)
    }

    /// Writes a sysctl of the namespace; `key` is its path below `/proc/sys/net`.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/net/{key}");
        self.run(|| std::fs::write(&path, value).unwrap_or_else(|e| panic!("write {value} to {path}: {e}")));
    }

    /// Processes that are in the namespace now.
    pub fn processes(&self) -> Vec<Pid> {
        let inode = self.handle.metadata().map(|m| m.ino()).unwrap_or_default();
        processes_in(inode)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.keep {
            remove_namespace(&self.name, &self.processes());
        }
    }
}

/// A way into a namespace that a thread can own.
#[derive(Debug)]
pub struct Door(File);

impl Door {
    /// Moves the calling thread, and only it, into the namespace for good.
    pub fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap_or_else(|e| panic!("enter a namespace: {e}"));
    }
}

/// Removes what labs of dead processes left behind: namespaces and directories called `vp<pid>-…`
/// whose pid is gone.
pub fn sweep() {
    names_of_labs(Path::new(NAMED))
        .iter()
        .filter(|name| is_orphan(name))
        .for_each(|name| remove_named_namespace(name));
    for name in names_of_labs(&std::env::temp_dir()).iter().filter(|name| is_orphan(name)) {
        let dir = std::env::temp_dir().join(name);
        let is_ours = dir.symlink_metadata().is_ok_and(|m| m.is_dir() && m.uid() == 0);
        if is_ours && let Err(cause) = std::fs::remove_dir_all(&dir) {
            eprintln!("remove {}: {cause}", dir.display());
        }
    }
}

/// Whether the process whose number begins a lab's name is gone.
pub fn is_orphan(name: &str) -> bool {
    let owner = name[2..].split('-').next().and_then(|pid| pid.parse::<i32>().ok());
    owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists() || is_zombie(Pid::from_raw(pid)))
}

/// Removes every namespace whose name begins with `prefix` and a dash, with the processes inside;
/// returns their count.
pub fn remove_lab(prefix: &str) -> usize {
    let mut ours = names_of_labs(Path::new(NAMED));
    ours.retain(|name| name.starts_with(&format!("{prefix}-")));
    ours.iter().for_each(|name| remove_named_namespace(name));
    ours.len()
}

/// Names in a directory that are those of labs: they begin with `vp`. None if it cannot be read.
fn names_of_labs(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.starts_with("vp")).collect()
}

/// Removes the namespace that `ip netns` knows as `name`, and kills the processes inside.
fn remove_named_namespace(name: &str) {
    let inode = std::fs::metadata(format!("{NAMED}/{name}")).map(|m| m.ino()).unwrap_or_default();
    remove_namespace(name, &processes_in(inode));
}

/// Ends `inside` and removes the namespace. A failure is printed and never panics: this runs while
/// unwinding.
fn remove_namespace(name: &str, inside: &[Pid]) {
    kill_and_wait(inside);
    if let Err(cause) = try_tool("ip", &["netns", "del", name], "") {
        eprintln!("{cause}");
    }
}

/// Sends SIGKILL to these processes; returns when they are gone, or after two seconds.
pub fn kill_and_wait(processes: &[Pid]) {
    for pid in processes {
        // A process that is gone already counts as ended.
        let _ = kill(*pid, Signal::SIGKILL);
    }
    let limit = Instant::now() + Duration::from_secs(2);
    while processes.iter().any(|pid| kill(*pid, None).is_ok() && !is_zombie(*pid)) && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process has ended and only waits for its parent to hear of that, or is gone.
fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z'))
}

/// Processes whose network namespace has this inode; this process is left out.
fn processes_in(inode: u64) -> Vec<Pid> {
    let is_inside =
        |pid: &Pid| inode != 0 && std::fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|m| m.ino() == inode);
    every_process().into_iter().filter(is_inside).collect()
}

/// Processes of the machine; this one is left out.
pub fn every_process() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str().and_then(|n| n.parse::<i32>().ok()))
        .filter(|pid| u32::try_from(*pid) != Ok(std::process::id()))
        .map(Pid::from_raw)
        .collect()
}

/// Runs a program to its end and returns what it printed; panics with its complaint if it fails.
pub fn tool(program: &str, args: &[&str], input: &str) -> String {
    try_tool(program, args, input).unwrap_or_else(|cause| panic!("{cause}"))
}

/// Runs a program to its end and returns what it printed. The error holds the command, its input
/// and its complaint.
pub fn try_tool(program: &str, args: &[&str], input: &str) -> Result<String, String> {
    let what = || format!("{program} {}{}{input}", args.join(" "), if input.is_empty() { "" } else { " <<< " });
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", what()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|e| format!("{}: {e}", what()))?;
    }
    let output = child.wait_with_output().map_err(|e| format!("{}: {e}", what()))?;
    if !output.status.success() {
        return Err(format!("{}: {}: {}", what(), output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
