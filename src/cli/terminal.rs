//! Colour, where somebody looks at it on a terminal that has some.

use std::io::IsTerminal;

/// Meaning of a piece of text, from which its colour follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    /// Text as it is.
    Plain,
    /// Bold: names and titles.
    Strong,
    /// Dim: details.
    Faint,
    /// Green: as it should be.
    Good,
    /// Yellow: worth a look.
    Doubtful,
    /// Red: wrong.
    Bad,
}

/// Whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether standard output is a terminal, and colour is wanted there.
pub(super) fn has_colour() -> bool {
    is_terminal() && is_colour_wanted()
}

/// Whether `NO_COLOR` is not set (no-color.org), and the terminal is not one that shows colour's
/// codes as they are (`TERM=dumb`).
pub(super) fn is_colour_wanted() -> bool {
    let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_set && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// `text` in the colour of `tone`; without `colour`, as it is.
pub(super) fn paint(text: &str, tone: Tone, colour: bool) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Strong => "1",
        Tone::Faint => "2",
        Tone::Good => "32",
        Tone::Doubtful => "33",
        Tone::Bad => "1;31",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
