//! The measurements, one function each.
//!
//! Owns: the procedure of each figure, so that a reader can repeat it by hand. Never does: averaging away the worst.
//! Gaps are seen by a client that asks every millisecond (IPv4 and IPv6); the larger of both counts.

use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Server, clock};
use crate::probe::frames::How;
use crate::scene::{ADDRESS, GROUP, Scene, Setup};
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;
use vipair::types::MonoTime;

/// A series of one quantity.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
    /// What its median is to be at most.
    goal: f64,
}

impl Figure {
    fn new(name: &str, unit: &'static str, values: Vec<f64>, goal: f64) -> Figure {
        let mut values = values;
        values.sort_by(f64::total_cmp);
        Figure { name: name.to_owned(), unit, values, goal }
    }

    fn at(&self, percent: usize) -> f64 {
        let last = self.values.len().saturating_sub(1);
        self.values.get((last * percent).div_ceil(100)).copied().unwrap_or(f64::NAN)
    }

    /// Whether the median is as low as it is to be.
    pub fn is_met(&self) -> bool {
        self.at(50) <= self.goal
    }

    /// A row of the table.
    pub fn row(&self) -> String {
        let cell = |value: f64| format!("{value:.1} {}", self.unit);
        format!(
            "{:<44} {:>4} {:>10} {:>10} {:>10} {:>10}{}",
            self.name,
            self.values.len(),
            cell(self.at(50)),
            cell(self.at(90)),
            cell(self.at(100)),
            cell(self.goal),
            if self.is_met() { "" } else { "  missed" }
        )
    }
}

/// Gaps and double answers of a series of faults.
#[derive(Default, Debug)]
struct Series {
    gaps: Vec<f64>,
    both: usize,
}

impl Series {
    fn note(&mut self, scene: &Scene, from: MonoTime) {
        let answers = scene.askers.iter().map(|asker| asker.since(from));
        let gap = answers.clone().map(|a| a.longest_gap().length()).max().unwrap_or_default();
        self.gaps.push(gap.as_secs_f64() * 1e3);
        self.both += answers.map(|a| a.both().len()).sum::<usize>();
    }

    #[allow(clippy::cast_precision_loss, reason = "few")]
    fn figures(self, name: &str, goal: f64) -> Vec<Figure> {
        let both = self.both as f64;
        vec![
            Figure::new(&format!("{name}: longest gap"), "ms", self.gaps, goal),
            Figure::new(&format!("{name}: both answered, in all"), "ms", vec![both], 0.0),
        ]
    }
}

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Waits until the pair is whole again and has been so for a moment that no period is in step with.
fn settle(scene: &mut Scene, standby: Server, round: usize) {
    scene.wait_ready(standby, GROUP);
    pause(150 + (round as u64 * 37) % 61);
}

fn repeat(scene: &mut Scene, rounds: usize, mut fault: impl FnMut(&mut Scene, Server, usize) -> MonoTime) -> Series {
    let (mut series, mut active) = (Series::default(), Server::Alpha);
    for round in 0..rounds {
        settle(scene, active.other(), round);
        let from = fault(scene, active, round);
        series.note(scene, from);
        active = active.other();
    }
    series
}

/// All cables of the active server are pulled at once.
pub fn host_loss(profile: &'static str, goal: f64, rounds: usize) -> Vec<Figure> {
    let mut scene = Scene::start(Setup::of(profile).alone());
    let series = repeat(&mut scene, rounds, |scene, active, _| {
        let from = clock::now();
        scene.cut_off(active);
        scene.wait_answered_by(active.other());
        pause(100);
        scene.lab.join(&[active.heartbeat()]);
        scene.wait("the former active to let go", |s| s.role(active, GROUP) != "active");
        scene.lab.join(&[active.port()]);
        from
    });
    series.figures(&format!("host loss, {profile}"), goal)
}

/// SIGKILL to the active agent; it is started again afterwards.
pub fn kill(rounds: usize) -> Vec<Figure> {
    let mut scene = Scene::start(Setup::of("fast").alone());
    let series = repeat(&mut scene, rounds, |scene, active, _| {
        let from = scene.kill_agent(active);
        scene.wait_answered_by(active.other());
        pause(100);
        scene.start_agent(active);
        from
    });
    series.figures("agent SIGKILL, fast", 10.0)
}

/// SIGSTOP to the active agent, SIGCONT half a second later.
pub fn stop(rounds: usize) -> Vec<Figure> {
    let mut scene = Scene::start(Setup::of("fast").alone());
    let series = repeat(&mut scene, rounds, |scene, active, _| {
        let (agent, lab) = scene.agent_mut(active);
        let from = agent.signal(lab, Signal::SIGSTOP);
        scene.wait_answered_by(active.other());
        pause(200);
        let (agent, lab) = scene.agent_mut(active);
        agent.signal(lab, Signal::SIGCONT);
        pause(100);
        from
    });
    series.figures("agent SIGSTOP, fast", 10.0)
}

