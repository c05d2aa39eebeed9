//! What the benchmark measures, in the order of the report, and what each figure is held against.
//!
//! Owns: the list of figures, their goals, and the statistics over runs. Never does: measuring or printing. A figure that
//! no run brought is reported as such, never left out.

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Things.
    Count,
    /// Percent of one core.
    Percent,
    /// MiB.
    Mebibytes,
}

impl Unit {
    /// A value with its unit, as people read it.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Milliseconds if value >= 1_000.0 => format!("{:.2} s", value / 1_000.0),
            Unit::Milliseconds => format!("{value:.1} ms"),
            Unit::Count => format!("{value:.0}"),
            Unit::Percent => format!("{value:.2} %"),
            Unit::Mebibytes => format!("{value:.1} MiB"),
        }
    }
}

/// What a figure is held against.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Goal {
    /// Nothing: it is there for scale.
    None,
    /// The median is to be at most this.
    Median(f64),
    /// Every run is to be at most this: for what must never happen.
    Every(f64),
}

/// One figure of the report.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name between the process that measures and the one that reports.
    pub key: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// What it is held against.
    pub goal: Goal,
}

const fn figure(key: &'static str, title: &'static str, unit: Unit, goal: Goal) -> Figure {
    Figure { key, title, unit, goal }
}

use Goal::{Every, Median};
use Unit::{Count, Mebibytes, Milliseconds, Percent};

/// The headings of the report and the figures below each.
pub const SECTIONS: [(&str, &[Figure]); 7] = [
    (
        "A whole server is lost",
        &[
            figure("host-fast", "host loss, `fast`: gap", Milliseconds, Median(25.0)),
            figure("host-lan", "host loss, `lan`: gap", Milliseconds, Median(230.0)),
            figure("carrier", "carrier loss with a second link, `fast`: gap", Milliseconds, Median(15.0)),
            figure("host-both", "both answered: host and carrier loss", Milliseconds, Every(0.0)),
        ],
    ),
    (
        "The agent fails, its server lives (`fast`)",
        &[
            figure("kill", "agent SIGKILL: gap", Milliseconds, Median(10.0)),
            figure("kill-both", "agent SIGKILL: both answered", Milliseconds, Every(0.0)),
            figure("stop", "agent SIGSTOP: gap", Milliseconds, Median(10.0)),
            figure("stop-both", "agent SIGSTOP, later SIGCONT: both answered", Milliseconds, Every(0.0)),
        ],
    ),
    (
        "Planned switch under 1,000 requests/s (`fast`)",
        &[
            figure("switch-lost", "requests lost", Count, Every(0.0)),
            figure("switch-gap", "longest gap between two answered requests", Milliseconds, Median(5.0)),
            figure("switch-quiet", "the same before the switch, for comparison", Milliseconds, Goal::None),
            figure("switch-slowest", "slowest request", Milliseconds, Goal::None),
            figure("switch-arp", "gap in answers to who has it", Milliseconds, Median(5.0)),
            figure("switch-both", "both answered", Milliseconds, Every(0.0)),
        ],
    ),
    (
        "With a witness on a third host",
        &[
            figure("witness-host-fast", "host loss, `fast`: gap", Milliseconds, Median(45.0)),
            figure("witness-host-lan", "host loss, `lan`: gap", Milliseconds, Median(300.0)),
            figure("witness-host-both", "host loss: both answered", Milliseconds, Every(0.0)),
            figure("witness-switch-lost", "planned switch, `fast`: requests lost", Count, Every(0.0)),
            figure(
                "witness-switch-gap",
                "planned switch: longest gap between two answered requests",
                Milliseconds,
                Median(5.0),
            ),
            figure("witness-switch-quiet", "the same before the switch, for comparison", Milliseconds, Goal::None),
            figure("witness-switch-slowest", "planned switch: slowest request", Milliseconds, Goal::None),
            figure("witness-switch-arp", "planned switch: gap in answers to who has it", Milliseconds, Median(5.0)),
            figure("witness-switch-both", "planned switch: both answered", Milliseconds, Every(0.0)),
        ],
    ),
    (
        "10,000 IPv4 addresses in one group (`lan`)",
        &[
            figure("many-switch", "planned switch: first to last address moved", Milliseconds, Median(120.0)),
            figure("many-loss", "host loss: first to last address moved", Milliseconds, Median(120.0)),
            figure("many-loss-gap", "host loss: gap of the address that is asked for", Milliseconds, Goal::None),
            figure("many-missing", "addresses not announced within 3 s", Count, Every(0.0)),
        ],
    ),
    (
        "Cost of the agent at rest (`fast`)",
        &[
            figure("cpu-active", "one group, active: CPU of one core", Percent, Median(1.0)),
            figure("cpu-standby", "one group, standby: CPU of one core", Percent, Median(1.0)),
            figure("memory-active", "one group, active: resident", Mebibytes, Every(15.0)),
            figure("memory-standby", "one group, standby: resident", Mebibytes, Every(15.0)),
            figure("cpu-active-100", "100 groups, active: CPU of one core", Percent, Goal::None),
            figure("cpu-standby-100", "100 groups, standby: CPU of one core", Percent, Goal::None),
            figure("memory-active-100", "100 groups, active: resident", Mebibytes, Goal::None),
            figure(
                "cpu-active-1000-checked",
                "1,000 groups (`lan`), each with a check every second, active: CPU of one core",
                Percent,
                Median(5.0),
            ),
            figure("cpu-standby-1000-checked", "the same, standby: CPU of one core", Percent, Median(5.0)),
            figure(
                "late-active-1000-checked",
                "the same: 999 of 1,000 pulses late by at most",
                Milliseconds,
                Median(2.0),
            ),
            figure("latest-active-1000-checked", "the same: the latest", Milliseconds, Goal::None),
        ],
    ),
    (
        "For scale: keepalived in the same lab",
        &[
            figure("k-fast-host", "10 ms adverts, host loss: gap", Milliseconds, Goal::None),
            figure("k-fast-kill", "10 ms adverts, SIGKILL: gap", Milliseconds, Goal::None),
            figure(
                "k-fast-kill-both",
                "10 ms adverts, SIGKILL: both answered, of 2 s observed",
                Milliseconds,
                Goal::None,
            ),
            figure("k-default-host", "default, host loss: gap", Milliseconds, Goal::None),
        ],
    ),
];

/// What the runs of one figure brought, in rising order.
#[derive(Clone, Debug)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// Sorts the runs; `None` when there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Spread(values))
    }

    /// How many runs.
    pub fn runs(&self) -> usize {
        self.0.len()
    }

    /// The least.
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The middle one; the mean of the two in the middle of an even number.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 { self.0[middle] } else { f64::midpoint(self.0[middle - 1], self.0[middle]) }
    }

    /// Nine of ten are at most this (nearest rank).
    pub fn p90(&self) -> f64 {
        self.0[(self.0.len() * 9).div_ceil(10) - 1]
    }

    /// The most.
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

impl Figure {
    /// The goal in words.
    pub fn goal_text(&self) -> String {
        match self.goal {
            Goal::None => "–".to_owned(),
            Goal::Median(limit) => format!("median ≤ {}", self.unit.show(limit)),
            Goal::Every(0.0) => "never".to_owned(),
            Goal::Every(limit) => format!("≤ {}", self.unit.show(limit)),
        }
    }

    /// Whether the goal is met; `None` without a goal.
    pub fn is_met(&self, spread: &Spread) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::Median(limit) => Some(spread.median() <= limit),
            Goal::Every(limit) => Some(spread.max() <= limit),
        }
    }
}
