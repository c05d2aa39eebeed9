//! Measurements of what recording costs the hot thread. Figures are printed; the bounds are far
//! above them.

use super::pair::{ETH, Pair, setup};
use crate::engine::{Actions, Engine, Event, GroupSetup};
use crate::flight::queue;
use crate::timing::{Profile, Timing};
use crate::types::{GroupKey, MonoTime};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A setup of so many groups with so many addresses each.
fn large(groups: u64, addresses: u128) -> Engine {
    let mut setup = setup(1, Timing::of(Profile::Fast));
    let base = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0));
    setup.groups = (0..groups)
        .map(|number| {
            let first = base + u128::from(number) * addresses;
            let list: Vec<IpAddr> = (0..addresses).map(|number| Ipv6Addr::from(first + number).into()).collect();
            GroupSetup { key: GroupKey(number + 1), interface: ETH, addresses: Arc::from(list), ..super::group(0) }
        })
        .collect();
    Engine::new(setup, MonoTime(1))
}

#[test]
#[ignore = "a measurement"]
fn what_a_snapshot_costs() {
    for (groups, addresses) in [(1, 2), (1, 10_000), (32, 300), (1000, 10)] {
        let engine = large(groups, addresses);
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let start = Instant::now();
                let snapshot = Box::new(engine.snapshot());
                let time = start.elapsed();
                drop(snapshot);
                time
            })
            .collect();
        times.sort();
        let bytes = postcard::to_allocvec(&engine.snapshot()).unwrap().len();
        eprintln!("{groups} groups of {addresses}: median {:?}, worst {:?}, {bytes} bytes", times[100], times[199]);
        assert!(times[100] < Duration::from_millis(5));
    }
}

/// So many groups, each with one address of its own.
fn spread(groups: u16) -> Vec<GroupSetup> {
    let one = |number: u16| {
        let address: IpAddr = std::net::Ipv4Addr::from(0x0a01_0000 + u32::from(number)).into();
        GroupSetup { key: GroupKey(u64::from(number) + 1), addresses: Arc::from([address]), ..super::group(0) }
    };
    (0..groups).map(one).collect()
}

// L6
#[test]
fn at_rest_neither_engine_nor_recorder_asks_for_memory() {
    for groups in [1, 40] {
        let mut pair = Pair::of(Profile::Fast, &spread(groups));
        // Reused buffers have their full size after the first rounds.
        pair.run(Duration::from_secs(3));
        pair.heap = 0;
        pair.run(Duration::from_secs(2));
        assert_eq!(pair.heap, 0, "{groups} groups, active and standby");
    }
}

/// Cost of the longest event of a takeover, which must not grow faster than the number of groups.
#[test]
#[ignore = "a measurement"]
fn what_the_largest_takeover_costs() {
    for groups in [1, 10, 100, 1000] {
        let mut pair = Pair::of(Profile::Fast, &spread(groups));
        let settling = std::mem::take(&mut pair.longest);
        pair.run(Duration::from_secs(1));
        let rest = std::mem::take(&mut pair.longest);
        pair.engines[0] = None;
        pair.run(Duration::from_millis(100));
        let taken = pair.engines[1].as_ref().unwrap().report(pair.now).groups;
        assert!(taken.iter().all(|group| group.role == crate::wire::pulse::Role::Active));
        eprintln!("{groups} groups: settling {settling:?}, at rest {rest:?}, takeover {:?}", pair.longest);
    }
}

#[test]
#[ignore = "a measurement"]
fn what_a_record_costs() {
    let mut pair = Pair::settled(Profile::Fast);
    let (mut recorder, tape) = queue();
    let mut ring = crate::flight::Ring::new(tape);
    let mut bare = Duration::ZERO;
    let mut recorded = Duration::ZERO;
    let wall = |_| crate::io::clock::WallTime(0);
    let engine = pair.engines[1].as_mut().unwrap();
    recorder.end_turn(pair.now, engine);
    let mut out = Actions::default();
    let garbage = [0x76, 0xa9, 3, 77].repeat(40);
    let link = crate::types::LinkId { peer: crate::types::NodeId(1), path: crate::types::LinkPath::Udp(0) };
    let event = Event::Datagram { link, bytes: &garbage };
    for turn in 0..200_u32 {
        let start = Instant::now();
        for _ in 0..500 {
            out.clear();
            engine.handle(pair.now, event, &mut out);
            engine.handle(pair.now, Event::Tick, &mut out);
        }
        bare += start.elapsed();
        let start = Instant::now();
        for _ in 0..500 {
            out.clear();
            for event in [event, Event::Tick] {
                out.clear();
                engine.handle(pair.now, event, &mut out);
                recorder.note(pair.now, event, engine.rejects().unopened(), &out.list);
            }
        }
        recorded += start.elapsed();
        ring.drain(pair.now, wall);
        assert!(ring.begun().is_some(), "turn {turn}");
    }
    let each = recorded.saturating_sub(bare) / 100_000;
    eprintln!("two records in a row cost {each:?} more than none (without: {:?})", bare / 100_000);
    assert!(each < Duration::from_micros(50));
}
