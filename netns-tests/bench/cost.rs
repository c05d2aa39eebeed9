//! What the agent costs while nothing happens: processor time and memory.
//!
//! Owns: reading `/proc` of the agents over a stretch of time. Never does: sampling as a client meanwhile; the machine is
//! to be at rest. A process that ended has no figures, and the run fails.

use super::figures::Goal::{Every, Median};
use super::figures::Unit::{Mebibytes, Milliseconds, Percent};
use super::figures::{Section, figure};
use super::{Block, Topic, pair, sample};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::process::Process;
use crate::lab::{Server, clock};
use crate::scene::{Scene, Setup};
use std::time::Duration;

/// What the agent costs.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("cost", 10, one_group),
        Block::new("cost-100", 5, hundred_groups),
        Block::new("cost-1000-checked", 5, thousand_checked_groups),
    ],
    sections,
    configuration: |_| String::new(),
};

/// How long processor time is counted.
pub const STRETCH: Duration = Duration::from_secs(20);

/// One group.
pub fn one_group() {
    measure(pair::config("fast"), "");
}

/// A hundred groups, one address each.
pub fn hundred_groups() {
    let mut config = ConfigText::pair("fast");
    for n in 1..=100 {
        config = config.group(GroupText::new(&format!("group{n}"), &[&format!("10.1.0.{n}")]));
    }
    measure(config, "-100");
}

/// A thousand groups, each with an address and a check of its own: a connection every second.
pub fn thousand_checked_groups() {
    let mut config = ConfigText::pair("lan");
    for n in 0..1000 {
        let address = format!("10.1.{}.{}", n / 250, n % 250 + 1);
        let check = "[[group.check]]\nkind = \"tcp\"\nport = 80\n";
        config = config.group(GroupText::new(&format!("group{n}"), &[&address]).more(check));
    }
    let mut setup = Setup::with(config).alone();
    setup.asked.clear();
    let mut scene = Scene::build(setup);
    // What is checked costs another process than the agent.
    let services = Server::BOTH.map(|server| {
        let mut command = std::process::Command::new("nginx");
        command.args(["-g", "daemon off; master_process off; pid /dev/null; error_log /dev/null;", "-c"]);
        let file = scene.lab.dir().join("thousand.conf");
        let text = "user root;\nevents { worker_connections 4096; }\nhttp { access_log off; server { listen 80 backlog=4096; } }\n";
        std::fs::write(&file, text).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
        command.arg(&file);
        let log = scene.lab.dir().join(format!("{}-thousand.log", server.name()));
        Process::start(scene.lab.server(server), command, &log, false)
    });
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, "group999", "active");
    scene.start_agent(Server::Beta);
    for group in ["group0", "group500", "group999"] {
        scene.wait_role(Server::Alpha, group, "active");
        scene.wait_ready(Server::Beta, group);
    }
    measure_scene(&mut scene, "-1000-checked");
    drop(services);
}

fn measure(config: ConfigText, suffix: &str) {
    let mut setup = Setup::with(config).alone();
    setup.asked.clear();
    let mut scene = Scene::start(setup);
    measure_scene(&mut scene, suffix);
}

fn measure_scene(scene: &mut Scene, suffix: &str) {
    // A capture's work on a frame is charged to whoever sends it.
    scene.end_capture();
    // The announcements after a start end 5 s later.
    std::thread::sleep(Duration::from_millis(5_500));
    let of = |server| scene.agent(server).pid();
    let pids = [(of(Server::Alpha), "active"), (of(Server::Beta), "standby")];
    let before = pids.map(|(pid, _)| (clock::now(), busy_seconds(pid)));
    std::thread::sleep(STRETCH);
    for ((pid, role), (start, then)) in pids.into_iter().zip(before) {
        let share = (busy_seconds(pid) - then) / clock::now().since(start).as_secs_f64();
        sample(&format!("cpu-{role}{suffix}"), share * 100.0);
        sample(&format!("memory-{role}{suffix}"), resident_mib(pid));
    }
    let status = scene.agent(Server::Alpha).status().unwrap_or_else(|e| panic!("{e}"));
    for (key, field) in [("late", "lateness_p999_ms"), ("latest", "worst_lateness_ms")] {
        let late = status.0[field].as_f64().unwrap_or_else(|| panic!("no {field} in the status"));
        sample(&format!("{key}-active{suffix}"), late);
    }
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc(5)): user and system time in ticks.
fn busy_seconds(pid: i32) -> f64 {
    let stat = read(pid, "stat");
    // The second field is the name in brackets, which may hold anything.
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u32 = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    f64::from(ticks) / f64::from(u32::try_from(per_second).unwrap_or(100))
}

fn resident_mib(pid: i32) -> f64 {
    let status = read(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u32>().ok());
    f64::from(kib.unwrap_or_else(|| panic!("no resident size of {pid}"))) / 1024.0
}

fn read(pid: i32, name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_else(|e| panic!("{name} of agent {pid}: {e}"))
}

fn sections() -> Vec<Section> {
    vec![Section {
        text: format!(
            "*CPU*: user and system time of the process over {} s, no client asking. *Resident*: VmRSS.",
            STRETCH.as_secs()
        ),
        ..Section::new(
            "Cost of the agent at rest (`fast`)",
            vec![
                figure("cpu-active", "one group, active: CPU of one core", Percent).goal(Median(1.0)),
                figure("cpu-standby", "one group, standby: CPU of one core", Percent).goal(Median(1.0)),
                figure("memory-active", "one group, active: resident", Mebibytes).goal(Every(15.0)),
                figure("memory-standby", "one group, standby: resident", Mebibytes).goal(Every(15.0)),
                figure("cpu-active-100", "100 groups, active: CPU of one core", Percent),
                figure("cpu-standby-100", "100 groups, standby: CPU of one core", Percent),
                figure("memory-active-100", "100 groups, active: resident", Mebibytes),
                figure(
                    "cpu-active-1000-checked",
                    "1,000 groups (`lan`), each with a check every second, active: CPU of one core",
                    Percent,
                )
                .goal(Median(5.0)),
                figure("cpu-standby-1000-checked", "the same, standby: CPU of one core", Percent).goal(Median(5.0)),
                figure("late-active-1000-checked", "the same: 999 of 1,000 pulses late by at most", Milliseconds)
                    .goal(Median(2.0)),
                figure("latest-active-1000-checked", "the same: the latest", Milliseconds),
            ],
        )
    }]
}
