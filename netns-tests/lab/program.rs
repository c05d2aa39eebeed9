//! The program under test.
//!
//! Owns: finding it. Never does: building it; without one it panics with what to do.

use std::path::PathBuf;

/// The program under test: `VIPAIR_BIN` if it is set, else cargo's own for a test, else the one
/// beside the example.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("VIPAIR_BIN") {
        return path.into();
    }
    if let Some(path) = option_env!("CARGO_BIN_EXE_vipair") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a running program has a path");
    own.ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join("vipair"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no vipair near {}: build it, or set VIPAIR_BIN", own.display()))
}
