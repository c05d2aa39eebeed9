//! Figures of the benchmark and the goals that they are held against.
//!
//! Owns: figures, sections, pictures, goals. Never does: measuring or printing; the topics say
//! which figures there are.

use super::record::Results;
use super::spread::Spread;

/// Unit of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// A number of things.
    Count,
    /// Percent of one core.
    Percent,
    /// Mebibytes, 1,048,576 bytes each.
    Mebibytes,
    /// A number of things in a second.
    PerSecond,
    /// Microseconds.
    Microseconds,
}

impl Unit {
    /// Text of a value with its unit, for people.
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

/// Bound that a figure is held against.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Goal {
    /// No bound: the figure is there for scale.
    None,
    /// Greatest median that meets the goal.
    Median(f64),
    /// Greatest value of any run that meets the goal: for what must never happen.
    Every(f64),
}

/// One figure of the report.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Name of the figure between the process that measures, the file that keeps it and the report.
    pub key: String,
    /// Text for people.
    pub title: String,
    /// Unit of the values.
    pub unit: Unit,
    /// Goal of the figure.
    pub goal: Goal,
}

/// A figure without a goal; see [`Figure::goal`].
pub fn figure(key: impl Into<String>, title: impl Into<String>, unit: Unit) -> Figure {
    Figure { key: key.into(), title: title.into(), unit, goal: Goal::None }
}

/// Figures under one heading of the report.
#[derive(Clone, Default, Debug)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// Text below the heading: how it is measured, what it means. Markdown.
    pub text: String,
    /// Rows of the plain table.
    pub figures: Vec<Figure>,
    /// A table of the topic's own making, in Markdown, before the plain one; the plain one is left
    /// out without figures.
    pub table: Option<fn(&Results) -> String>,
    /// Pictures below the tables.
    pub plots: Vec<Plot>,
}

impl Section {
    /// A section with a plain table and nothing else.
    pub fn new(title: &str, figures: Vec<Figure>) -> Section {
        Section { title: title.to_owned(), figures, ..Section::default() }
    }

    /// Whether any figure of the section was measured.
    pub fn is_measured(&self, results: &Results) -> bool {
        self.figures.iter().any(|figure| results.spread(&figure.key).is_some())
    }
}

/// A picture of figures; those that no run measured are left out.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Name of the file in docs/benchmarks, without its ending.
    pub file: &'static str,
    /// Title of the picture.
    pub title: String,
    /// Unit of the values.
    pub unit: Unit,
    /// Form of the picture.
    pub shape: Shape,
}

/// Form of a picture. Values are drawn on a logarithmic scale.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Strips, each with a label and a key: one dot for each run, a line at the median.
    Dots(Vec<(String, String)>),
    /// Curves over another quantity, whose name comes first. Each curve has a label and its points,
    /// a place and a key each; lines join the medians.
    Curves(String, Vec<(String, Vec<(f64, String)>)>),
}

impl Figure {
    /// Sets the goal.
    pub fn goal(mut self, goal: Goal) -> Figure {
        self.goal = goal;
        self
    }

    /// Text of the goal for people.
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
