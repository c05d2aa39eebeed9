//! Programs that checks and hooks name: may root run them?
//!
//! Owns: the rule about one program's file and the directories above it, and the places where the
//! configuration names programs. Never does: run anything. Root must not run what others can
//! change: anyone who can write the program, or put another one in its place, would be root. The
//! rule is checked here and again before every run.

use super::ConfigError;
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
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramError::Missing(error) => write!(f, "cannot be looked at: {error}"),
            ProgramError::Changeable(how) => write!(f, "{how}"),
            ProgramError::NoProgram => write!(f, "is no file that can be run"),
        }
    }
}

/// All programs that checks and hooks of these groups name, in the order of the file.
pub(super) fn named_programs(groups: Option<&[RawGroup]>) -> Vec<NamedProgram> {
    let mut found = Vec::new();
    for group in groups.unwrap_or_default() {
        let checks = group.checks.iter().filter_map(|check| check.command.as_ref());
        let mut note = |key: String, line, word: Option<&String>| {
            found.extend(word.map(|path| NamedProgram { line, key, path: PathBuf::from(path) }));
        };
        for command in checks {
            let first = command.value.first().and_then(|word| word.value.as_ref());
            note("group.check.command".to_owned(), command.line, first);
        }
        for (name, commands) in group.hooks.iter().flat_map(|hooks| &hooks.commands) {
            for command in commands.iter().flat_map(|at| &at.value) {
                let first = command.value.as_ref().and_then(|words| words.first()?.value.as_ref());
                note(format!("group.hooks.{name}"), command.line, first);
            }
        }
    }
    found
}

/// Errors about programs of `file` on this machine. A missing program is an error only with
/// `missing_too`: it may be installed later, and until then its check or hook fails.
pub(super) fn program_errors(file: &Path, named: &[NamedProgram], missing_too: bool) -> Vec<ConfigError> {
    let error = |named: &NamedProgram| {
        let error = validate(&named.path).err()?;
        let right = match &error {
            ProgramError::Missing(_) if !missing_too => return None,
            ProgramError::Missing(_) => "install it, or correct the path",
            ProgramError::Changeable(_) => {
                "root runs it: it and every directory above it must belong to root and be writable by nobody else"
            }
            ProgramError::NoProgram => "name a file with the permission to execute it",
        };
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

/// Checks that root may run `path`: along the path as written, and along the one to which symbolic
/// links lead.
///
/// # Errors
/// See [`ProgramError`]. The caller must not run the program.
pub fn validate(path: &Path) -> Result<(), ProgramError> {
    let real = path.canonicalize().map_err(ProgramError::Missing)?;
    let file = real.metadata().map_err(ProgramError::Missing)?;
    if !file.is_file() || file.mode() & 0o111 == 0 {
        return Err(ProgramError::NoProgram);
    }
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
    Ok(())
}
