//! Tests of the configuration: what is right is read, what is wrong is all said at once.

use super::*;
use std::path::Path;

mod digests;
mod errors;
mod identity;
mod keys;
mod placed;
mod random;
mod right;
mod service;
mod uplinks;
mod witness;

/// The smallest configuration that is right.
const GOOD: &str = r#"cluster = "web"
key_file = "cluster.key"

[[node]]
name = "alpha"
links = ["10.0.0.1"]

[[node]]
name = "beta"
links = ["10.0.0.2"]

[[group]]
name = "web"
interface = "eth0"
addresses = ["10.0.0.100"]
"#;

/// The nodes' file with this text; on failure all errors.
fn parse(text: &str) -> Result<ClusterFile, ConfigErrors> {
    ClusterFile::parse(text, Path::new("v.toml"))
}

/// [`GOOD`] with one piece of text replaced.
fn good_with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old:?} is not in the good configuration");
    GOOD.replacen(old, new, 1)
}

/// All errors as `line key: wrong; right`.
fn errors_of(text: &str) -> Vec<String> {
    let errors = match parse(text) {
        Ok(_) => return Vec::new(),
        Err(errors) => errors,
    };
    let line = |error: &ConfigError| error.line.map_or(String::new(), |line| line.to_string());
    errors.errors.iter().map(|e| format!("{} {}: {}; {}", line(e), e.key, e.wrong, e.right)).collect()
}
