//! Cost of the agent while nothing happens: processor time, memory, wake-ups, packets; and the
//! kernel's share of it.
//!
//! Owns: the pairs at rest, with few and with many groups and links. Never does: asking as a client
//! meanwhile; the machine is to be at rest. A process that ended has no figures, and the run fails.

use super::claims::addresses;
use super::figures::Goal::{Every, Median};
use super::figures::Unit::{Mebibytes, Milliseconds, PerSecond, Percent};
use super::figures::{Section, figure};
use super::histogram::Watch;
use super::spread::exceeded_by;
use super::usage::{Usage, resident_mib};
use super::{Block, Topic, pair, sample};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::process::Process;
use crate::lab::{Lab, Plan, Port, Server, clock};
use crate::probe::socket::become_real_time;
use crate::scene::{Scene, Setup};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::time::ClockId;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

/// Cost of the agent at rest.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("cost", 10, one_group),
        Block::new("cost-100", 5, hundred_groups),
        Block::new("cost-1000-checked", 5, thousand_checked_groups),
        Block::new("cost-1000", 5, thousand_groups),
        Block::new("cost-one-link", 5, one_link),
        Block::new("cost-bare", 10, bare_datagrams),
    ],
    sections,
    configuration: |_| String::new(),
};

/// Time over which processor time is counted.
pub const STRETCH: Duration = Duration::from_secs(20);
/// Time over which it is counted in a profile with forty wake-ups a second: the figure for 999 of
/// 1,000 wants some thousands.
const LONG_STRETCH: Duration = Duration::from_secs(60);

/// Length of a pulse without rows, in bytes.
const PULSE: usize = 146;
const BARE_PORT: u16 = 7899;

/// Endings of keys, and what is measured under them.
const KINDS: [(&str, &str); 5] = [
    ("", "`fast`, one group, two links"),
    ("-one-link", "`fast`, one group, one link"),
    ("-100", "`fast`, 100 groups"),
    ("-1000", "`fast`, 1,000 groups"),
    ("-1000-checked", "`lan`, 1,000 groups, each with a check every second"),
];

/// Measures what the agents of a pair with one group use at rest.
pub fn one_group() {
    measure(pair::config("fast"), "");
}

/// Measures what the agents of a pair with one group and one link between the nodes use at rest.
pub fn one_link() {
    let (alpha, beta) = (Port::Alpha.ipv4().to_string(), Port::Beta.ipv4().to_string());
    measure(pair::config("fast").links(&[(&alpha, &beta)]), "-one-link");
}

/// Measures what the agents of a pair with a hundred groups of one address each use at rest.
pub fn hundred_groups() {
    measure(groups_config("fast", 100, ""), "-100");
}

/// Measures what the agents of a pair with a thousand groups of one address each use at rest.
pub fn thousand_groups() {
    let mut setup = Setup::with(groups_config("fast", 1_000, "")).alone();
    setup.asked.clear();
    let mut scene = Scene::build(setup);
    start_thousand(&mut scene);
    measure_scene(&mut scene, "-1000");
}

/// Configuration of a pair with `count` groups of one address each, and further lines for each
/// group.
fn groups_config(profile: &'static str, count: u32, group_toml: &str) -> ConfigText {
    let all = addresses(count);
    let groups = all.iter().enumerate();
    groups.fold(ConfigText::pair(profile), |config, (n, address)| {
        config.group(GroupText::new(&format!("group{n}"), &[address]).more_toml(group_toml))
    })
}

/// Starts both agents and waits for three of a thousand groups: asking for each would be work for
/// the agents, too.
fn start_thousand(scene: &mut Scene) {
    scene.start_agent(Server::Alpha);
    scene.wait_role(Server::Alpha, "group999", "active");
    scene.start_agent(Server::Beta);
    for group in ["group0", "group500", "group999"] {
        scene.wait_role(Server::Alpha, group, "active");
        scene.wait_ready(Server::Beta, group);
    }
}

/// Measures what the agents of a pair with a thousand groups use at rest, each group with an
/// address and a check of its own: a connection every second.
pub fn thousand_checked_groups() {
    let config = groups_config("lan", 1_000, "[[group.check]]\nkind = \"tcp\"\nport = 80\n");
    let mut setup = Setup::with(config).alone();
    setup.asked.clear();
    let mut scene = Scene::build(setup);
    // A process other than the agent answers the checks.
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
    start_thousand(&mut scene);
    measure_for(&mut scene, "-1000-checked", LONG_STRETCH);
    drop(services);
}

/// Starts a pair and measures it for [`STRETCH`].
fn measure(config: ConfigText, suffix: &str) {
    let mut setup = Setup::with(config).alone();
    setup.asked.clear();
    let mut scene = Scene::start(setup);
    measure_scene(&mut scene, suffix);
}

/// Measures a scene for [`STRETCH`].
fn measure_scene(scene: &mut Scene, suffix: &str) {
    measure_for(scene, suffix, STRETCH);
}

