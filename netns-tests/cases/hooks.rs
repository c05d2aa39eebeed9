//! Programs around a move: their order, what they are told, and what becomes of a move when they
//! fail.

use super::{assert_nothing_moves, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Server, clock};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, GROUP, Scene, Setup};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A program for hooks, which root owns, in a directory of its own with the log that it writes.
struct Program {
    directory: TempDir,
}

impl Program {
    /// A program that logs what it was told and then runs `body`, with the log's path in `$LOG`.
    fn new(body: &str) -> Program {
        let directory = tempfile::Builder::new().prefix("vipair-lab").tempdir_in("/run").expect("we are root");
        let log = directory.path().join("log");
        let line = "$1 $VIPAIR_HOOK $VIPAIR_GROUP $VIPAIR_ROLE $VIPAIR_EPOCH $VIPAIR_REASON $VIPAIR_PEER";
        let text = format!("#!/bin/sh\nLOG={}\necho \"{line}\" >> $LOG\n{body}\n", log.display());
        let path = directory.path().join("hook");
        std::fs::write(&path, text).expect("it can be written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it is ours");
        Program { directory }
    }

    /// Path of the program.
    fn path(&self) -> PathBuf {
        self.directory.path().join("hook")
    }

    /// Lines `key = [[program, "key"]]`, one for each of these hooks.
    fn hook_lines(&self, hooks: &[&str]) -> String {
        let path = self.path();
        hooks.iter().map(|hook| format!("{hook} = [[\"{}\", \"{hook}\"]]\n", path.display())).collect()
    }

    /// Words of each log line about a move between servers: the argument, then the hook, group,
    /// role, epoch, reason and peer that the program was told. Lines of an agent's start are left
    /// out.
    fn move_lines(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines = text.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Vec<String>>());
        lines.filter(|words| words.len() == 7 && words[5] != "start").collect()
    }
}

/// All hooks, by their keys.
const ALL_HOOKS: [&str; 5] = ["before_open", "after_open", "before_close", "after_close", "on_fault"];

/// The setup of a pair with one group; `hooks_toml` are the lines of its table of hooks.
fn setup(profile: &'static str, hooks_toml: &str) -> Setup {
    let group = GroupText::new(GROUP, &[ADDRESS]).more_toml(&format!("[group.hooks]\n{hooks_toml}"));
    Setup::with(ConfigText::pair(profile).group(group))
}

