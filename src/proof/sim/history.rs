//! What happened, for people. A line costs nothing unless somebody wants to read it: a run that fails is run again.

use super::clock::Real;

/// What a caller wants of the history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Nothing.
    Nothing,
    /// All of it.
    Lines,
    /// All of it, printed as it happens: so that it can be read even if the process ends in the middle.
    Live,
}

pub struct History {
    want: Want,
    pub lines: Vec<String>,
}

impl History {
    pub fn new(want: Want) -> History {
        History { want, lines: Vec::new() }
    }

    pub fn note(&mut self, now: Real, line: impl FnOnce() -> String) {
        if self.want == Want::Nothing {
            return;
        }
        let millis = now.0 / 1_000_000;
        let micros = now.0 / 1000 % 1000;
        let line = format!("{millis:>9}.{micros:03} ms  {}", line());
        if self.want == Want::Live {
            println!("{line}");
        }
        self.lines.push(line);
    }
}
