//! Tests of which notices are worth a recording, and of when recordings are due.

use super::anomaly::Anomaly;
use super::schedule::{PATIENCE, Reason, Schedule};
use crate::engine::{Cause, Notice};
use crate::types::{Epoch, GroupId, InterfaceId, MonoTime};
use crate::wire::pulse::Role;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// The notice of a change of role of the first group.
fn role(from: Role, to: Role, cause: Cause) -> Notice {
    Notice::Role { group: GroupId(0), from, to, epoch: Epoch::NONE, cause, silence: Duration::ZERO }
}

#[test]
fn takeovers_and_losses_are_anomalies_and_planned_moves_are_not() {
    let of = |notice| Anomaly::of(&notice, HOUR);
    assert_eq!(of(role(Role::Standby, Role::Active, Cause::Silence)), Some(Anomaly::Takeover));
    assert_eq!(of(role(Role::Standby, Role::Active, Cause::Free)), Some(Anomaly::Takeover));
    assert_eq!(of(role(Role::Standby, Role::Active, Cause::Handover)), None);
    assert_eq!(of(role(Role::Active, Role::Standby, Cause::Lapsed)), Some(Anomaly::Closed));
    assert_eq!(of(role(Role::Active, Role::Fault, Cause::Interface)), Some(Anomaly::Closed));
    assert_eq!(of(role(Role::Handover, Role::Standby, Cause::Handover)), None);
    assert_eq!(of(role(Role::Standby, Role::Fault, Cause::Interface)), None);
    assert_eq!(of(Notice::LeaseLapsed { interface: InterfaceId(0) }), Some(Anomaly::Lapsed));
    assert_eq!(of(Notice::StoreFailed), None);
}

#[test]
fn the_first_election_is_no_takeover() {
    let election = role(Role::Standby, Role::Active, Cause::Free);
    assert_eq!(Anomaly::of(&election, Duration::from_secs(2)), None);
    let silence = role(Role::Standby, Role::Active, Cause::Silence);
    assert_eq!(Anomaly::of(&silence, Duration::from_secs(2)), Some(Anomaly::Takeover));
}

/// The instant `seconds` after the boot.
fn at(seconds: u64) -> MonoTime {
    MonoTime(seconds * 1_000_000_000)
}

/// Name of the recording that is due at `seconds`. No closing snapshot comes: the schedule gives up
/// waiting for it.
fn taken(schedule: &mut Schedule, seconds: u64) -> Option<&'static str> {
    schedule.take_due(at(seconds));
    schedule.take_ready(at(seconds) + PATIENCE, None).map(Reason::name)
}

#[test]
fn what_comes_together_is_one_recording_named_after_the_gravest() {
    let mut schedule = Schedule::default();
    schedule.handle_notice(at(10), HOUR, &Notice::Stalled { stall: HOUR });
    schedule.handle_notice(at(11), HOUR, &role(Role::Active, Role::Standby, Cause::Lapsed));
    schedule.handle_notice(at(11), HOUR, &Notice::LeaseLapsed { interface: InterfaceId(0) });
    assert_eq!(taken(&mut schedule, 12), None, "the aftermath is not over");
    assert_eq!(taken(&mut schedule, 13), Some("lapsed"));
    assert_eq!(taken(&mut schedule, 20), None);
}

#[test]
fn recordings_of_one_reason_keep_their_distance() {
    let mut schedule = Schedule::default();
    let takeover = role(Role::Standby, Role::Active, Cause::Silence);
    let mut count = 0;
    for second in 0..600 {
        schedule.handle_notice(at(second), HOUR, &takeover);
        count += usize::from(taken(&mut schedule, second).is_some());
    }
    assert!((40..=60).contains(&count), "{count} recordings of takeovers in ten minutes");
    let stalled = (600..1800).filter(|&second| {
        schedule.handle_notice(at(second), HOUR, &Notice::Stalled { stall: HOUR });
        taken(&mut schedule, second) == Some("stalled")
    });
    // The first of them is in the recording of the last takeover.
    assert_eq!(stalled.count(), 3, "recordings of stalls in twenty minutes");
}

#[test]
fn a_takeover_soon_after_another_is_not_forgotten() {
    let mut schedule = Schedule::default();
    let takeover = role(Role::Standby, Role::Active, Cause::Silence);
    schedule.handle_notice(at(10), HOUR, &takeover);
    assert_eq!(taken(&mut schedule, 13), Some("takeover"));
    schedule.handle_notice(at(16), HOUR, &takeover);
    assert_eq!(taken(&mut schedule, 20), None);
    assert_eq!(taken(&mut schedule, 25), Some("takeover"));
}
