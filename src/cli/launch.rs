//! `vipair launch`: what the agent starts its programs with. Not for people.
//!
//! Owns: what has to happen between the agent and the program: another user, and no share in the agent's privileges before
//! the kernel's memory killer. Then this process becomes the program.

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

pub(super) fn execute(args: LaunchArgs) -> Result<(), Failure> {
    // Without procfs, or where it may not be written, the program is only spared longer than it deserves.
    let _kept = std::fs::write("/proc/self/oom_score_adj", "0");
    if let Some(name) = &args.user {
        become_user(name)?;
    }
    let mut words = args.command.into_iter();
    let program = words.next().unwrap_or_default();
    let error = std::process::Command::new(&program).args(words).exec();
    Err(Failure::Failed(format!("{} cannot be started: {error}", program.to_string_lossy())))
}

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
