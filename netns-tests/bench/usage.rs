//! Resources that a process and its server's interfaces have used: processor time, memory, context
//! switches, packets, bytes.
//!
//! Owns: reading `/proc` (proc(5)) and clocks of processes. Never does: waiting. A process that
//! ended has no figures, and the run fails.

use crate::lab::{Lab, Server, clock};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use std::fs;
use std::ops::{Add, AddAssign};
use std::time::Duration;
use vipair::types::MonoTime;

/// Resources used up to an instant.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    at: MonoTime,
    cpu: Duration,
    switches: u64,
    wakes: u64,
    traffic: Traffic,
}

/// Resources used between two instants.
#[derive(Clone, Copy, Default, Debug)]
pub struct Spent {
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Context switches of all threads.
    pub switches: u32,
    /// Number of times that the hot thread went to sleep, and so was woken up.
    pub wakes: u32,
    /// Number of packets that the server sent, from any process.
    pub packets: u32,
    /// Number of bytes in those packets.
    pub bytes: u32,
}

impl Add for Spent {
    type Output = Spent;

    fn add(self, other: Spent) -> Spent {
        Spent {
            cpu: self.cpu + other.cpu,
            switches: self.switches + other.switches,
            wakes: self.wakes + other.wakes,
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Resources used in each second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Processor time, in percent of one core.
    pub cpu: f64,
    /// Context switches of all threads.
    pub switches: f64,
    /// Number of times that the hot thread went to sleep, and so was woken up.
    pub wakes: f64,
    /// Number of packets that the server sent, from any process.
    pub packets: f64,
    /// Number of bytes in those packets.
    pub bytes: f64,
}

/// Packets and bytes that a server has sent.
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
    /// Resources that the process `pid` on `server` has used up to now.
    pub fn of(lab: &Lab, server: Server, pid: i32) -> Usage {
        let switches = thread_statuses(pid)
            .map(|task| voluntary_switches(&task) + status_number(&task, "nonvoluntary_ctxt_switches:"))
            .sum();
        let wakes = thread_statuses(pid)
            .filter(|task| task.contains("Name:\thot\n"))
            .map(|task| voluntary_switches(&task))
            .sum();
        Usage { at: clock::now(), cpu: processor_time(pid), switches, wakes, traffic: sent_traffic(lab, server) }
    }

    /// Resources used from this instant until `later`.
    pub fn spent_until(self, later: Usage) -> Spent {
        let count = |from: u64, to: u64| u32::try_from(to.saturating_sub(from)).expect("counts of some seconds");
        Spent {
            cpu: later.cpu.saturating_sub(self.cpu),
            switches: count(self.switches, later.switches),
            wakes: count(self.wakes, later.wakes),
            packets: count(self.traffic.packets, later.traffic.packets),
            bytes: count(self.traffic.bytes, later.traffic.bytes),
        }
    }

    /// Resources used in each second from this instant until `later`.
    pub fn rates_until(self, later: Usage) -> Rates {
        let (seconds, spent) = (later.at.since(self.at).as_secs_f64(), self.spent_until(later));
        let rate = |count: u32| f64::from(count) / seconds;
        Rates {
            cpu: spent.cpu.as_secs_f64() / seconds * 100.0,
            switches: rate(spent.switches),
            wakes: rate(spent.wakes),
            packets: rate(spent.packets),
            bytes: rate(spent.bytes),
        }
    }
}

/// Processor time of all threads of a process, including those that have ended
/// (`clock_getcpuclockid(3)`).
pub fn processor_time(pid: i32) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(pid)).unwrap_or_else(|e| panic!("clock of process {pid}: {e}"));
    clock.now().unwrap_or_else(|e| panic!("processor time of process {pid}: {e}")).into()
}

/// Resident memory of a process, in MiB.
pub fn resident_mib(pid: i32) -> f64 {
    let status = read_proc(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u32>().ok());
    f64::from(kib.unwrap_or_else(|| panic!("no resident size of {pid}"))) / 1024.0
}

/// Text of a file below /proc of a process; panics if the process is gone.
fn read_proc(pid: i32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_else(|e| panic!("{name} of process {pid}: {e}"))
}

/// Status of each thread; one that has just ended is left out.
fn thread_statuses(pid: i32) -> impl Iterator<Item = String> {
    let dir = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{dir}: {e}"));
    tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
}

/// Number of times that a thread went to sleep, by its status.
fn voluntary_switches(task: &str) -> u64 {
    status_number(task, "voluntary_ctxt_switches:")
}

/// Number in a thread's status behind `name`; 0 if there is none.
fn status_number(task: &str, name: &str) -> u64 {
    let line = task.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Packets and bytes sent by the server's interfaces, by `/proc/net/dev`; the loopback is left out.
fn sent_traffic(lab: &Lab, server: Server) -> Traffic {
    let text =
        lab.server(server).run(|| fs::read_to_string("/proc/thread-self/net/dev").expect("a thread has a network"));
    let mut all = Traffic::default();
    for line in text.lines() {
        let Some((_, counters)) = line.split_once(':').filter(|(name, _)| name.trim().starts_with("eth")) else {
            continue;
        };
        let number =
            |column: usize| counters.split_ascii_whitespace().nth(column).and_then(|n| n.parse().ok()).unwrap_or(0);
        all += Traffic { bytes: number(8), packets: number(9) };
    }
    all
}
