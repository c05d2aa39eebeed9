//! Build script: computes the tag of the engine, sixteen hex digits that change with any source
//! file of this crate.
//!
//! Everything that decides is in this crate, so every file counts, tests included: no list has to
//! say which files are tests.

use std::path::{Path, PathBuf};
use std::{env, fs};

include!("tag.rs");

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    // A directory is watched with everything below it.
    println!("cargo:rerun-if-changed={}", root.display());
    println!("cargo:rustc-env=VIPAIR_ENGINE={}", engine_tag(&root));
}
