//! Tests of hooks: order, environment, time, and the end of processes that they leave behind.

use super::worker::Tools;
use super::*;
use crate::config::{Command, Hooks, OnFailure, ServicePlan};
use crate::io::units::Systemd;
use crate::launch::{Launch, LaunchError, Launcher};
use crate::types::{Epoch, GroupKey};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(3600);

/// A script for the shell.
fn sh(script: &str) -> Command {
    Command { program: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script.to_owned()] }
}

/// A job of the group `web` on the way to becoming active, for one occasion; it has no units.
fn job_of_web(occasion: Occasion, epoch: u64, hooks: Hooks) -> Job {
    Job {
        key: GroupKey(1),
        group: "web".to_owned(),
        occasion,
        role: "active",
        epoch: Epoch(epoch),
        reason: "silence",
        peer: "beta".to_owned(),
        service: Arc::new(ServicePlan { hooks, ..ServicePlan::default() }),
        with_units: false,
    }
}

/// The job of `web` before an opening: these shell scripts, each with the time limit `timeout`.
fn before_open(epoch: u64, scripts: &[&str], timeout: Duration, on_failure: OnFailure) -> Job {
    let before_open = scripts.iter().map(|script| sh(script)).collect();
    job_of_web(Occasion::BeforeOpen, epoch, Hooks { before_open, timeout, on_failure, ..Hooks::default() })
}

/// Runs `then` with workers that have no jobs yet, and with the receiver of the ends of their jobs;
/// `then` must end within [`PATIENCE`].
fn with_workers<F: Future<Output = ()>>(then: impl FnOnce(Workers, mpsc::Receiver<Ended>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (ended, ends) = mpsc::channel(16);
        let tools = Tools { ended, systemd: Arc::new(Systemd::default()), launcher: Arc::new(Launcher::default()) };
        let workers = Workers::new(tokio::runtime::Handle::current(), tools);
        tokio::time::timeout(PATIENCE, then(workers, ends)).await.expect("hooks end");
    });
}

/// A file's contents; empty while the file is not there.
fn contents(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Waits until a file has contents, and returns them.
async fn wait_for_contents(path: &Path) -> String {
    while contents(path).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    contents(path)
}

/// True while the process lives; a zombie has ended.
fn is_alive(pid: &str) -> bool {
    let stat = contents(Path::new(&format!("/proc/{}/stat", pid.trim())));
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

#[test]
fn hooks_run_one_after_another_in_their_order_with_nothing_but_their_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("said");
    with_workers(|mut workers, mut ends| async move {
        let note = |word: &str| format!("sleep 0.05; echo {word} $VIPAIR_HOOK $VIPAIR_EPOCH >> {}", file.display());
        let env = format!("env | sort | grep -v -e ^PWD= -e ^_= -e ^SHLVL= >> {}", file.display());
        let scripts = [note("one"), note("two"), env];
        let scripts: Vec<&str> = scripts.iter().map(String::as_str).collect();
        let open = before_open(513, &scripts, LONG, OnFailure::Refuse);
        let hooks = Hooks { after_open: vec![sh(&note("three"))], ..Hooks::default() };
        assert!(workers.post(open) && workers.post(job_of_web(Occasion::AfterOpen, 513, hooks)));
        let first = ends.recv().await.expect("it ends");
        assert!(first.ok && first.failures.is_empty(), "{first:?}");
        assert_eq!((first.occasion, first.epoch), (Occasion::BeforeOpen, Epoch(513)));
        assert_eq!(ends.recv().await.expect("it ends").occasion, Occasion::AfterOpen);
        let expected = "one before_open 513\ntwo before_open 513\n\
                        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nVIPAIR_EPOCH=513\n\
                        VIPAIR_GROUP=web\nVIPAIR_HOOK=before_open\nVIPAIR_PEER=beta\nVIPAIR_REASON=silence\n\
                        VIPAIR_ROLE=active\nthree after_open 513\n";
        assert_eq!(contents(&file), expected);
        drop(directory);
    });
}

#[test]
fn a_job_with_nothing_to_do_is_none() {
    with_workers(|mut workers, _ends| async move {
        assert!(!workers.post(before_open(1, &[], LONG, OnFailure::Refuse)));
    });
}

#[test]
fn a_failure_refuses_or_proceeds_as_configured() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("said");
    with_workers(|mut workers, mut ends| async move {
        let next = format!("echo next >> {}", file.display());
        let scripts = ["echo no such data >&2; exit 7", next.as_str()];
        workers.post(before_open(1, &scripts, LONG, OnFailure::Refuse));
        let ended = ends.recv().await.expect("it ends");
        assert!(!ended.ok && ended.failures.len() == 1 && ended.failures[0].contains("exit status: 7"), "{ended:?}");
        assert_eq!(contents(&file), "", "nothing follows a failure");
        workers.post(before_open(2, &scripts, LONG, OnFailure::Proceed));
        let ended = ends.recv().await.expect("it ends");
        assert!(ended.ok && ended.failures.len() == 1, "{ended:?}");
        assert_eq!(contents(&file), "next\n", "the rest is tried");
        drop(directory);
    });
}

