//! What would run a program's file: the kernel itself, or an interpreter that the file names; and which
//! script an interpreter is given.
//!
//! Owns: reading a file's first bytes. Never does: run anything, or judge who may write to a file
//! ([`super::programs`] does). A file that is there and cannot run is found here, before the first move
//! needs it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Longest first line that the kernel reads for an interpreter's name.
const FIRST_LINE: usize = 256;
/// Directories in which `/usr/bin/env` finds a program that we start.
const SEARCH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Programs whose first argument that is no option is a script, a command or a program of its own.
const INTERPRETERS: [&str; 22] = [
    "ash", "awk", "bash", "busybox", "dash", "env", "flock", "ionice", "ksh", "lua", "nice", "node", "perl", "php",
    "python", "ruby", "setpriv", "sh", "stdbuf", "tclsh", "timeout", "zsh",
];

/// What a file's first bytes say of how it is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The kernel runs it.
    Native,
    /// A program, named in its first line, runs it.
    Script(PathBuf),
    /// Neither; the sentence goes on after the file's path.
    Unusable(String),
}

/// Reads how the kernel would run `file`.
///
/// # Errors
/// The file cannot be read.
pub(super) fn kind_of(file: &Path) -> io::Result<Kind> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(FIRST_LINE).unwrap_or(u64::MAX);
    File::open(file)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.starts_with(b"\x7fELF") {
        return Ok(Kind::Native);
    }
    let Some(line) = bytes.strip_prefix(b"#!") else {
        return Ok(if has_other_formats() { Kind::Native } else { Kind::Unusable(no_format(&bytes)) });
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.contains(&b'\r') {
        let wrong =
            "ends its first line with a carriage return, as files of Windows do: the interpreter is not found";
        return Ok(Kind::Unusable(wrong.to_owned()));
    }
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let Some(interpreter) = words.next() else {
        return Ok(Kind::Unusable("names no interpreter in its first line".to_owned()));
    };
    let searched = interpreter.ends_with("/env").then(|| words.find(|word| !word.starts_with('-'))).flatten();
    Ok(match searched {
        None => Kind::Script(PathBuf::from(interpreter)),
        Some(name) => SEARCH
            .iter()
            .map(|directory| Path::new(directory).join(name))
            .find(|path| path.is_file())
            .map_or_else(|| Kind::Unusable(format!("needs {name}, which is not installed")), Kind::Script),
    })
}

/// Whether the kernel knows further formats of programs (binfmt_misc), by which any file may run.
fn has_other_formats() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc/sys/fs/binfmt_misc") else { return false };
    entries.flatten().any(|entry| !["register", "status"].iter().any(|own| entry.file_name() == *own))
}

/// The complaint about a file without a format.
fn no_format(bytes: &[u8]) -> String {
    let text = if bytes.starts_with(b"\xef\xbb\xbf#!") {
        "begins with a byte order mark before its #!: the kernel does not run it"
    } else {
        "is neither a program nor a script with an interpreter in its first line (#!/bin/sh)"
    };
    text.to_owned()
}

/// The script that `program` is given to run, if it is an interpreter and is given one by its absolute
/// path. Relative paths and commands in text are nobody's to judge.
pub(super) fn script_of<'a>(program: &Path, arguments: &'a [String]) -> Option<&'a Path> {
    let name = program.file_name()?.to_str()?.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.');
    if !INTERPRETERS.contains(&name) {
        return None;
    }
    // What follows `-c` or `-e` is text to be run.
    let is_text = |word: &str| word.starts_with('-') && !word.starts_with("--") && word.ends_with(['c', 'e']);
    let mut words = arguments.iter().take_while(|word| !is_text(word));
    let script = words.find(|word| word.starts_with('/'))?;
    Some(Path::new(script))
}
