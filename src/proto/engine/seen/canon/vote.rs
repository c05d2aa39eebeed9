//! The reduction of an engine (`canon`): votes. A bare pair has none, and adds nothing.

use crate::canon::Canon;
use crate::engine::Engine;
use crate::engine::peer::Outbox;
use crate::engine::vote::{Alone, Ballot, Poll, Promise, Sent, alone_patience};
use crate::types::MonoTime;

impl Outbox {
    /// Adds when our datagrams left. Those that left longer ago than the lease that they stated are
    /// left out: an answer to them grants nothing any more.
    pub(super) fn canon_sent(&self, now: MonoTime, canon: &mut Canon) {
        let fresh = self.sent.0.iter().filter(|sent| sent.when + sent.lease > now);
        let fresh: Vec<&Sent> = fresh.collect();
        canon.list(&fresh, |canon, sent| {
            let Sent { first, when, lease } = **sent;
            canon.counter(self.session, first);
            canon.age(now, when, lease);
            canon.span(lease);
        });
    }
}

impl Poll {
    /// Adds who grants the open groups, the asking for votes, and the pair's way to deciding alone.
    pub(super) fn canon(&self, now: MonoTime, engine: &Engine, canon: &mut Canon) {
        let Poll { grants, wanted: _, asking, next_ask, alone } = self;
        let timing = &engine.setup.timing;
        canon.list(grants, |canon, grants| {
            let (interface, granted, floor) = grants.parts();
            canon.plain(interface.into());
            canon.plain(granted);
            canon.ahead(now, floor);
        });
        canon.option(asking.as_ref(), |canon, when| canon.age(now, *when, timing.patience.asking));
        canon.ahead(now, *next_ask);
        alone.canon(now, engine, canon);
    }
}

impl Alone {
    /// Adds how far the pair has come on its way to deciding without its witnesses.
    fn canon(&self, now: MonoTime, engine: &Engine, canon: &mut Canon) {
        let Alone { lacking, said, echoed, unsaid, on } = self;
        let patience = alone_patience(&engine.setup.timing);
        canon.option(lacking.as_ref(), |canon, when| canon.age(now, *when, patience));
        canon.option(said.as_ref(), |canon, said| canon.counter(engine.outbox.session, *said));
        canon.option(unsaid.as_ref(), |canon, when| canon.age(now, *when, patience * 2));
        canon.flags(&[*echoed, *on]);
    }
}

impl Ballot {
    /// Adds one group's votes and the promise that this node has given; nothing in a bare pair.
    pub(super) fn canon(&self, now: MonoTime, engine: &Engine, canon: &mut Canon) {
        if engine.setup.votes.is_none() {
            return;
        }
        let Ballot { asks, known, granted, floor, promise, from, bar, yields } = *self;
        canon.epochs(&[asks, bar]);
        canon.plain(known.bits());
        canon.plain(granted.bits());
        canon.ahead(now, floor);
        canon.ahead(now, from);
        canon.ahead(now, yields);
        canon.option(promise.as_ref(), |canon, promise| {
            let Promise { peer, epoch, ends } = *promise;
            canon.size(peer.number());
            canon.epochs(&[epoch]);
            canon.option(ends.as_ref(), |canon, ends| canon.ahead(now, *ends));
        });
    }
}
