//! Votes, in the words of `canon`. A bare pair has none, and nothing is told of them.

use super::Canon;
use crate::engine::Engine;
use crate::engine::alone::Alone;
use crate::engine::consent::Promise;
use crate::engine::vote::{Ballot, Poll, Sent, Tally};
use crate::types::{InterfaceId, MonoTime};

impl Poll {
    pub(super) fn canon(&self, now: MonoTime, engine: &Engine, canon: &mut Canon) {
        let Poll { sent, tallies, wanted: _, asking, next_ask, alone } = self;
        let timing = &engine.setup.timing;
        // What left longer ago than a lease grants nothing any more.
        let fresh = sent.0.iter().filter(|sent| sent.at + sent.lease > now);
        let fresh: Vec<&Sent> = fresh.collect();
        canon.list(&fresh, |canon, sent| {
            let Sent { first, at, lease } = **sent;
            canon.counter(engine.session, first);
            canon.age(now, at, lease);
            canon.span(lease);
        });
        canon.list(tallies, |canon, tally| {
            let Tally { interface: InterfaceId(interface), granted, floor } = *tally;
            canon.plain(interface.into());
            canon.plain(granted.into());
            canon.ahead(now, floor);
        });
        canon.option(asking.as_ref(), |canon, at| canon.age(now, *at, timing.patience.asking));
        canon.ahead(now, *next_ask);
        alone.canon(now, engine, canon);
    }
}

impl Alone {
    fn canon(&self, now: MonoTime, engine: &Engine, canon: &mut Canon) {
        let Alone { lacking, said, echoed, unsaid, on } = self;
        let patience = engine.alone_patience();
        canon.option(lacking.as_ref(), |canon, at| canon.age(now, *at, patience));
        canon.option(said.as_ref(), |canon, said| canon.counter(engine.session, *said));
        canon.option(unsaid.as_ref(), |canon, at| canon.age(now, *at, patience * 2));
        canon.flags(&[*echoed, *on]);
    }
}

impl Ballot {
    pub(super) fn canon(&self, now: MonoTime, engine: &Engine, canon: &mut Canon) {
        if engine.setup.votes.is_none() {
            return;
        }
        let Ballot { asks, known, granted, floor, promise, from, bar, yields } = *self;
        canon.epochs(&[asks, bar]);
        canon.plain(known.into());
        canon.plain(granted.into());
        canon.ahead(now, floor);
        canon.ahead(now, from);
        canon.ahead(now, yields);
        canon.option(promise.as_ref(), |canon, promise| {
            let Promise { peer, epoch, ends } = *promise;
            canon.size(peer);
            canon.epochs(&[epoch]);
            canon.option(ends.as_ref(), |canon, ends| canon.ahead(now, *ends));
        });
    }
}
