//! Tests of the cost of a datagram that no holder of the key has sent.

use super::super::pulse::{datagram, ring};
use super::super::{Usage, auth, cluster_file, measured};
use crate::wire::auth::{KeyRing, MAX_DATAGRAM, Reject};
use crate::wire::pulse::decode;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Number of rows in a datagram that is opened and decoded as an arriving pulse is.
fn open_and_decode(ring: &KeyRing, bytes: &[u8]) -> Result<usize, Reject> {
    let (_, rows) = decode(ring.open(bytes)?)?;
    Ok(rows.count())
}

// S6
#[test]
fn a_datagram_of_any_length_and_any_content_costs_no_memory_before_its_tag_is_checked() {
    let ring = ring();
    for length in 0..=2048 {
        for first in [0x00, 0x76, 0xff] {
            let mut bytes = vec![first; length];
            let beginning = [0x76, 0xa9, 3, 1 + first % 3];
            bytes.iter_mut().zip(beginning).for_each(|(byte, right)| *byte = right);
            let (refused, usage) = measured(|| open_and_decode(&ring, &bytes));
            assert!(refused.is_err());
            assert_eq!(usage, Usage::default(), "{length} bytes");
        }
    }
    let whole = datagram(18);
    let (opened, usage) = measured(|| open_and_decode(&ring, &whole));
    assert_eq!((opened, usage), (Ok(18), Usage::default()), "an authentic one costs none either");
}

#[test]
fn a_file_of_errors_takes_memory_in_proportion_however_long_it_is() {
    for part in [".", "=", "[", "a=[", "a=[.", "{ n .", "\0", "\"", "\"\"\"\n", "[[a]]\n", "a.a\n", "#\n", "a=[[1],"]
    {
        for length in [600, 6_000, 60_000, 1 << 20] {
            let text = part.repeat(length / part.len());
            let (parsed, usage) = measured(|| cluster_file::parse(&text));
            assert!(parsed.is_err());
            let allowed = cluster_file::allowance(text.len());
            assert!(usage.peak <= allowed, "{part:?}, {} bytes: {} of {allowed}", text.len(), usage.peak);
        }
    }
}

#[test]
fn the_counting_allocator_counts() {
    let (bytes, usage) = measured(|| vec![7_u8; 1000]);
    assert_eq!(usage, Usage { calls: 1, peak: 1000 });
    let (_, usage) = measured(|| drop(bytes));
    assert_eq!(usage, Usage::default());
    let (_, usage) = measured(|| {
        drop(vec![7_u8; 500]);
        let mut grown: Vec<u8> = Vec::with_capacity(10);
        grown.reserve_exact(100);
    });
    assert_eq!((usage.calls, usage.peak), (3, 500));
}

/// The least time of twenty runs in a row of each piece of work, over `rounds` measurements in which
/// the pieces take turns. The least is taken because other load can only lengthen a time.
fn shortest_of_twenty<const N: usize>(rounds: u32, work: [&dyn Fn(); N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for _ in 0..rounds {
        for (best, work) in best.iter_mut().zip(work) {
            let started = Instant::now();
            (0..20).for_each(|_| work());
            *best = (*best).min(started.elapsed());
        }
    }
    best
}

/// The measure is HMAC-SHA256 over as many bytes in the same test run, so that no machine is too
/// slow for this test.
#[test]
fn no_datagram_costs_more_than_its_hash() {
    let ring = ring();
    let (forgery, authentic) = (auth::longest_forgery(), datagram(18));
    let keyed = <Hmac<Sha256> as KeyInit>::new_from_slice(&[7; 32]).unwrap();
    let message = vec![0x55; MAX_DATAGRAM];
    let hash = || {
        let mut mac = keyed.clone();
        mac.update(black_box(&message));
        black_box(mac.finalize());
    };
    let refuse = || assert_eq!(black_box(open_and_decode(&ring, black_box(&forgery))), Err(Reject::Tag));
    let accept = || assert_eq!(black_box(open_and_decode(&ring, black_box(&authentic))), Ok(18));
    let mut best = [Duration::MAX; 3];
    // On a busy machine it takes longer until each of the three has had an undisturbed run.
    for _ in 0..50 {
        let round = shortest_of_twenty(40, [&hash, &refuse, &accept]);
        best.iter_mut().zip(round).for_each(|(best, time)| *best = (*best).min(time));
        if best[1] < best[0] * 2 && best[2] < best[0] * 3 {
            break;
        }
    }
    let [hash, refuse, accept] = best;
    assert!(refuse < hash * 2, "refusing takes {refuse:?}, the hash alone {hash:?}");
    assert!(accept < hash * 3, "opening and decoding take {accept:?}, the hash alone {hash:?}");
}

/// A measurement, not a promise: `cargo test --release -p vipair-proof --features fuzz --lib --
/// --ignored --nocapture what_hostile_datagrams_cost`.
#[test]
#[ignore = "measures; needs a release build to mean something"]
fn what_hostile_datagrams_cost() {
    let ring = ring();
    let (forgery, authentic, noise) = (auth::longest_forgery(), datagram(18), vec![0; MAX_DATAGRAM]);
    let body = ring.open(&authentic).unwrap();
    let [decoded] = shortest_of_twenty(2000, [&|| assert!(black_box(decode(black_box(body))).is_ok())]);
    println!("decode, 18 rows: {:?}", decoded / 20);
    for (name, bytes) in [("forgery", &forgery), ("authentic, 18 rows", &authentic), ("noise", &noise)] {
        let mut times: Vec<Duration> = (0..100_000)
            .map(|_| {
                let started = Instant::now();
                let _either = black_box(open_and_decode(&ring, black_box(bytes)));
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        let quantile = |share: usize| times[(times.len() * share / 1000).min(times.len() - 1)];
        println!(
            "{name}, {} bytes: median {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
            bytes.len(),
            quantile(500),
            quantile(990),
            quantile(999),
            quantile(1000)
        );
    }
}
