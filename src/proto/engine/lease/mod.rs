//! The node's lease on each interface: one deadline that every open group of the interface depends
//! on.
//!
//! In a bare pair the node renews its own lease while its loop runs; with witnesses votes do (see
//! `vote`), and the node itself only where nothing is open. A lease that ran out is never renewed:
//! every group on the interface closes, a new generation begins, and the groups must be won again.
//! The gate refuses an old generation by itself once it has turned a frame away (see `gate`), so a
//! process that was stopped between its decision and its store cannot reopen what a standby has
//! already found closed.
//!
//! Owns: deadlines and generations, and what a former life may have left open (`former`). Never
//! does: decide which group is open. When nothing renews a lease the kernel closes by itself, and
//! the engine follows.

use super::action::{Action, Actions, GateAction};
use super::event::InterfaceFacts;
use super::setup::Setup;
use crate::rules::Rules;
use crate::types::{InterfaceId, MonoTime};
use std::ops::{Index, IndexMut};
use std::time::Duration;

mod former;

pub(super) use former::Former;

/// A client interface and the lease on it.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Lease {
    pub facts: InterfaceFacts,
    /// Since when it has been serviceable without a break.
    pub serviceable: MonoTime,
    /// The deadline last written; ZERO when no lease runs.
    pub until: MonoTime,
    /// The generation last begun; 0 when none.
    pub generation: u64,
}

/// A lease of a former life that was found running in the kernel.
pub(super) struct Adopted {
    pub until: MonoTime,
    pub generation: u64,
    pub refused: bool,
}

impl Lease {
    /// True once a lease has begun here.
    pub fn has_begun(&self) -> bool {
        self.generation != 0
    }

    /// Takes in what is known of the interface now. Returns what was known before.
    pub fn learn(&mut self, facts: InterfaceFacts, now: MonoTime) -> InterfaceFacts {
        let before = std::mem::replace(&mut self.facts, facts);
        // An adopted gate may be gone before it was told with the interface.
        if !facts.gate {
            self.until = MonoTime::ZERO;
            self.generation = 0;
        }
        if facts.is_serviceable() && !before.is_serviceable() {
            self.serviceable = now;
        }
        before
    }

    /// Begins a new generation that runs for `span`.
    pub fn begin(&mut self, interface: InterfaceId, span: Duration, rules: Rules, now: MonoTime, out: &mut Actions) {
        self.generation = rules.generation(self.generation, now);
        self.until = now + span;
        out.push(Action::Gate(GateAction::Begin { interface, generation: self.generation }));
        out.push(Action::Gate(GateAction::Renew { interface, until: self.until }));
    }

    /// Moves the lease's deadline to `until`, if a lease has begun and the gate is there.
    pub fn renew(&mut self, interface: InterfaceId, until: MonoTime, out: &mut Actions) {
        if self.facts.gate && self.has_begun() {
            self.until = until;
            out.push(Action::Gate(GateAction::Renew { interface, until }));
        }
    }
}

/// All leases of this node, by interface, and those of its former life.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Leases {
    list: Vec<Lease>,
    pub former: Former,
}

impl Index<InterfaceId> for Leases {
    type Output = Lease;

    fn index(&self, interface: InterfaceId) -> &Lease {
        &self.list[usize::from(interface.0)]
    }
}

impl IndexMut<InterfaceId> for Leases {
    fn index_mut(&mut self, interface: InterfaceId) -> &mut Lease {
        &mut self.list[usize::from(interface.0)]
    }
}

impl Leases {
    pub fn new(setup: &Setup, now: MonoTime) -> Leases {
        let list = vec![Lease::default(); usize::from(setup.interfaces)];
        Leases { list, former: Former::new(setup, now) }
    }

    /// The identifiers of all interfaces.
    pub fn ids(&self) -> impl Iterator<Item = InterfaceId> + use<> {
        (0..u8::try_from(self.list.len()).unwrap_or(u8::MAX)).map(InterfaceId)
    }

    /// All leases, in the order of their interfaces.
    #[cfg(any(test, feature = "proof"))]
    pub fn iter(&self) -> std::slice::Iter<'_, Lease> {
        self.list.iter()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The length of lease that gates are renewed with: the configured one, or what the disk surely
    /// knows if that is shorter.
    pub fn span(&self, setup: &Setup) -> Duration {
        setup.timing.lease.min(self.former.durable)
    }

    /// Time from one pulse to the next. While the lease is shorter than configured because the disk
    /// does not know that one yet, a pulse comes at least three times in the shorter lease.
    pub fn pulse_interval(&self, setup: &Setup) -> Duration {
        let (pulse, span) = (setup.timing.pulse, self.span(setup));
        if span < setup.timing.lease { pulse.min(span / 3) } else { pulse }
    }

    /// Begins a new generation on an interface, with the whole lease or a shorter one.
    pub fn begin(&mut self, interface: InterfaceId, span: Duration, setup: &Setup, now: MonoTime, out: &mut Actions) {
        let span = span.min(self.span(setup));
        self[interface].begin(interface, span, setup.rules(), now, out);
    }

    /// True while a gate of a former life may be open on an interface.
    pub fn is_blind(&self, interface: InterfaceId, rules: Rules, now: MonoTime) -> bool {
        let found = self[interface].has_begun();
        self.former.blind && !found && now < self.former.blind_until && rules.blind_node_is_silent()
    }

    /// Ends blindness when every gate of a former life is found or closed. True if it ended now.
    pub fn end_blindness(&mut self, rules: Rules, now: MonoTime) -> bool {
        let is_over = self.former.blind && !self.ids().any(|interface| self.is_blind(interface, rules, now));
        self.former.blind &= !is_over;
        is_over
    }
}
