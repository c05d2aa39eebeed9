//! How a group's service does, in the words of `canon`.

use super::Canon;
use crate::engine::Engine;
use crate::engine::health::Service;
use crate::engine::hook::{End, Running};
use crate::types::{InterfaceId, MonoTime};

/// More probes than any opening of the model's one group waits for, one that may be on its way included.
const ENOUGH: u32 = 5;

impl Service {
    pub(super) fn canon(&self, now: MonoTime, (engine, interface): (&Engine, InterfaceId), canon: &mut Canon) {
        let Service { health, known, hook, failed } = *self;
        canon.plain(health.into());
        canon.flags(&[known]);
        canon.option(hook.as_ref(), |canon, running| {
            let Running { hook, epoch, until, ended } = *running;
            canon.plain(hook as u64);
            canon.epochs(&[epoch]);
            canon.ahead(now, until);
            canon.option(ended.as_ref(), |canon, end| {
                canon.flags(&[end.ok]);
                canon.counter(engine.session, end.proof);
                canon.plain(end.asked_in_vain(engine, interface));
            });
        });
        canon.option(failed.as_ref(), |canon, (hook, until)| {
            canon.plain(*hook as u64);
            canon.ahead(now, *until);
        });
    }
}

impl End {
    /// How many probes are unanswered since then; more than enough is enough.
    fn asked_in_vain(&self, engine: &Engine, interface: InterfaceId) -> u64 {
        let End { ok: _, at: _, proof: _, unanswered: _ } = *self; // `at` and `unanswered` by what is before
        let watches = engine.peers.iter().filter_map(|peer| peer.watch.as_ref());
        let counts = watches.map(|watch| {
            let evidence = &watch.evidence[usize::from(interface.0)];
            evidence.unanswered.saturating_sub(self.before(evidence))
        });
        counts.max().unwrap_or_default().min(ENOUGH).into()
    }
}