#[test]
fn hooks_are_run_in_their_order_and_told_everything() {
    let program = Program::new("");
    let mut scene = Scene::start(setup("lan", &program.hook_lines(&ALL_HOOKS)));
    scene.wait("alpha's hooks to have run", |_| program.move_lines().len() >= 2);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_answered_by(Server::Beta);
    scene.wait("everybody's hooks to have run", |_| program.move_lines().len() >= 6);
    let log = program.move_lines();
    let of = |peer: &str| -> Vec<String> {
        let mine = log.iter().filter(|words| words[6] == peer);
        mine.map(|words| format!("{} {} {} {}", words[1], words[3], words[2], words[0] == words[1])).collect()
    };
    let expected = |hooks: &[(&str, &str)]| -> Vec<String> {
        hooks.iter().map(|(hook, role)| format!("{hook} {role} {GROUP} true")).collect()
    };
    let alphas = [
        ("before_open", "active"),
        ("after_open", "active"),
        ("before_close", "standby"),
        ("after_close", "standby"),
    ];
    assert_eq!(of("beta"), expected(&alphas), "alpha's: {log:?}");
    assert_eq!(of("alpha"), expected(&[("before_open", "active"), ("after_open", "active")]), "beta's: {log:?}");
    // Beta puts its things up after alpha has taken its own down, and with a higher token.
    let order: Vec<(&str, &str)> = log.iter().map(|words| (words[6].as_str(), words[1].as_str())).collect();
    let position = |peer: &'static str, hook: &'static str| {
        order.iter().position(|entry| *entry == (peer, hook)).expect("it was run")
    };
    assert!(position("beta", "before_close") < position("alpha", "before_open"), "{order:?}");
    let token = |peer, hook| -> u64 { log[position(peer, hook)][4].parse().expect("a decimal number") };
    assert!(token("alpha", "before_open") > token("beta", "after_open"), "{log:?}");
    assert_eq!(token("alpha", "before_open"), token("alpha", "after_open"));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

#[test]
fn a_hook_that_hangs_is_killed_and_the_gate_stays_closed() {
    // The hook hangs on beta only, and would go on for ever.
    let program =
        Program::new("[ \"$VIPAIR_PEER$1\" = alphabefore_open ] && { echo $$ > $LOG.pid; exec sleep 1000; }\nexit 0");
    let hooks = format!("{}timeout_ms = 300\n", program.hook_lines(&ALL_HOOKS));
    let mut scene = Scene::start(setup("lan", &hooks));
    let switched = scene.agent(Server::Alpha).command(&["switch", GROUP]);
    scene.wait("beta to say that its hook failed", |s| s.agent(Server::Beta).events().contains("hook_failed"));
    let events = scene.agent(Server::Beta).events();
    assert!(events.contains("killed after"), "{events}");
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.wait_answered_by(Server::Alpha);
    let pid = std::fs::read_to_string(program.directory.path().join("log.pid")).expect("it was run");
    let program_of = std::fs::read_link(format!("/proc/{}/exe", pid.trim()));
    assert!(!program_of.is_ok_and(|path| path.ends_with("sleep")), "what hung lives on");
    // Beta undoes its preparation.
    scene.wait("beta to undo it", |_| {
        program
            .move_lines()
            .iter()
            .any(|words| words[6] == "alpha" && words[1] == "after_close" && words[5] == "not_opened")
    });
    eprintln!("the command said {switched:?}");
    let owners = scene.askers[0].since(vipair::types::MonoTime::ZERO).servers();
    assert!(owners.iter().all(|server| *server == Server::Alpha), "beta has answered: {owners:?}");
}

// L1: the group stays open, and what before_close took down is put up again
#[test]
fn what_was_taken_down_for_a_handover_that_does_not_take_place_is_put_up_again() {
    // The other node is lost while this one prepares to close.
    let body = "[ \"$1\" = before_close ] && { kill -9 \"$(cat \"${0%/*}/other\")\"; sleep 0.5; }\nexit 0";
    let program = Program::new(body);
    // The command waits for the other node as long as this.
    let hooks = format!("{}timeout_ms = 1500\n", program.hook_lines(&ALL_HOOKS));
    let mut scene = Scene::start(setup("lan", &hooks));
    let other = scene.agent(Server::Beta).pid().to_string();
    std::fs::write(program.directory.path().join("other"), other).expect("it can be written");
    let switched = scene.agent(Server::Alpha).command(&["switch", GROUP]);
    assert!(switched.is_err(), "{switched:?}");
    let put_up = |words: &[String]| words[5] == "not_closed";
    scene.wait("everything to be put up again", |_| {
        program.move_lines().iter().filter(|words| put_up(words)).count() == 2
    });
    let log = program.move_lines();
    let hooks: Vec<(&str, &str)> = log.iter().map(|words| (words[1].as_str(), words[3].as_str())).collect();
    let last = [("before_close", "standby"), ("before_open", "active"), ("after_open", "active")];
    assert!(hooks.ends_with(&last), "{hooks:?}");
    let epochs: Vec<&String> = log.iter().rev().take(3).map(|words| &words[4]).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "it goes on with its epoch: {log:?}");
    let owners = scene.askers[0].since(vipair::types::MonoTime::ZERO).servers();
    assert!(owners.iter().all(|server| *server == Server::Alpha), "somebody else has answered: {owners:?}");
    scene.wait_answered_by(Server::Alpha);
    assert_eq!(scene.role(Server::Alpha, GROUP), "active");
}

