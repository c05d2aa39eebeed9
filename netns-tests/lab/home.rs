//! A server's own things besides its network: a name, files below /etc, /run, /usr/local and /var,
//! and a `systemctl` that starts services as the units of Debian's packages do, without systemd.
//!
//! Owns: the mount, IPC and UTS namespaces of a server, and the files in them, which lie in the
//! lab's directory. So a worked example of docs/examples runs word by word at the paths where an
//! operator has it, on both servers of one machine. Never does: anything to the machine's own
//! files. Services run in the server's network namespace and end with it. Any failure panics with
//! what the tool said.

pub mod services;

use super::files::files_below;
use super::netns::{Door, Netns, every_process, kill_and_wait, tool};
use super::program::program;
use super::wiring::Server;
use super::{Lab, process};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Directories that are the server's own, empty at first; parents stand before their children.
const OWN: [&str; 6] = ["/etc", "/run", "/usr/local/bin", "/usr/local/sbin", "/var/lib", "/var/log"];
/// Entries of the machine's /etc that every program needs; those that do not exist are left out.
const SHARED: [&str; 16] = [
    "alternatives",
    "default",
    "group",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "nsswitch.conf",
    "passwd",
    "postgresql-common",
    "protocols",
    "services",
    "nginx/mime.types",
    "ssl/openssl.cnf",
];
/// Directories that the services' packages make, and their owners.
const PACKAGED: [(&str, &str); 9] = [
    ("/var/lib/nginx", "root"),
    ("/var/lib/postgresql", "postgres"),
    ("/var/lib/redis", "redis"),
    ("/var/log/nginx", "root"),
    ("/var/log/postgresql", "postgres"),
    ("/var/log/redis", "redis"),
    ("/run/postgresql", "postgres"),
    ("/run/redis", "redis"),
    ("/run/vipair", "root"),
];
/// Search path that a service manager gives its services.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The namespaces and files of one server.
#[derive(Debug)]
pub struct Home {
    /// Directory of the server's files, except those below /var/lib.
    dir: PathBuf,
    /// Handles on the server's namespaces, each with its kind; the mount namespace comes last.
    spaces: Vec<(File, CloneFlags)>,
    /// The way into the server's network namespace.
    door: Door,
    name: &'static str,
    /// The agent's control socket, to which /run/vipair leads.
    socket: PathBuf,
}

impl Home {
    /// Makes files and a name of its own for a server of the lab, and boots it.
    pub fn new(lab: &Lab, server: Server) -> Home {
        let dir = lab.dir().join(format!("{}-files", server.name()));
        for own in OWN {
            make_dir(&dir.join(&own[1..]));
        }
        let list: Vec<&str> = SHARED.into_iter().filter(|name| Path::new("/etc").join(name).exists()).collect();
        let mut copy = vec!["-a", "--parents", "-t"];
        let etc = dir.join("etc").to_string_lossy().into_owned();
        copy.push(&etc);
        copy.extend(list);
        run_to_end_in(Path::new("/etc"), Command::new("cp").args(copy));
        write_file(&dir.join("usr/local/bin/systemctl"), &read_project_file("netns-tests/lab/home/systemctl"), 0o755);
        symlink(program(), dir.join("usr/local/bin/vipair")).unwrap_or_else(|e| panic!("link vipair: {e}"));
        let spaces = make_spaces(&dir, server.name());
        let socket = lab.dir().join(format!("{}.sock", server.name()));
        let home = Home { dir, spaces, door: lab.server(server).door(), name: server.name(), socket };
        home.boot();
        home
    }

    /// Empties /run and makes the packages' directories in it, as a boot does.
    pub fn boot(&self) {
        self.wait_for_the_dead();
        for entry in fs::read_dir(self.path("/run")).expect("the server has /run").flatten() {
            let path = entry.path();
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.unwrap_or_else(|e| panic!("remove {}: {e}", path.display()));
        }
        let lines: Vec<String> =
            PACKAGED.iter().map(|(dir, owner)| format!("install -d -o {owner} -g {owner} {dir}")).collect();
        self.run("sh", &["-ec", &lines.join("\n")]);
        symlink(&self.socket, self.path("/run/vipair/vipair.sock")).unwrap_or_else(|e| panic!("link a socket: {e}"));
    }

    /// Waits until a PostgreSQL of before the boot is gone. A killed process exists until its
    /// parent has heard of its end, and PostgreSQL would take the number in its file for another
    /// server's.
    fn wait_for_the_dead(&self) {
        let file = "/var/lib/postgresql/15/main/postmaster.pid";
        let wait = format!(
            "[ -e {file} ] || exit 0; number=$(head -n 1 {file}); n=0
             while [ -e /proc/$number ]; do n=$((n + 1)); [ $n -lt 500 ]; sleep 0.01; done"
        );
        self.run("sh", &["-ec", &wait]);
    }

