//! Directories of the lab's files: finding and copying what is in them.
//!
//! Owns: no file. Never does: anything outside of the paths that it is given. An entry that cannot
//! be read panics: a list or a copy with something left out would prove nothing.

use super::netns::tool;
use std::path::{Path, PathBuf};

/// Copies a directory with everything below it; an earlier target is removed first.
pub fn copy_dir(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap_or_else(|e| panic!("remove {}: {e}", to.display()));
    }
    let text = |path: &Path| path.to_str().expect("paths of the lab are text").to_owned();
    tool("cp", &["-a", &text(from), &text(to)], "");
}

/// Paths of everything below a directory that is no directory itself, in no order.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = pending.pop() {
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("read {}: {e}", dir.display()));
        for entry in entries {
            let path = entry.unwrap_or_else(|e| panic!("read {}: {e}", dir.display())).path();
            if path.is_dir() { pending.push(path) } else { found.push(path) }
        }
    }
    found
}
