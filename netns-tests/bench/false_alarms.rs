//! Takeovers that nothing justifies: two pairs on the same machine in the same minute, ours and
//! keepalived's, both with a sign of life every 10 ms, while the machine is busy, the network loses
//! frames, or the active's process is frozen.
//!
//! Owns: both pairs, the trouble, and counting. Never does: a fault that would justify a takeover;
//! every server lives all the time. `VIPAIR_BENCH_SECONDS` sets how long it takes, 60 without it.

use super::busy::Busy;
use super::figures::Goal::Every;
use super::figures::Unit::{Count, Milliseconds};
use super::figures::{Figure, Section, figure};
use super::histogram::Watch;
use super::pair::{both_ms, ms};
use super::record::Results;
use super::{Block, Topic, remark, sample};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::faults::{Drops, Fault, FrameKind};
use crate::lab::process::Process;
use crate::lab::{Lab, Plan, Port, Server, clock};
use crate::probe::asker::{Answers, Asker};
use crate::scene::{ADDRESS, GROUP, Scene, Setup};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use vipair::types::MonoTime;

/// False takeovers under load, loss and short stops.
pub const TOPIC: Topic = Topic {
    blocks: &[
        Block::new("false-busy-8", 15, || measure("busy-8")),
        Block::new("false-busy-32", 15, || measure("busy-32")),
        Block::new("false-busy-128", 15, || measure("busy-128")),
        Block::new("false-loss-10", 15, || measure("loss-10")),
        Block::new("false-loss-20", 15, || measure("loss-20")),
        Block::new("false-loss-30", 15, || measure("loss-30")),
        Block::new("false-stop", 15, || measure("stop")),
    ],
    sections,
    configuration: |_| {
        let config = keepalived_config(Server::Alpha);
        format!("keepalived beside it, under load, loss and stops, on alpha:\n\n```\n{}\n```\n", config.trim_end())
    },
};

/// Kinds of trouble, in the order of the table: key, and text for people.
const TROUBLES: [(&str, &str); 7] = [
    ("busy-8", "8 busy processes"),
    ("busy-32", "32 busy processes"),
    ("busy-128", "128 busy processes"),
    ("loss-10", "10 % of frames between the servers lost"),
    ("loss-20", "20 % lost"),
    ("loss-30", "30 % lost"),
    ("stop", "the active's process stopped for 5 to 50 ms, twice a second"),
];
/// The two contenders: key, and text for people.
const CONTENDERS: [(&str, &str); 2] = [("v", "vipair `fast`"), ("k", "keepalived, 10 ms")];

/// Environment variable with the tree of the contenders' Debian packages, which `scripts/bench` has
/// made.
const SYSTEM: &str = "VIPAIR_BENCH_RIVALS";
/// Runs keepalived of the tree $1 with the files in $2. Mounts made for that go with the process.
const START: &str = "set -eu
mount --bind \"$2\" \"$1/mnt\"
mount --rbind /dev \"$1/dev\"
mount -t proc proc \"$1/proc\"
exec chroot \"$1\" keepalived --dont-fork --vrrp --log-console --log-detail --use-file /mnt/keepalived.conf \\
    --pid /mnt/pid --vrrp_pid /mnt/vrrp-pid";

/// Path of the tree with keepalived, if there is one.
fn keepalived_tree() -> Option<PathBuf> {
    std::env::var_os(SYSTEM).map(PathBuf::from).filter(|path| path.join("usr/sbin/keepalived").is_file())
}