/// Hands over what both agents use during `stretch`, under keys that end in `suffix`.
fn measure_for(scene: &mut Scene, suffix: &str, stretch: Duration) {
    // The kernel charges a capture's work on a frame to its sender.
    scene.end_capture();
    // The announcements of the start end after 5 s.
    std::thread::sleep(Duration::from_millis(5_500));
    let usage = |scene: &Scene| Server::BOTH.map(|server| Usage::of(&scene.lab, server, scene.agent(server).pid()));
    let watch = Watch::begin(scene.agent(Server::Alpha));
    let before = usage(scene);
    std::thread::sleep(stretch);
    let after = usage(scene);
    let condition = if suffix.is_empty() { "rest" } else { suffix };
    let (late, latest) = watch.end(condition, scene.agent(Server::Alpha));
    sample(&format!("late-active{suffix}"), late);
    sample(&format!("latest-active{suffix}"), latest);
    for (index, (server, role)) in [(Server::Alpha, "active"), (Server::Beta, "standby")].into_iter().enumerate() {
        let rates = before[index].rates_until(after[index]);
        sample(&format!("cpu-{role}{suffix}"), rates.cpu);
        sample(&format!("memory-{role}{suffix}"), resident_mib(scene.agent(server).pid()));
        sample(&format!("switches-{role}{suffix}"), rates.switches);
        sample(&format!("wakes-{role}{suffix}"), rates.wakes);
        sample(&format!("packets-{role}{suffix}"), rates.packets);
    }
}

/// Measures the same datagrams without an agent: on each server a thread sends two of them every 10
/// ms and takes those that come.
fn bare_datagrams() {
    let lab = Lab::build(&Plan { alone: true, ..Plan::default() });
    let threads = Server::BOTH.map(|server| {
        let ways = [(server.port(), server.other().port()), (server.second_link(), server.other().second_link())];
        let sockets = lab.server(server).run(|| {
            ways.map(|(from, to)| {
                let socket = UdpSocket::bind((from.ipv4(), BARE_PORT)).expect("nobody else has the port");
                socket.connect((to.ipv4(), BARE_PORT)).expect("a way to the other");
                socket.set_nonblocking(true).expect("it can be set");
                socket
            })
        });
        std::thread::spawn(move || exchange_datagrams(&sockets))
    });
    for thread in threads {
        let (cpu, mut late) = thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        sample("cpu-bare", cpu);
        late.sort_unstable();
        sample("late-bare", pair::ms(exceeded_by(&late, 1_000)));
        sample("latest-bare", pair::ms(exceeded_by(&late, 0)));
    }
}

/// Sends and takes datagrams for [`STRETCH`]; returns the percent of a core that this took, and how
/// late each wake-up was.
fn exchange_datagrams(sockets: &[UdpSocket; 2]) -> (f64, Vec<Duration>) {
    become_real_time();
    let busy = || Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("every thread has this clock"));
    let (began, then, mut next) = (clock::now(), busy(), clock::now());
    let (mut buffer, mut late) = ([0; 1_300], Vec::new());
    while clock::now().since(began) < STRETCH {
        let mut polled = sockets.each_ref().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        // A signal only shortens the wait.
        let _ready = ppoll(&mut polled, Some(TimeSpec::from_duration(next.since(clock::now()))), None);
        for socket in sockets {
            while socket.recv(&mut buffer).is_ok() {}
        }
        let time = clock::now();
        if time >= next {
            late.push(time.since(next));
            next = next + Duration::from_millis(10);
            // Refused while the other server has not begun.
            sockets.iter().for_each(|socket| drop(socket.send(&buffer[..PULSE])));
        }
    }
    ((busy() - then).as_secs_f64() / clock::now().since(began).as_secs_f64() * 100.0, late)
}

/// Sections of the page: the cost of the agent at rest, for each kind of pair.
fn sections() -> Vec<Section> {
    let mut figures = vec![
        figure("cpu-active", "one group, active: CPU of one core", Percent).goal(Median(1.0)),
        figure("cpu-standby", "one group, standby: CPU of one core", Percent).goal(Median(1.0)),
        figure("memory-active", "one group, active: resident", Mebibytes).goal(Every(15.0)),
        figure("memory-standby", "one group, standby: resident", Mebibytes).goal(Every(15.0)),
        figure("cpu-bare", "the same datagrams without an agent: CPU of one core", Percent),
        figure("late-bare", "the same: 999 of 1,000 late by at most", Milliseconds),
        figure("latest-bare", "the same: the latest", Milliseconds),
    ];
    for (suffix, title) in KINDS {
        for role in ["active", "standby"] {
            let of = |what: &str, words: &str, unit| {
                figure(format!("{what}-{role}{suffix}"), format!("{title}, {role}: {words}"), unit)
            };
            if suffix == "-1000-checked" {
                figures.push(of("cpu", "CPU of one core", Percent).goal(Median(5.0)));
            } else if !suffix.is_empty() {
                figures.push(of("cpu", "CPU of one core", Percent));
            }
            if !suffix.is_empty() {
                figures.push(of("memory", "resident", Mebibytes));
            }
            figures.push(of("wakes", "wake-ups of the thread that pulses", PerSecond));
            figures.push(of("switches", "context switches of all threads", PerSecond));
            figures.push(of("packets", "packets sent by the server", PerSecond));
        }
        let late = figure(
            format!("late-active{suffix}"),
            format!("{title}: 999 of 1,000 pulses late by at most"),
            Milliseconds,
        );
        figures.push(if suffix == "-1000-checked" { late.goal(Median(2.0)) } else { late });
        figures.push(figure(format!("latest-active{suffix}"), format!("{title}: the latest"), Milliseconds));
    }
    vec![Section { text: TEXT.to_owned(), ..Section::new("Cost of the agent at rest", figures) }]
}

const TEXT: &str = "\
Over 20 s, with checks over 60 s; no client asks. *CPU*: user and system time of the process. *Resident*: VmRSS. *Wake-ups*: how
often the thread that pulses went to sleep. *Without an agent*: on either server one real-time thread sends two datagrams as long
as a pulse every 10 ms and takes the other's, and does nothing else: what that takes, and how late it is, is the machine's. How
late the agent's thread wakes up, counted in that time alone and to a quarter, is how late the gate is renewed: a renewal is one
store into memory by the same wake-up.";
