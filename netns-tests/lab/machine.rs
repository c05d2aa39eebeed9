//! A machine with a systemd of its own: a container in the network namespace of one of the lab's
//! hosts.
//!
//! Owns: the machine's disk, its power button, and commands that root types on it. Never does:
//! anything for the product that a user would not type. `scripts/machine` makes the system that
//! machines boot, once; no machine writes to it. When something is missing for that, or systemd
//! does not come up, it panics with what was said. All processes of a machine are in a process
//! namespace that dies with us, its mounts in a mount namespace that goes with them. A killed test
//! leaves only empty control groups behind, which the next start removes.

use super::netns::{is_orphan, try_tool};
use super::process::{Process, tail};
use super::program::program;
use super::{Lab, Port};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longest wait for a boot, which takes a second or two: more than the busiest machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Places where control groups may be: version 1 beside version 2, or version 2 alone.
const GROUPS: [&str; 3] = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
/// Environment of commands on a machine: the search path.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Boots a machine: enters the control groups $8 and following, mounts the disk $2 over the system
/// $1, and becomes the machine $3.
const BOOT: &str = "set -eu
system=$1 disk=$2 host=$3 name=$4 tree=$5 program=$6 files=$7
shift 7
for group in \"$@\"; do echo 0 >\"$group/cgroup.procs\"; done
mount -t overlay -o \"lowerdir=$system,upperdir=$disk/upper,workdir=$disk/work\" machine \"$disk/root\"
SYSTEMD_NSPAWN_API_VFS_WRITABLE=network exec systemd-nspawn --quiet --directory=\"$disk/root\" --boot --register=no \\
    --keep-unit --network-namespace-path=\"/run/netns/$name\" --machine=\"$name\" --hostname=\"$host\" --console=pipe \\
    --capability=all --system-call-filter=bpf --resolv-conf=off --timezone=off \\
    --bind-ro=\"$tree:/src\" --bind-ro=\"$program:/program\" --bind-ro=\"$files:/files\"";

/// One machine, on or off.
#[derive(Debug)]
pub struct Machine {
    port: Port,
    name: String,
    disk: PathBuf,
    /// Directory with what the machine may install, seen there as `/files`.
    files: PathBuf,
    groups: Vec<PathBuf>,
    running: Option<Running>,
}

/// The processes of a machine that is on.
#[derive(Debug)]
struct Running {
    /// The outermost process of the container.
    process: Process,
    /// The machine's systemd, by our process numbers; 0 until it is known.
    leader: Pid,
}

impl Machine {
    /// The host behind `port` as a machine with an empty disk, switched off. The machine sees the
    /// directory `files` as `/files`, the sources of this project as `/src`, the program under test
    /// as `/program`.
    pub fn new(lab: &Lab, port: Port, files: &Path) -> Machine {
        let disk = lab.dir().join(format!("{}-disk", port.host()));
        let make = |path: &Path| {
            let made = fs::DirBuilder::new().mode(0o755).recursive(true).create(path);
            made.unwrap_or_else(|e| panic!("make {}: {e}", path.display()));
        };
        ["upper/etc", "work", "root"].into_iter().for_each(|part| make(&disk.join(part)));
        // A disk with a machine-id has been booted before: systemd sets nothing up for a first
        // boot.
        let id = format!("{:08x}{:024x}\n", std::process::id(), port.index());
        fs::write(disk.join("upper/etc/machine-id"), id).expect("write to a new disk");
        let name = lab.host(port).name().to_owned();
        let roots = GROUPS.into_iter().map(Path::new).filter(|root| root.join("cgroup.procs").exists());
        let mut roots: Vec<&Path> = roots.collect();
        if roots.len() > 1 {
            roots.retain(|root| *root != Path::new(GROUPS[2]));
        }
        assert!(!roots.is_empty(), "no control groups below /sys/fs/cgroup: systemd needs them");
        let groups = roots.into_iter().map(|root| root.join(&name)).collect();
        Machine { port, name, disk, files: files.to_owned(), groups, running: None }
    }

