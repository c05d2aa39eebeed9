//! The reduction of an engine (`canon`): a peer, its links, and the watch on it.

use super::Horizon;
use crate::canon::{Canon, NEVER};
use crate::engine::Engine;
use crate::engine::evidence::{Probes, Watch};
use crate::engine::peer::{Double, Link, Peer};
use crate::timing::Timing;
use crate::types::MonoTime;
use crate::wire::pulse::PeerConfig;
use std::time::Duration;

impl Peer {
    /// Adds what is known of a peer; its votes only where there are witnesses.
    pub(super) fn canon(&self, now: MonoTime, engine: &Engine, horizon: &Horizon, canon: &mut Canon) {
        let Peer {
            id: _, // the setup
            sessions,
            links,
            heard,
            may_be_gone,
            refused,
            left,
            deaf,
            deaf_at,
            has_heard_us,
            echoed,
            fresh_from,
            silence_told: _, // for notices
            copy,
            elsewhere: _, // follows from the copy
            acked,
            fit,
            same_mac: _, // for notices
            config,
            differs: _,     // for notices
            rows_differ: _, // told to people
            granted,
            counted: (counted, own),
            promised,
        } = self;
        let timing = &engine.setup.timing;
        sessions.canon(canon);
        canon.list(links, |canon, link| link.canon(now, timing, canon));
        canon.option(heard.as_ref(), |canon, when| canon.age(now, *when, horizon.silence));
        canon.option(refused.as_ref(), |canon, when| canon.age(now, *when, timing.pulse));
        canon.flags(&[*may_be_gone, *left, *deaf, *has_heard_us]);
        canon.option(deaf_at.as_ref(), |canon, when| canon.age(now, *when, timing.patience.deaf));
        canon.counter(engine.outbox.session, *echoed);
        canon.counter(engine.outbox.session, *fresh_from);
        copy.canon(engine.outbox.session, sessions.verified().unwrap_or(0), canon);
        canon.version(engine.outbox.session, *acked);
        canon.size(fit.rows(now));
        canon.option(config.as_ref(), |canon, config| config.canon(canon));
        if engine.setup.votes.is_some() {
            canon.ahead(now, *granted);
            canon.version(sessions.verified().unwrap_or(0), *counted);
            canon.version(engine.outbox.session, *own);
            canon.ahead(now, *promised);
        }
    }
}

impl Link {
    /// Adds a link: whether it is open, and the ages of its last datagrams in either direction.
    fn canon(&self, now: MonoTime, timing: &Timing, canon: &mut Canon) {
        let Link {
            id: _,
            open,
            heard,
            told_as_heard: _,
            last_sent,
            sent: _,
            received: _,
            rejected: _,
            stranger: _,
            fit,
            too_large: _,
            retold: _, // a model has fewer groups than it concerns
        } = self;
        canon.size(fit.rows(now));
        canon.flags(&[*open]);
        canon.option(heard.as_ref(), |canon, when| canon.age(now, *when, timing.suspicion));
        canon.option(last_sent.as_ref(), |canon, when| canon.age(now, *when, timing.patience.segment));
    }
}

impl Double {
    /// Adds what is known of somebody who uses our number.
    pub(super) fn canon(&self, now: MonoTime, timing: &Timing, canon: &mut Canon) {
        let Double { sessions, heard, open, lease, answered, told } = self;
        canon.span(*lease);
        sessions.canon(canon);
        canon.option(heard.as_ref(), |canon, (when, _)| {
            canon.age(now, *when, (timing.listen + timing.pulse).max(*lease))
        });
        canon.flags(&[*open, *told]);
        canon.age(now, *answered, timing.pulse);
    }
}

impl PeerConfig {
    /// Adds what a header says of its sender's configuration.
    pub fn canon(&self, canon: &mut Canon) {
        let PeerConfig { pulse_us, silence_us, lease_us, digests } = *self;
        let digests = [digests.nodes, digests.groups];
        [pulse_us, silence_us, lease_us].into_iter().chain(digests).for_each(|number| canon.plain(number.into()));
    }
}

impl Watch {
    /// Adds the watch on a silent peer.
    pub(super) fn canon(&self, now: MonoTime, engine: &Engine, horizon: &Horizon, canon: &mut Canon) {
        let Watch { since, wanted, next, interval, probes } = self;
        canon.age(now, *since, horizon.watch);
        // Who asks swiftly for ever does so whether a series is wanted or not.
        let wanted = if engine.setup.timing.patience.asking >= NEVER { now } else { *wanted };
        canon.ahead(now, wanted);
        canon.ahead(now, *next);
        canon.span(*interval);
        let enough = u32::try_from(engine.groups.len()).unwrap_or(u32::MAX).saturating_add(7);
        let probe = engine.setup.timing.probe;
        canon.list(probes, |canon, probes| probes.canon(now, (enough, probe), horizon, canon));
    }
}

impl Probes {
    /// Adds the probes of one interface. `enough`: more unanswered ones than any opening waits for;
    /// `probe`: the time from one probe to the next.
    fn canon(&self, now: MonoTime, (enough, probe): (u32, Duration), horizon: &Horizon, canon: &mut Canon) {
        let Probes {
            unanswered,
            last_sent,
            first_sent,
            last_answer,
            veto_told: _, // for notices
            cursor,
            answered,
            confirmed,
            series,
            next,
            pace,
        } = self;
        // Above `enough` only the parity matters: every second probe is a broadcast.
        let more = unanswered.saturating_sub(enough);
        canon.plain(u64::from((*unanswered).min(enough)));
        canon.plain(u64::from(more % 2));
        canon.age(now, *last_sent, probe * 13);
        canon.flags(&[*confirmed]);
        canon.plain(u64::from(*series));
        canon.ahead(now, *next);
        canon.span(*pace);
        canon.age(now, *first_sent, horizon.segment);
        canon.flags(&[last_answer.is_some()]);
        canon.size(usize::from(*cursor));
        canon.option(answered.as_ref(), |canon, group| canon.size(usize::from(group.0)));
    }
}
