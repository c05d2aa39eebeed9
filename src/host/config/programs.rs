//! Programs that checks and hooks name: may root run them?
//!
//! Owns: the judgement of one program's file and of the directories on the way to it, and where the file names it. Never
//! does: run anything. Root must not run what others can change: whoever can write the program, or put another one in its
//! place, would be root. The same judgement is made again before every run.

use super::ConfigError;
use super::raw::RawGroup;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the configuration names a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    line: usize,
    key: String,
    path: PathBuf,
}

/// Why a program may not be run.
#[derive(Debug)]
pub enum ProgramError {
    /// It is not there, or cannot be looked at.
    Missing(io::Error),
    /// It is there, and others than root can change what would be run.
    Changeable(String),
    /// It is no program.
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

/// Every program that these groups name.
pub(super) fn named(groups: Option<&[RawGroup]>) -> Vec<Named> {
    let mut found = Vec::new();
    for group in groups.unwrap_or_default() {
        let checks = group.checks.iter().filter_map(|check| check.command.as_ref());
        let mut note = |key: String, line, word: Option<&String>| {
            found.extend(word.map(|path| Named { line, key, path: PathBuf::from(path) }));
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

/// What is wrong on this machine with the programs of a file. Those that are missing count only if `all` do: they may
/// come later, and until then a check with them fails and a hook with them does.
pub(super) fn errors(file: &Path, named: &[Named], all: bool) -> Vec<ConfigError> {
    let error = |named: &Named| {
        let error = validate(&named.path).err()?;
        let right = match &error {
            ProgramError::Missing(_) if !all => return None,
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

/// May root run `path`? Both the way that is written and the one that its symbolic links lead are looked at.
///
/// # Errors
/// See [`ProgramError`]. The caller does not run it.
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
