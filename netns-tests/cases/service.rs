//! The service itself: checks on both servers by the shared address, and what follows when they
//! fail.

use super::planned::assert_nothing_lost;
use super::{assert_nothing_moves, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Server, clock};
use crate::probe::oracle::Expected;
use crate::scene::{ADDRESS, ADDRESS6, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;
use vipair::types::MonoTime;

/// An HTTP check ten times a second; one failure is a fault.
const HTTP: &str = "[[group.check]]\nkind = \"http\"\nport = 80\ninterval_ms = 100\nfall = 1\nrise = 1\n";

/// The setup of a pair with one group of both addresses; `group_toml` are further lines of the
/// group's table, such as checks.
fn setup(profile: &'static str, group_toml: &str) -> Setup {
    Setup::with(ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).more_toml(group_toml)))
}

/// Starts both agents with their services: alpha active, beta its ready standby.
pub(super) fn start_pair(setup: Setup) -> Scene {
    let mut scene = Scene::build(setup);
    scene.start_agent(Server::Alpha);
    scene.start_service(Server::Alpha);
    scene.wait_role(Server::Alpha, GROUP, "active");
    scene.start_agent(Server::Beta);
    scene.start_service(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    scene.wait("the service of alpha to be known as well", |s| health(s, Server::Alpha) == "0");
    scene
}

/// The reason of a server's state in its status; empty without one.
fn reason(scene: &Scene, server: Server) -> String {
    scene.agent(server).status().map(|status| status.text(GROUP, "reason")).unwrap_or_default()
}

/// The health in a server's status as text, `0` for a service that serves; empty without one.
fn health(scene: &Scene, server: Server) -> String {
    scene.agent(server).status().map(|status| status.text(GROUP, "health")).unwrap_or_default()
}

/// Time from `from` to the first answer of `server`.
fn until_answered_by(scene: &Scene, server: Server, from: MonoTime) -> Duration {
    let answers = scene.answers(from);
    let by = answers.questions.iter().filter_map(|question| question.answer);
    let first = by.filter(|(_, mac)| *mac == server.port().mac()).map(|(at, _)| at).next();
    first.unwrap_or_else(|| panic!("{} never answered", server.name())).since(from)
}

// HP-8: the host is well, the service is not
#[test]
fn a_service_that_dies_on_the_active_moves_the_group_to_the_standby_that_serves() {
    let mut scene = start_pair(setup("lan", HTTP));
    let at = scene.stop_service(Server::Alpha);
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    let took = until_answered_by(&scene, Server::Beta, at);
    assert!(took < Duration::from_secs(2), "the service was away for {took:?}");
    scene.wait("alpha to say why it is not ready", |s| {
        let why = reason(s, Server::Alpha);
        why.contains("unhealthy") && why.contains("http") && why.contains("connection refused")
    });
    let text = scene.agent(Server::Alpha).command(&["status"]).unwrap_or_else(|e| panic!("{e}"));
    assert!(text.contains(&format!("http {ADDRESS}:80/: FAILS since ")), "{text}");
    let events = scene.agent(Server::Alpha).events();
    assert!(events.contains("check_failed") && events.contains("connection refused"), "{events}");
    // Well again, alpha is a ready standby; nothing moves back.
    scene.start_service(Server::Alpha);
    scene.wait_ready(Server::Alpha, GROUP);
    assert!(scene.agent(Server::Alpha).events().contains("check_well"));
    assert_nothing_moves(&scene, Server::Beta, Duration::from_secs(1));
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

/// Kills the service of the active server `turns` times, alpha's first; returns the times until the
/// other server answered, shortest first.
fn kill_and_measure(scene: &mut Scene, turns: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for turn in 0..turns {
        let (from, to) = if turn % 2 == 0 { (Server::Alpha, Server::Beta) } else { (Server::Beta, Server::Alpha) };
        let at = scene.stop_service(from);
        scene.wait_answered_by(to);
        took.push(until_answered_by(scene, to, at));
        scene.start_service(from);
        scene.wait_ready(from, GROUP);
    }
    took.sort();
    took
}

// HP-8: the end of a process is noticed without an attempt of the check
#[test]
fn a_process_that_dies_on_the_active_moves_the_group_at_once() {
    // Counting failures would take an hour. Each server has its own nginx and its own file.
    let check = "[[group.check]]\nkind = \"process\"\nprocess = \"nginx\"\npidfile = \"@DIR@/@SERVER@-nginx/nginx.pid\"\n\
                 interval_ms = 100\nfall = 1000\nrise = 1\n";
    let mut scene = start_pair(setup("fast", check).alone());
    let took = kill_and_measure(&mut scene, 10);
    eprintln!("process killed on the active until the other server answers: {took:?}");
    assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    scene.finish(&(0..10).fold(Expected::owner(Server::Alpha), |expected, _| expected.handover()));
}

#[test]
#[ignore = "measures"]
fn how_long_the_service_is_away_by_kind_of_check() {
    for (kind, check) in [("http", HTTP.to_owned()), ("tcp", HTTP.replace("\"http\"", "\"tcp\""))] {
        let mut scene = start_pair(setup("fast", &check).alone());
        let took = kill_and_measure(&mut scene, 40);
        eprintln!("{kind} every 100 ms, fall 1, service killed until the other server answers: {took:?}");
    }
}

// HP-8: a move to a server that serves no better would help no client
#[test]
fn when_both_services_fail_nothing_moves_and_both_say_why() {
    let mut scene = start_pair(setup("lan", HTTP));
    scene.stop_service(Server::Beta);
    scene.wait("beta to be unhealthy", |s| reason(s, Server::Beta).contains("unhealthy"));
    scene.stop_service(Server::Alpha);
    scene.wait("both to say why", |s| {
        Server::BOTH.iter().all(|server| {
            let why = reason(s, *server);
            why.contains(&format!("http {ADDRESS}:80/: connection refused"))
        })
    });
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_secs(1));
    assert_eq!(scene.role(Server::Alpha, GROUP), "active");
    // The first server whose service is well again gets the group.
    scene.start_service(Server::Beta);
    scene.wait_role(Server::Beta, GROUP, "active");
    scene.wait_answered_by(Server::Beta);
    scene.finish(&Expected::owner(Server::Alpha).handover());
}

// HP-8: a standby whose service fails is not ready, says so, and is given nothing
#[test]
fn a_standby_whose_service_fails_is_not_ready_and_a_switch_to_it_is_refused() {
    let mut scene = start_pair(setup("lan", HTTP));
    scene.stop_service(Server::Beta);
    scene.wait("alpha to have no standby", |s| reason(s, Server::Alpha).contains("beta is not ready: unhealthy"));
    let refusal = scene.agent(Server::Alpha).command(&["switch", GROUP]).expect_err("it is refused");
    assert!(refusal.contains("unhealthy"), "{refusal}");
    assert_nothing_moves(&scene, Server::Alpha, Duration::from_millis(500));
    // A lost server serves worse than an unhealthy one: the standby takes over all the same.
    scene.power_off(Server::Alpha);
    scene.wait_answered_by(Server::Beta);
    scene.finish(&Expected::owner(Server::Alpha).takeover());
}

// L3: checks go on during a planned switch and change nothing about it
#[test]
fn planned_switch_under_load_with_checks_loses_no_request() {
    let mut scene = start_pair(setup("lan", HTTP).alone());
    let web = scene.start_web(1_000);
    let_pass(Duration::from_millis(500));
    for to in [Server::Beta, Server::Alpha] {
        scene.agent(to).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
        scene.wait_role(to, GROUP, "active");
        scene.wait_answered_by(to);
        scene.wait_ready(to.other(), GROUP);
        // Longer than the drain time.
        let_pass(Duration::from_millis(1_200));
    }
    assert_nothing_lost(web, 2_000);
    scene.finish(&Expected::owner(Server::Alpha).handover().handover());
}

/// Makes both agents read the configuration again, in this order, and waits until their checks were
/// tried. `group_toml` are further lines of the group's table; a check with `weight = 30` in them
/// is expected to fail.
fn reload_in_order(scene: &mut Scene, order: [Server; 2], group_toml: &str) {
    let text = setup("lan", group_toml).config.to_toml();
    let file = scene.lab.dir().join("vipair.toml");
    std::fs::write(&file, text).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
    for server in order {
        let told = |s: &Scene| s.agent(server).events().matches("\"kind\":\"reload\"").count();
        let before = told(scene);
        scene.agent(server).signal(&scene.lab, Signal::SIGHUP);
        scene.wait("the configuration to be read again", |s| told(s) > before);
        let expected = if group_toml.contains("weight = 30") { "30" } else { "0" };
        scene.wait("its checks to have been tried", |s| health(s, server) == expected);
    }
}

// Checks are added, changed and removed while the agents run; an unchanged one keeps its verdict
#[test]
fn checks_come_and_go_with_a_reload() {
    let mut scene = start_pair(setup("lan", HTTP));
    let since = |s: &Scene| {
        let status = s.agent(Server::Beta).status().unwrap_or_else(|e| panic!("{e}"));
        let groups = status.0["groups"][0]["checks"].clone();
        let checks = groups.as_array().cloned().unwrap_or_default();
        checks.iter().find(|check| check["kind"] == "http").map(|check| check["since"].to_string())
    };
    let before = since(&scene).expect("the check is shown");
    let closed = "[[group.check]]\nkind = \"tcp\"\nport = 81\ninterval_ms = 100\nfall = 1\nweight = 30\n";
    let from = clock::now();
    // The standby reloads first: for a moment it is the worse one.
    reload_in_order(&mut scene, [Server::Beta, Server::Alpha], &format!("{HTTP}{closed}"));
    // The times come from two clocks read one after the other: a millisecond may lie between them.
    assert_eq!(since(&scene).map(|s| s[..20].to_owned()), Some(before[..20].to_owned()), "it was begun anew");
    reload_in_order(&mut scene, Server::BOTH, "");
    assert_eq!(since(&scene), None, "it is shown no more");
    scene.stop_service(Server::Beta);
    scene.wait_ready(Server::Beta, GROUP);
    super::let_pass(Duration::from_millis(200));
    super::assert_served_throughout(&scene.answers(from), Server::Alpha);
    scene.finish(&Expected::owner(Server::Alpha));
}

// A program is started as its user, and cannot read what only root can.
#[test]
fn a_check_that_is_a_program_runs_as_nobody_with_nothing_of_the_agents() {
    let exec = |script: &str, user: &str| {
        format!(
            "[[group.check]]\nkind = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", '{script}']\n{user}\
             interval_ms = 100\nfall = 1\nweight = 1\n"
        )
    };
    let checks = [
        exec("! test -r /etc/shadow", ""),
        exec("test -r /etc/shadow", "user = \"root\"\n"),
        exec("read score < /proc/self/oom_score_adj && test $score = 0", ""),
        exec("test $(env | grep -c -v -e ^PATH= -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=) = 0", ""),
        exec("echo nothing works; exit 9", "user = \"no-such-user\"\n"),
    ];
    let mut scene = Scene::build(setup("lan", &checks.concat()));
    scene.start_agent(Server::Alpha);
    scene.wait("the checks to have come to a verdict", |s| health(s, Server::Alpha) == "1");
    let why = reason(&scene, Server::Alpha);
    assert!(why.contains("exit status: 1: vipair: cannot become no-such-user: there is no such user"), "{why}");
}
