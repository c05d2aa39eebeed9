//! Datagrams that are turned away: how many for each reason, and where the last one came from.
//!
//! Owns: counts, for people. Never does: anything that depends on them (S6).

use crate::types::{LinkId, MonoTime};
use crate::wire::auth::{Reject, Rejects};

/// What was turned away since the start.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::engine) struct TurnedAway {
    /// Number by reason.
    pub counts: Rejects,
    /// The link and time of the last one of each reason, by its place in [`Reject::ALL`].
    last: [Option<(LinkId, MonoTime)>; Reject::COUNT],
}

impl TurnedAway {
    /// Counts one.
    pub fn note(&mut self, reject: Reject, link: LinkId, now: MonoTime) {
        self.counts.count(reject);
        if let Some(place) = Reject::ALL.iter().position(|other| *other == reject) {
            self.last[place] = Some((link, now));
        }
    }

    /// The reasons that there were: how often, and the link and time of the last one.
    pub fn iter(&self) -> impl Iterator<Item = (Reject, u64, LinkId, MonoTime)> {
        let of = |(reject, last): (Reject, Option<(LinkId, MonoTime)>)| {
            last.map(|(link, when)| (reject, self.counts.of(reject), link, when))
        };
        Reject::ALL.into_iter().zip(self.last).filter_map(of)
    }
}
