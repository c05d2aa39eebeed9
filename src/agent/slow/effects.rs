//! What a part of the slow side wants done outside itself.
//!
//! Owns: nothing; a list of wishes in their order. Each part writes its own state only and returns
//! effects; `Slow` carries them out, one after the other, before anything else happens.

use crate::control::protocol::Severity;
use crate::engine::Lacks;
use crate::orders::Order;
use crate::store::WriteError;
use crate::types::GroupKey;
use crate::words::Saying;
use sd_notify::NotifyState;

/// One thing to be done.
pub(crate) enum Effect {
    /// Order to the hot thread.
    Order(Order),
    /// Event for people: kept in the ring of events, logged, sent to followers.
    Event(Saying),
    /// States for the service manager, sent together.
    Systemd(Vec<NotifyState<'static>>),
    /// The checks of a group may start: its addresses are in place, as far as they can be had.
    StartChecks(GroupKey),
    /// A group lacks something here from now on, or no longer: see [`super::lacks`].
    Lack { group: GroupKey, lack: Lacks, holds: bool },
    /// The checks of a group try again at once: a hook may have started or stopped the service.
    CheckAgain(GroupKey),
}

/// Things to be done, in their order.
#[derive(Default)]
pub(crate) struct Effects(Vec<Effect>);

impl Effects {
    /// A single order.
    pub fn of_order(order: Order) -> Effects {
        Effects(vec![Effect::Order(order)])
    }

    /// A single event.
    pub fn of_event(saying: Saying) -> Effects {
        Effects(vec![Effect::Event(saying)])
    }

    /// What follows when the store has written a state or failed to: answer to the engine, and to
    /// people.
    pub fn of_stored(version: u64, result: Result<(), WriteError>) -> Effects {
        match result {
            Ok(()) => Effects::of_order(Order::Stored { version }),
            Err(error) => {
                let mut effects = Effects::default();
                effects.event(Severity::Error, "store_error", error.to_string());
                effects.order(Order::StoreFailed);
                effects
            }
        }
    }

    /// Adds an order to the hot thread.
    pub fn order(&mut self, order: Order) {
        self.0.push(Effect::Order(order));
    }

    /// Adds an event that concerns no single group.
    pub fn event(&mut self, severity: Severity, kind: &'static str, text: String) {
        self.event_of(Saying { severity, kind, group: None, text, fields: Vec::new() });
    }

    /// Adds an event that may concern a group or have fields.
    pub fn event_of(&mut self, saying: Saying) {
        self.0.push(Effect::Event(saying));
    }

    /// Adds one state for the service manager.
    pub fn systemd(&mut self, state: NotifyState<'static>) {
        self.0.push(Effect::Systemd(vec![state]));
    }

    /// Adds everything that another part wants done, in its order.
    pub fn extend(&mut self, effects: Effects) {
        self.0.extend(effects.0);
    }

    /// Adds any other effect.
    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }
}

impl IntoIterator for Effects {
    type Item = Effect;
    type IntoIter = std::vec::IntoIter<Effect>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
