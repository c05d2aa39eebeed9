//! What a group is told about its service: how to know that it serves, and what to run around a move.
//!
//! Owns: the nouns of `[[group.check]]`, `[group.hooks]` and `units`, as valid values. Never does: judge them (that is
//! `checks` and `hooks`), run anything, or look at files.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A program with its arguments; no shell reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// Absolute path.
    pub program: PathBuf,
    /// What follows it.
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
    /// What is tried.
    pub kind: CheckKind,
    /// From one attempt to the next. Default: 1 s.
    pub interval: Duration,
    /// An attempt that takes longer has failed. Default: 500 ms, for a program 5 s.
    pub timeout: Duration,
    /// So many failures in a row are a fault. Default: 3.
    pub fall: u32,
    /// So many successes in a row end it. Default: 2.
    pub rise: u32,
    /// What its failing adds to the node's health; `None`: it vetoes. Default: it vetoes.
    pub weight: Option<NonZeroU8>,
}

/// What a check tries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckKind {
    /// A connection is made and closed.
    Tcp {
        /// With whom.
        target: SocketAddr,
    },
    /// A page is fetched.
    Http(HttpCheck),
    /// A process exists. Its death is a fault at once.
    Process(ProcessCheck),
    /// A unit of systemd is active.
    Unit {
        /// Its name.
        unit: String,
    },
    /// A program ends with 0.
    Exec {
        /// The program.
        command: Command,
        /// As whom it runs. Default: nobody.
        user: String,
    },
}

/// A page and what it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpCheck {
    /// Who is asked.
    pub target: SocketAddr,
    /// What for. Default: `/`.
    pub path: String,
    /// The name in the request's `Host`. Default: the address.
    pub host: String,
    /// What the answer's status may be. Default: 200 to 399.
    pub status: RangeInclusive<u16>,
    /// What must occur in the answer's body, if anything must.
    pub body: Option<String>,
}

/// How a process is found. At least one of them is there; if both are, both must fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessCheck {
    /// A name as `ps -o comm` shows it, or the absolute path of its program.
    pub process: Option<String>,
    /// The file that its number stands in.
    pub pidfile: Option<PathBuf>,
}

impl CheckKind {
    /// Its name in the configuration.
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

    /// What is tried, in a few words.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            CheckKind::Tcp { target } => target.to_string(),
            CheckKind::Http(http) => format!("{}{}", http.target, http.path),
            CheckKind::Process(ProcessCheck { process, pidfile }) => {
                let pidfile = pidfile.as_ref().map(|file| file.display().to_string());
                [process.clone(), pidfile].into_iter().flatten().collect::<Vec<_>>().join(" of ")
            }
            CheckKind::Unit { unit } => unit.clone(),
            CheckKind::Exec { command, .. } => command.to_string(),
        }
    }
}

/// `[group.hooks]`: what is run around a move, in the order it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hooks {
    /// Before the gate opens, which waits for it.
    pub before_open: Vec<Command>,
    /// After it has opened.
    pub after_open: Vec<Command>,
    /// In a planned handover, before the gate closes, which waits for it.
    pub before_close: Vec<Command>,
    /// After it has closed.
    pub after_close: Vec<Command>,
    /// When this node can no longer serve.
    pub on_fault: Vec<Command>,
    /// Each command that takes longer is killed. Default: 10 s.
    pub timeout: Duration,
    /// What a failed `before_open` means. Default: refuse.
    pub on_failure: OnFailure,
}

impl Hooks {
    /// Each list by its key in the file.
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

/// What becomes of a group whose `before_open` failed or was killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// The gate stays closed; the other node may have the group.
    #[default]
    Refuse,
    /// It opens all the same.
    Proceed,
}

impl OnFailure {
    /// All of them, the default first.
    pub const ALL: [OnFailure; 2] = [OnFailure::Refuse, OnFailure::Proceed];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OnFailure::Refuse => "refuse",
            OnFailure::Proceed => "proceed",
        }
    }
}

/// What surrounds a group's moves on this node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServicePlan {
    /// `[[group.check]]`, in the order of the file.
    pub checks: Vec<Check>,
    /// `[group.hooks]`.
    pub hooks: Hooks,
    /// Units of systemd that run where the group is active, in the order they are started.
    pub units: Vec<String>,
}

impl ServicePlan {
    /// How long everything before the opening may take together; `None`: there is nothing.
    #[must_use]
    pub fn before_open(&self) -> Option<Duration> {
        self.together(self.hooks.before_open.len() + self.units.len())
    }

    /// How long everything before the closing of a planned handover may take together; `None`: there is nothing.
    #[must_use]
    pub fn before_close(&self) -> Option<Duration> {
        self.together(self.hooks.before_close.len() + self.units.len())
    }

    fn together(&self, commands: usize) -> Option<Duration> {
        let count = u32::try_from(commands).unwrap_or(u32::MAX);
        (count > 0).then(|| self.hooks.timeout.saturating_mul(count))
    }

    /// True if some check vetoes.
    #[must_use]
    pub fn can_veto(&self) -> bool {
        self.checks.iter().any(|check| check.weight.is_none())
    }
}
