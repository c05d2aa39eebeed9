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
