//! Tests of the two clocks, and of how wall time is written.

use super::*;

#[test]
fn now_never_falls() {
    let first = now();
    assert!(now() >= first);
    assert!(first > MonoTime::ZERO);
}

#[test]
fn wall_time_reads_as_rfc_3339() {
    assert_eq!(WallTime(0).to_string(), "1970-01-01T00:00:00.000Z");
    assert_eq!(WallTime(951_782_400_250).to_string(), "2000-02-29T00:00:00.250Z");
    assert_eq!(WallTime(1_772_368_200_250).to_string(), "2026-03-01T12:30:00.250Z");
    assert_eq!(WallTime(4_107_542_399_000).to_string(), "2100-02-28T23:59:59.000Z");
}

#[test]
fn the_dates_of_successive_days_rise() {
    let mut before = civil(0);
    for days in 1..80_000 {
        let day = civil(days);
        assert!(day > before, "{before:?} then {day:?}");
        assert!((1..=12).contains(&day.1) && (1..=31).contains(&day.2));
        before = day;
    }
}

#[test]
fn a_past_instant_is_told_in_wall_time() {
    let then = MonoTime(now().0 - 500_000_000);
    let ago = wall().0 - wall_of(then).0;
    assert!((499..=1_500).contains(&ago), "{ago} ms");
}
