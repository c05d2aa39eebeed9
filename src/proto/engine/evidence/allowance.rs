//! One budget for everything that is sent on a segment: switches police ARP, some to fifteen frames
//! in a second, and a few shut the port that sends more.
//!
//! Owns: the account. Never does: hold anything back by itself. Announcements, and the few
//! questions that a takeover needs, are entered and always sent; everything else asks first.

use crate::types::MonoTime;
use std::time::Duration;

/// Most frames that can be sent at once by what asks first.
const MOST: u32 = 8;
/// Most frames that can be owed: a thousand announcements must not keep a node from asking for long.
const OWED: u32 = MOST + 1;

/// The account of one segment.
#[derive(Clone, Copy, Default, Debug, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct Allowance {
    /// When all that was sent is made up for.
    pub even: MonoTime,
}

impl Allowance {
    /// Enters frames that are sent in any case. `each`: the time that makes up for one.
    pub fn enter(&mut self, frames: u32, each: Duration, now: MonoTime) {
        self.even = (self.even.max(now) + each * frames).min(now + each * OWED);
    }

    /// True if frames that can wait may be sent now.
    pub fn has_room(&self, each: Duration, now: MonoTime) -> bool {
        self.even <= now + each * (MOST - 1)
    }
}
