//! How a group's service does, in the words of `canon`.

use super::Words;
use crate::engine::health::Service;

impl Service {
    pub(super) fn tell(&self, words: &mut Words) {
        let Service { health, known } = *self;
        words.plain(health.into());
        words.flags(&[known]);
    }
}
