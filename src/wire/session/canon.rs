//! What of the freshness of a peer's datagrams can matter from now on; see [`crate::engine`]'s `canon`.

use super::{Echo, Sessions, Unproven, Verified, WINDOW, Window};
use crate::engine::Words;

impl Sessions {
    /// Tells everything but the window's marks: whether a datagram under way is a copy is told with the datagram, and
    /// no other can come.
    pub(crate) fn tell(&self, words: &mut Words) {
        let Sessions { mine, verified, floor, unproven, next_unproven, latest, mutants: _ } = self;
        words.session(*mine);
        words.option(verified.as_ref(), |words, verified| {
            let Verified { session, window: Window { highest, seen: _ } } = verified;
            words.session(*session);
            words.counter(*session, *highest);
        });
        words.counter(*mine, *floor);
        words.list(unproven, |words, place| {
            let Unproven { heard, first_echoed_at } = place;
            heard.tell(words);
            words.option(first_echoed_at.as_ref(), |words, counter| words.counter(*mine, *counter));
        });
        words.size(*next_unproven);
        // Once a session is verified, the latest of the others is not asked for.
        words.option(verified.is_none().then_some(latest), |words, latest| latest.tell(words));
    }

    pub(crate) fn has_seen(&self, session: u64, counter: u64) -> bool {
        self.verified.as_ref().is_some_and(|verified| {
            let window = &verified.window;
            let old = window.highest >= counter && window.highest - counter >= WINDOW;
            verified.session == session && (old || (window.highest >= counter && window.is_seen(counter)))
        })
    }
}

impl Echo {
    fn tell(&self, words: &mut Words) {
        let Echo { session, counter } = *self;
        words.session(session);
        words.counter(session, counter);
    }
}
