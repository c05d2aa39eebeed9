//! Interfaces as the keeper reports them.
//!
//! Owns: the keeper's handle, the facts, counters and addresses of each interface, and whether the service
//! manager has been told that the agent is ready. Never does: touch an interface; the keeper does.
//! A report becomes orders to the hot thread, events for people, and word to systemd.

use super::addresses::Addresses;
use super::current::{Current, Numbering};
use super::effects::Effects;
use crate::config::Config;
use crate::control::protocol::{Severity, StatusReport};
use crate::engine::InterfaceFacts;
use crate::from_config;
use crate::gate::CounterReader;
use crate::keeper::{GuardNews, KeeperEvent, KeeperHandle};
use crate::orders::{Attach, Order, Regrouped};
use crate::types::{GroupKey, InterfaceId, MacAddr, Vip};
use crate::words::Names;
use sd_notify::NotifyState;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long systemd is kept waiting for an interface that has no gate yet.
const READY_PATIENCE: Duration = Duration::from_secs(10);

/// All interfaces of the configuration.
pub(crate) struct Ports {
    /// The keeper's handle; `None` once it has been stopped.
    keeper: Option<KeeperHandle>,
    /// Reports of the keeper.
    pub reports: mpsc::Receiver<KeeperEvent>,
    /// Facts of each interface, as last ordered.
    facts: Vec<InterfaceFacts>,
    /// Addresses of each interface, as last reported.
    addresses: Addresses,
    /// Counters of each interface's gate; `None` while there is no gate, or none that can be read.
    counters: Vec<Option<Counters>>,
    /// Whether systemd has been told that the agent is ready.
    ready: bool,
}

/// Counters of a gate, and the slots of its groups.
struct Counters {
    reader: CounterReader,
    slots: HashMap<GroupKey, u16>,
}

impl Ports {
    /// Nothing is known yet of `count` interfaces.
    pub fn new(count: usize, keeper: KeeperHandle, reports: mpsc::Receiver<KeeperEvent>) -> Ports {
        Ports {
            keeper: Some(keeper),
            reports,
            facts: vec![InterfaceFacts::default(); count],
            addresses: Addresses::new(count),
            counters: (0..count).map(|_| None).collect(),
            ready: false,
        }
    }

    /// Whether systemd has been told that the agent is ready.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Takes in a report of the keeper. `reloading`: until the keeper has changed over as well, its
    /// reports are about the groups before. `numbering`: of the groups in orders.
    pub fn handle_report(
        &mut self,
        report: KeeperEvent,
        current: &Current,
        numbering: Numbering<'_>,
        reloading: bool,
    ) -> Effects {
        let (mut effects, names) = (Effects::default(), &current.names);
        match report {
            KeeperEvent::Attached { interface, ifindex, mac, gate, slots, counters, adopted, socket } => {
                self.set_counters(interface, counters, &slots);
                let attach = Attach { interface, ifindex, mac, gate, slots, adopted, socket };
                effects.order(Order::Attach(Box::new(attach)));
                let there = |facts: &mut InterfaceFacts| (facts.exists, facts.gate, facts.mac) = (true, true, mac);
                self.change_facts(interface, there, &mut effects);
            }
            KeeperEvent::Regrouped { interface, gate, slots, counters, replaced } => {
                self.set_counters(interface, counters, &slots);
                effects.order(Order::Regrouped(Box::new(Regrouped { interface, gate, slots, replaced })));
            }
            KeeperEvent::State { interface, up, carrier, mac, port_of } => {
                let state = (up && carrier, mac, port_of.as_deref());
                self.note_state(interface, state, (names.interface(interface), numbering), &mut effects);
            }
            KeeperEvent::Addresses { interface, groups, missing } => {
                // After the change the keeper reports everything again.
                if !reloading {
                    effects.extend(self.addresses.handle_report(interface, (groups, missing), current, numbering));
                }
                self.become_ready(&mut effects);
            }
            KeeperEvent::Gateway { interface, ip, mac } => {
                effects.order(Order::Anchor { interface, address: ip, mac })
            }
            KeeperEvent::GateLost { interface, cause } => {
                let text = format!("the gate on {} is lost: {cause}", names.interface(interface));
                effects.event(Severity::Error, "gate_lost", text);
                self.change_facts(interface, |facts| facts.gate = false, &mut effects);
                effects.extend(self.addresses.handle_lost(interface, numbering));
            }
            KeeperEvent::Gone { interface, renamed } => {
                report_gone(names.interface(interface), renamed, &mut effects);
                self.change_facts(interface, |facts| *facts = InterfaceFacts::default(), &mut effects);
                effects.extend(self.addresses.handle_lost(interface, numbering));
            }
            KeeperEvent::AddressRestored { interface, address } => {
                report_restored(names.interface(interface), address, &mut effects);
            }
            KeeperEvent::Warned { interface, text } => {
                report_warning(names.interface(interface), &text, &mut effects);
            }
            KeeperEvent::Failed { interface, operation, cause } => {
                report_failure(names.interface(interface), &format!("{operation}: {cause}"), &mut effects);
            }
            KeeperEvent::OwnMacs { macs } => effects.order(Order::OwnMacs(macs.into())),
            KeeperEvent::InsideMacs { interface, macs } => effects.order(Order::inside(interface, macs)),
            KeeperEvent::OwnAddresses { interface, own } => effects.order(Order::OwnAddresses { interface, own }),
            KeeperEvent::Guard(news) => report_guard(news, &mut effects),
            KeeperEvent::Reconfigured => {}
        }
        effects
    }

