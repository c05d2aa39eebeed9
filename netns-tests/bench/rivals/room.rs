//! The system of a server that a contender runs on: Debian's packages in a tree of their own, over
//! which each server has files of its own. Nothing of it is installed on this machine.
//!
//! Owns: one process that keeps the mounts, and programs started behind them in the server's
//! network namespace. Never does: anything outside of its namespaces. The keeping process ends with
//! the server's network namespace; its mounts go with it.

use crate::lab::netns::try_tool;
use crate::lab::process::Process;
use crate::lab::{Lab, Server};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Environment variable with the tree of the packages, which `scripts/bench` has made.
const SYSTEM: &str = "VIPAIR_BENCH_RIVALS";
/// Environment of programs in a room: the search path.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

/// Mounts everything below the disk $2 over the system $1 and keeps the mounts. $3 is the host, $4
/// its network namespace.
const KEEP: &str = "set -eu
system=$1 disk=$2 host=$3 name=$4
root=$disk/root
mount -t overlay -o \"lowerdir=$system,upperdir=$disk/upper,workdir=$disk/work\" room \"$root\"
mount -t proc proc \"$root/proc\"
mount -t sysfs sys \"$root/sys\"
mount --rbind /dev \"$root/dev\"
for part in dev/shm run tmp; do mount -t tmpfs tmpfs \"$root/$part\"; done
mkdir -p \"$root/run/netns\" \"$root/run/lock/subsys\"
: >\"$root/run/netns/$name\"
mount --bind \"/run/netns/$name\" \"$root/run/netns/$name\"
hostname \"$host\"
: >\"$disk/ready\"
exec sleep infinity";

/// Path of the tree with the packages, if there is one.
pub fn packages_tree() -> Option<PathBuf> {
    std::env::var_os(SYSTEM).map(PathBuf::from).filter(|path| path.join("usr").is_dir())
}

/// The room of one server, from one boot to the next.
#[derive(Debug)]
pub struct Room {
    keeper: Process,
    disk: PathBuf,
    server: Server,
}

impl Room {
    /// A room with these files, each a path and its text, besides those of the packages.
    pub fn new(lab: &Lab, server: Server, boot: u32, files: &[(&str, String)]) -> Room {
        let disk = lab.dir().join(format!("{}-room{boot}", server.name()));
        for part in ["upper", "work", "root"] {
            std::fs::create_dir_all(disk.join(part)).unwrap_or_else(|e| panic!("make a room: {e}"));
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "--propagation", "private", "sh", "-c", KEEP, "room"]);
        command.arg(packages_tree().expect("only called when it is there")).arg(&disk);
        command.arg(server.name()).arg(lab.server(server).name());
        let log = lab.dir().join(format!("{}-room.log", server.name()));
        let mut keeper = Process::start(lab.server(server), command, &log, false);
        let limit = Instant::now() + Duration::from_secs(10);
        while !disk.join("ready").exists() {
            assert!(keeper.is_running() && Instant::now() < limit, "a room is not ready: {}", keeper.output());
            std::thread::sleep(Duration::from_millis(2));
        }
        let room = Room { keeper, disk, server };
        for (path, text) in files {
            room.write(path, text);
        }
        room
    }

    /// Writes a file of this server; a text that begins with `#!` may be run.
    pub fn write(&self, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = self.path(path);
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).unwrap_or_else(|e| panic!("make {}: {e}", dir.display()));
        }
        std::fs::write(&file, text).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
        if text.starts_with("#!") {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&file, mode).unwrap_or_else(|e| panic!("chmod {}: {e}", file.display()));
        }
    }

    /// Path by which this process reaches a file of the room.
    pub fn path(&self, path: &str) -> PathBuf {
        // An absolute path would replace the path that it is joined to.
        let root = self.disk.join("root");
        let from_root =
            |path: &Path| path.to_str().expect("paths of the lab are text").trim_start_matches('/').to_owned();
        PathBuf::from(format!("/proc/{}/root", self.keeper.pid()))
            .join(from_root(&root))
            .join(path.trim_start_matches('/'))
    }

    /// A command that runs in the room once it is started in the server's network namespace. With
    /// `enters` it is moved back into our network namespace, for a program that enters the server's
    /// by itself.
    pub fn command(&self, args: &[&str], enters: bool) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.keeper.pid().to_string(), "--mount", "--uts"]);
        if enters {
            command.arg(format!("--net=/proc/{}/ns/net", std::process::id()));
        }
        command.arg("chroot").arg(self.disk.join("root"));
        command.args(["env", "-i", PATH, "LANG=C.UTF-8", "HOME=/root"]).args(args);
        command
    }

    /// Starts a program that stays; its output is appended to a log of the program's name.
    pub fn start(&self, lab: &Lab, args: &[&str], enters: bool) -> Process {
        let name = args[0].rsplit('/').next().expect("a name");
        let log = lab.dir().join(format!("{}-{name}.log", self.server.name()));
        Process::start(lab.server(self.server), self.command(args, enters), &log, false)
    }

    /// Runs a program in the room to its end; returns its output or its complaint.
    pub fn run(&self, args: &[&str]) -> Result<String, String> {
        let pid = self.keeper.pid().to_string();
        let root = self.disk.join("root");
        let root = root.to_str().expect("paths of the lab are text");
        let mut all =
            vec!["--target", &pid, "--mount", "--uts", "--net", "chroot", root, "env", "-i", PATH, "LANG=C.UTF-8"];
        all.extend(args);
        try_tool("nsenter", &all, "")
    }
}