    /// Switches the machine on and returns at once: see [`Machine::wait_until_up`].
    pub fn power_on(&mut self, lab: &Lab) {
        assert!(self.running.is_none(), "{} is on", self.name);
        lab.note(format!("{} is switched on", self.port.host()));
        for group in &self.groups {
            fs::create_dir_all(group).unwrap_or_else(|e| panic!("make {}: {e}", group.display()));
        }
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--mount",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount-proc",
            "sh",
            "-c",
            BOOT,
            "boot",
        ]);
        command.arg(base_system()).arg(&self.disk).arg(self.port.host()).arg(&self.name);
        command.arg(env!("CARGO_MANIFEST_DIR")).arg(program()).arg(&self.files).args(&self.groups);
        let process = Process::start(lab.host(self.port), command, &self.console(), false);
        self.running = Some(Running { process, leader: Pid::from_raw(0) });
    }

    /// Waits until systemd says that everything it was to start has started.
    pub fn wait_until_up(&mut self) {
        let limit = Instant::now() + PATIENCE;
        let mut said = String::new();
        while said != "running" {
            let running = self.running.as_mut().unwrap_or_else(|| panic!("{} is off", self.name));
            assert!(
                Instant::now() < limit && running.process.is_running() && said != "degraded",
                "{} does not come up: {said}\n{}\n{}",
                self.name,
                self.try_run(&["systemctl", "--failed", "--no-pager"]).unwrap_or_else(|cause| cause),
                tail(&fs::read_to_string(self.console()).unwrap_or_default(), 20),
            );
            std::thread::sleep(Duration::from_millis(50));
            let Some(leader) = leader_below(running.process.pid()) else { continue };
            running.leader = leader;
            // Any word but "running" makes the command fail; the word is in front of the complaint.
            said = match self.try_run(&["sh", "-c", "systemctl is-system-running || true"]) {
                Ok(word) => word.trim().to_owned(),
                Err(cause) => cause,
            };
        }
    }

    /// Waits until the machine, which was told to shut down, is off.
    pub fn wait_until_off(&mut self) {
        let mut running = self.running.take().unwrap_or_else(|| panic!("{} is off", self.name));
        assert!(running.process.wait(PATIENCE).is_some(), "{} does not go down", self.name);
        self.groups.iter().for_each(|group| remove_group(group));
    }

    /// Records that power was lost: [`Lab::power_off`] has ended every process.
    pub fn lose_power(&mut self) {
        if let Some(mut running) = self.running.take() {
            let ended = running.process.wait(Duration::from_secs(10));
            assert!(ended.is_some(), "{} lives on without power", self.name);
        }
        self.groups.iter().for_each(|group| remove_group(group));
    }

    /// Whether the machine is on.
    pub fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Runs a command on the machine as root and returns its output; panics if it fails.
    pub fn run(&self, command: &[&str]) -> String {
        self.try_run(command).unwrap_or_else(|cause| panic!("{}: {cause}", self.name))
    }

    /// Runs a command on the machine as root, like [`Machine::run`], for when failing is an answer.
    pub fn try_run(&self, command: &[&str]) -> Result<String, String> {
        let running = self.running.as_ref().ok_or_else(|| format!("{} is off", self.name))?;
        let leader = running.leader.to_string();
        let mut all = vec!["--all", "--target", &leader, "env", "-i", PATH, "LANG=C.UTF-8"];
        all.extend(command);
        try_tool("nsenter", &all, "")
    }

    /// Sends a signal to a process, by the machine's own numbers. The shell does it: the machine
    /// needs no `kill` for it.
    pub fn kill(&self, signal: &str, pid: &str) {
        self.run(&["sh", "-c", "kill -\"$0\" \"$1\"", signal, pid]);
    }

    /// One property of a unit, as `systemctl show` prints it.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.run(&["systemctl", "show", "--value", "-p", name, unit]).trim().to_owned()
    }

    /// Path by which this process reaches a file of the running machine.
    pub fn path(&self, path: &str) -> PathBuf {
        let running = self.running.as_ref().unwrap_or_else(|| panic!("{} is off", self.name));
        PathBuf::from(format!("/proc/{}/root{path}", running.leader))
    }

    /// The machine's port in the lab.
    pub fn port(&self) -> Port {
        self.port
    }

    /// Path of the file with all that the machine prints on its console.
    fn console(&self) -> PathBuf {
        self.disk.join("console")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.running = None;
        self.groups.iter().for_each(|group| remove_group(group));
    }
}

/// Path of the system that all machines boot; it is made at the first call if it does not exist.
fn base_system() -> &'static Path {
    static SYSTEM: OnceLock<PathBuf> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/machine");
        // The script's progress is to be seen while it works.
        let output = Command::new(&script).stderr(Stdio::inherit()).output();
        let output = output.unwrap_or_else(|e| panic!("{}: {e}", script.display()));
        assert!(output.status.success(), "no system to boot a machine with: {} says why", script.display());
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// The systemd of a container: a child of the container's own process, which is a child of `outer`.
fn leader_below(outer: Pid) -> Option<Pid> {
    let container = children(outer).first().copied()?;
    let is_systemd = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == "systemd");
    children(container).into_iter().find(is_systemd)
}

/// Children of a process; none if it has ended.
fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).map(Pid::from_raw).collect()
}

/// Removes control groups of machines whose test is gone.
pub fn sweep() {
    for root in GROUPS {
        let Ok(entries) = fs::read_dir(root) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_orphan_group)) {
            remove_group(&entry.path());
        }
    }
}

/// Whether a control group has a lab's name, of a process that is gone.
fn is_orphan_group(name: &str) -> bool {
    name.starts_with("vp") && is_orphan(name)
}

/// Removes a control group with all below it; tries for five seconds, because a last process may
/// just be ending.
fn remove_group(group: &Path) {
    let limit = Instant::now() + Duration::from_secs(5);
    while group.exists() {
        let below = fs::read_dir(group).into_iter().flatten().flatten();
        below.map(|entry| entry.path()).filter(|path| path.is_dir()).for_each(|path| remove_group(&path));
        if let Err(cause) = fs::remove_dir(group)
            && Instant::now() > limit
        {
            eprintln!("remove {}: {cause}", group.display());
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