#[test]
fn a_hook_that_fails_may_be_told_to_be_ignored() {
    let program = Program::new("[ \"$VIPAIR_PEER$1\" = alphabefore_open ] && { echo no data >&2; exit 7; }\nexit 0");
    let hooks = format!("{}on_failure = \"proceed\"\n", program.hook_lines(&ALL_HOOKS));
    let mut scene = Scene::start(setup("lan", &hooks));
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_answered_by(Server::Beta);
    let events = scene.agent(Server::Beta).events();
    assert!(events.contains("exit status: 7") && events.contains("going on"), "{events}");
    assert!(scene.agent(Server::Beta).log_text().contains("no data"), "what it said is in the log");
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// L6
#[test]
fn hooks_that_sleep_delay_no_pulse() {
    let program = Program::new("case $1 in after_*) sleep 5;; esac");
    let mut scene = Scene::start(setup("lan", &program.hook_lines(&["after_open", "after_close"])).alone());
    let from = clock::now();
    // Events of the start are not about hooks.
    let told = |scene: &Scene| -> Vec<usize> {
        let events = Server::BOTH.map(|server| scene.agent(server).events());
        let words = ["peer_silent", "link_silent", "stalled", "lapsed", "takeover"];
        let count = |word| events.iter().map(|events| events.matches(&format!("\"kind\":\"{word}\"")).count()).sum();
        words.into_iter().map(count).collect()
    };
    let before = told(&scene);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    scene.wait_answered_by(Server::Beta);
    scene.wait_ready(Server::Alpha, GROUP);
    // Hooks of both servers sleep now.
    let_pass(Duration::from_secs(3));
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(2));
    assert_eq!(told(&scene), before, "silence, stalls, lapses and takeovers");
    let gap = scene.answers(from).longest_gap().length();
    assert!(gap < Duration::from_millis(500), "clients were not answered for {gap:?}");
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// A program that others can change is not run, and an agent told to run it does not start.
#[test]
fn an_agent_refuses_hooks_that_others_can_change() {
    let program = Program::new("");
    std::fs::set_permissions(program.path(), PermissionsExt::from_mode(0o757)).expect("it is ours");
    let mut scene = Scene::build(setup("lan", &program.hook_lines(&["on_fault"])));
    scene.start_agent(Server::Alpha);
    let limit = clock::now() + Duration::from_secs(20);
    while scene.agent_mut(Server::Alpha).0.is_running() {
        assert!(clock::now() < limit, "it runs");
        let_pass(Duration::from_millis(20));
    }
    let said = scene.agent(Server::Alpha).log_text();
    assert!(said.contains("group.hooks.on_fault") && said.contains("can be written by others"), "{said}");
}

/// Name and scheduling class of a process or thread, by proc_pid_stat(5); 0 is the ordinary class.
fn class_of(stat: &str) -> (String, u32) {
    let (name, rest) = stat.rsplit_once(')').expect("a name in parentheses");
    let name = name.split_once('(').expect("it begins").1;
    let policy = rest.split_whitespace().nth(38).expect("a line of stat");
    (name.to_owned(), policy.parse().expect("a number"))
}

// Threads that a takeover waits for do not queue behind a busy machine's processes; programs that
// they start are ordinary.
#[test]
fn threads_that_a_takeover_waits_for_are_real_time_and_programs_are_not() {
    let program = Program::new("cat /proc/$$/stat > $LOG.class.new && mv $LOG.class.new $LOG.class");
    let lines = program.hook_lines(&["after_open"]);
    let mut scene = Scene::start(setup("lan", &lines));
    let class = program.directory.path().join("log.class");
    scene.wait("alpha's hook to have run", |_| class.exists());
    let hook = class_of(&std::fs::read_to_string(class).expect("it is there"));
    assert_eq!(hook.1, 0, "{hook:?}");
    let pid = scene.agent(Server::Alpha).pid();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let found: Vec<(String, u32)> = stats.map(|stat| class_of(&stat)).collect();
    let fifo = u32::try_from(libc::SCHED_FIFO).expect("a small number");
    for name in ["hot", "announcer", "vipair", "keeper", "checks", "connections"] {
        assert!(found.contains(&(name.to_owned(), fifo)), "{name}: {found:?}");
    }
    assert!(found.contains(&("store".to_owned(), 0)), "it waits for the disk: {found:?}");
    scene.finish(&Expected::owner(Server::Alpha));
}
