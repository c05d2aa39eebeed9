//! Tests of how a table of rows travels in datagrams of few: which rows a datagram carries, and
//! when the receiver's copy is complete.

use super::*;
use crate::types::{Epoch, GroupKey, MacAddr, NodeId};
use crate::wire::pulse::{Digests, Flags};
use proptest::prelude::*;

/// A header that tells the rows between the versions `base` and `upto` of a table at version
/// `table`.
fn header(table: u64, base: u64, upto: u64) -> Header {
    Header {
        sender: NodeId(1),
        receiver: NodeId(2),
        cluster: 7,
        session: 1,
        counter: 1,
        echo_session: 2,
        echo_counter: 5,
        flags: Flags::default(),
        pulse_us: 0,
        silence_us: 0,
        lease_us: 0,
        digests: Digests::default(),
        table_version: table,
        base_version: base,
        upto_version: upto,
        ack_version: 0,
    }
}

/// A row of a group, told apart from others by its epoch.
fn row(group: u64, epoch: u64) -> Row {
    Row {
        group: GroupKey(group),
        epoch: Epoch(epoch),
        reserve: Epoch::NONE,
        claim: Epoch(epoch),
        consent: Epoch(epoch),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        role: Role::Active,
        reason: Reason::None,
        wants: true,
        faulty: true,
        health: 0,
        addresses: 0,
        policy: 0,
    }
}

/// The positions that an excerpt chooses from rows of these versions, and the version up to which
/// it tells the table.
fn chosen(base: u64, newest: u64, versions: &[u64]) -> (Vec<usize>, u64) {
    let mut excerpt = Excerpt::default();
    excerpt.choose(base, newest, ROWS_PER_PULSE, versions.iter().copied());
    (excerpt.positions().collect(), excerpt.upto())
}

#[test]
fn an_excerpt_is_what_changed_oldest_first() {
    assert_eq!(chosen(3, 9, &[9, 1, 4, 3]), (vec![2, 0], 9));
    assert_eq!(chosen(9, 9, &[9, 1, 4, 3]), (vec![], 9), "at rest nothing is told");
}

#[test]
fn an_excerpt_has_no_more_rows_than_there_is_room_for() {
    let versions: Vec<u64> = (1..=30).collect();
    let mut excerpt = Excerpt::default();
    for (room, upto) in [(0, 2), (1, 3), (7, 9), (40, 20)] {
        excerpt.choose(2, 30, room, versions.iter().copied());
        assert_eq!((excerpt.count(), excerpt.upto()), (room.min(ROWS_PER_PULSE), upto), "room for {room}");
    }
}

#[test]
fn an_excerpt_ends_where_the_datagram_is_full() {
    let versions: Vec<u64> = (1..=30).rev().collect();
    let (positions, upto) = chosen(2, 30, &versions);
    assert_eq!((positions.len(), upto), (ROWS_PER_PULSE, 20), "18 rows after version 2");
    assert_eq!(positions[0], 27, "the row with version 3");
    let (positions, upto) = chosen(20, 31, &versions);
    assert_eq!((positions.len(), upto), (10, 31));
}

#[test]
fn rows_that_do_not_connect_do_not_make_a_table_whole() {
    let mut copy = TableCopy::new(1);
    assert_eq!(copy.admit(&header(4, 2, 4), Mutants::NONE), Admission::Known, "what lies between 0 and 2 is missing");
    assert_eq!((copy.have(), copy.newest(), copy.is_complete()), (0, 4, false));
    assert_eq!(copy.admit(&header(4, 0, 3), Mutants::NONE), Admission::Told);
    assert!(!copy.is_complete());
    assert_eq!(copy.admit(&header(4, 0, 3), Mutants::NONE), Admission::Refused, "nothing new in it");
    assert_eq!(copy.admit(&header(3, 0, 3), Mutants::NONE), Admission::Refused, "from before");
    assert_eq!(copy.admit(&header(4, 3, 4), Mutants::NONE), Admission::Told);
    assert!(copy.is_complete());
}

#[test]
fn rows_that_do_not_connect_count_for_groups_that_were_told_before() {
    let mut copy = TableCopy::new(2);
    assert_eq!(copy.admit(&header(2, 0, 2), Mutants::NONE), Admission::Told);
    assert!(copy.take(0, row(1, 1)));
    assert_eq!(copy.admit(&header(9, 5, 9), Mutants::NONE), Admission::Known);
    assert!(copy.take_known(0, row(1, 9)) && !copy.take_known(1, row(2, 9)));
    assert_eq!((copy.row(0).map(|row| row.epoch), copy.row(1)), (Some(Epoch(9)), None));
    assert_eq!((copy.have(), copy.is_complete()), (2, false));
}

#[test]
fn a_table_that_is_fetched_counts_only_from_answers() {
    let mut copy = TableCopy::new(1);
    assert_eq!(copy.admit(&header(4, 0, 4), Mutants::NONE), Admission::Told);
    copy.fetch(6);
    assert_eq!(copy.admit(&header(4, 0, 4), Mutants::NONE), Admission::Known, "it echoes counter 5");
    assert!(!copy.is_complete());
    copy.fetch(5);
    assert_eq!(copy.admit(&header(4, 0, 4), Mutants::NONE), Admission::Told);
}

