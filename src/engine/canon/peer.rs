//! What is known of a peer, in the words of `canon`.

use super::{Horizon, Words};
use crate::config::Timing;
use crate::engine::Engine;
use crate::engine::peer::{Link, Peer, PeerConfig};
use crate::engine::watch::{Evidence, Watch};
use crate::types::MonoTime;
use std::time::Duration;

impl Peer {
    pub(super) fn tell(&self, now: MonoTime, engine: &Engine, horizon: &Horizon, words: &mut Words) {
        let Peer {
            id: _, // the setup
            sessions,
            links,
            heard,
            hint,
            left,
            deaf,
            deaf_at,
            heeded,
            current,
            proof,
            silent_told: _, // for notices
            copy,
            acked,
            config,
            differs: _,     // for notices
            rows_differ: _, // told to people
            watch,
            granted,
            counted: (counted, own),
            promised,
        } = self;
        let timing = &engine.setup.timing;
        sessions.tell(words);
        words.list(links, |words, link| link.tell(now, timing, words));
        words.option(heard.as_ref(), |words, at| words.age(now, *at, horizon.silence));
        words.flags(&[*hint, *left, *deaf, *heeded]);
        words.option(deaf_at.as_ref(), |words, at| words.age(now, *at, timing.patience.deaf));
        words.counter(engine.session, *current);
        words.counter(engine.session, *proof);
        copy.tell(engine.session, sessions.verified().unwrap_or(0), words);
        words.version(engine.session, *acked);
        words.option(config.as_ref(), |words, config| config.tell(words));
        words.option(watch.as_ref(), |words, watch| watch.tell(now, engine, horizon, words));
        if engine.setup.votes.is_some() {
            words.ahead(now, *granted);
            words.version(sessions.verified().unwrap_or(0), *counted);
            words.version(engine.session, *own);
            words.ahead(now, *promised);
        }
    }
}

impl Link {
    fn tell(&self, now: MonoTime, timing: &Timing, words: &mut Words) {
        let Link { id: _, open, heard, was_heard: _, last_sent, sent: _, received: _, rejected: _ } = self;
        words.flags(&[*open]);
        words.option(heard.as_ref(), |words, at| words.age(now, *at, timing.suspicion));
        words.option(last_sent.as_ref(), |words, at| words.age(now, *at, timing.patience.segment));
    }
}

impl PeerConfig {
    pub(crate) fn tell(&self, words: &mut Words) {
        let PeerConfig { pulse_us, silence_us, lease_us, digests } = *self;
        let digests = [digests.nodes, digests.groups];
        [pulse_us, silence_us, lease_us].into_iter().chain(digests).for_each(|number| words.plain(number.into()));
    }
}

impl Watch {
    fn tell(&self, now: MonoTime, engine: &Engine, horizon: &Horizon, words: &mut Words) {
        let Watch { since, next, interval, evidence, round } = self;
        words.age(now, *since, horizon.watch);
        words.ahead(now, *next);
        words.span(*interval);
        // Every second round asks neighbours, if there are any.
        let anyone =
            engine.segments.iter().any(|segment| !segment.neighbours.is_empty() || segment.gateway.is_some());
        words.plain(u64::from(anyone && round % 2 == 1));
        let enough = u32::try_from(engine.groups.len()).unwrap_or(u32::MAX).saturating_add(4);
        let probe = engine.setup.timing.probe;
        words.list(evidence, |words, evidence| evidence.tell(now, (enough, probe), horizon, words));
    }
}

impl Evidence {
    fn tell(&self, now: MonoTime, (enough, probe): (u32, Duration), horizon: &Horizon, words: &mut Words) {
        let Evidence {
            unanswered,
            last_sent,
            first_sent,
            last_answer,
            veto_told: _, // for notices
            cursor,
            answered,
        } = self;
        // More than enough is enough; every second probe goes to all.
        let more = unanswered.saturating_sub(enough);
        words.plain(u64::from((*unanswered).min(enough)));
        words.plain(u64::from(more % 2));
        words.age(now, *last_sent, probe);
        words.age(now, *first_sent, horizon.segment);
        words.flags(&[last_answer.is_some()]);
        words.size(*cursor);
        words.option(answered.as_ref(), |words, at| words.size(*at));
    }
}
