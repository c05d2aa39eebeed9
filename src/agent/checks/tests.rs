//! Tests of checks: what they try, how they count, and what follows.

use super::standing::Standing;
use super::*;
use crate::config::{CheckKind, Command, Group, HttpCheck, ProcessCheck, ServicePlan};
use crate::io::units::Systemd;
use crate::launch::Launcher;
use crate::timing::Promote;
use crate::types::{GroupKey, MonoTime, NodeId};
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

mod bus;

const PATIENCE: Duration = Duration::from_secs(60);

/// A check that is tried every 20 ms, whose verdict changes after two results in a row. Without a
/// weight it vetoes.
fn check(kind: CheckKind, weight: Option<u8>) -> Check {
    let (interval, timeout) = (Duration::from_millis(20), Duration::from_secs(5));
    Check { kind, interval, timeout, fall: 2, rise: 2, weight: weight.and_then(NonZeroU8::new) }
}

/// A check of a port on this machine.
fn tcp(port: u16, weight: Option<u8>) -> Check {
    check(CheckKind::Tcp { target: SocketAddr::new([127, 0, 0, 1].into(), port) }, weight)
}

/// A group with these checks; nothing else of it matters here.
fn group(key: u64, checks: &[Check]) -> Group {
    Group {
        name: format!("g{key}"),
        key: GroupKey(key),
        interface: "eth0".to_owned(),
        uplinks: Vec::new(),
        addresses: Vec::new(),
        prefer: NodeId(1),
        preempt: false,
        preempt_delay: Duration::ZERO,
        drain: Duration::ZERO,
        promote: Promote::Peer,
        tickle: true,
        service: ServicePlan { checks: checks.to_vec(), ..ServicePlan::default() },
    }
}

/// Result of an attempt that failed.
fn failed() -> Result<(), String> {
    Err("refused".to_owned())
}

#[test]
fn the_first_success_is_a_verdict_and_failures_need_fall_in_a_row() {
    let (fall, rise) = (3, 2);
    let mut standing = Standing::new(fall, rise);
    assert_eq!(standing.count(failed()), None);
    assert_eq!(standing.count(Ok(())), Some(Ok(())), "the first success is a verdict");
    assert_eq!(standing.count(Ok(())), None, "told already");
    assert_eq!((standing.count(failed()), standing.count(failed())), (None, None));
    assert!(!standing.is_settled());
    assert_eq!(standing.count(failed()), Some(failed()), "three in a row");
    assert_eq!(standing.count(Ok(())), None);
    assert_eq!(standing.count(Ok(())), Some(Ok(())), "two in a row");
    assert_eq!(standing.fail("ended".to_owned()), Some(Err("ended".to_owned())), "a fact is not counted");
}

#[test]
fn a_repeated_reason_is_no_news() {
    let (fall, rise) = (3, 2);
    let mut standing = Standing::new(fall, rise);
    assert_eq!([standing.count(failed()), standing.count(failed())], [None, None]);
    assert_eq!(standing.count(failed()), Some(failed()));
    assert_eq!(standing.count(failed()), None);
    assert_eq!(standing.count(Err("late".to_owned())), Some(Err("late".to_owned())), "another reason is news");
}

#[test]
fn a_long_reason_becomes_one_line_of_200_characters() {
    let (fall, rise) = (3, 2);
    let mut standing = Standing::new(fall, rise);
    let long = "a\nb".repeat(500);
    let Some(Err(told)) = standing.fail(long) else { panic!("the first failure is news") };
    assert!(told.chars().count() == 200 && !told.contains('\n'), "{told}");
}

