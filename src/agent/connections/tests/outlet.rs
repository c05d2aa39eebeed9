//! Tests of the outlet, and of the order of the clients' packets.

use super::super::outlet::{Fate, Outlet};
use super::super::tickler::spread;
use super::*;
use crate::testing::netns::veth;
use std::process::Command;

/// The connection of a client, told apart from others by `n`.
fn from(n: u16) -> Connection {
    Connection::new("10.9.9.1:80".parse().unwrap(), SocketAddr::new("10.9.9.2".parse().unwrap(), n))
}

/// Frames that `name` has received, in the calling thread's namespace.
fn received(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}:"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_way_out_that_is_slow_and_drops_gets_every_packet_in_its_time() {
    in_netns(|| {
        veth("east", "west");
        ip("address add 10.9.9.1/24 dev east");
        ip("neighbour add 10.9.9.2 lladdr 02:00:00:00:00:02 dev east");
        // Room for some thirty of them, and two thousand a second.
        let words = "qdisc add dev east root tbf rate 1mbit burst 2k limit 2k";
        assert!(Command::new("tc").args(words.split(' ')).status().unwrap().success());
        let mut outlet = Outlet::new();
        (0..400).for_each(|n| outlet.add(GroupKey(u64::from(n) / 200), &from(n)));
        let (before, mut sent, mut waits) = (received("west"), [0, 0], 0);
        wait("all of them to be taken", || {
            let all = outlet.push(|Fate { group, sent: more, failed }| {
                assert_eq!(failed, 0);
                sent[usize::try_from(group.0).unwrap()] += more;
            });
            let all = all.unwrap();
            waits += usize::from(!all);
            all.then_some(())
        });
        assert_eq!((sent, outlet.is_empty()), ([200, 200], true));
        assert!(waits > 0, "it was to be slow");
        wait("them to arrive", || (received("west") >= before + 400).then_some(()));
    });
}

#[test]
fn what_is_cancelled_or_given_up_is_not_sent() {
    let mut outlet = Outlet::new();
    (0..6).for_each(|n| outlet.add(GroupKey(u64::from(n) % 2), &from(n)));
    outlet.cancel(GroupKey(0));
    let mut fates = Vec::new();
    outlet.give_up(|fate| fates.push(fate));
    assert_eq!(fates, [Fate { group: GroupKey(1), sent: 0, failed: 3 }]);
    assert!(outlet.is_empty());
}

#[test]
fn everybody_is_told_once_a_round_and_neighbours_far_apart() {
    for count in [0, 1, 2, 3, 10, 1_000, 4_181] {
        let all: Vec<Connection> = (0..count).map(from).collect();
        let mut spread_out = spread(&all);
        let far = |pair: &[Connection]| pair[0].remote_port.abs_diff(pair[1].remote_port) > count / 4;
        assert!(count < 10 || spread_out.windows(2).all(far), "{count}");
        spread_out.sort_unstable();
        assert_eq!(spread_out, all);
    }
}

// Whoever reads its configuration again calls anew, and so is called anew: nobody is to worry.
#[test]
fn a_peer_that_is_back_in_time_is_not_told_as_lost_and_one_that_stays_away_is() {
    in_netns(|| {
        let Pair { alpha, beta, told } = Pair::start([1, 1]);
        let said =
            |told: &std::sync::mpsc::Receiver<Event>| told.try_iter().map(|e| format!("{e:?}")).collect::<String>();
        let before = wait("the connection", || beta.figures().told_since);
        assert!(said(&told).contains("MirrorUp"));
        alpha.reconfigure(setup(1, 1));
        wait("another connection", || beta.figures().told_since.filter(|since| *since > before));
        drop(alpha);
        let lost = clock::now();
        let mut all = said(&told);
        assert!(!all.contains("Mirror"), "{all}");
        wait("the loss to be told", || {
            all += &said(&told);
            all.contains("MirrorDown").then_some(())
        });
        assert!(clock::now().since(lost) >= Duration::from_secs(2), "that was too soon");
    });
}
