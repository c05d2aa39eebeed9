//! Test support: a network namespace of one thread's own, gone when the thread ends. Needs root and iproute2.

use std::process::Command;

/// Runs `body` on a new thread in a new network namespace whose loopback is up, and passes its panic on.
pub fn in_netns<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("network namespaces need root");
            ip("link set lo up");
            body()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `ip` with these words in the calling thread's namespace and returns what it printed.
///
/// # Panics
/// If it fails.
pub fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split_whitespace()).output().expect("iproute2 is installed");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {words}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