#[test]
fn groups_that_a_whole_table_does_not_name_are_gone() {
    let mut copy = TableCopy::new(2);
    assert_eq!(copy.admit(&header(2, 0, 2), Mutants::NONE), Admission::Told);
    assert!(copy.take(0, row(1, 1)) && copy.take(1, row(2, 1)));
    assert!(!copy.take(1, row(2, 1)), "the same again is no news");
    copy.settle();
    copy.forget();
    assert!(copy.row(1).is_some(), "what was said last counts until the table is told anew");
    assert_eq!(copy.admit(&header(9, 0, 8), Mutants::NONE), Admission::Told);
    copy.take(0, row(1, 2));
    copy.settle();
    assert!(copy.row(1).is_some(), "not whole yet");
    assert_eq!(copy.admit(&header(9, 8, 9), Mutants::NONE), Admission::Told);
    copy.settle();
    assert_eq!((copy.row(0).is_some(), copy.row(1).is_some()), (true, false));
}

#[test]
fn a_new_session_leaves_hardware_addresses_and_nothing_that_was_said() {
    let mut copy = TableCopy::new(1);
    copy.admit(&header(2, 0, 2), Mutants::NONE);
    copy.take(0, row(1, 9));
    copy.begin_session();
    let left = copy.row(0).expect("known");
    assert_eq!((left.role, left.claim, left.consent), (Role::Starting, Epoch::NONE, Epoch::NONE));
    assert_eq!((left.wants, left.faulty, left.mac), (false, false, row(1, 9).mac));
    assert_eq!((copy.have(), copy.newest()), (0, 0));
}

#[test]
fn groups_may_be_added_and_change_places() {
    let mut copy = TableCopy::new(1);
    copy.take(0, row(1, 1));
    copy.grow(3);
    assert!(copy.is_whole(3));
    copy.grow(2);
    assert!(copy.is_whole(3), "none is lost");
    copy.renumber(&[None, Some(0)], [GroupKey(2), GroupKey(1)].into_iter());
    assert!(copy.is_whole(2));
    assert_eq!(copy.row(1).map(|row| row.group), Some(GroupKey(1)));
}

// S8: who cannot be asked to tell its table anew is known by what it said last
#[test]
fn rows_of_unknown_groups_count_until_the_table_is_told_anew() {
    let strange = |copy: &TableCopy| copy.strange().map(|row| (row.group, row.epoch)).collect::<Vec<_>>();
    let mut copy = TableCopy::new(1);
    copy.admit(&header(2, 0, 2), Mutants::NONE);
    copy.take(0, row(1, 1));
    copy.take_strange(row(7, 1));
    copy.settle();
    copy.fetch(9);
    assert_eq!(copy.admit(&header(3, 2, 3), Mutants::NONE), Admission::Known);
    assert!(copy.take_known_strange(row(7, 2)) && !copy.take_known_strange(row(8, 2)));
    assert_eq!(strange(&copy), [(GroupKey(7), Epoch(2))]);
    // The receiver's file calls the one group otherwise, and knows the other.
    copy.renumber(&[None], [GroupKey(7)].into_iter());
    assert_eq!(strange(&copy), [(GroupKey(1), Epoch(1))]);
    assert_eq!(copy.row(0).map(|row| row.epoch), Some(Epoch(2)));
    copy.fetch(5);
    assert_eq!(copy.admit(&header(4, 0, 4), Mutants::NONE), Admission::Told);
    copy.take(0, row(7, 3));
    copy.settle();
    assert_eq!(strange(&copy), [], "it is gone from the table");
}

/// What happens to a table and to the datagrams that tell it.
#[derive(Clone, Debug)]
enum Happening {
    Change(usize),
    Told { arrives: bool, room: usize },
    Acknowledged,
}

/// Anything that can happen to a table of this many groups.
fn happening(groups: usize) -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..groups).prop_map(Happening::Change),
        (any::<bool>(), 0..=ROWS_PER_PULSE).prop_map(|(arrives, room)| Happening::Told { arrives, room }),
        Just(Happening::Acknowledged),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_copy_that_calls_itself_whole_is_the_table(
        happenings in proptest::collection::vec(happening(40), 1..200),
    ) {
        let mut table: Vec<(u64, Row)> = (1..=40).map(|position| (position, row(position - 1, 0))).collect();
        let (mut version, mut acked) = (40, 0);
        let (mut excerpt, mut copy) = (Excerpt::default(), TableCopy::new(40));
        for what in happenings {
            match what {
                Happening::Change(position) => {
                    version += 1;
                    table[position] = (version, row(position as u64, version));
                }
                Happening::Told { arrives, room } => {
                    excerpt.choose(acked, version, room, table.iter().map(|(version, _)| *version));
                    if arrives && copy.admit(&header(version, acked, excerpt.upto()), Mutants::NONE) == Admission::Told {
                        excerpt.positions().for_each(|position| { copy.take(position, table[position].1); });
                        copy.settle();
                    }
                }
                Happening::Acknowledged => acked = copy.have(),
            }
            if copy.is_complete() && copy.newest() == version {
                prop_assert!(copy.rows().iter().zip(&table).all(|(copied, (_, row))| *copied == Some(*row)));
            }
        }
    }
}