#[test]
fn health_is_told_when_every_check_has_come_to_a_verdict() {
    let (now, key) = (MonoTime(1), GroupKey(7));
    let checks = [tcp(1, None), tcp(2, Some(200)), tcp(3, Some(100))];
    let mut board = Board::default();
    let Change { start: started, end: ended } = board.configure(&[group(7, &checks)], now);
    assert_eq!((started.len(), ended.len()), (3, 0));
    let phases: Vec<Duration> = started.iter().map(|start| start.phase).collect();
    assert!(phases.is_sorted() && phases[0] < phases[2] && phases[2] < checks[0].interval, "{phases:?}");
    let ids: Vec<CheckId> = started.iter().map(|start| start.id).collect();
    let note = |board: &mut Board, index: usize, result: Result<(), String>| {
        let turned = board.note(Verdict { check: ids[index], result }, now).expect("it runs").turned;
        (turned, board.take_unreported(key))
    };
    assert_eq!(note(&mut board, 0, Ok(())), (false, None));
    assert_eq!(note(&mut board, 1, Ok(())), (false, None));
    assert_eq!(note(&mut board, 2, Ok(())), (false, Some(0)), "now every one has a verdict");
    assert_eq!(note(&mut board, 2, failed()), (true, Some(100)));
    assert_eq!(note(&mut board, 1, failed()), (true, Some(254)), "weights never veto");
    assert_eq!(note(&mut board, 1, Err("late".to_owned())), (false, None), "another reason is no turn");
    assert_eq!(note(&mut board, 0, failed()), (true, Some(255)));
    assert_eq!(note(&mut board, 2, Ok(())), (true, None), "still a veto");
    assert_eq!(note(&mut board, 0, Ok(())), (true, Some(200)));
    let shown: Vec<bool> = board.shown(key).map(|shown| shown.result.is_some_and(Result::is_ok)).collect();
    assert_eq!(shown, [true, false, true], "in the order of the file");
}

#[test]
fn a_reload_leaves_what_stays_the_same_untouched() {
    let now = MonoTime(1);
    let (one, two, three) = (tcp(1, None), tcp(2, None), tcp(3, None));
    let mut board = Board::default();
    let Change { start: started, .. } =
        board.configure(&[group(1, &[one.clone(), two.clone()]), group(2, std::slice::from_ref(&one))], now);
    for start in &started {
        let _changed = board.note(Verdict { check: start.id, result: Ok(()) }, now);
    }
    assert_eq!(board.take_all_unreported().len(), 2);
    let Change { start: again, end: ended } = board.configure(&[group(2, &[one]), group(1, &[three, two])], now);
    assert_eq!((again.len(), &ended), (1, &vec![started[0].id]), "one of group 1 is another now");
    assert!(board.note(Verdict { check: started[0].id, result: failed() }, now).is_none(), "it was ended");
    assert_eq!(board.take_all_unreported(), [], "the new one has no verdict yet, and nothing else has changed");
    let _changed = board.note(Verdict { check: again[0].id, result: failed() }, now);
    assert_eq!(board.take_all_unreported(), [(GroupKey(1), 255)]);
    let Change { end: ended, .. } = board.configure(&[group(1, &[])], now);
    assert_eq!(ended.len(), 3);
    assert_eq!(board.take_all_unreported(), [(GroupKey(1), 0)], "without checks nothing speaks against it");
}

/// A check that wants a status from 200 to 299, and `body` in the body of the page.
fn page(body: Option<&str>) -> HttpCheck {
    HttpCheck {
        target: SocketAddr::new([127, 0, 0, 1].into(), 80),
        path: "/".to_owned(),
        host: "lab".to_owned(),
        status: 200..=299,
        body: body.map(str::to_owned),
    }
}

#[test]
fn a_page_decides_as_soon_as_it_can_and_no_sooner() {
    let compare = |body, text: &str, whole| http::compare(&page(body), text.as_bytes(), whole);
    let well = Some(Ok(()));
    let wrong = |text: &str| Some(Err(text.to_owned()));
    assert_eq!(compare(None, "HTTP/1.1 200 OK\r\n", false), well, "the status is all that counts");
    assert_eq!(compare(None, "HTTP/1.1 20", false), None);
    assert_eq!(compare(None, "HTTP/1.1 200", true), wrong("the answer is no HTTP"));
    assert_eq!(compare(None, "SSH-2.0-x\r\n", false), wrong("the answer is no HTTP"));
    assert_eq!(compare(None, "HTTP/1.0 503 Busy\r\n", false), wrong("status 503"));
    assert_eq!(
        compare(None, "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 404 None\r\n", false),
        wrong("status 404")
    );
    let header = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n";
    assert_eq!(compare(Some("well"), &header[..30], false), None);
    assert_eq!(compare(Some("well"), &format!("{header}all we"), false), None);
    assert_eq!(compare(Some("well"), &format!("{header}all well"), false), well);
    let lacking = wrong("the body does not have \"well\"");
    assert_eq!(compare(Some("well"), &format!("{header}all good"), false), lacking, "its length has been read");
    assert_eq!(compare(Some("well"), "HTTP/1.1 200 OK\r\n\r\nall good", true), lacking);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(compare(Some("well"), &format!("{chunked}6\r\nall we\r\n"), false), None);
    assert_eq!(
        compare(Some("well"), &format!("{chunked}6;x=y\r\nall we\r\n2\r\nll\r\n"), false),
        well,
        "over two chunks"
    );
    assert_eq!(compare(Some("well"), &format!("{chunked}3\r\nall\r\n0\r\n\r\n"), false), lacking);
    for cut in 0..chunked.len() {
        let _no_panic = compare(Some("well"), &chunked[..cut], cut % 2 == 0);
    }
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(70_000));
    assert_eq!(compare(Some("well"), &endless, false), lacking, "no more is read");
}

