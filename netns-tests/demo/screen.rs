//! What the demo prints: a live strip of who answers, and a table for each act.
//!
//! Owns: colours, cells, layout. Never does: measuring. Without a terminal (or with NO_COLOR) there
//! is no colour, and letters say the same.

use crate::lab::{Server, clock};
use crate::probe::asker::{Answers, Question};
use crate::scene::Scene;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use vipair::types::MonoTime;

/// Time that one cell of the strip stands for.
const CELL: Duration = Duration::from_millis(40);
/// Longest wait for an answer before its cell is shown.
const SETTLE: Duration = Duration::from_millis(10);
/// Number of cells in a row.
const ROW: usize = 75;

/// The printer on standard output.
#[derive(Debug)]
pub struct Screen {
    /// Whether the output has colours.
    colour: bool,
    /// Instant up to which cells were printed.
    shown_until: MonoTime,
    /// Beginning of the strip.
    start: MonoTime,
    /// Number of cells in the present row.
    column: usize,
}

/// Tone of a text: its colour, and what the colour means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// Plain text.
    Plain,
    /// A heading.
    Bold,
    /// Text of little weight.
    Faint,
    /// A kept promise; alpha.
    Green,
    /// Beta.
    Blue,
    /// A broken promise; nobody.
    Red,
    /// Two servers at once.
    Alarm,
}

impl Screen {
    /// A screen on standard output, whose strip begins now.
    pub fn new() -> Screen {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let now = clock::now();
        Screen { colour, shown_until: now, start: now, column: 0 }
    }

    /// A text in a tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Bold => "1",
            Tone::Faint => "2",
            Tone::Green => "32",
            Tone::Blue => "34;1",
            Tone::Red => "31;1",
            Tone::Alarm => "41;97;1",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Name of a server, in its colour.
    pub fn server_name(&self, server: Option<Server>) -> String {
        match server {
            Some(Server::Alpha) => self.paint(Tone::Green, "alpha"),
            Some(Server::Beta) => self.paint(Tone::Blue, "beta"),
            None => self.paint(Tone::Red, "nobody"),
        }
    }

    /// Prints a line below the strip.
    pub fn print_line(&mut self, text: &str) {
        self.end_row();
        println!("{text}");
    }

    /// Begins a strip at this moment.
    pub fn begin_strip(&mut self) {
        self.end_row();
        self.start = clock::now();
        self.shown_until = self.start;
    }

    /// Breaks the strip with a remark on what is done now.
    pub fn print_remark(&mut self, scene: &Scene, text: &str) {
        self.show_past_cells(scene);
        let seconds = clock::now().since(self.start).as_secs_f64();
        self.print_line(&format!(
            "  {} {}",
            self.paint(Tone::Faint, &format!("{seconds:>6.2} s")),
            self.paint(Tone::Bold, text)
        ));
    }

    /// Lets `time` pass and shows meanwhile who answers.
    pub fn show_for(&mut self, scene: &Scene, time: Duration) {
        let until = clock::now() + time;
        while clock::now() < until {
            std::thread::sleep(CELL.min(until.since(clock::now())));
            self.show_past_cells(scene);
        }
    }

    /// Shows all cells whose time is over.
    pub fn show_past_cells(&mut self, scene: &Scene) {
        while self.shown_until + CELL + SETTLE < clock::now() {
            let (from, to) = (self.shown_until, self.shown_until + CELL);
            let mut questions: Vec<Question> = Vec::new();
            for asker in &scene.askers {
                questions.extend(asker.since(from).questions.iter().filter(|q| q.at < to));
            }
            self.print_cell(&questions);
            self.shown_until = to;
        }
    }

    /// Prints the cell of one stretch of questions.
    fn print_cell(&mut self, questions: &[Question]) {
        if self.column == 0 {
            let seconds = self.shown_until.since(self.start).as_secs_f64();
            print!("  {} ", self.paint(Tone::Faint, &format!("{seconds:>6.2} s")));
        }
        let by =
            |server: Server| questions.iter().any(|q| q.answer.is_some_and(|(_, mac)| mac == server.port().mac()));
        let both = questions.iter().any(|q| q.second.is_some());
        let missing = questions.iter().filter(|q| q.answer.is_none()).count();
        let cell = match (by(Server::Alpha), by(Server::Beta), missing) {
            _ if both => self.paint(Tone::Alarm, "!"),
            (false, false, _) => self.paint(Tone::Red, "·"),
            (true, true, _) => self.paint(Tone::Bold, "x"),
            (true, false, 0) => self.paint(Tone::Green, if self.colour { "█" } else { "a" }),
            (false, true, 0) => self.paint(Tone::Blue, if self.colour { "█" } else { "b" }),
            (true, false, _) => self.paint(Tone::Red, if self.colour { "▒" } else { "-" }),
            (false, true, _) => self.paint(Tone::Red, if self.colour { "▒" } else { "-" }),
        };
        print!("{cell}");
        // A screen that cannot be written to is no reason to fail.
        let _ = std::io::stdout().flush();
        self.column += 1;
        if self.column == ROW {
            self.end_row();
        }
    }

    /// Ends a row of cells that has begun.
    fn end_row(&mut self) {
        if self.column > 0 {
            println!();
            self.column = 0;
        }
    }

    /// Prints what the cells mean.
    pub fn print_legend(&mut self) {
        let (alpha, beta) = if self.colour { ("█", "█") } else { ("a", "b") };
        let text = format!(
            "a cell is {} ms: {} alpha answers  {} beta answers  {} it moved  {} some questions unanswered  {} nobody answers  {} both answer",
            CELL.as_millis(),
            self.paint(Tone::Green, alpha),
            self.paint(Tone::Blue, beta),
            self.paint(Tone::Bold, "x"),
            self.paint(Tone::Red, if self.colour { "▒" } else { "-" }),
            self.paint(Tone::Red, "·"),
            self.paint(Tone::Alarm, "!"),
        );
        self.print_line(&text);
    }
}

/// The longest gap in milliseconds, for people.
pub fn gap_ms(answers: &Answers) -> String {
    format!("{:.0} ms", answers.longest_gap().length().as_secs_f64() * 1e3)
}
