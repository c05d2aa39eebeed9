//! What a figure of the benchmark is, what it is held against, and its statistics.
//!
//! Owns: figures, sections, pictures, goals, and the statistics over runs. Never does: measuring or printing; which figures
//! there are is said by the topics.

use super::record::Results;
use std::time::Duration;

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
    /// Things in a second.
    PerSecond,
    /// Microseconds.
    Microseconds,
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
            Unit::PerSecond if value >= 100.0 => format!("{value:.0}/s"),
            Unit::PerSecond => format!("{value:.1}/s"),
            Unit::Microseconds if value >= 1_000.0 => Unit::Milliseconds.show(value / 1_000.0),
            Unit::Microseconds => format!("{value:.0} µs"),
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
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name between the process that measures, the file that keeps it and the report.
    pub key: String,
    /// What it is, for people.
    pub title: String,
    /// What it counts.
    pub unit: Unit,
    /// What it is held against.
    pub goal: Goal,
}

/// A figure; without a goal of its own, see [`Figure::goal`].
pub fn figure(key: impl Into<String>, title: impl Into<String>, unit: Unit) -> Figure {
    Figure { key: key.into(), title: title.into(), unit, goal: Goal::None }
}

/// Some figures under one heading of the report.
#[derive(Clone, Default, Debug)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What is said below it: how it is measured, what it means. Markdown.
    pub text: String,
    /// The table.
    pub figures: Vec<Figure>,
    /// A table of the topic's own making, Markdown, in place of or before the plain one. It may be empty.
    pub table: Option<fn(&Results) -> String>,
    /// Pictures, below the tables.
    pub plots: Vec<Plot>,
}

impl Section {
    /// A section with a table and nothing else.
    pub fn new(title: &str, figures: Vec<Figure>) -> Section {
        Section { title: title.to_owned(), figures, ..Section::default() }
    }
}

/// A picture of figures; those that no run brought are not in it.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Name of the file in docs/benchmarks, without its ending.
    pub file: &'static str,
    /// What it shows.
    pub title: String,
    /// What its values count.
    pub unit: Unit,
    /// How it is drawn.
    pub shape: Shape,
}

/// The forms of a picture. Values are drawn on a logarithmic scale.
#[derive(Clone, Debug)]
pub enum Shape {
    /// One strip for each label and key, one dot for each run, a line at the median.
    Dots(Vec<(String, String)>),
    /// Values over another quantity: its name, and for each curve a label and its points (where, key). Medians joined.
    Curves(String, Vec<(String, Vec<(f64, String)>)>),
}

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
    /// Holds it against something.
    pub fn goal(mut self, goal: Goal) -> Figure {
        self.goal = goal;
        self
    }

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

/// What so many of a million are beyond, of times in ascending order.
pub fn beyond(times: &[Duration], share: usize) -> Duration {
    times[(times.len() - 1).saturating_sub(times.len() * share / 1_000_000)]
}
