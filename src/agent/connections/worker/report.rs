//! Reports of the worker: figures for `status`, and complaints that are not repeated too often.
//!
//! Owns: how often. Never does: anything else.

use super::super::figures::{Figures, GroupFigures};
use super::super::{Event, Watched};
use super::Worker;
use crate::types::MonoTime;
use std::sync::PoisonError;
use std::time::Duration;

/// Time between two publications of figures, for up to a hundred groups.
const PUBLISHED: Duration = Duration::from_millis(100);
/// Time between two complaints of one kind.
const COMPLAINT: Duration = Duration::from_secs(60);

impl Worker {
    /// Reports an event unless one of its kind was reported within [`COMPLAINT`].
    pub(super) fn complain(&mut self, event: Event, now: MonoTime) {
        let last = &mut self.complained[usize::from(matches!(event, Event::Refused { .. }))];
        if *last == MonoTime::ZERO || now >= *last + COMPLAINT {
            *last = now;
            (self.report)(event);
        }
    }

    /// Time between two publications of figures: [`PUBLISHED`] for every hundred groups.
    pub(super) fn pace(&self) -> Duration {
        let hundreds = u32::try_from(self.setup.groups.len() / 100).unwrap_or(u32::MAX);
        PUBLISHED * hundreds.max(1)
    }

    /// Publishes the present figures for `status`.
    pub(super) fn publish(&mut self, now: MonoTime) {
        self.published = now;
        let of = |watched: &Watched| {
            let known = self.lister.known.get(&watched.key).map(|list| list.len());
            let (mirrored, mirrored_at) = self.mirrored.figures_of(watched.key);
            let (tickled, reset) = self.counts.get(&watched.key).copied().unwrap_or_default();
            (watched.key, GroupFigures { known, mirrored, mirrored_at, tickled, reset })
        };
        let standing = &self.caller.standing;
        let figures = Figures {
            groups: self.setup.groups.iter().map(of).collect(),
            told_since: standing.since,
            untold_since: standing.lost,
            held: standing.held,
            held_at: standing.held_at,
            heard: self.listener.has_peer(),
            refused: self.listener.refused + standing.refused,
            left_out: self.lister.left_out,
            list_took: self.lister.took,
            list_every: self.lister.every,
        };
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}
