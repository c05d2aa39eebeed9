//! Lateness of the hot thread's wake-ups, and of the renewals of the gate's lease, as histograms.
//!
//! Owns: the counts of an active agent between two moments, as the difference of two readings of
//! its status. Never does: load. Other topics bring that about, and begin and end a [`Watch`]
//! around what they measure.

use super::figures::Unit::{Count, Microseconds};
use super::figures::{Section, figure};
use super::record::Results;
use super::{Topic, sample};
use crate::lab::agent::Agent;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Lateness of the thread that keeps the gate open.
pub const TOPIC: Topic = Topic { blocks: &[], sections, configuration: |_| String::new() };

/// Conditions, in the order of the page: key, and text for people.
const CONDITIONS: [(&str, &str); 3] =
    [("rest", "at rest"), ("busy-32", "32 busy processes"), ("busy-128", "128 busy processes")];
/// Kinds of lateness: key, field of the status, and text for people.
const KINDS: [(&str, &str, &str); 2] =
    [("late", "lateness_us", "wake-up after its time"), ("renewal", "renewal_us", "lease renewed after its time")];
/// Quantiles in ten-thousandths, and their names.
const SHARES: [(u64, &str); 5] = [(5_000, "p50"), (9_000, "p90"), (9_900, "p99"), (9_990, "p99.9"), (10_000, "max")];
/// Length of the longest bar, in characters.
const WIDTH: f64 = 40.0;

/// Number of events in each class, by the bound in µs that they are below.
type Counts = BTreeMap<u64, u64>;

/// Counts of an agent at the beginning, one for each of [`KINDS`].
pub struct Watch([Counts; 2]);

impl Watch {
    /// Reads the counts at the beginning.
    pub fn begin(agent: &Agent) -> Watch {
        Watch(read_counts(agent))
    }

    /// Hands over the counts since the beginning, if `condition` is one of the page. Returns how
    /// late the thread woke up, in milliseconds: the bounds of 999 of 1,000 wake-ups and of all.
    #[allow(clippy::cast_precision_loss, reason = "microseconds of a second at most")]
    pub fn end(self, condition: &str, agent: &Agent) -> (f64, f64) {
        let mut counted = read_counts(agent);
        for (counts, before) in counted.iter_mut().zip(self.0) {
            for (bound, count) in before {
                let now = counts.get_mut(&bound).expect("nothing is forgotten");
                *now = now.checked_sub(count).expect("nothing is forgotten");
            }
        }
        if CONDITIONS.iter().any(|(known, _)| *known == condition) {
            KINDS.iter().zip(&counted).for_each(|((kind, ..), counts)| print_counts(&key(condition, kind), counts));
        }
        let [late, _renewal] = &counted;
        let of = |share| bound_of(late, share) as f64 / 1e3;
        (of(9_990), of(10_000))
    }
}

/// Bound in µs that `share` of ten thousand counts are below.
fn bound_of(counts: &Counts, share: u64) -> u64 {
    let all: u64 = counts.values().sum();
    assert!(all > 100, "almost nothing was counted");
    let (wanted, mut seen) = ((all * share).div_ceil(10_000), 0);
    let bound = counts.iter().find(|(_, count)| {
        seen += **count;
        seen >= wanted
    });
    *bound.expect("all are at least as many").0
}

/// Beginning of the keys of one condition and kind of lateness.
fn key(condition: &str, kind: &str) -> String {
    format!("histogram-{condition}-{kind}")
}

/// Counts of an agent so far, one for each of [`KINDS`].
fn read_counts(agent: &Agent) -> [Counts; 2] {
    let status = agent.status().unwrap_or_else(|e| panic!("{e}"));
    KINDS.map(|(_, field, _)| {
        let pairs: Vec<(u64, u64)> =
            serde_json::from_value(status.0[field].clone()).unwrap_or_else(|e| panic!("{field}: {e}"));
        pairs.into_iter().collect()
    })
}

