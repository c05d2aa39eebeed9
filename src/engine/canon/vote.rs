//! Votes, in the words of `canon`. A bare pair has none, and nothing is told of them.

use super::Words;
use crate::engine::Engine;
use crate::engine::alone::Alone;
use crate::engine::consent::Promise;
use crate::engine::vote::{Ballot, Poll, Sent, Tally};
use crate::types::{InterfaceId, MonoTime};

impl Poll {
    pub(super) fn tell(&self, now: MonoTime, engine: &Engine, words: &mut Words) {
        let Poll { sent, tallies, wanted: _, asking, next_ask, alone } = self;
        let timing = &engine.setup.timing;
        // What left longer ago than a lease grants nothing any more.
        let fresh = sent.0.iter().filter(|sent| sent.at + sent.lease > now);
        let fresh: Vec<&Sent> = fresh.collect();
        words.list(&fresh, |words, sent| {
            let Sent { first, at, lease } = **sent;
            words.counter(engine.session, first);
            words.age(now, at, lease);
            words.span(lease);
        });
        words.list(tallies, |words, tally| {
            let Tally { interface: InterfaceId(interface), granted, floor } = *tally;
            words.plain(interface.into());
            words.plain(granted.into());
            words.ahead(now, floor);
        });
        words.option(asking.as_ref(), |words, at| words.age(now, *at, timing.patience.asking));
        words.ahead(now, *next_ask);
        alone.tell(now, engine, words);
    }
}

impl Alone {
    fn tell(&self, now: MonoTime, engine: &Engine, words: &mut Words) {
        let Alone { lacking, said, echoed, unsaid, on } = self;
        let patience = engine.alone_patience();
        words.option(lacking.as_ref(), |words, at| words.age(now, *at, patience));
        words.option(said.as_ref(), |words, said| words.counter(engine.session, *said));
        words.option(unsaid.as_ref(), |words, at| words.age(now, *at, patience * 2));
        words.flags(&[*echoed, *on]);
    }
}

impl Ballot {
    pub(super) fn tell(&self, now: MonoTime, engine: &Engine, words: &mut Words) {
        if engine.setup.votes.is_none() {
            return;
        }
        let Ballot { asks, known, granted, floor, promise, from, bar, yields } = *self;
        words.epochs(&[asks, bar]);
        words.plain(known.into());
        words.plain(granted.into());
        words.ahead(now, floor);
        words.ahead(now, from);
        words.ahead(now, yields);
        words.option(promise.as_ref(), |words, promise| {
            let Promise { peer, epoch, ends } = *promise;
            words.size(peer);
            words.epochs(&[epoch]);
            words.option(ends.as_ref(), |words, ends| words.ahead(now, *ends));
        });
    }
}
