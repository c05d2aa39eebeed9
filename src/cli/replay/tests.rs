//! Tests of what `vipair replay` reads from its arguments, and of the lines that it prints.

use super::*;

#[test]
fn a_time_of_day_is_read_as_it_is_printed() {
    let seconds = |text: &str| time_of_day(text).map(|span| span.as_secs_f64());
    assert_eq!(seconds("03:12:40"), Ok(11_560.0));
    assert_eq!(seconds("03:12:40.250"), Ok(11_560.25));
    assert_eq!(seconds("2026-03-01T03:12:40.250Z"), Ok(11_560.25));
    assert_eq!(seconds("03:12"), Ok(11_520.0));
    for wrong in
        ["", "3", "24:00:00", "03:60:00", "03:00:61", "a:b:c", "03:12:40:50", "-1:00", "03:00:-1", "03:00:NaN"]
    {
        assert!(seconds(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_date_is_shown_where_the_day_changes_and_nowhere_else() {
    let args = ReplayArgs { file: PathBuf::new(), all: false, from: None, to: None, json: false };
    let midnight = 20_000 * DAY_MS;
    let mut printer = Printer { args: &args, colour: false, last: None, day: Some(19_999), failure: None };
    // The text of a line at this wall time, printed after the lines before.
    let mut text_at = |wall: u64| {
        let line = Line { wall, now: wall * 1_000_000, severity: None, text: "x".to_owned(), because: Vec::new() };
        printer.line_text(&line)
    };
    assert_eq!(text_at(midnight - 2), "23:59:59.998              x\n");
    assert_eq!(text_at(midnight - 1), "23:59:59.999        +1.0  x\n");
    assert_eq!(text_at(midnight), "2024-10-04\n00:00:00.000        +1.0  x\n");
    assert_eq!(text_at(midnight + 1), "00:00:00.001        +1.0  x\n");
}
