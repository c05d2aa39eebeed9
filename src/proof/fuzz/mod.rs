//! The checks of every input that comes from outside: one function per kind of input.
//!
//! A function takes any bytes, hands them to the code that ships, and panics when a promise is
//! broken; beside "no panic" each one compares with a second, simpler account of what is right.
//! `cargo test` runs all of them over the corpus in `fuzz/seeds` and over seeded mutations of it;
//! `scripts/fuzz` searches for more with coverage as its guide. Owns: these functions and their
//! table [`TARGETS`]. Never does: anything in the program that ships, of which this is no part. A
//! failure is a panic that names the promise.

mod auth;
mod cluster_file;
mod control;
mod frame;
mod hostile;
mod input;
mod key_file;
mod mirror;
mod netlink;
mod peer;
mod pulse;
mod recording;
mod rig;
mod server;
mod slot;
mod voter;
mod witness_file;

#[cfg(test)]
mod tests;

pub use vipair_host::testing::{Counting, Usage, measured};

/// Whether the code under test took an input. Both are right: a broken promise is a panic. The
/// smoke run wants to see both, so that a corpus is known to reach either side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// The code under test took the input for valid.
    Accepted,
    /// The code under test refused the input.
    Refused,
}

impl Taken {
    /// `Accepted` if `accepted`, otherwise `Refused`.
    fn of(accepted: bool) -> Taken {
        if accepted { Taken::Accepted } else { Taken::Refused }
    }
}

/// One kind of input from outside.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target: the directory under `fuzz/seeds`, the argument of `scripts/fuzz`.
    pub name: &'static str,
    /// The check of one input: panics if a promise is broken, and otherwise tells whether the input
    /// was taken.
    pub run: fn(&[u8]) -> Taken,
    /// Named inputs that are right, or nearly: where a search begins. A name is that of the file in
    /// the corpus.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
}

/// All targets.
pub const TARGETS: [Target; 15] = [
    Target { name: "pulse", run: pulse::run, seeds: pulse::seeds },
    Target { name: "auth", run: auth::run, seeds: auth::seeds },
    Target { name: "mirror", run: mirror::run, seeds: mirror::seeds },
    Target { name: "frame", run: frame::run, seeds: frame::seeds },
    Target { name: "hostile", run: hostile::run, seeds: hostile::seeds },
    Target { name: "peer", run: peer::run, seeds: peer::seeds },
    Target { name: "netlink", run: netlink::run, seeds: netlink::seeds },
    Target { name: "cluster_file", run: cluster_file::run, seeds: cluster_file::seeds },
    Target { name: "key_file", run: key_file::run, seeds: key_file::seeds },
    Target { name: "slot", run: slot::run, seeds: slot::seeds },
    Target { name: "voter", run: voter::run, seeds: voter::seeds },
    Target { name: "witness_file", run: witness_file::run, seeds: witness_file::seeds },
    Target { name: "recording", run: recording::run, seeds: recording::seeds },
    Target { name: "control", run: control::run, seeds: control::seeds },
    Target { name: "server", run: server::run, seeds: server::seeds },
];

/// Checks `bytes` as the target called `name` does, and tells whether the code under test took
/// them: the whole work of a fuzz binary.
///
/// # Panics
/// If there is no such target, or if a promise is broken.
pub fn check(name: &str, bytes: &[u8]) -> Taken {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(bytes)
}
