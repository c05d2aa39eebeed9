//! How a group's service does, in the words of `canon`.

use super::Words;
use crate::engine::health::Service;
use crate::engine::hook::Running;
use crate::types::MonoTime;

impl Service {
    pub(super) fn tell(&self, now: MonoTime, words: &mut Words) {
        let Service { health, known, hook, failed } = *self;
        words.plain(health.into());
        words.flags(&[known]);
        words.option(hook.as_ref(), |words, running| {
            let Running { hook, epoch, until, ended } = *running;
            words.plain(hook as u64);
            words.epochs(&[epoch]);
            words.ahead(now, until);
            words.flags(&[ended.is_some(), ended == Some(true)]);
        });
        words.option(failed.as_ref(), |words, (hook, until)| {
            words.plain(*hook as u64);
            words.ahead(now, *until);
        });
    }
}
