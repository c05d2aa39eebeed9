//! The words that tell a state, and the renaming that makes two tellings of the same state equal.

use crate::types::{Epoch, MacAddr, MonoTime};
use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

/// A wait that never ends: an instant that long ahead is [`MonoTime::FOREVER`].
pub const NEVER: Duration = Duration::from_secs(1 << 40);

/// One word of a telling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    Plain(u64),
    Epoch(Epoch),
    Session(u64),
    Generation(u64),
    /// Space and value: counters of a session.
    Counter(u64, u64),
    /// Space and value: versions of the table of a session.
    Version(u64, u64),
}

/// A state as told, not renamed yet.
#[derive(Clone, Debug, Default)]
pub struct Canon(Vec<Word>);

impl Canon {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn plain(&mut self, number: u64) {
        self.0.push(Word::Plain(number));
    }

    pub fn size(&mut self, number: usize) {
        self.plain(number as u64);
    }

    /// At most 64 of them.
    pub fn flags(&mut self, flags: &[bool]) {
        self.plain(flags.iter().fold(1, |bits, flag| bits << 1 | u64::from(*flag)));
    }

    pub fn span(&mut self, span: Duration) {
        self.plain(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How long ago, `limit` at most. If the limit is never reached, nobody looks.
    pub fn age(&mut self, now: MonoTime, then: MonoTime, limit: Duration) {
        let limit = if limit < NEVER { limit } else { Duration::ZERO };
        self.span(now.since(then).min(limit));
    }

    /// How long until then; the past is zero.
    pub fn ahead(&mut self, now: MonoTime, then: MonoTime) {
        self.plain(if then == MonoTime::FOREVER { u64::MAX } else { then.0.saturating_sub(now.0) });
    }

    pub fn mac(&mut self, mac: MacAddr) {
        self.plain(mac.number());
    }

    pub fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.plain(u64::from(address.to_bits())),
            IpAddr::V6(address) => address.segments().iter().for_each(|part| self.plain((*part).into())),
        }
    }

    pub fn epochs(&mut self, epochs: &[Epoch]) {
        self.0.extend(epochs.iter().map(|epoch| Word::Epoch(*epoch)));
    }

    pub fn session(&mut self, session: u64) {
        self.0.push(Word::Session(session));
    }

    pub fn generation(&mut self, generation: u64) {
        self.0.push(Word::Generation(generation));
    }

    pub fn counter(&mut self, session: u64, counter: u64) {
        self.0.push(Word::Counter(session, counter));
    }

    pub fn version(&mut self, session: u64, version: u64) {
        self.0.push(Word::Version(session, version));
    }

    pub fn option<T>(&mut self, value: Option<&T>, tell: impl FnOnce(&mut Canon, &T)) {
        self.plain(u64::from(value.is_some()));
        if let Some(value) = value {
            tell(self, value);
        }
    }

    pub fn list<T>(&mut self, values: &[T], mut tell: impl FnMut(&mut Canon, &T)) {
        self.size(values.len());
        values.iter().for_each(|value| tell(self, value));
    }

    /// Writes the renamed words into a hash: equal for equal states.
    pub fn hash(&self, hasher: &mut impl Hasher) {
        let lowest = self.lowest_epoch();
        let (mut sessions, mut generations) = (Names::default(), Names::default());
        let counters = Ranks::of(self.0.iter().filter_map(|word| match word {
            Word::Counter(space, value) => Some((*space, *value)),
            Word::Plain(_) | Word::Epoch(_) | Word::Session(_) | Word::Generation(_) | Word::Version(..) => None,
        }));
        let versions = Ranks::of(self.0.iter().filter_map(|word| match word {
            Word::Version(space, value) => Some((*space, *value)),
            Word::Plain(_) | Word::Epoch(_) | Word::Session(_) | Word::Generation(_) | Word::Counter(..) => None,
        }));
        for word in &self.0 {
            hasher.write_u64(match *word {
                Word::Plain(number) => number,
                Word::Epoch(Epoch::NONE) => 0,
                Word::Epoch(epoch) => epoch.0 - (lowest << 8) + 256,
                Word::Session(session) => sessions.name(session),
                Word::Generation(generation) => generations.name(generation),
                Word::Counter(space, value) => sessions.name(space) << 32 | counters.rank(space, value),
                Word::Version(space, value) => sessions.name(space) << 32 | versions.rank(space, value),
            });
        }
    }

    fn lowest_epoch(&self) -> u64 {
        let epochs = self.0.iter().filter_map(|word| match word {
            Word::Epoch(Epoch::NONE) => None,
            Word::Epoch(epoch) => Some(epoch.counter()),
            Word::Plain(_) | Word::Session(_) | Word::Generation(_) | Word::Counter(..) | Word::Version(..) => None,
        });
        epochs.min().unwrap_or(0)
    }
}

/// Numbers things from 1 as they appear; 0 stays 0.
#[derive(Default)]
struct Names(Vec<u64>);

impl Names {
    fn name(&mut self, thing: u64) -> u64 {
        if thing == 0 {
            return 0;
        }
        let place = self.0.iter().position(|known| *known == thing).unwrap_or_else(|| {
            self.0.push(thing);
            self.0.len() - 1
        });
        place as u64 + 1
    }
}

/// The order of values within their spaces; 0 stays 0.
struct Ranks(Vec<(u64, u64)>);

impl Ranks {
    fn of(values: impl Iterator<Item = (u64, u64)>) -> Ranks {
        let mut values: Vec<(u64, u64)> = values.filter(|(_, value)| *value != 0).collect();
        values.sort_unstable();
        values.dedup();
        Ranks(values)
    }

    fn rank(&self, space: u64, value: u64) -> u64 {
        if value == 0 {
            return 0;
        }
        let first = self.0.partition_point(|known| known.0 < space);
        let place = self.0.partition_point(|known| *known < (space, value));
        (place - first) as u64 + 1
    }
}