    /// Path on the machine that runs the tests of a file of this server; not for files below
    /// /var/lib.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path.strip_prefix('/').expect("an absolute path"))
    }

    /// Installs `docs/examples/NAME`: the files for both servers, then those for this one alone.
    pub fn install_example(&self, example: &str) {
        let of = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(example);
        for part in ["both", self.name] {
            let from = of.join(part);
            for file in if from.is_dir() { files_below(&from) } else { Vec::new() } {
                let target = self.dir.join(file.strip_prefix(&from).expect("a file below it"));
                make_dir(target.parent().expect("a file is in a directory"));
                let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()));
                let mode = file.metadata().map_or(0o644, |m| m.permissions().mode()) & 0o755;
                write_file(&target, &text, mode);
            }
        }
    }

    /// A command that sees this server's files and name; the caller starts it in the server's
    /// network.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").current_dir("/");
        self.enter_on_exec(&mut command);
        command
    }

    /// Makes a command enter this server's files and name when it is started. Its network is the
    /// caller's affair.
    pub fn enter_on_exec(&self, command: &mut Command) {
        let spaces: Vec<_> = self.spaces.iter().map(|(file, kind)| (file.as_raw_fd(), *kind)).collect();
        // SAFETY: between fork and exec only setns runs, which is async-signal-safe. The
        // descriptors are open in the child because descriptors are closed on exec, not on fork,
        // and `self` outlives the start of every command.
        unsafe {
            command.pre_exec(move || {
                for (space, kind) in &spaces {
                    setns(std::os::fd::BorrowedFd::borrow_raw(*space), *kind)?;
                }
                Ok(())
            });
        }
    }

    /// Runs a program on this server to its end; returns what it printed, or its complaint.
    pub fn try_run(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let mut command = self.command(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let what = format!("{} on {}", [&[program], args].concat().join(" "), self.name);
        let output = std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.door.enter();
                command.output()
            });
            inside.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        });
        let output = output.map_err(|e| format!("{what}: {e}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("{what}: {}: {}{}", output.status, text(&output.stderr), text(&output.stdout)))
    }

    /// Runs a program that must not fail; like [`Home::try_run`] otherwise.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        self.try_run(program, args).unwrap_or_else(|cause| panic!("{cause}\n{}", self.logs()))
    }

    /// Runs the lab's own `systemctl VERB UNIT` on this server, on which no systemd runs.
    pub fn systemctl(&self, verb: &str, unit: &str) {
        self.run("systemctl", &[verb, unit]);
    }

    /// Ends of all files below /var/log, to be printed after a failure.
    pub fn logs(&self) -> String {
        let files = files_below(&self.path("/var/log"));
        let said = files.iter().filter_map(|file| {
            let text = String::from_utf8_lossy(&fs::read(file).ok()?).into_owned();
            Some(format!("--- {} on {}\n{}\n", file.display(), self.name, process::tail(&text, 30)))
        });
        said.collect()
    }
}

impl Drop for Home {
    /// Kills the processes that use these files, before the lab removes the files.
    fn drop(&mut self) {
        let inode = |path: &str| fs::metadata(path).map(|m| m.ino()).unwrap_or_default();
        let Some(ours) = self.spaces.last().and_then(|(file, _)| file.metadata().ok()).map(|m| m.ino()) else {
            return;
        };
        let is_ours = |pid: &nix::unistd::Pid| inode(&format!("/proc/{pid}/ns/mnt")) == ours;
        kill_and_wait(&every_process().into_iter().filter(is_ours).collect::<Vec<_>>());
    }
}

/// Makes the namespaces on a thread of their own; they last as long as the descriptors returned.
fn make_spaces(dir: &Path, name: &str) -> Vec<(File, CloneFlags)> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let kinds = [
                ("uts", CloneFlags::CLONE_NEWUTS),
                ("ipc", CloneFlags::CLONE_NEWIPC),
                ("mnt", CloneFlags::CLONE_NEWNS),
            ];
            kinds
                .into_iter()
                .for_each(|(space, kind)| unshare(kind).unwrap_or_else(|e| panic!("a new {space}: {e}")));
            nix::unistd::sethostname(name).unwrap_or_else(|e| panic!("name a server: {e}"));
            let mut lines = "mount --make-rprivate /\n".to_owned();
            // A server's shared memory does not outlive the server.
            lines += "mount -t tmpfs -o mode=1777 vipair-lab /dev/shm\n";
            lines += &format!("mount --bind '{}/usr/local/bin/systemctl' /usr/bin/systemctl\n", dir.display());
            // Power is never cut for real here, so nothing needs to wait for the machine's disk.
            lines += &format!("mount -t tmpfs -o mode=755 vipair-lab '{}/var/lib'\n", dir.display());
            for own in OWN {
                lines += &format!("mount --bind '{}{own}' {own}\n", dir.display());
            }
            tool("sh", &["-e"], &lines);
            let open = |space: &str| File::open(format!("/proc/thread-self/ns/{space}"));
            kinds.map(|(space, kind)| (open(space).unwrap_or_else(|e| panic!("open {space}: {e}")), kind)).into()
        });
        inside.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
    })
}

/// Makes a directory and its parents.
fn make_dir(dir: &Path) {
    fs::create_dir_all(dir).unwrap_or_else(|e| panic!("make {}: {e}", dir.display()));
}

/// Text of a file of this project.
fn read_project_file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
}

/// Writes a file with these permission bits.
fn write_file(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).unwrap_or_else(|e| panic!("set the mode of {}: {e}", path.display()));
}

/// Runs a command in a directory to its end; panics with its complaint if it fails.
fn run_to_end_in(dir: &Path, command: &mut Command) {
    let output = command.current_dir(dir).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Netns {
    /// Processes in the namespace whose name, as `ps -o comm` shows it, is `name`.
    pub fn processes_named(&self, name: &str) -> Vec<nix::unistd::Pid> {
        let is_named = |pid: &nix::unistd::Pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        self.processes().into_iter().filter(is_named).collect()
    }
}