/// `vipair switch` under 1,000 requests a second.
#[allow(clippy::cast_precision_loss, reason = "few")]
pub fn switch(rounds: usize) -> Vec<Figure> {
    let mut scene = Scene::start(Setup::of("fast").services().alone());
    let web = scene.web(1_000);
    pause(500);
    let mut page_gaps = Vec::new();
    let series = repeat(&mut scene, rounds, |scene, active, _| {
        let from = clock::now();
        scene.agent(active).command(&["switch", GROUP]).unwrap_or_else(|cause| panic!("{cause}"));
        scene.wait_answered_by(active.other());
        // Longer than the drain time.
        pause(1_100);
        page_gaps.push(web.since(from).longest_gap().as_secs_f64() * 1e3);
        from
    });
    let requests = web.finish();
    let mut figures = series.figures("planned switch, fast, 1,000 requests/s", 5.0);
    figures.push(Figure::new("planned switch: longest time without a page", "ms", page_gaps, 5.0));
    figures.push(Figure::new("planned switch: requests lost, in all", "", vec![requests.lost().len() as f64], 0.0));
    figures.push(Figure::new("planned switch: requests sent", "", vec![requests.0.len() as f64], f64::INFINITY));
    figures
}

/// The active server's segment port goes dark; the heartbeat link is left.
pub fn carrier(rounds: usize) -> Vec<Figure> {
    let mut scene = Scene::start(Setup::of("fast").alone());
    let series = repeat(&mut scene, rounds, |scene, active, _| {
        let from = scene.lab.carrier_down(&[active.port()]);
        scene.wait_answered_by(active.other());
        pause(100);
        scene.lab.carrier_up(&[active.port()]);
        from
    });
    series.figures("carrier loss with a second link, fast", 15.0)
}

/// 10,000 IPv4 addresses are switched: from the first to the last one announced by the new active.
pub fn addresses(rounds: usize) -> Vec<Figure> {
    let all: Vec<String> = (0..10_000).map(|n| format!("10.1.{}.{}", n / 250, n % 250 + 1)).collect();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut setup = Setup::with(ConfigText::pair("lan").group(GroupText::new(GROUP, &names))).alone();
    setup.asked = vec![all[0].parse().expect("an address")];
    let mut scene = Scene::start(setup);
    let mut spreads = Vec::new();
    let series = repeat(&mut scene, rounds.min(5), |scene, active, _| {
        pause(6_000);
        let from = clock::now();
        scene.agent(active).command(&["switch", GROUP]).unwrap_or_else(|cause| panic!("{cause}"));
        scene.wait_answered_by(active.other());
        pause(1_500);
        spreads.push(spread(scene, active.other(), from, all.len()));
        from
    });
    let mut figures = vec![Figure::new("10,000 addresses: first to last moved", "ms", spreads, 120.0)];
    figures.extend(series.figures("10,000 addresses, switch", f64::INFINITY));
    figures
}

fn spread(scene: &Scene, owner: Server, from: MonoTime, count: usize) -> f64 {
    let mut first: HashMap<IpAddr, MonoTime> = HashMap::new();
    for heard in scene.heard() {
        if heard.at >= from && heard.port == owner.port() && heard.said.how == How::AnnounceRequest {
            first.entry(heard.said.address).or_insert(heard.at);
        }
    }
    if first.len() < count {
        return f64::INFINITY;
    }
    let (least, most) = (first.values().min(), first.values().max());
    most.zip(least).map_or(f64::INFINITY, |(most, least)| most.since(*least).as_secs_f64() * 1e3)
}

/// What the agents cost while nothing happens, profile `fast`, one group with one address.
#[allow(clippy::cast_precision_loss, reason = "small")]
pub fn cost(_rounds: usize) -> Vec<Figure> {
    let config = ConfigText::pair("fast").group(GroupText::new(GROUP, &[ADDRESS]));
    let mut setup = Setup::with(config).alone();
    setup.asked.clear();
    let scene = Scene::start(setup);
    pause(6_000);
    let pids = Server::BOTH.map(|server| scene.agent(server).pid());
    let ticks = || pids.map(cpu_ticks);
    let (before, start) = (ticks(), clock::now());
    pause(20_000);
    let (after, seconds) = (ticks(), clock::now().since(start).as_secs_f64());
    // A tick is 10 ms on every architecture Linux has (USER_HZ = 100).
    let share = |n: usize| (after[n] - before[n]) as f64 / seconds;
    let resident = |pid: i32| resident_kib(pid) as f64 / 1024.0;
    vec![
        Figure::new("agent, fast, one group: active, of one core", "%", vec![share(0)], 1.0),
        Figure::new("agent, fast, one group: standby, of one core", "%", vec![share(1)], 1.0),
        Figure::new("agent, fast, one group: resident", "MiB", pids.map(resident).to_vec(), 15.0),
    ]
}

fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum()
}

fn resident_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}
