//! The history of a run, for people. A line costs nothing unless it is wanted: a run that fails is
//! run again.

use super::clock::Real;
use std::io::Write;

/// The part of the history that a caller wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// No lines.
    Nothing,
    /// All lines, kept.
    Lines,
    /// All lines, kept and printed as they happen, so that they can be read even if the process
    /// ends in the middle.
    Live,
}

/// The lines of a run, in the order of time.
pub struct History {
    want: Want,
    /// The lines that were kept.
    pub lines: Vec<String>,
}

impl History {
    /// An empty history that keeps lines as `want` says.
    pub fn new(want: Want) -> History {
        History { want, lines: Vec::new() }
    }

    /// Adds a line with its time, if lines are wanted.
    pub fn note(&mut self, now: Real, line: impl FnOnce() -> String) {
        if self.want == Want::Nothing {
            return;
        }
        let millis = now.0 / 1_000_000;
        let micros = now.0 / 1000 % 1000;
        let line = format!("{millis:>9}.{micros:03} ms  {}", line());
        if self.want == Want::Live {
            // A history that cannot be written ends no run.
            let _nobody_reads = writeln!(std::io::stdout(), "{line}");
        }
        self.lines.push(line);
    }
}
