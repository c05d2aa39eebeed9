//! The house keeps its own rules: these tests read the tree.
//!
//! Owns: what `imports` says of who may use whom, what `shape` says of files, what `map` says of the contributors' pages,
//! what `documents` says of the operators', and what `tag` says of recordings. Never does: run the product. A rule that is
//! broken ends in a failure that names file and line.

use std::fs;
use std::path::{Path, PathBuf};

mod documents;
mod imports;
mod map;
mod shape;
mod tag;

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root of the repository")
}

/// All files below the folder `under` whose names end in `.{ending}`, sorted.
fn files(under: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![root().join(under)];
    while let Some(place) = pending.pop() {
        for entry in fs::read_dir(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Whether a file holds tests and nothing that ships.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

/// The text of a file.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A path as the documents write it: from the root.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The part of a line that is code: what stands before a comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Whether `text` has `word` with no letter, digit or underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
