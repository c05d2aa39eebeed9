//! Functions that several measurements share: the pair's configuration, a host that vanishes, and
//! reading off what clients saw.
//!
//! Owns: no process and no file. Never does: statistics.

use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::faults::{Drops, FrameKind};
use crate::lab::{Lab, Server, clock};
use crate::probe::asker::Answers;
use crate::scene::{ADDRESS, ADDRESS6, GROUP};
use std::time::Duration;
use vipair::types::MonoTime;

/// Pace of a sampler in milliseconds: the time that one question answered twice stands for.
const PACE_MS: f64 = 1.0;

/// Configuration of the pair in most measurements: one group with one address of each family.
pub fn config(profile: &'static str) -> ConfigText {
    ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]))
}

/// A duration in milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Time in which two servers answered, in milliseconds, to the sampler's pace.
#[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
pub fn both_ms(answers: &Answers) -> f64 {
    answers.answered_twice().len() as f64 * PACE_MS
}

/// An instant 10 ms before `at`: a gap begins with the last answer before the fault.
pub fn just_before(at: MonoTime) -> MonoTime {
    MonoTime(at.0.saturating_sub(10_000_000))
}

/// Makes a server vanish from every network in one instant, as a power loss does; returns the
/// instant just before.
pub fn vanish(lab: &Lab, server: Server) -> (MonoTime, crate::lab::faults::Fault) {
    let at = clock::now();
    let ports = lab.ports(server).into_iter();
    let all: Vec<Drops> = ports
        .flat_map(|port| [Drops::from(port, FrameKind::Everything), Drops::to(port, FrameKind::Everything)])
        .collect();
    (at, lab.drop_frames(&all))
}