    /// Notes the state of an interface that exists: carrier, hardware address, and whose port it is.
    fn note_state(
        &mut self,
        interface: InterfaceId,
        (carrier, mac, port_of): (bool, MacAddr, Option<&str>),
        (name, numbering): (&str, Numbering<'_>),
        effects: &mut Effects,
    ) {
        let was = self.facts[usize::from(interface.0)].enslaved;
        let state = |facts: &mut InterfaceFacts| {
            (facts.exists, facts.carrier, facts.mac) = (true, carrier, mac);
            facts.enslaved = port_of.is_some();
            facts.gate &= port_of.is_none();
        };
        self.change_facts(interface, state, effects);
        if port_of.is_some() && !was {
            effects.extend(self.addresses.handle_lost(interface, numbering));
        }
        report_port(name, was, port_of, effects);
    }

    /// Keeps the reader of an interface's counters, with the slot of each of its groups; `None`:
    /// there is nothing to read.
    fn set_counters(&mut self, interface: InterfaceId, reader: Option<CounterReader>, slots: &[(GroupKey, u16)]) {
        let slots = || slots.iter().copied().collect();
        self.counters[usize::from(interface.0)] = reader.map(|reader| Counters { reader, slots: slots() });
    }

    /// Changes the facts of an interface, and orders them if they are different from before.
    fn change_facts(
        &mut self,
        interface: InterfaceId,
        change: impl FnOnce(&mut InterfaceFacts),
        effects: &mut Effects,
    ) {
        let facts = &mut self.facts[usize::from(interface.0)];
        let before = *facts;
        change(facts);
        if *facts != before {
            effects.order(Order::Facts { interface, facts: *facts });
        }
    }

    /// Says that the agent is ready once every interface has its closed gate and the addresses that
    /// could be had:
    /// services that systemd orders after the agent find the addresses there.
    fn become_ready(&mut self, effects: &mut Effects) {
        if !self.ready && self.addresses.are_settled() && self.facts.iter().all(|facts| facts.gate) {
            self.ready = true;
            effects.systemd(NotifyState::Ready);
            effects.event(Severity::Info, "ready", "gates installed, addresses configured".to_owned());
        }
    }

    /// Says that the agent is ready without an interface that has been missing for too long: it
    /// must not keep the others' services from starting. `age`: since the agent's start.
    pub fn handle_tick(&mut self, names: &Names, age: Duration) -> Effects {
        let mut effects = Effects::default();
        if self.ready {
            return effects;
        }
        let missing: Vec<&str> = self
            .facts
            .iter()
            .enumerate()
            .filter(|(_, facts)| !facts.exists || !facts.gate || facts.enslaved)
            .filter_map(|(at, _)| u8::try_from(at).ok())
            .map(|at| names.interface(InterfaceId(at)))
            .collect();
        if missing.is_empty() {
            // Addresses are being added: ten thousand IPv6 addresses take the kernel half a minute.
            effects.systemd(NotifyState::ExtendTimeoutUsec(30_000_000));
        } else if age >= READY_PATIENCE {
            let text = format!("starting without {}: it cannot serve yet", missing.join(", "));
            self.ready = true;
            effects.systemd(NotifyState::Ready);
            effects.event(Severity::Warning, "ready", text);
        }
        effects
    }

    /// Hands another configuration to the keeper; false if the keeper has been stopped.
    pub fn reconfigure(&self, config: &Config) -> bool {
        if let Some(keeper) = &self.keeper {
            keeper.reconfigure(from_config::guarded(config));
        }
        self.keeper.is_some()
    }

    /// Stops the keeper; gates and addresses stay as they are.
    pub fn finish(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
    }

    /// Adds the gates' counters and the missing addresses to each group's status.
    pub fn add_to(&self, status: &mut StatusReport, current: &Current) {
        self.addresses.add_to(status, current);
        for (group, configured) in status.groups.iter_mut().zip(&current.config.groups) {
            for Counters { reader, slots } in self.counters.iter().flatten() {
                let named = slots.get(&configured.key).map(|slot| reader.read(*slot).named());
                group.counters.extend(named.into_iter().flatten().map(|(name, count)| (name.to_owned(), count)));
            }
        }
    }
}

/// Tells people that an address which somebody had removed is back.
fn report_restored(name: &str, address: Vip, effects: &mut Effects) {
    let text = format!("somebody removed {address} from {name}; it was added again");
    effects.event(Severity::Warning, "address_restored", text);
}

/// Tells people what the keeper cannot mend, or has mended.
fn report_warning(name: &str, text: &str, effects: &mut Effects) {
    effects.event(Severity::Warning, "interface_warning", format!("{name}: {text}"));
}

/// Tells people what the keeper could not do.
fn report_failure(name: &str, text: &str, effects: &mut Effects) {
    effects.event(Severity::Error, "interface_error", format!("{name}: {text}"));
}

/// Tells people that an interface does not exist any more, or has another name.
fn report_gone(name: &str, renamed: Option<String>, effects: &mut Effects) {
    let text = match renamed {
        Some(new) => {
            format!("interface {name} is called {new} now: its gate is closed, the addresses are being taken away")
        }
        None => format!("interface {name} is gone"),
    };
    effects.event(Severity::Error, "interface_gone", text);
}

/// Tells people when an interface becomes a port of another one, or ceases to be. `was`: whether it
/// was one before.
fn report_port(name: &str, was: bool, port_of: Option<&str>, effects: &mut Effects) {
    match port_of {
        Some(master) if !was => {
            let text = format!("{name} is a port of {master}, which takes its frames: it cannot serve");
            effects.event(Severity::Error, "enslaved", text);
        }
        None if was => effects.event(Severity::Info, "freed", format!("{name} is no port any more")),
        Some(_) | None => {}
    }
}

/// Tells people what the guards of other interfaces have held back, or why one was missing.
fn report_guard(news: GuardNews, effects: &mut Effects) {
    match news {
        GuardNews::Restored { name, cause } => {
            let text = format!("the guard on {name} was not in its place: {cause}; it is there again");
            effects.event(Severity::Warning, "guard_restored", text);
        }
        GuardNews::Held(held) => {
            let text = format!(
                "on other interfaces this server claims addresses of groups, as kernels do on every card of a segment; \
                 held back until now: {} claims, and the sender of {} questions",
                held.dropped, held.nameless
            );
            effects.event(Severity::Info, "held_back", text);
        }
        GuardNews::Missing { name, cause } => {
            let text = format!("{name} has no guard, and may answer for a group's address: {cause}");
            effects.event(Severity::Error, "unguarded", text);
        }
    }
}