#[test]
fn a_hook_that_hangs_is_killed_with_everything_it_has_started() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pids");
    with_workers(|mut workers, mut ends| async move {
        // The child ignores what can be ignored, and holds the outputs open.
        let script =
            format!("trap '' TERM HUP; (trap '' TERM HUP; sleep 1000) & echo $! $$ > {}; wait", file.display());
        workers.post(before_open(1, &[&script], Duration::from_millis(300), OnFailure::Refuse));
        let ended = ends.recv().await.expect("it ends");
        assert!(!ended.ok && ended.failures[0].contains("killed after "), "{ended:?}");
        for pid in contents(&file).split_whitespace() {
            while is_alive(pid) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert_eq!(contents(&file).split_whitespace().count(), 2);
        drop(directory);
    });
}

#[test]
fn a_hook_that_ends_and_leaves_a_child_behind_is_not_waited_for() {
    with_workers(|mut workers, mut ends| async move {
        workers.post(before_open(1, &["sleep 1000 & exit 0"], LONG, OnFailure::Refuse));
        assert!(ends.recv().await.expect("it ends").ok);
    });
}

#[test]
fn a_move_that_begins_again_gives_up_the_hook_of_the_move_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pid");
    with_workers(|mut workers, mut ends| async move {
        let script = format!("echo $$ > {}; exec sleep 1000", file.display());
        workers.post(before_open(1, &[&script], LONG, OnFailure::Proceed));
        let pid = wait_for_contents(&file).await;
        workers.post(before_open(2, &["true"], LONG, OnFailure::Refuse));
        let first = ends.recv().await.expect("it ends");
        assert!(first.epoch == Epoch(1) && !first.ok && first.failures[0].contains("given up"), "{first:?}");
        let second = ends.recv().await.expect("it ends");
        assert!(second.epoch == Epoch(2) && second.ok, "{second:?}");
        while is_alive(&pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(directory);
    });
}

#[test]
fn what_follows_a_fact_is_finished_before_the_agent_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("said");
    with_workers(|mut workers, _ends| async move {
        let after_close = vec![sh(&format!("sleep 0.2; echo closed > {}", file.display()))];
        workers.post(job_of_web(Occasion::AfterClose, 1, Hooks { after_close, ..Hooks::default() }));
        workers.finish(PATIENCE).await;
        assert_eq!(contents(&file), "closed\n");
        drop(directory);
    });
}

#[test]
fn a_program_that_says_much_is_cut_short_and_one_that_may_not_be_run_is_not() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut lines = Vec::new();
        let command =
            sh("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; head -c 3000 /dev/zero | tr '\\0' x");
        let launch = Launch { command: &command, environment: &[], user: None, patience: PATIENCE };
        Launcher::default().run(&launch, |line| lines.push(line.to_owned())).await.expect("it ends well");
        assert_eq!((lines.len(), lines[0].as_str(), lines[99].as_str()), (101, "line 0", "line 99"));
        let directory = tempfile::tempdir().expect("a directory below one that everybody can write to");
        let path = directory.path().join("program");
        std::fs::copy("/bin/true", &path).expect("it can be copied");
        let command = Command { program: path, arguments: Vec::new() };
        let launch = Launch { command: &command, environment: &[], user: None, patience: PATIENCE };
        let refused = Launcher::default().run(&launch, |_| ()).await;
        assert!(matches!(refused, Err(LaunchError::Refused(_))), "{refused:?}");
    });
}
