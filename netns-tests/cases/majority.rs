//! Cases with a witness: no server answers without a majority of the voters, and the witness's word
//! decides what two servers alone cannot know. In every case both servers are asked at their own
//! ports every millisecond, cut off or not, and nothing excuses a claim beside another one.

mod chance;
mod cuts;
mod draws;
mod lost;
mod moves;
mod strikes;

use super::{SLACK, assert_nothing_moves, assert_served_throughout, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::scene::{ADDRESS, ADDRESS6, GROUP};
use std::time::Duration;

/// Host loss of profile `fast`, seen by a client: silence, the votes, and a late wake-up.
const FAST_BOUND: Duration = Duration::from_millis(45);
/// Lease of profile `fast` with a witness.
const FAST_LEASE: Duration = Duration::from_millis(35);
/// Words of `status` about a witness that is not heard, under `strict`.
const NO_TAKEOVER: &str = "no takeover if";
/// Words of the event without `strict`, once both nodes agree.
const ALONE: &str = "the pair decides alone";

/// The configuration of a pair with one group of both addresses; `group_toml` are further lines of
/// the group's table.
fn config(profile: &'static str, group_toml: &str) -> ConfigText {
    ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).more_toml(group_toml))
}

/// Length of a case with chance in it: `ordinary_s` seconds, or `long_s` if `VIPAIR_LONG` is set.
fn case_length(ordinary_s: u64, long_s: u64) -> Duration {
    Duration::from_secs(if std::env::var_os("VIPAIR_LONG").is_some() { long_s } else { ordinary_s })
}
