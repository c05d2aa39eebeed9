//! Histories in which a promise was once broken: a seed each, and what it was.
//!
//! A seed means another run once the simulator draws in another order; what the history taught is
//! then kept by the engine's own test that is named beside it.

use super::run_seeds;
use crate::sim::Mode;

// S8: a reload renumbers groups, and the group that a silent peer's kernel answered for was asked
// by its old number (`an_answer_before_a_reload_speaks_for_the_same_group_after_it`).
#[test]
fn a_reload_within_a_silence_forgets_no_answer() {
    run_seeds(Mode::Play, 1_003_311, 1);
}

// L3: an offer that lost pulses took back was answered by a claim of a peer that did not hear, and
// the connections of that handover were not carried on
// (`a_deaf_taker_gets_the_connections_carried_on`).
#[test]
fn lost_pulses_in_a_handover_drop_no_connection() {
    for seed in [56, 868, 2_952, 3_806, 8_308] {
        run_seeds(Mode::HandOver, seed, 1);
    }
}

// L5: an active whose peer speaks more slowly than it is patient ran its hook again and again and
// never handed over (`a_late_pulse_takes_no_offer_back_while_a_hook_runs`).
#[test]
fn a_peer_that_speaks_slowly_is_handed_the_group() {
    run_seeds(Mode::Play, 3_041_920, 1);
}

// L5: a node that had stood still heard its peer again and went on calling itself isolated.
#[test]
fn a_node_that_stood_still_is_isolated_no_longer() {
    run_seeds(Mode::Play, 1_008_383, 1);
}

// L5: once a silent peer is asked at the pace of the pulses, so are the neighbours.
#[test]
fn neighbours_that_are_asked_seldom_are_heard_seldom() {
    run_seeds(Mode::Play, 1_005_597, 1);
}

// L5: a node that let a higher claim go first went on waiting after the other had let go for it.
#[test]
fn a_node_that_was_outbid_takes_what_it_is_offered() {
    run_seeds(Mode::Vote, 3_001_350, 1);
}

// S6: a loose cable let a frame through just after the first probe, which counted as life for all.
#[test]
fn a_cable_that_holds_now_and_then_opens_nothing() {
    for seed in [178, 441] {
        run_seeds(Mode::LooseCable, seed, 1);
    }
}

// Faults of the oracle: what a former life had reserved was taken for told, and an election under
// clocks beyond the configured drift for one that asks.
#[test]
fn the_oracle_takes_no_right_opening_for_a_wrong_one() {
    run_seeds(Mode::Play, 3_026_226, 1);
    for seed in [3_010_359, 3_015_179, 3_018_432] {
        run_seeds(Mode::Vote, seed, 1);
    }
}

// S8: what a deaf peer said of a group under another name was forgotten with a reload
// (`rows_of_unknown_groups_count_until_the_table_is_told_anew`).
#[test]
fn a_deaf_peer_with_another_name_is_known_after_a_reload() {
    run_seeds(Mode::Play, 71_535_856, 1);
}

// Faults of the oracle: groups that nobody can know to be one, clocks beyond the drift where nobody can
// ask, ways that cross, many rows on a narrow path, and an agent that
// has not found its gate yet.
#[test]
fn the_oracle_asks_nobody_to_know_what_nobody_told() {
    for seed in [
        71_503_676, 71_511_561, 71_522_727, 71_529_385, 71_563_265, 71_606_826, 75_005_572, 77_070_354, 77_586_552,
        80_392_501, 82_062_467,
    ] {
        run_seeds(Mode::Play, seed, 1);
    }
}

// L5: a group that was added after a lost state had been told anew counted as lost
// (`a_group_that_is_added_after_the_state_was_lost_and_told_anew_waits_for_nobody`).
#[test]
fn a_state_that_was_lost_once_is_whole_again() {
    run_seeds(Mode::Play, 77_103_590, 1);
}
