//! A search of the model in depth that holds one history at a time.
//!
//! The search keeps 64 bits of each state that it has seen, and along the present history how many
//! acts are left in each state, with a state here and there from which the others are made again.
//! So a search of tens of millions of states fits into a gigabyte, although a history can be nearly
//! as long. A search in width holds all states that wait, engines and all; its histories are the
//! shortest, those found here are long.

use super::Found;
use crate::model::act::Act;
use crate::model::shape::Shape;
use crate::model::state::State;
use crate::model::story;
use stateright::{Expectation, Model, Property};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// One in so many states of the present history is kept, and as many at its end.
const KEPT: usize = 64;
/// Number of steps between two lines about progress.
const TOLD: usize = 20_000_000;

/// A state of the present history, and the acts that are possible in it.
struct Here {
    state: State,
    acts: Vec<Act>,
}

/// A place in the present history.
struct Moment {
    /// Number of acts that are not gone through yet. The last of these is under way.
    left: usize,
    /// The state and its acts; `None` if they are to be made again when they are needed.
    here: Option<Box<Here>>,
}

/// A search that is under way.
struct Search<'a> {
    shape: &'a Shape,
    rules: Vec<Property<Shape>>,
    /// Hashes of all states that were seen.
    seen: HashSet<u64, BuildHasherDefault<Known>>,
    /// The present history, from its first state.
    history: Vec<Moment>,
    /// Number of steps that were taken.
    steps: usize,
    /// Number of states in the longest history.
    depth: usize,
    /// The first promise that was broken.
    broken: Option<&'static str>,
    /// Rules of what must happen at least once and has not.
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
    /// Notes a state, and makes it the end of the present history; false if it is known.
    fn enter(&mut self, state: State) -> bool {
        self.steps += 1;
        if self.steps.is_multiple_of(TOLD) {
            println!("{}: {} states, {} steps", self.shape.name, self.seen.len(), self.steps);
        }
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
        let here = self.look(state);
        self.history.push(Moment { left: here.acts.len(), here: Some(here) });
        self.depth = self.depth.max(self.history.len());
        if let Some(old) = self.history.len().checked_sub(KEPT + 1).filter(|old| old % KEPT > 0) {
            self.history[old].here = None;
        }
        true
    }

    /// A state with the acts that are possible in it.
    fn look(&self, state: State) -> Box<Here> {
        let mut acts = Vec::new();
        self.shape.actions(&state, &mut acts);
        Box::new(Here { state, acts })
    }

    /// Goes through everything from every beginning, until a promise is broken or `most` steps are
    /// taken.
    fn go_through(&mut self, most: usize) {
        for state in self.shape.init_states() {
            self.enter(state);
            while let Some(moment) = self.history.last() {
                if self.broken.is_some() || self.steps >= most {
                    return;
                }
                let Some(here) = &moment.here else {
                    self.make_again(self.history.len().saturating_sub(KEPT));
                    continue;
                };
                let Some(last) = moment.left.checked_sub(1) else {
                    self.history.pop();
                    self.done();
                    continue;
                };
                let next = self.shape.next_state(&here.state, here.acts[last]);
                let went = next.is_some_and(|next| self.enter(next));
                if !went {
                    self.done();
                }
            }
        }
    }

    /// Notes that the act under way has been gone through.
    fn done(&mut self) {
        if let Some(moment) = self.history.last_mut() {
            moment.left -= 1;
        }
    }

    /// Makes the states of the present history again that are not kept, from place `first` on.
    fn make_again(&mut self, first: usize) {
        for place in first.max(1)..self.history.len() {
            if self.history[place].here.is_some() {
                continue;
            }
            let Moment { left, here: Some(here) } = &self.history[place - 1] else { continue };
            let next = self.shape.next_state(&here.state, here.acts[left - 1]);
            self.history[place].here = next.map(|state| self.look(state));
        }
    }

    /// The story of the present history, which is used up by it.
    fn story(&mut self) -> String {
        self.make_again(1);
        let last = self.history.len().saturating_sub(1);
        let steps = std::mem::take(&mut self.history).into_iter().enumerate();
        let happened = |(place, Moment { left, here }): (usize, Moment)| {
            let Here { state, acts } = *here?;
            let act = acts.get(left.wrapping_sub(1)).copied().filter(|_| place < last);
            Some((state, act))
        };
        story::told(self.shape, &steps.filter_map(happened).collect::<Vec<_>>())
    }
}

/// Goes through everything that a shape allows, to the end, to the first broken promise, or to
/// `most` steps.
pub fn search(shape: &Shape, most: usize) -> Found {
    let start = Instant::now();
    let rules = shape.properties();
    let unseen = rules.iter().map(|rule| rule.name).filter(|name| name.starts_with("seen")).collect();
    let (seen, history) = (HashSet::default(), Vec::new());
    let mut search = Search { shape, rules, seen, history, steps: 0, depth: 0, broken: None, unseen };
    search.go_through(most);
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

/// A search in depth finds what one in width finds, and tells it.
#[test]
fn a_search_in_depth_tells_what_it_finds() {
    let shape = super::shapes::faults("deep: disk forgets", 1).with_plant(super::Plant::DiskForgets);
    let (rule, story) = search(&shape, usize::MAX).broken.expect("a planted violation is found");
    assert_eq!(rule, super::rules::S2);
    assert!(story.contains("gate") && story.lines().count() > 2, "{story}");
}
