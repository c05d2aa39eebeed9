//! A search in depth that holds one history at a time.
//!
//! Of what it has seen it keeps 64 bits a state, and of what it is about to see only what can happen next along the present
//! history: a search of tens of millions of states fits into a gigabyte. A search in width holds all states that wait,
//! engines and all, and its histories are the shortest; those found here are long.

use super::Found;
use crate::sim::model::act::Act;
use crate::sim::model::shape::Shape;
use crate::sim::model::state::State;
use crate::sim::model::story;
use stateright::{Expectation, Model, Property};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// A state of the present history, and what can still happen in it. The last of these is under way.
struct Moment {
    state: State,
    acts: Vec<Act>,
}

struct Search<'a> {
    shape: &'a Shape,
    rules: Vec<Property<Shape>>,
    seen: HashSet<u64, BuildHasherDefault<Known>>,
    history: Vec<Moment>,
    steps: usize,
    depth: usize,
    broken: Option<&'static str>,
    unseen: Vec<&'static str>,
}

/// A number that is a hash already.
#[derive(Default)]
struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are kept");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl Search<'_> {
    /// Takes note of a state. False if it is known.
    fn enter(&mut self, state: State) -> bool {
        self.steps += 1;
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            return false;
        }
        for rule in &self.rules {
            let holds = (rule.condition)(self.shape, &state);
            match rule.expectation {
                Expectation::Always if !holds => self.broken = self.broken.or(Some(rule.name)),
                Expectation::Sometimes if holds => self.unseen.retain(|name| *name != rule.name),
                Expectation::Always | Expectation::Sometimes => {}
                Expectation::Eventually => unreachable!("no rule of the model waits"),
            }
        }
        let mut acts = Vec::new();
        self.shape.actions(&state, &mut acts);
        self.history.push(Moment { state, acts });
        self.depth = self.depth.max(self.history.len());
        true
    }

    fn run(&mut self, most: usize) {
        for state in self.shape.init_states() {
            self.enter(state);
            while let Some(moment) = self.history.last() {
                if self.broken.is_some() || self.steps >= most {
                    return;
                }
                let Some(act) = moment.acts.last().copied() else {
                    self.history.pop();
                    self.done();
                    continue;
                };
                let went = self.shape.next_state(&moment.state, act).is_some_and(|next| self.enter(next));
                if !went {
                    self.done();
                }
            }
        }
    }

    /// What was under way has been gone through.
    fn done(&mut self) {
        if let Some(moment) = self.history.last_mut() {
            moment.acts.pop();
        }
    }

    fn story(&mut self) -> String {
        let steps = std::mem::take(&mut self.history);
        let last = steps.len().saturating_sub(1);
        let happened = |(at, moment): (usize, Moment)| {
            let act = moment.acts.last().copied().filter(|_| at < last);
            (moment.state, act)
        };
        story::tell(self.shape, &steps.into_iter().enumerate().map(happened).collect::<Vec<_>>())
    }
}

/// Goes through everything that a shape allows, to the end, to the first broken promise, or to `most` steps.
pub fn search(shape: &Shape, most: usize) -> Found {
    let start = Instant::now();
    let rules = shape.properties();
    let unseen = rules.iter().map(|rule| rule.name).filter(|name| name.starts_with("seen")).collect();
    let (seen, history) = (HashSet::default(), Vec::new());
    let mut search = Search { shape, rules, seen, history, steps: 0, depth: 0, broken: None, unseen };
    search.run(most);
    Found {
        unique: search.seen.len(),
        generated: search.steps,
        depth: search.depth,
        took: start.elapsed(),
        whole: search.steps < most,
        broken: search.broken.map(|rule| (rule, search.story())),
        unseen: search.unseen,
    }
}

/// Both ways of searching see the same states and take the same steps.
#[test]
fn a_search_in_depth_sees_what_one_in_width_sees() {
    for shape in [super::shapes::faults("deep", 1), super::voted::frozen("deep: a frozen guest", 0)] {
        let (wide, deep) = (super::search(&shape, 1), search(&shape, usize::MAX));
        assert!(wide.whole && deep.whole && wide.broken.is_none() && deep.broken.is_none(), "{:?}", deep.broken);
        assert_eq!((deep.unique, deep.generated), (wide.unique, wide.generated), "{}", shape.name);
        assert_eq!(deep.unseen, wide.unseen);
    }
}

/// What a search in width finds, one in depth finds too, and tells it.
#[test]
fn a_search_in_depth_tells_what_it_finds() {
    let shape = super::shapes::faults("deep: disk forgets", 1).with_plant(super::Plant::DiskForgets);
    let (rule, story) = search(&shape, usize::MAX).broken.expect("a planted violation is found");
    assert_eq!(rule, super::rules::S2);
    assert!(story.contains("gate") && story.lines().count() > 2, "{story}");
}
