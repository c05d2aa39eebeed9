//! With a witness: nobody answers without a majority of those who vote, and the witness's word decides what two servers
//! alone cannot know. In every case both servers are asked at their own ports every millisecond, cut off or not, and nothing
//! excuses a claim beside another one.

mod chance;
mod cuts;
mod lost;
mod moves;
mod strikes;

use super::{SLACK, assert_nothing_moves, assert_served_throughout, let_pass};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::scene::{ADDRESS, ADDRESS6, GROUP};
use std::time::Duration;

/// Host loss of profile `fast`, seen by a client: silence, the votes, and what a wake-up is late.
const FAST_BOUND: Duration = Duration::from_millis(45);
/// Lease of profile `fast` with a witness.
const FAST_LEASE: Duration = Duration::from_millis(35);
/// What `status` says of a witness that is not heard, under `strict`.
const NO_TAKEOVER: &str = "no takeover if";
/// What an event says without `strict`, once both agree.
const ALONE: &str = "the pair decides alone";

/// One group with both addresses, and further lines in its table.
fn config(profile: &'static str, more: &str) -> ConfigText {
    ConfigText::pair(profile).group(GroupText::new(GROUP, &[ADDRESS, ADDRESS6]).more(more))
}

/// How long a case with chance in it lasts: the first in an ordinary run, the second if `VIPAIR_LONG` is set.
fn stretch(ordinary_s: u64, long_s: u64) -> Duration {
    Duration::from_secs(if std::env::var_os("VIPAIR_LONG").is_some() { long_s } else { ordinary_s })
}
