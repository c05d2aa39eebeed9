//! The canon of what decides a peer's freshness: what of it can matter from now on. See
//! [`crate::canon`].

use super::{Echo, Sessions, Unproven, Verified, WINDOW, Window};
use crate::canon::Canon;

impl Sessions {
    /// Adds everything but the marks of the replay window. The model adds with each datagram under
    /// way whether it would be dropped as a copy; no other datagram can come.
    pub fn canon(&self, canon: &mut Canon) {
        let Sessions { mine, verified, floor, unproven, next_unproven, latest, mutants: _ } = self;
        canon.session(*mine);
        canon.option(verified.as_ref(), |canon, verified| {
            let Verified { session, window: Window { highest, seen: _ } } = verified;
            canon.session(*session);
            canon.counter(*session, *highest);
        });
        canon.counter(*mine, *floor);
        canon.list(unproven, |canon, place| {
            let Unproven { heard, first_echoed_at } = place;
            heard.canon(canon);
            canon.option(first_echoed_at.as_ref(), |canon, counter| canon.counter(*mine, *counter));
        });
        canon.size(*next_unproven);
        // Once a session is verified, the unproven session heard last has no effect.
        canon.option(verified.is_none().then_some(latest), |canon, latest| latest.canon(canon));
    }

    /// Whether a datagram of the verified session with this counter would be dropped as a copy.
    pub fn has_seen(&self, session: u64, counter: u64) -> bool {
        self.verified.as_ref().is_some_and(|verified| {
            let window = &verified.window;
            let old = window.highest >= counter && window.highest - counter >= WINDOW;
            verified.session == session && (old || (window.highest >= counter && window.is_seen(counter)))
        })
    }
}

impl Echo {
    /// Adds a session and a counter of it.
    fn canon(&self, canon: &mut Canon) {
        let Echo { session, counter } = *self;
        canon.session(session);
        canon.counter(session, counter);
    }
}
