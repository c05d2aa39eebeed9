//! What a process and its server's interfaces have used: processor time, memory, context switches, packets, bytes.
//!
//! Owns: reading `/proc` (proc(5)). Never does: waiting. A process that ended has no figures, and the run fails.

use crate::lab::{Lab, Server, clock};
use std::fs;
use std::ops::AddAssign;
use vipair::types::MonoTime;

/// All that was used up to an instant.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    at: MonoTime,
    cpu: f64,
    switches: u64,
    wakes: u64,
    traffic: Traffic,
}

/// What was used between two instants, for each second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Percent of one core.
    pub cpu: f64,
    /// Context switches of all threads.
    pub switches: f64,
    /// Times that the thread that pulses went to sleep, and so was woken up.
    pub wakes: f64,
    /// Packets that the server sent, whoever sent them.
    pub packets: f64,
    /// Bytes of those.
    pub bytes: f64,
}

#[derive(Clone, Copy, Default, Debug)]
struct Traffic {
    packets: u64,
    bytes: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl Usage {
    /// Of the process `pid` on `server`, up to now.
    pub fn of(lab: &Lab, server: Server, pid: i32) -> Usage {
        let switches = tasks(pid).map(|task| voluntary(&task) + count(&task, "nonvoluntary_ctxt_switches:")).sum();
        let wakes = tasks(pid).filter(|task| task.contains("Name:\thot\n")).map(|task| voluntary(&task)).sum();
        Usage { at: clock::now(), cpu: busy_seconds(pid), switches, wakes, traffic: sent(lab, server) }
    }

    /// What was used from then on until `later`.
    #[allow(clippy::cast_precision_loss, reason = "counts of some seconds")]
    pub fn until(self, later: Usage) -> Rates {
        let seconds = later.at.since(self.at).as_secs_f64();
        let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
        Rates {
            cpu: (later.cpu - self.cpu) / seconds * 100.0,
            switches: rate(self.switches, later.switches),
            wakes: rate(self.wakes, later.wakes),
            packets: rate(self.traffic.packets, later.traffic.packets),
            bytes: rate(self.traffic.bytes, later.traffic.bytes),
        }
    }
}

/// Processor time in seconds. Fields 14 and 15 of `/proc/PID/stat`: user and system time in ticks.
pub fn busy_seconds(pid: i32) -> f64 {
    let stat = read(pid, "stat");
    // The second field is the name in brackets, which may hold anything.
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u32 = rest.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    f64::from(ticks) / f64::from(u32::try_from(per_second).unwrap_or(100))
}

/// Resident memory of a process.
pub fn resident_mib(pid: i32) -> f64 {
    let status = read(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u32>().ok());
    f64::from(kib.unwrap_or_else(|| panic!("no resident size of {pid}"))) / 1024.0
}

fn read(pid: i32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_else(|e| panic!("{name} of process {pid}: {e}"))
}

/// The status of each thread; one that has just ended is left out.
fn tasks(pid: i32) -> impl Iterator<Item = String> {
    let dir = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{dir}: {e}"));
    tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
}

fn voluntary(task: &str) -> u64 {
    count(task, "voluntary_ctxt_switches:")
}

fn count(task: &str, name: &str) -> u64 {
    let line = task.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// What the server's interfaces have sent, the loopback left out: `/proc/net/dev`.
fn sent(lab: &Lab, server: Server) -> Traffic {
    let text =
        lab.server(server).run(|| fs::read_to_string("/proc/thread-self/net/dev").expect("a thread has a network"));
    let mut all = Traffic::default();
    for line in text.lines() {
        let Some((_, counters)) = line.split_once(':').filter(|(name, _)| name.trim().starts_with("eth")) else {
            continue;
        };
        let number = |at: usize| counters.split_ascii_whitespace().nth(at).and_then(|n| n.parse().ok()).unwrap_or(0);
        all += Traffic { bytes: number(8), packets: number(9) };
    }
    all
}