/// Prints the number of events, their quantiles and the classes of the picture to the process that
/// collects figures, under keys that begin with `key`.
#[allow(clippy::cast_precision_loss, reason = "counts and microseconds of some minutes")]
fn print_counts(key: &str, counts: &Counts) {
    sample(&format!("{key}-count"), counts.values().sum::<u64>() as f64);
    for (share, name) in SHARES {
        sample(&format!("{key}-{name}"), bound_of(counts, share) as f64);
    }
    // One line for each doubling is enough to see the shape.
    let mut doublings = Counts::new();
    counts.iter().for_each(|(bound, count)| *doublings.entry(bound.next_power_of_two()).or_default() += count);
    for (bound, count) in doublings.into_iter().filter(|(_, count)| *count > 0) {
        sample(&format!("{key}-below-{bound}"), count as f64);
    }
}

/// Sections of the page: how late the hot thread wakes up and renews the lease.
fn sections() -> Vec<Section> {
    let mut figures = Vec::new();
    for ((condition, words), (kind, _, what)) in CONDITIONS.into_iter().flat_map(|c| KINDS.map(|k| (c, k))) {
        let key = key(condition, kind);
        for (_, name) in SHARES {
            figures.push(figure(format!("{key}-{name}"), format!("{words}, {what}: {name}"), Microseconds));
        }
        figures.push(figure(format!("{key}-count"), format!("{words}, {what}: counted"), Count));
    }
    vec![Section {
        text: TEXT.to_owned(),
        table: Some(histograms),
        ..Section::new("How late the gate's thread wakes up and renews the lease (`fast`)", figures)
    }]
}

const TEXT: &str = "\
As the active agent counts it itself, while nothing happens (block `cost`, 20 s) and beside processes that compute (blocks
`false-busy-32` and `false-busy-128`, a minute): the difference of two readings of its status, so that the start does not count.
*Wake-up*: from the time that the thread had set its timer to until it reads the clock after waking up. *Renewed*: from when the
renewal was due until the new deadline was written for the kernel's gate, which is that wake-up and what its turn does before. A
figure is the bound of a class, up to a quarter more than what was measured. In the pictures, of all runs together, a line is what
was below its bound and not below half of it; a bar is as long as its count's logarithm, so that a single one can be seen.";

/// A histogram in text for each condition and kind that was measured.
fn histograms(results: &Results) -> String {
    let mut text = String::new();
    for ((condition, words), (kind, _, what)) in CONDITIONS.into_iter().flat_map(|c| KINDS.map(|k| (c, k))) {
        let counts = doublings(results, &key(condition, kind));
        let (all, most) = (counts.iter().map(|(_, n)| n).sum::<f64>(), counts.iter().fold(0.0, |m, (_, n)| n.max(m)));
        if all == 0.0 {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "```\n{words}, {what}: {all:.0}");
        for (bound, count) in counts {
            let long = if count > 0.0 { 1.0 + (WIDTH - 1.0) * count.ln() / most.max(2.0).ln() } else { 0.0 };
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the longest bar")]
            let bar = "█".repeat(long.round() as usize);
            let line =
                format!("below {:>8}  {count:>8.0}  {:>7.3} %  {bar}", Microseconds.show(bound), count / all * 100.0);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text += "```\n\n";
    }
    text
}

/// Bounds and counts of all runs together, from the least doubling with a count to the greatest.
fn doublings(results: &Results, key: &str) -> Vec<(f64, f64)> {
    let bounds = (0..17).map(|power| 1_u32 << power);
    let count = |bound: u32| results.values(&format!("{key}-below-{bound}")).iter().sum::<f64>();
    let mut all: Vec<(f64, f64)> = bounds.map(|bound| (f64::from(bound), count(bound))).collect();
    while all.last().is_some_and(|(_, count)| *count == 0.0) {
        all.pop();
    }
    all.into_iter().skip_while(|(_, count)| *count == 0.0).collect()
}
