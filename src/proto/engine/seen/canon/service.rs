//! The reduction of an engine (`canon`): a group's service, and the hook that runs for it.

use crate::canon::Canon;
use crate::engine::Engine;
use crate::engine::group::{End, Running, Service};
use crate::types::{InterfaceId, MonoTime};

/// More unanswered probes than any opening waits for in a model, which has one group; one probe
/// that may be on its way is included.
const ENOUGH: u32 = 5;

impl Service {
    /// Adds the health of the service, its hook, and a hook's failure. `interface`: that of its
    /// group.
    pub(super) fn canon(&self, now: MonoTime, (engine, interface): (&Engine, InterfaceId), canon: &mut Canon) {
        let Service { health, known, lacks, outreached, unrest, hook, failed } = *self;
        canon.plain(health.into());
        canon.plain(lacks.added_to(0).into());
        canon.flags(&[known]);
        let reach = engine.setup.timing.patience.reach;
        canon.option(outreached.as_ref(), |canon, when| canon.age(now, *when, reach));
        canon.plain(if now < unrest.until { unrest.moves.into() } else { 0 });
        canon.ahead(now, unrest.until);
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
    /// Number of probes that were sent after the hook's end and are unanswered, [`ENOUGH`] at most.
    fn asked_in_vain(&self, engine: &Engine, interface: InterfaceId) -> u64 {
        let End { ok: _, when: _, fresh_from: _, unanswered: _ } = *self; // the last three: by `before`, or told above
        let watches = engine.peers.all().filter_map(|peer| engine.evidence.watch(peer));
        let counts = watches.map(|watch| {
            let probes = watch.on(interface);
            probes.unanswered.saturating_sub(self.before(probes))
        });
        counts.max().unwrap_or_default().min(ENOUGH).into()
    }
}
