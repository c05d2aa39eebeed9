//! `vipair launch`: starts a program for the agent. Not for people.
//!
//! Owns: what must change between the agent and the program: the user, and the protection from the
//! kernel's out-of-memory killer, which the program must not inherit. Never does: wait for the
//! program; this process becomes the program. On failure the agent reads the reason from standard
//! error.

use super::Failure;
use clap::Args;
use nix::unistd::{User, initgroups, setgid, setuid};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;

#[derive(Args, Debug)]
pub(super) struct LaunchArgs {
    /// As whom
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes the program. Returns only if that failed.
pub(super) fn execute(args: LaunchArgs) -> Result<(), Failure> {
    // Without procfs, or where it may not be written, the program keeps the agent's protection: no
    // reason not to run it.
    let _kept = std::fs::write("/proc/self/oom_score_adj", "0");
    if let Some(name) = &args.user {
        become_user(name)?;
    }
    let mut arguments = args.command.into_iter();
    let program = arguments.next().unwrap_or_default();
    let error = std::process::Command::new(&program).args(arguments).exec();
    Err(Failure::Failed(format!("{} cannot be started: {error}", program.to_string_lossy())))
}

/// Changes user and groups of this process to those of the user `name`.
fn become_user(name: &str) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("cannot become {name}: {error}"));
    let user = User::from_name(name).map_err(|error| failed(&error))?;
    let user = user.ok_or_else(|| failed(&"there is no such user"))?;
    let c_name = CString::new(OsString::from(name).into_vec()).map_err(|error| failed(&error))?;
    initgroups(&c_name, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(|error| failed(&format!("{error} (the agent's unit permits it with the drop-in vipair-hooks.conf)")))
}
