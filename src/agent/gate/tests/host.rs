//! Tests of what a gate refuses to work with: hosts on which it would guard nothing, impossible
//! tables.

use std::net::Ipv4Addr;

use crate::gate::host::{is_shifted, kernel_version};
use crate::gate::object::Limits;
use crate::gate::{GateError, table};
use crate::types::{GroupKey, Vip};

#[test]
fn kernels_before_5_8_are_told_apart() {
    assert_eq!(kernel_version("6.1.0-18-amd64"), (6, 1));
    assert!(kernel_version("5.7.19") < (5, 8) && kernel_version("4.19.0") < (5, 8));
    assert!(kernel_version("5.10.0") > (5, 8) && kernel_version("5.8") == (5, 8));
    assert_eq!(kernel_version("nonsense"), (0, 0));
}

// S7
#[test]
fn a_shifted_boot_clock_is_noticed() {
    assert!(!is_shifted(""));
    assert!(!is_shifted("monotonic           0         0\nboottime            0         0\n"));
    assert!(!is_shifted("monotonic         100         0\nboottime            0         0\n"));
    assert!(is_shifted("monotonic           0         0\nboottime          100         0\n"));
    assert!(is_shifted("monotonic           0         0\nboottime           -1 500000000\n"));
}

#[test]
fn impossible_tables_are_refused() {
    let address = Vip::from(Ipv4Addr::new(10, 7, 0, 100));
    let refused = |groups: &[(GroupKey, Vec<Vip>)]| matches!(table::desired(groups), Err(GateError::Groups(_)));
    assert!(refused(&[(GroupKey(0), vec![address])]));
    assert!(refused(&[(GroupKey(1), vec![address]), (GroupKey(1), vec![])]));
    assert!(refused(&[(GroupKey(1), vec![address]), (GroupKey(2), vec![address])]));
    // Guarding the senders of probes would blind the standby.
    assert!(refused(&[(GroupKey(1), vec![Ipv4Addr::UNSPECIFIED.into()])]));
    assert!(!refused(&[(GroupKey(1), vec![address, address]), (GroupKey(2), vec![])]));
}

#[test]
fn a_gate_has_room_to_grow_and_an_end() {
    let limits = Limits::roomy(1, 1, 0).expect("small");
    assert!(limits.hold(63, 1023, 1024) && !limits.hold(64, 1, 1) && !limits.hold(1, 1024, 0));
    let limits = Limits::roomy(1000, 50_000, 50_000).expect("large");
    assert!(limits.hold(2000, 100_000, 100_000));
    assert!(Limits::roomy(40_000, 1, 1).is_err());
    assert!(Limits::roomy(1, 200_000, 1).is_err());
}
