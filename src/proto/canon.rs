//! The canon of a state: a list of words that is equal for two states if they behave alike from now
//! on. The model check recognises by it a state that it has seen before.
//!
//! Owns: the words, and their renaming (epochs, sessions, counters and versions lose their absolute
//! values). Never does: decide what of a state can matter; each type's `canon` method does. A word
//! too many makes the model check visit a state twice; a word too few makes it miss states.

use crate::types::{Epoch, MacAddr, MonoTime};
use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

/// A wait that never ends: an instant so far ahead is [`MonoTime::FOREVER`].
pub const NEVER: Duration = Duration::from_secs(1 << 40);

/// One word of a canon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    Plain(u64),
    Epoch(Epoch),
    Session(u64),
    Generation(u64),
    /// A counter of a session: session and value.
    Counter(u64, u64),
    /// A version of the table of a session: session and value.
    Version(u64, u64),
}

/// The canon of a state, not renamed yet.
#[derive(Clone, Debug, Default)]
pub struct Canon(Vec<Word>);

impl Canon {
    /// Removes all words, and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a number that is compared as it is.
    pub fn plain(&mut self, number: u64) {
        self.0.push(Word::Plain(number));
    }

    /// Adds a number of things, or a position.
    pub fn size(&mut self, number: usize) {
        self.plain(number as u64);
    }

    /// Adds flags as one word, at most 63 of them.
    pub fn flags(&mut self, flags: &[bool]) {
        self.plain(flags.iter().fold(1, |bits, flag| bits << 1 | u64::from(*flag)));
    }

    /// Adds a span, in nanoseconds.
    pub fn span(&mut self, span: Duration) {
        self.plain(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds how long ago `then` is, `limit` at most. Where the limit is never reached, the age does
    /// not matter and is left out.
    pub fn age(&mut self, now: MonoTime, then: MonoTime, limit: Duration) {
        let limit = if limit < NEVER { limit } else { Duration::ZERO };
        self.span(now.since(then).min(limit));
    }

    /// Adds how far ahead `then` is; zero for the past.
    pub fn ahead(&mut self, now: MonoTime, then: MonoTime) {
        self.plain(if then == MonoTime::FOREVER { u64::MAX } else { then.0.saturating_sub(now.0) });
    }

    /// Adds a hardware address.
    pub fn mac(&mut self, mac: MacAddr) {
        self.plain(mac.number());
    }

    /// Adds an IP address.
    pub fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.plain(u64::from(address.to_bits())),
            IpAddr::V6(address) => address.segments().iter().for_each(|part| self.plain((*part).into())),
        }
    }

    /// Adds epochs, which are counted from the lowest of the state.
    pub fn epochs(&mut self, epochs: &[Epoch]) {
        self.0.extend(epochs.iter().map(|epoch| Word::Epoch(*epoch)));
    }

    /// Adds a session, which is named by its first appearance.
    pub fn session(&mut self, session: u64) {
        self.0.push(Word::Session(session));
    }

    /// Adds a generation of a lease, which is named by its first appearance.
    pub fn generation(&mut self, generation: u64) {
        self.0.push(Word::Generation(generation));
    }

    /// Adds a counter of a session, of which only the order matters.
    pub fn counter(&mut self, session: u64, counter: u64) {
        self.0.push(Word::Counter(session, counter));
    }

    /// Adds a version of a session's table, of which only the order matters.
    pub fn version(&mut self, session: u64, version: u64) {
        self.0.push(Word::Version(session, version));
    }

    /// Adds whether there is a value, and the value by `canon`.
    pub fn option<T>(&mut self, value: Option<&T>, canon: impl FnOnce(&mut Canon, &T)) {
        self.plain(u64::from(value.is_some()));
        if let Some(value) = value {
            canon(self, value);
        }
    }

    /// Adds the number of values, and each value by `canon`.
    pub fn list<T>(&mut self, values: &[T], mut canon: impl FnMut(&mut Canon, &T)) {
        self.size(values.len());
        values.iter().for_each(|value| canon(self, value));
    }

    /// Writes the renamed words into a hash, equal for equal states.
    pub fn hash_into(&self, hasher: &mut impl Hasher) {
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

    /// The lowest counter of any epoch in the list; 0 if there is none.
    fn lowest_epoch(&self) -> u64 {
        let epochs = self.0.iter().filter_map(|word| match word {
            Word::Epoch(Epoch::NONE) => None,
            Word::Epoch(epoch) => Some(epoch.counter()),
            Word::Plain(_) | Word::Session(_) | Word::Generation(_) | Word::Counter(..) | Word::Version(..) => None,
        });
        epochs.min().unwrap_or(0)
    }
}

/// Names: each value is replaced by the number of its first appearance, from 1; 0 stays 0.
#[derive(Default)]
struct Names(Vec<u64>);

impl Names {
    /// The name of a value, which gets the next number if it was not seen before.
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

/// Ranks: the order of values within their spaces; 0 stays 0.
struct Ranks(Vec<(u64, u64)>);

impl Ranks {
    /// The ranks of these values, each given with its space (a session).
    fn of(values: impl Iterator<Item = (u64, u64)>) -> Ranks {
        let mut values: Vec<(u64, u64)> = values.filter(|(_, value)| *value != 0).collect();
        values.sort_unstable();
        values.dedup();
        Ranks(values)
    }

    /// The position of a value among those of its space, from 1.
    fn rank(&self, space: u64, value: u64) -> u64 {
        if value == 0 {
            return 0;
        }
        let first = self.0.partition_point(|known| known.0 < space);
        let place = self.0.partition_point(|known| *known < (space, value));
        (place - first) as u64 + 1
    }
}
