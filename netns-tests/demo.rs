//! The demo: the product's main job on real parts, told act by act.
//!
//! Owns: command line, supervision, and what is printed at the end. The play itself runs in a child
//! process, so that the parent can remove the lab whatever ends the play (a broken promise, Ctrl-C,
//! a crash). Exits 1 if any promise was broken. Run it through `scripts/demo`.
#![allow(dead_code, reason = "tests, demo and benchmark each use a part of the lab")]

#[path = "demo/acts.rs"]
mod acts;
#[path = "demo/screen.rs"]
mod screen;

mod lab;
mod probe;
mod scene;

use nix::sys::signal::{SigHandler, Signal, signal};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Name of the namespaces of a lab that is left standing, up to the dash.
const KEPT: &str = "vpdemo";
/// Directory of the files of such a lab.
const KEPT_DIR: &str = "/run/vipair-demo";
/// Environment variable that tells the child to perform the play.
const PLAY: &str = "VIPAIR_DEMO_PLAY";

/// Reads the command line, and performs the play (in the child) or supervises it (in the parent).
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let keep = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--keep"] => true,
        ["--remove"] => return remove_and_tell(),
        _ => {
            eprintln!("usage: scripts/demo [--keep | --remove]");
            return ExitCode::from(2);
        }
    };
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the demo is made of network namespaces: run it as root (sudo ./scripts/demo)");
        return ExitCode::from(2);
    }
    if std::env::var_os(PLAY).is_some() {
        return if acts::play(keep.then(|| (KEPT.to_owned(), PathBuf::from(KEPT_DIR)))) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    supervise_play(keep)
}

/// Runs the play in a child process; when it fails, prints the logs and removes the lab.
fn supervise_play(keep: bool) -> ExitCode {
    if keep {
        remove_kept();
    }
    // SAFETY: ignoring a signal runs no code of ours. Ctrl-C ends the play, and we clean up after
    // it.
    unsafe {
        let _ = signal(Signal::SIGINT, SigHandler::SigIgn);
    }
    let own = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(own);
    command.args(std::env::args().skip(1)).env(PLAY, "1");
    reset_interrupt(&mut command);
    let mut child = command.spawn().expect("start the play");
    let pid = child.id();
    let status = child.wait().expect("wait for the play");
    if status.success() {
        return ExitCode::SUCCESS;
    }
    let dir = if keep { PathBuf::from(KEPT_DIR) } else { std::env::temp_dir().join(format!("vp{pid}-0")) };
    show_logs(&dir);
    lab::netns::sweep();
    if keep {
        remove_kept();
    }
    eprintln!("the demo did not go as promised ({status})");
    ExitCode::FAILURE
}

/// Gives the child Ctrl-C's usual effect again.
fn reset_interrupt(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only sigaction runs, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| signal(Signal::SIGINT, SigHandler::SigDfl).map(drop).map_err(Into::into));
    }
}

/// Prints the end of both agents' logs.
fn show_logs(dir: &Path) {
    for server in lab::Server::BOTH {
        let log = std::fs::read_to_string(dir.join(format!("{}.log", server.name()))).unwrap_or_default();
        eprintln!("--- the agent of {} said last:\n{}", server.name(), lab::process::tail(&log, 15));
    }
}

/// Removes a lab that was left standing; returns the number of its namespaces.
fn remove_kept() -> usize {
    let count = lab::netns::remove_lab(KEPT);
    // A missing directory is as good as a removed one.
    let _ = std::fs::remove_dir_all(KEPT_DIR);
    count
}

/// Removes a lab that was left standing and prints what was removed.
fn remove_and_tell() -> ExitCode {
    match remove_kept() {
        0 => println!("no lab was standing"),
        count => println!("removed the lab: {count} namespaces with all their processes, and {KEPT_DIR}"),
    }
    ExitCode::SUCCESS
}
