//! Programs that checks and hooks name: may root run them?
//!
//! Owns: the rule about one program's file and the directories above it, its interpreter's and its
//! script's, and the places where the configuration names programs. Never does: run anything. Root must not run what others can
//! change: anyone who can write the program, or put another one in its place, would be root. The
//! rule is checked here and again before every run.

use super::ConfigError;
use super::interpreter::{self, Kind};
use super::raw::RawGroup;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A program, and where the configuration names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NamedProgram {
    line: usize,
    key: String,
    path: PathBuf,
    arguments: Vec<String>,
}

/// The reason for which root may not run a program.
#[derive(Debug)]
pub enum ProgramError {
    /// The file or a directory above it is missing or cannot be inspected.
    Missing(io::Error),
    /// Others than root can change what would be run. The text says which file or directory, and
    /// how.
    Changeable(String),
    /// The path leads to no regular file with a permission to execute it.
    NoProgram,
    /// The file is there, and nothing can run it. The sentence goes on after its path.
    Unusable(String),
}

impl ProgramError {
    /// What an operator can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            ProgramError::Missing(_) => "install it, or correct the path",
            ProgramError::Changeable(_) => {
                "root runs it: it and every directory above it must belong to root and be writable by nobody else"
            }
            ProgramError::NoProgram => "name a file with the permission to execute it",
            ProgramError::Unusable(_) => "correct the file, or install what it needs; run it once by hand",
        }
    }
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramError::Missing(error) => write!(f, "cannot be looked at: {error}"),
            ProgramError::Changeable(how) => write!(f, "{how}"),
            ProgramError::NoProgram => write!(f, "is no file that can be run"),
            ProgramError::Unusable(why) => write!(f, "{why}"),
        }
    }
}

/// All programs that checks and hooks of these groups name, in the order of the file.
pub(super) fn named_programs(groups: Option<&[RawGroup]>) -> Vec<NamedProgram> {
    let mut found = Vec::new();
    for group in groups.unwrap_or_default() {
        let checks = group.checks.iter().filter_map(|check| check.command.as_ref());
        let mut note = |key: String, line, words: &mut dyn Iterator<Item = &String>| {
            let Some(path) = words.next().map(PathBuf::from) else { return };
            found.push(NamedProgram { line, key, path, arguments: words.cloned().collect() });
        };
        for command in checks {
            let mut words = command.value.iter().filter_map(|word| word.value.as_ref());
            note("group.check.command".to_owned(), command.line, &mut words);
        }
        for (name, commands) in group.hooks.iter().flat_map(|hooks| &hooks.commands) {
            for command in commands.iter().flat_map(|at| &at.value) {
                let mut words = command.value.iter().flatten().filter_map(|word| word.value.as_ref());
                note(format!("group.hooks.{name}"), command.line, &mut words);
            }
        }
    }
    found
}

/// Errors about programs of `file` on this machine. A program that is missing, or that nothing can run, is
/// an error only with `missing_too`: it may be put right later, and until then its check or hook fails.
pub(super) fn program_errors(file: &Path, named: &[NamedProgram], missing_too: bool) -> Vec<ConfigError> {
    let error = |named: &NamedProgram| {
        let error = validate_command(&named.path, &named.arguments).err()?;
        if matches!(error, ProgramError::Missing(_) | ProgramError::Unusable(_)) && !missing_too {
            return None;
        }
        let right = error.remedy();
        Some(ConfigError {
            file: file.to_owned(),
            line: Some(named.line),
            key: named.key.clone(),
            wrong: format!("{} {error}", named.path.display()),
            right: right.to_owned(),
        })
    };
    named.iter().filter_map(error).collect()
}

/// Checks that root may run `program` with these arguments: the program, what runs it, and the script that
/// it is given, if it is an interpreter.
///
/// # Errors
/// See [`ProgramError`]. The caller must not run it.
pub fn validate_command(program: &Path, arguments: &[String]) -> Result<(), ProgramError> {
    validate(program)?;
    let Some(script) = interpreter::script_of(program, arguments) else { return Ok(()) };
    let what = |how: &dyn fmt::Display| format!("is given {}, which {how}", script.display());
    validate_owner(script).map(drop).map_err(|error| match error {
        ProgramError::Missing(cause) => ProgramError::Unusable(what(&format!("cannot be looked at: {cause}"))),
        ProgramError::Changeable(how) => ProgramError::Changeable(what(&how)),
        other @ (ProgramError::NoProgram | ProgramError::Unusable(_)) => other,
    })
}

/// Checks that root may run `path`, and that something can: along the path as written, along the one to
/// which symbolic links lead, and the same for the interpreters of scripts.
///
/// # Errors
/// See [`ProgramError`]. The caller must not run the program.
pub fn validate(path: &Path) -> Result<(), ProgramError> {
    let mut path = path.to_owned();
    // The kernel follows four interpreters of interpreters.
    for depth in 0..5 {
        let real = validate_file(&path).map_err(|error| match error {
            ProgramError::Missing(cause) if depth > 0 => {
                ProgramError::Unusable(format!("needs {}, which cannot be looked at: {cause}", path.display()))
            }
            ProgramError::Changeable(how) if depth > 0 => {
                ProgramError::Changeable(format!("is run by {}, which {how}", path.display()))
            }
            other => other,
        })?;
        match interpreter::kind_of(&real).map_err(ProgramError::Missing)? {
            Kind::Native => return Ok(()),
            Kind::Unusable(why) => return Err(ProgramError::Unusable(why)),
            Kind::Script(interpreter) => path = interpreter,
        }
    }
    Err(ProgramError::Unusable("is run by interpreters that are scripts themselves, without end".to_owned()))
}

/// Checks that the file at `path` may be executed, and that nobody but root can change it; returns where it
/// really is.
fn validate_file(path: &Path) -> Result<PathBuf, ProgramError> {
    let file = path.metadata().map_err(ProgramError::Missing)?;
    if !file.is_file() || file.mode() & 0o111 == 0 {
        return Err(ProgramError::NoProgram);
    }
    validate_owner(path)
}

/// Checks that nobody but root can change the file at `path`; returns where it really is.
fn validate_owner(path: &Path) -> Result<PathBuf, ProgramError> {
    let real = path.canonicalize().map_err(ProgramError::Missing)?;
    for place in real.ancestors().chain(path.ancestors().skip(1)) {
        let facts = place.metadata().map_err(ProgramError::Missing)?;
        let what = if place == real { String::new() } else { format!("{} ", place.display()) };
        if facts.uid() != 0 {
            return Err(ProgramError::Changeable(format!("{what}belongs to user {}", facts.uid())));
        }
        if facts.mode() & 0o022 != 0 {
            let mode = facts.mode() & 0o7777;
            return Err(ProgramError::Changeable(format!("{what}can be written by others (mode {mode:o})")));
        }
    }
    Ok(real)
}
