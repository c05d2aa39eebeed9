//! A test of freshness with two processes and an attacker who records, withholds, reorders and
//! replays, in random order.

use super::*;
use proptest::prelude::*;

/// What can happen between two processes and an attacker who records, withholds, reorders and
/// replays.
#[derive(Clone, Debug)]
enum Step {
    PulseA,
    PulseB,
    RestartA,
    RestartB,
    RotateA,
    Deliver(proptest::sample::Index),
    Withhold(proptest::sample::Index),
}

/// Any step of the history; deliveries are the most frequent.
fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::PulseA),
        4 => Just(Step::PulseB),
        1 => Just(Step::RestartA),
        1 => Just(Step::RestartB),
        1 => Just(Step::RotateA),
        12 => any::<proptest::sample::Index>().prop_map(Step::Deliver),
        2 => any::<proptest::sample::Index>().prop_map(Step::Withhold),
    ]
}

/// The network in the attacker's hands.
#[derive(Default)]
struct Wire {
    /// Everything ever sent, with its direction; any of it may be delivered at any time, any number
    /// of times.
    recorded: Vec<(bool, Header)>,
    /// (receiver's session, sender's session, counter) of everything believed.
    believed: std::collections::HashSet<(u64, u64, u64)>,
}

impl Wire {
    /// Delivers a recorded datagram, and records the answer. Panics if the receiver believes a
    /// datagram twice, is disturbed by one that it does not believe, or goes back to an earlier
    /// life.
    fn deliver(&mut self, to_a: bool, header: &Header, receiver: &mut Process) {
        let before = receiver.sessions.verified();
        let count = receiver.believed;
        if let Some(answer) = receiver.take(header) {
            self.recorded.push((!to_a, answer));
        }
        if receiver.believed == count {
            assert_eq!(receiver.sessions.verified(), before, "disturbed by what was not believed");
        } else {
            let mine = receiver.sessions.mine();
            assert_eq!(header.echo_session, mine);
            assert!(self.believed.insert((mine, header.session, header.counter)), "believed twice");
            if let Some(before) = before.filter(|before| *before != header.session) {
                assert!(header.session > before, "an earlier life displaced a later one");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Sessions rise here from life to life, so that the test can tell earlier from later.
    #[test]
    fn no_attacker_gets_anything_believed_twice_or_an_earlier_life_back(
        steps in proptest::collection::vec(any_step(), 1..300),
    ) {
        let mut next = 1..;
        let mut fresh = || next.next().expect("endless");
        let (mut a, mut b, mut wire) = (Process::start(fresh()), Process::start(fresh()), Wire::default());
        for step in steps {
            match step {
                Step::PulseA => wire.recorded.push((false, a.pulse())),
                Step::PulseB => wire.recorded.push((true, b.pulse())),
                Step::RestartA => a = Process::start(fresh()),
                Step::RestartB => b = Process::start(fresh()),
                Step::RotateA => a.sessions.rotate(fresh()),
                Step::Deliver(index) if !wire.recorded.is_empty() => {
                    let (to_a, header) = wire.recorded[index.index(wire.recorded.len())];
                    wire.deliver(to_a, &header, if to_a { &mut a } else { &mut b });
                }
                Step::Withhold(index) if !wire.recorded.is_empty() => {
                    wire.recorded.swap_remove(index.index(wire.recorded.len()));
                }
                Step::Deliver(_) | Step::Withhold(_) => {}
            }
        }
        // The attacker rests: after three pulses each way they believe each other.
        for _ in 0..3 {
            let pulse = a.pulse();
            settle(&mut b, &mut a, &pulse);
            let pulse = b.pulse();
            settle(&mut a, &mut b, &pulse);
        }
        prop_assert_eq!(a.sessions.verified(), Some(b.sessions.mine()));
        prop_assert_eq!(b.sessions.verified(), Some(a.sessions.mine()));
    }
}
