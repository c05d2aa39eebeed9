//! What several measurements share: the pair's configuration, a host that vanishes, and reading off what clients saw.
//!
//! Owns: nothing that runs. Never does: statistics.

use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::faults::{Drops, What};
use crate::lab::{Lab, Server, clock};
use crate::probe::asker::Answers;
use crate::scene::{ADDRESS, ADDRESS6, GROUP};
use std::time::Duration;
use vipair::types::MonoTime;

/// A sampler's pace: what one question answered twice stands for.
const PACE_MS: f64 = 1.0;

/// The configuration of the pair's measurements: one group with one address of each family.
pub fn config(profile: &'static str) -> ConfigText {
    ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]))
}

/// A duration in milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How long two servers answered, as far as the sampler's pace tells.
#[allow(clippy::cast_precision_loss, reason = "some thousands at most")]
pub fn both_ms(answers: &Answers) -> f64 {
    answers.both().len() as f64 * PACE_MS
}

/// From shortly before `at`: a gap begins with the last answer before it.
pub fn around(at: MonoTime) -> MonoTime {
    MonoTime(at.0.saturating_sub(10_000_000))
}

/// Lets a server vanish from every network in one instant, as a power loss does.
pub fn vanish(lab: &Lab, server: Server) -> (MonoTime, crate::lab::faults::Fault) {
    let at = clock::now();
    let ports = lab.ports(server).into_iter();
    let all: Vec<Drops> =
        ports.flat_map(|port| [Drops::from(port, What::Everything), Drops::to(port, What::Everything)]).collect();
    (at, lab.drop_frames(&all))
}
