//! A busy machine for the benchmark: processes that do nothing but compute.
//!
//! Owns: those processes, which end when this value is dropped. Never does: asking for a priority;
//! they are as ordinary as any.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Processes that keep the machine busy.
#[derive(Debug)]
pub struct Busy(Vec<Child>);

impl Busy {
    /// Starts `count` shells that spin; they also die with the thread that calls this.
    pub fn start(count: u32) -> Busy {
        let one = |_| {
            let mut command = Command::new("sh");
            command.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).stdout(Stdio::null());
            // SAFETY: between fork and exec only prctl runs, which is async-signal-safe.
            unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
            command.spawn().unwrap_or_else(|e| panic!("start a busy process: {e}"))
        };
        Busy((0..count).map(one).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // A process that has ended already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
