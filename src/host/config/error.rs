//! Errors of a configuration, all of them at once.
//!
//! Owns: the one form of a configuration error (`file:line: key: what is wrong; what would be
//! right`) and the list that collects them. Never does: decide what is wrong. Nothing here
//! fails: past [`MAX_ERRORS`] the list only counts.

use std::fmt;
use std::path::{Path, PathBuf};

/// Most errors that are kept; further ones are only counted. A file of 50,000 wrong addresses must
/// not fill a screen or memory.
pub const MAX_ERRORS: usize = 100;

/// One error of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Path of the file, as the caller named it.
    pub file: PathBuf,
    /// Line in the file, counted from 1; `None` when the error belongs to no line (file not
    /// readable, `--node`).
    pub line: Option<usize>,
    /// The key with its table, for example `group.addresses`; empty when the error belongs to no
    /// key.
    pub key: String,
    /// The mistake, as a phrase about the key.
    pub wrong: String,
    /// The remedy: what would be right.
    pub right: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}; {}", self.wrong, self.right)
    }
}

/// All errors of a configuration, in the order of the file; at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors {
    /// The first [`MAX_ERRORS`] errors, sorted by line.
    pub errors: Vec<ConfigError>,
    /// Number of errors that are not in `errors`.
    pub omitted: usize,
    /// Whether a file could not be read because the machine is short of something or a disk did
    /// not answer: the same file may be right a moment later.
    pub unread: bool,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.errors.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        if self.omitted > 0 {
            write!(f, "\n… and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> ConfigErrors {
        ConfigErrors { errors: vec![error], omitted: 0, unread: false }
    }
}

/// Most letters of each part of an error: a wrong value may be as long as the file.
const MAX_LETTERS: usize = 300;

/// `text` as a terminal or a log can show it: control characters are escaped, and a long text is
/// cut.
fn on_one_line(text: &str) -> String {
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == MAX_LETTERS {
            shown.push('…');
            break;
        }
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// The errors found so far in one file.
pub(crate) struct Report<'a> {
    file: &'a Path,
    line_starts: Vec<usize>,
    errors: Vec<ConfigError>,
    omitted: usize,
    /// Whether the file could not be read to its end, so that a missing key may stand in the rest.
    partial: bool,
}

impl<'a> Report<'a> {
    /// An empty report about `text`, which was read from `file`.
    pub(crate) fn new(file: &'a Path, text: &str) -> Report<'a> {
        let line_starts =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1));
        Report { file, line_starts: line_starts.collect(), errors: Vec::new(), omitted: 0, partial: false }
    }

    /// Number of the line, counted from 1, that has the byte at `offset`.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Adds one error at `line`; if there are [`MAX_ERRORS`] already, counts it.
    pub(crate) fn add(&mut self, line: usize, key: &str, wrong: impl Into<String>, right: impl Into<String>) {
        if self.errors.len() == MAX_ERRORS {
            self.omitted += 1;
            return;
        }
        self.errors.push(ConfigError {
            file: self.file.to_owned(),
            line: Some(line),
            key: on_one_line(key),
            wrong: on_one_line(&wrong.into()),
            right: on_one_line(&right.into()),
        });
    }

    /// Adds an error about a missing key, unless the file could not be read to its end.
    pub(crate) fn add_missing(&mut self, line: usize, key: &str, wrong: String, right: &str) {
        if !self.partial {
            self.add(line, key, wrong, right);
        }
    }

    /// Whether the file could be read to its end.
    pub(crate) fn is_whole(&self) -> bool {
        !self.partial
    }

    /// Marks the file as not read to its end: from now on no key counts as missing.
    pub(crate) fn set_partial(&mut self) {
        self.partial = true;
    }

    /// Removes the errors at `line` and after it.
    pub(crate) fn forget_from(&mut self, line: usize) {
        self.errors.retain(|error| error.line.is_some_and(|at| at < line));
        self.omitted = 0;
    }

    /// `value` if there is no error, else all errors.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() { Ok(value) } else { Err(self.refuse()) }
    }

    /// All errors, in the order of the file.
    pub(crate) fn refuse(mut self) -> ConfigErrors {
        self.errors.sort_by_key(|error| error.line);
        ConfigErrors { errors: self.errors, omitted: self.omitted, unread: false }
    }
}
