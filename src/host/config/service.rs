//! The plan of a group's service: how to know that it serves, and what to run around a move.
//!
//! Owns: the nouns of `[[group.check]]`, `[group.hooks]` and `units`, as valid values. Never does:
//! validate them (that is for `checks` and `hooks`), run anything, or look at files. Nothing here
//! fails.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A program with its arguments; no shell reads it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Command {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments after the program's own name.
    pub arguments: Vec<String>,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// One `[[group.check]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// Kind of the attempt, with its parameters.
    pub kind: CheckKind,
    /// Time from the start of one attempt to the next. Default: 1 s.
    pub interval: Duration,
    /// Longest time of an attempt; after it the attempt has failed. Default: 500 ms, for a program
    /// 5 s.
    pub timeout: Duration,
    /// Number of failures in a row that make a fault. Default: 3.
    pub fall: u32,
    /// Number of successes in a row that end a fault. Default: 2.
    pub rise: u32,
    /// Weight of a fault in the group's health number, 1 to 254; `None`: the fault
    /// vetoes. Default: `None`.
    pub weight: Option<NonZeroU8>,
}

/// The attempt that a check makes again and again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckKind {
    /// A TCP connection is made and closed.
    Tcp {
        /// Address and port to connect to.
        target: SocketAddr,
    },
    /// A page is fetched over HTTP.
    Http(HttpCheck),
    /// A process exists. Its end is a fault at once.
    Process(ProcessCheck),
    /// A unit of systemd is active.
    Unit {
        /// Full name of the unit, with its type.
        unit: String,
    },
    /// A program ends with status 0.
    Exec {
        /// Program and arguments.
        command: Command,
        /// Name of the user that the program runs as. Default: `nobody`.
        user: String,
    },
}

/// A page to fetch, and what the answer must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpCheck {
    /// Address and port of the server.
    pub target: SocketAddr,
    /// Path of the page. Default: `/`.
    pub path: String,
    /// Name in the request's `Host`. Default: the address.
    pub host: String,
    /// Range of statuses that are right. Default: 200 to 399.
    pub status: RangeInclusive<u16>,
    /// Text that must occur in the answer's body, if any must.
    pub body: Option<String>,
}

/// How a process is found. At least one of the fields is set; if both are, the process must fit
/// both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessCheck {
    /// Name of the process as `ps -o comm` shows it, or the absolute path of its program.
    pub name_or_path: Option<String>,
    /// Path of the file that has the number of the process.
    pub pidfile: Option<PathBuf>,
}

impl CheckKind {
    /// Name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            CheckKind::Tcp { .. } => "tcp",
            CheckKind::Http(_) => "http",
            CheckKind::Process(_) => "process",
            CheckKind::Unit { .. } => "unit",
            CheckKind::Exec { .. } => "exec",
        }
    }

    /// Target of the attempt, in a few words: an address, a page, a process, a unit, a program.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            CheckKind::Tcp { target } => target.to_string(),
            CheckKind::Http(http) => format!("{}{}", http.target, http.path),
            CheckKind::Process(ProcessCheck { name_or_path, pidfile }) => {
                let pidfile = pidfile.as_ref().map(|file| file.display().to_string());
                [name_or_path.clone(), pidfile].into_iter().flatten().collect::<Vec<_>>().join(" of ")
            }
            CheckKind::Unit { unit } => unit.clone(),
            CheckKind::Exec { command, .. } => command.to_string(),
        }
    }
}

/// `[group.hooks]`: the commands to run around a move. The commands of one hook run in the order of
/// the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hooks {
    /// Commands before the gate opens; the opening waits for them.
    pub before_open: Vec<Command>,
    /// Commands after the gate has opened.
    pub after_open: Vec<Command>,
    /// Commands before the gate closes in a planned handover; the closing waits for them.
    pub before_close: Vec<Command>,
    /// Commands after the gate has closed.
    pub after_close: Vec<Command>,
    /// Commands when this node can no longer serve.
    pub on_fault: Vec<Command>,
    /// Longest time of each command; after it the command is killed. Default: 10 s.
    pub timeout: Duration,
    /// Consequence of a failed command of `before_open`. Default: refuse.
    pub on_failure: OnFailure,
}

impl Hooks {
    /// Each hook's commands, with the hook's key in the file.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &[Command]); 5] {
        [
            ("before_open", &self.before_open),
            ("after_open", &self.after_open),
            ("before_close", &self.before_close),
            ("after_close", &self.after_close),
            ("on_fault", &self.on_fault),
        ]
    }
}

impl Default for Hooks {
    fn default() -> Hooks {
        Hooks {
            before_open: Vec::new(),
            after_open: Vec::new(),
            before_close: Vec::new(),
            after_close: Vec::new(),
            on_fault: Vec::new(),
            timeout: Duration::from_millis(DEFAULT_HOOK_MS),
            on_failure: OnFailure::default(),
        }
    }
}

/// Default of a hook's `timeout_ms`.
pub(super) const DEFAULT_HOOK_MS: u64 = 10_000;

/// Consequence for a group whose `before_open` failed or was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// The gate stays closed; the other node may have the group.
    #[default]
    Refuse,
    /// The gate opens all the same.
    Proceed,
}

impl OnFailure {
    /// All values, the default first.
    pub const ALL: [OnFailure; 2] = [OnFailure::Refuse, OnFailure::Proceed];

    /// Name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OnFailure::Refuse => "refuse",
            OnFailure::Proceed => "proceed",
        }
    }
}

/// Checks, hooks and units of a group: how this node knows that the service works, and what it runs
/// around a move.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServicePlan {
    /// `[[group.check]]`, in the order of the file.
    pub checks: Vec<Check>,
    /// `[group.hooks]`; the default if there is none.
    pub hooks: Hooks,
    /// Units of systemd that run where the group is active, in the order in which they are started.
    pub units: Vec<String>,
}

impl ServicePlan {
    /// Longest time of all commands and units before the opening together; `None` if there are
    /// none.
    #[must_use]
    pub fn before_open(&self) -> Option<Duration> {
        self.longest(self.hooks.before_open.len() + self.units.len())
    }

    /// Longest time of all commands and units before the closing of a planned handover together;
    /// `None` if there are none.
    #[must_use]
    pub fn before_close(&self) -> Option<Duration> {
        self.longest(self.hooks.before_close.len() + self.units.len())
    }

    /// Longest time of `commands` commands one after the other; `None` for no command.
    fn longest(&self, commands: usize) -> Option<Duration> {
        let count = u32::try_from(commands).unwrap_or(u32::MAX);
        (count > 0).then(|| self.hooks.timeout.saturating_mul(count))
    }

    /// Whether a fault of some check vetoes.
    #[must_use]
    pub fn can_veto(&self) -> bool {
        self.checks.iter().any(|check| check.weight.is_none())
    }
}