/// Runs one check on a runtime of its own while `then` takes its verdicts, for [`PATIENCE`] at
/// most.
fn watched<F: Future<Output = ()>>(check: Check, then: impl FnOnce(mpsc::Receiver<Verdict>) -> F) {
    watched_with_restarts(check, Arc::default(), then);
}

/// Does as `watched` does; `restarted` tells the check that its service may have been restarted.
fn watched_with_restarts<F: Future<Output = ()>>(
    check: Check,
    restarted: Arc<Notify>,
    then: impl FnOnce(mpsc::Receiver<Verdict>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (tell, verdicts) = mpsc::channel(16);
        let tools = Tools::new(tell, Arc::new(Systemd::default()), Arc::new(Launcher::default()));
        let task = tokio::spawn(
            tools.run(Start { id: CheckId(1), group: GroupKey(1), check, phase: Duration::ZERO }, restarted),
        );
        tokio::time::timeout(PATIENCE, then(verdicts)).await.expect("verdicts come");
        task.abort();
    });
}

/// Waits for the next verdict.
async fn next_verdict(verdicts: &mut mpsc::Receiver<Verdict>) -> Result<(), String> {
    verdicts.recv().await.expect("it runs").result
}

#[test]
fn a_port_that_listens_is_well_and_one_that_does_not_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    watched(tcp(port, None), |mut verdicts| async move {
        assert_eq!(next_verdict(&mut verdicts).await, Ok(()));
        drop(listener);
        assert_eq!(next_verdict(&mut verdicts).await, Err("connection refused".to_owned()));
    });
}

#[test]
fn a_server_that_takes_and_says_nothing_has_failed_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = listener.local_addr().expect("it is bound");
    let kind = CheckKind::Http(HttpCheck { target, ..page(None) });
    let impatient = Check { timeout: Duration::from_millis(50), fall: 1, ..check(kind, None) };
    watched(impatient, |mut verdicts| async move {
        assert_eq!(next_verdict(&mut verdicts).await, Err("no answer within 50 ms".to_owned()));
        drop(listener);
    });
}

#[test]
fn a_process_is_found_lost_at_once_and_found_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pid");
    let start = || {
        let child = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep can be run");
        // The process gets its name a moment after its start.
        let name = format!("/proc/{}/comm", child.id());
        while std::fs::read_to_string(&name).expect("it runs") != "sleep\n" {
            std::thread::yield_now();
        }
        std::fs::write(&file, format!("{}\n", child.id())).expect("it can be written");
        child
    };
    let mut child = start();
    let process = ProcessCheck { name_or_path: Some("sleep".to_owned()), pidfile: Some(file.clone()) };
    // Counting would take hours: a verdict that comes sooner was reported at once.
    let patient = Check { fall: 1000, rise: 1, ..check(CheckKind::Process(process), None) };
    watched(patient, |mut verdicts| async move {
        assert_eq!(next_verdict(&mut verdicts).await, Ok(()));
        let pid = child.id();
        child.kill().expect("it runs");
        assert_eq!(next_verdict(&mut verdicts).await, Err(format!("process {pid} ended")));
        child.wait().expect("it has ended");
        let mut child = start();
        assert_eq!(next_verdict(&mut verdicts).await, Ok(()));
        child.kill().expect("it runs");
        child.wait().expect("it has ended");
    });
}