/// Time that the trouble lasts.
fn run_length() -> Duration {
    let seconds = std::env::var("VIPAIR_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Trouble for the network or the machine, for as long as this value lives.
enum Trouble {
    /// Processes that compute.
    Busy(Busy),
    /// Drop rules, one in each lab.
    Loss(Vec<Fault>),
    /// Stops of the active's process, which the measurement itself sends.
    Freezes,
}

/// keepalived's pair, in a lab of its own.
struct Rival {
    asker: Asker,
    processes: [Process; 2],
    lab: Lab,
}

/// Measures one kind of trouble, named as in [`TROUBLES`], for both pairs.
fn measure(name: &str) {
    let config = ConfigText::pair("fast").group(GroupText::new(GROUP, &[ADDRESS]));
    let mut scene = Scene::start(Setup::with(config));
    scene.end_capture();
    scene.wait_answered_by(Server::Alpha);
    let rival = keepalived_tree().map(|system| Rival::start(&system));
    if rival.is_none() {
        remark("false-rival", "keepalived was not there");
    }
    let labs: Vec<&Lab> = [&scene.lab].into_iter().chain(rival.as_ref().map(|rival| &rival.lab)).collect();
    let before = (count_takeovers(&scene), rival.as_ref().map(Rival::count_takeovers));
    let began = clock::now();
    let watch = Watch::begin(scene.agent(Server::Alpha));
    let trouble = begin_trouble(name, &labs);
    let until = Instant::now() + run_length();
    if let Trouble::Freezes = trouble {
        freeze_again_and_again(&scene, rival.as_ref(), until);
    } else {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
    let ended = clock::now();
    watch.end(name, scene.agent(Server::Alpha));
    // Reactions that come a little later count, too.
    std::thread::sleep(Duration::from_millis(200));
    let of = |answers: Answers| asked_until(answers, ended);
    let count = count_takeovers(&scene).saturating_sub(before.0);
    hand_over_trouble(name, "v", count, &of(scene.answers(began)));
    if let (Some(rival), Some(before)) = (&rival, before.1) {
        hand_over_trouble(name, "k", rival.count_takeovers().saturating_sub(before), &of(rival.asker.since(began)));
    }
    end_trouble(trouble, &labs);
}

/// Begins the trouble; for freezes the caller sends the signals.
fn begin_trouble(name: &str, labs: &[&Lab]) -> Trouble {
    let number = name.rsplit('-').next().and_then(|n| n.parse::<u8>().ok());
    match (name.split('-').next(), number) {
        (Some("busy"), Some(count)) => Trouble::Busy(Busy::start(count.into())),
        (Some("loss"), Some(percent)) => Trouble::Loss(labs.iter().map(|lab| lose_frames(lab, percent)).collect()),
        _ => Trouble::Freezes,
    }
}

/// Loses frames on every network between the two servers, either way; what clients ask and hear is
/// not touched.
fn lose_frames(lab: &Lab, percent: u8) -> Fault {
    let ways = [
        (Port::Alpha, Port::Beta),
        (Port::Beta, Port::Alpha),
        (Port::AlphaSecondLink, Port::BetaSecondLink),
        (Port::BetaSecondLink, Port::AlphaSecondLink),
    ];
    let drops =
        ways.map(|(from, to)| Drops { to: Some(to), ..Drops::from(from, FrameKind::Everything).percent(percent) });
    lab.drop_frames(&drops)
}

/// Ends the trouble; panics when lost frames were none.
fn end_trouble(trouble: Trouble, labs: &[&Lab]) {
    match trouble {
        Trouble::Busy(busy) => drop(busy),
        Trouble::Loss(faults) => labs.iter().zip(faults).for_each(|(lab, fault)| {
            assert!(lab.lift(fault) > 0, "nothing was lost");
        }),
        Trouble::Freezes => {}
    }
}

/// Freezes the active process of either pair (SIGSTOP) in the same moments, for 5, 10 … 50 ms.
fn freeze_again_and_again(scene: &Scene, rival: Option<&Rival>, until: Instant) {
    let send = |pids: &[Pid], signal| {
        for pid in pids {
            kill(*pid, signal).unwrap_or_else(|e| panic!("{signal} to {pid}: {e}"));
        }
    };
    for length in (5..=50).step_by(5).cycle() {
        let next = Instant::now() + Duration::from_millis(500);
        if next > until {
            return;
        }
        let owner =
            scene.answers(clock::now().back(Duration::from_millis(50))).last_server().unwrap_or(Server::Alpha);
        let mut pids = vec![Pid::from_raw(scene.agent(owner).pid())];
        if let Some(rival) = rival {
            pids.extend(rival.lab.server(rival.owner()).processes());
        }
        send(&pids, Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(length));
        send(&pids, Signal::SIGCONT);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Answers to the questions asked up to an instant.
fn asked_until(mut answers: Answers, until: MonoTime) -> Answers {
    answers.questions.retain(|question| question.at <= until);
    answers
}

/// Hands over takeovers, double answers and the longest gap of one contender under one trouble.
fn hand_over_trouble(name: &str, who: &str, takeovers: usize, answers: &Answers) {
    assert!(answers.questions.len() > 100, "almost nothing was asked");
    let key = |what: &str| format!("false-{name}-{who}-{what}");
    sample(&key("takeovers"), f64::from(u32::try_from(takeovers).unwrap_or(u32::MAX)));
    sample(&key("both"), both_ms(answers));
    sample(&key("gap"), ms(answers.longest_gap().length()));
}

/// Number of times that a server of our pair has become active so far, by both logs.
fn count_takeovers(scene: &Scene) -> usize {
    Server::BOTH.iter().map(|server| scene.agent(*server).log_text().matches("→ active (epoch").count()).sum()
}

impl Rival {
    /// Starts keepalived on both servers of a lab, and waits until it is steady.
    fn start(system: &Path) -> Rival {
        let lab = Lab::build(&Plan::default());
        let processes = Server::BOTH.map(|server| {
            let dir = lab.dir().join(format!("{}-keepalived", server.name()));
            std::fs::create_dir(&dir).unwrap_or_else(|e| panic!("make {}: {e}", dir.display()));
            let path = dir.join("keepalived.conf");
            std::fs::write(&path, keepalived_config(server))
                .unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "--propagation", "private", "sh", "-c", START, "keepalived"])
                .arg(system)
                .arg(&dir);
            Process::start(lab.server(server), command, &dir.join("log"), false)
        });
        let asker = Asker::start(&lab, ADDRESS.parse().expect("an address"), Duration::from_millis(1));
        let rival = Rival { asker, processes, lab };
        let limit = Instant::now() + Duration::from_secs(20);
        while !rival.is_steady() {
            let said: Vec<String> = rival.processes.iter().map(Process::output).collect();
            assert!(Instant::now() < limit, "keepalived does not settle:\n{}", said.join("\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
        rival
    }

    /// Whether one server alone has given every answer for a second.
    fn is_steady(&self) -> bool {
        let answers = self.asker.since(clock::now().back(Duration::from_secs(1)));
        answers.questions.len() > 300
            && answers.servers().len() == 1
            && answers.longest_gap().length() < Duration::from_millis(20)
    }

    /// The server that answered last; alpha without an answer.
    fn owner(&self) -> Server {
        let answers = self.asker.since(clock::now().back(Duration::from_millis(50)));
        answers.last_server().unwrap_or(Server::Alpha)
    }

    /// Number of times that a server of keepalived's pair has become master so far.
    fn count_takeovers(&self) -> usize {
        self.processes.iter().map(|process| process.output().matches("Entering MASTER STATE").count()).sum()
    }
}

/// Configuration at keepalived's best against false alarms at this pace: real-time priority, memory
/// locked, unicast, VRRPv3, and no preemption.
fn keepalived_config(server: Server) -> String {
    let priority = if server == Server::Alpha { 100 } else { 90 };
    format!(
        "global_defs {{\n  router_id {}\n  vrrp_version 3\n  vrrp_rt_priority 50\n  vrrp_rlimit_rttime 1000000\n  vrrp_no_swap\n}}\n\
         vrrp_instance web {{\n  state BACKUP\n  nopreempt\n  interface eth0\n  virtual_router_id 51\n  \
         priority {priority}\n  advert_int 0.01\n  unicast_src_ip {}\n  unicast_peer {{\n    {}\n  }}\n  \
         virtual_ipaddress {{\n    {ADDRESS}/32\n  }}\n}}\n",
        server.name(),
        server.port().ipv4(),
        server.other().port().ipv4()
    )
}

/// Sections of the page: takeovers that nothing justified, for each kind of trouble and contender.
fn sections() -> Vec<Section> {
    let mut figures: Vec<Figure> = Vec::new();
    for ((name, title), (who, called)) in TROUBLES.into_iter().flat_map(|t| CONTENDERS.map(|c| (t, c))) {
        let key = |what: &str| format!("false-{name}-{who}-{what}");
        let takeovers = figure(key("takeovers"), format!("{title}, {called}: takeovers"), Count);
        let has_goal = who == "v" && name.starts_with("busy");
        figures.push(if has_goal { takeovers.goal(Every(0.0)) } else { takeovers });
        figures.push(figure(key("both"), format!("{title}, {called}: both answered"), Milliseconds));
        figures.push(figure(key("gap"), format!("{title}, {called}: longest gap"), Milliseconds));
    }
    vec![Section {
        text: TEXT.to_owned(),
        table: Some(table),
        ..Section::new("False takeovers: every server lives, each a minute", figures)
    }]
}

const TEXT: &str = "\
Both pairs run side by side in the same minute, each in a lab of its own, and a client of each asks every millisecond. No server
ever fails, so that every takeover is a false one. Loss is on every network between the two servers, either way, and not between
servers and clients. Stops are sent to whichever server has the address. A lost question counts as a gap of 1 ms or more.";

/// Table of the section, in Markdown: takeovers, double answers and gaps of each contender under
/// each trouble.
fn table(results: &Results) -> String {
    let mut text = "| trouble | contender | runs | takeovers (all runs) | both answered (all runs) | longest gap |\n\
                    |---|---|--:|--:|--:|--:|\n"
        .to_owned();
    for ((name, title), (who, called)) in TROUBLES.into_iter().flat_map(|t| CONTENDERS.map(|c| (t, c))) {
        let values = |what: &str| results.values(&format!("false-{name}-{who}-{what}"));
        let takeovers = values("takeovers");
        if takeovers.is_empty() {
            continue;
        }
        let longest = values("gap").into_iter().fold(0.0, f64::max);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {title} | {called} | {} | {} | {} | {} |",
            takeovers.len(),
            Count.show(takeovers.iter().sum()),
            Milliseconds.show(values("both").iter().sum()),
            Milliseconds.show(longest)
        );
    }
    text
}
