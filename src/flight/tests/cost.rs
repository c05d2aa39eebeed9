//! What recording costs the hot thread. Figures are printed; the bounds are far above them.

use super::pair::{ETH, Pair, setup};
use crate::config::{Profile, Timing};
use crate::engine::{Actions, Engine, Event, GroupSetup};
use crate::flight::queue;
use crate::types::{GroupKey, MonoTime};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many groups with so many addresses each.
fn large(groups: u64, addresses: u128) -> Engine {
    let mut setup = setup(1, Timing::of(Profile::Fast));
    let base = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0));
    setup.groups = (0..groups)
        .map(|number| {
            let first = base + u128::from(number) * addresses;
            let list: Vec<IpAddr> = (0..addresses).map(|at| Ipv6Addr::from(first + at).into()).collect();
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
    let garbage = [0x76, 0xa9, 2, 77].repeat(40);
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
            recorder.handle(engine, pair.now, event, &mut out);
            recorder.handle(engine, pair.now, Event::Tick, &mut out);
        }
        recorded += start.elapsed();
        ring.drain(pair.now, wall);
        assert!(ring.begun().is_some(), "turn {turn}");
    }
    let each = recorded.saturating_sub(bare) / 100_000;
    eprintln!("two records in a row cost {each:?} more than none (without: {:?})", bare / 100_000);
    assert!(each < Duration::from_micros(50));
}