// A service that vipair itself restarts counts as failed no longer than the restart takes.
#[test]
fn a_service_that_a_hook_restarted_is_tried_at_once_and_one_success_is_enough() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("well");
    let arguments = vec!["-e".to_owned(), file.display().to_string()];
    let command = Command { program: "/usr/bin/test".into(), arguments };
    let user = String::new();
    // A second failure or success would take hours.
    let rare =
        Check { interval: Duration::from_secs(3600), fall: 1, ..check(CheckKind::Exec { command, user }, None) };
    let rare = Check { rise: 1000, ..rare };
    let restarted = Arc::new(Notify::new());
    watched_with_restarts(rare, Arc::clone(&restarted), |mut verdicts| async move {
        assert!(next_verdict(&mut verdicts).await.is_err());
        std::fs::write(&file, "").expect("it can be written");
        restarted.notify_one();
        assert_eq!(next_verdict(&mut verdicts).await, Ok(()));
    });
    let mut standing = Standing::new(1, 2);
    assert_eq!(standing.count(failed()), Some(failed()));
    standing.start_over();
    assert_eq!(standing.count(failed()), None, "it is still starting");
    assert_eq!(standing.count(Ok(())), Some(Ok(())));
    assert_eq!(standing.count(failed()), Some(failed()), "as ever");
    assert_eq!(standing.count(Ok(())), None);
}

#[test]
fn another_program_with_the_number_in_the_file_is_not_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("pid");
    std::fs::write(&file, std::process::id().to_string()).expect("it can be written");
    let of = |process: Option<&str>| ProcessCheck {
        name_or_path: process.map(str::to_owned),
        pidfile: Some(file.clone()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let processes = Processes::default();
    let found = |check: &ProcessCheck| processes.find(check).map(|found| found.pid);
    let me = i32::try_from(std::process::id()).expect("it fits");
    assert_eq!(found(&of(None)), Ok(me));
    let program = std::env::current_exe().expect("it is known").display().to_string();
    assert_eq!(found(&of(Some(&program))), Ok(me));
    assert_eq!(found(&of(Some("/bin/true"))), Err(format!("process {me} is another program")));
    assert_eq!(found(&of(Some("no-such-name"))), Err(format!("process {me} is another program")));
    std::fs::write(&file, "0\n").expect("it can be written");
    assert!(found(&of(None)).is_err_and(|reason| reason.contains("no number")));
    let named = ProcessCheck { name_or_path: Some("no-such-name".to_owned()), pidfile: None };
    assert_eq!(found(&named), Err("no process no-such-name is to be seen".to_owned()));
}

#[test]
fn a_program_is_well_if_it_says_so_and_says_why_if_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("well");
    std::fs::write(&file, "").expect("it can be written");
    let script = format!("test -e {} || {{ echo it is gone; exit 3; }}", file.display());
    let command = Command { program: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script] };
    // The user is the business of `vipair launch`, which does not exist in a test of the library.
    watched(check(CheckKind::Exec { command, user: String::new() }, None), |mut verdicts| async move {
        assert_eq!(next_verdict(&mut verdicts).await, Ok(()));
        std::fs::remove_file(&file).expect("it is there");
        assert_eq!(next_verdict(&mut verdicts).await, Err("ended with exit status: 3: it is gone".to_owned()));
        drop(directory);
    });
}

// HP-8: what `vipair check` prints
#[test]
fn the_bound_that_is_told_counts_skipped_beats_and_waits() {
    let ms = Duration::from_millis;
    let of = |kind: CheckKind, interval: u64, timeout: u64, fall: u32, programs: usize| {
        let check = Check { interval: ms(interval), timeout: ms(timeout), fall, ..check(kind, None) };
        noticed_within(&check, programs)
    };
    let port = || CheckKind::Tcp { target: SocketAddr::new([127, 0, 0, 1].into(), 1) };
    let command = Command { program: "/bin/true".into(), arguments: Vec::new() };
    let exec = || CheckKind::Exec { command: command.clone(), user: "nobody".to_owned() };
    assert_eq!(of(port(), 2000, 1000, 3, 50), ms(3 * 2000 + 1000), "no program");
    assert_eq!(of(port(), 1000, 2500, 3, 0), ms(1000 + 2 * 3000 + 2500), "every third beat");
    assert_eq!(of(exec(), 2000, 1000, 3, 4), ms(3 * 2000 + 1000), "four begin together");
    assert_eq!(of(exec(), 2000, 1000, 3, 12), ms(3 * 2000 + 2 * 250 + 1000));
    assert_eq!(of(exec(), 1000, 1000, 1, 1), ms(2000));
}
