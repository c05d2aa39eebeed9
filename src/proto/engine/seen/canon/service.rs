//! How a group's service does, in the words of `canon`.

use crate::canon::Canon;
use crate::engine::Engine;
use crate::engine::group::{End, Running, Service};
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
                canon.counter(engine.outbox.session, end.fresh_from);
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
        let End { ok: _, when: _, fresh_from: _, unanswered: _ } = *self; // `when` and `unanswered` by what is before
        let watches = engine.peers.all().filter_map(|peer| engine.evidence.watch(peer));
        let counts = watches.map(|watch| {
            let probes = watch.on(interface);
            probes.unanswered.saturating_sub(self.before(probes))
        });
        counts.max().unwrap_or_default().min(ENOUGH).into()
    }
}
