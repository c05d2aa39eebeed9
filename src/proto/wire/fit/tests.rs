//! Tests of what fits: how long datagrams may be on a path, and what is learnt of that.

use super::{AGAIN, FEW, Fit, PLAIN};
use crate::types::MonoTime;
use crate::wire::auth::MAX_DATAGRAM;
use crate::wire::pulse::{ROW_SIZE, ROWS_PER_PULSE};

const NOW: MonoTime = MonoTime(1_000_000_000);

#[test]
fn what_the_kernel_refuses_is_halved_until_it_fits_or_nothing_is_left() {
    let mut fit = Fit::default();
    assert_eq!((fit.rows(NOW), fit.bytes(NOW)), (ROWS_PER_PULSE, None));
    let mut sizes = Vec::new();
    while fit.note_too_long(PLAIN + fit.rows(NOW) * ROW_SIZE, NOW) {
        sizes.push(fit.rows(NOW));
    }
    assert_eq!(sizes, [9, 4, 2, 1, 0]);
    assert_eq!(fit.bytes(NOW), Some(PLAIN));
}

#[test]
fn a_late_refusal_does_not_widen() {
    let mut fit = Fit::default();
    assert!(fit.note_too_long(PLAIN + 4 * ROW_SIZE, NOW));
    assert!(fit.note_too_long(MAX_DATAGRAM, NOW));
    assert_eq!(fit.rows(NOW), 2);
}

#[test]
fn the_longest_is_tried_again_after_a_minute() {
    let mut fit = Fit::default();
    assert!(fit.note_too_long(MAX_DATAGRAM, NOW));
    assert_eq!(fit.rows(NOW + AGAIN / 2), 9);
    assert_eq!(fit.rows(NOW + AGAIN), ROWS_PER_PULSE);
}

#[test]
fn rows_that_are_not_acknowledged_although_later_words_are_heard_become_fewer() {
    let mut fit = Fit::default();
    for counter in [10, 20] {
        fit.note_sent(counter, 30, ROWS_PER_PULSE);
        fit.note_word(counter - 1, 7, NOW);
        assert_eq!(fit.rows(NOW), ROWS_PER_PULSE, "nothing later was heard");
        fit.note_word(counter + 1, 7, NOW);
    }
    assert_eq!(fit.rows(NOW), 9);
    (30..60).for_each(|counter| {
        fit.note_sent(counter, 30, ROWS_PER_PULSE);
        fit.note_word(counter + 1, 7, NOW);
    });
    assert_eq!(fit.rows(NOW), FEW);
}

#[test]
fn a_single_loss_narrows_nothing() {
    let mut fit = Fit::default();
    for counter in [10, 20, 30, 40] {
        fit.note_sent(counter, counter, ROWS_PER_PULSE);
        fit.note_word(counter + 1, 7, NOW);
        fit.note_sent(counter + 2, counter, ROWS_PER_PULSE);
        fit.note_word(counter + 2, counter, NOW);
    }
    assert_eq!(fit.rows(NOW), ROWS_PER_PULSE);
}

#[test]
fn few_rows_prove_nothing() {
    let mut fit = Fit::default();
    (10..40).for_each(|counter| {
        fit.note_sent(counter, 30, FEW);
        fit.note_word(counter + 1, 7, NOW);
    });
    assert_eq!(fit.rows(NOW), ROWS_PER_PULSE);
}
