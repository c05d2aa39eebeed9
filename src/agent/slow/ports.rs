//! Interfaces as the keeper reports them.
//!
//! Owns: the keeper's handle, the facts and counters of each interface, and whether the service
//! manager has been told that the agent is ready. Never does: touch an interface; the keeper does.
//! A report becomes orders to the hot thread, events for people, and word to systemd.

use super::current::Current;
use super::effects::{Effect, Effects};
use crate::config::Config;
use crate::control::protocol::{Severity, StatusReport};
use crate::engine::InterfaceFacts;
use crate::from_config;
use crate::gate::CounterReader;
use crate::keeper::{KeeperEvent, KeeperHandle};
use crate::orders::{Attach, Order, Regrouped};
use crate::types::{GroupKey, InterfaceId};
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
            counters: (0..count).map(|_| None).collect(),
            ready: false,
        }
    }

    /// Whether systemd has been told that the agent is ready.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Takes in a report of the keeper. `reloading`: until the keeper has changed over as well, its
    /// reports are about the groups before.
    pub fn handle_report(&mut self, report: KeeperEvent, names: &Names, reloading: bool) -> Effects {
        let mut effects = Effects::default();
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
            KeeperEvent::State { interface, up, carrier, mac } => {
                let state = |facts: &mut InterfaceFacts| {
                    (facts.exists, facts.carrier, facts.mac) = (true, up && carrier, mac);
                };
                self.change_facts(interface, state, &mut effects);
            }
            KeeperEvent::AddressesReady { interface } => {
                self.change_facts(interface, |facts| facts.addresses = true, &mut effects);
                if !reloading {
                    effects.order(Order::Installed { interface });
                    effects.push(Effect::StartChecks(interface));
                }
                self.become_ready(&mut effects);
            }
            KeeperEvent::Gateway { interface, ip, mac } => {
                effects.order(Order::Anchor { interface, address: ip, mac });
            }
            KeeperEvent::GateLost { interface, cause } => {
                let text = format!("the gate on {} is lost: {cause}", names.interface(interface));
                effects.event(Severity::Error, "gate_lost", text);
                let lost = |facts: &mut InterfaceFacts| (facts.gate, facts.addresses) = (false, false);
                self.change_facts(interface, lost, &mut effects);
            }
            KeeperEvent::Gone { interface } => {
                let text = format!("interface {} is gone", names.interface(interface));
                effects.event(Severity::Error, "interface_gone", text);
                self.change_facts(interface, |facts| *facts = InterfaceFacts::default(), &mut effects);
            }
            KeeperEvent::AddressRestored { interface, address } => {
                let name = names.interface(interface);
                let text = format!("somebody removed {address} from {name}; it was added again");
                effects.event(Severity::Warning, "address_restored", text);
            }
            KeeperEvent::AddressesMissing { interface } => {
                let text = format!("addresses are missing on {}", names.interface(interface));
                effects.event(Severity::Error, "addresses_missing", text);
                self.change_facts(interface, |facts| facts.addresses = false, &mut effects);
            }
            KeeperEvent::Failed { interface, operation, cause } => {
                let text = format!("{}: {operation}: {cause}", names.interface(interface));
                effects.event(Severity::Error, "interface_error", text);
            }
            KeeperEvent::Reconfigured => {}
        }
        effects
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

    /// Says that the agent is ready once every interface has its closed gate and its addresses:
    /// services that systemd orders after the agent find the addresses there.
    fn become_ready(&mut self, effects: &mut Effects) {
        if !self.ready && self.facts.iter().all(|facts| facts.gate && facts.addresses) {
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
            .filter(|(_, facts)| !facts.exists || !facts.gate)
            .filter_map(|(at, _)| u8::try_from(at).ok())
            .map(|at| names.interface(InterfaceId(at)))
            .collect();
        if missing.is_empty() {
            // Addresses are being added: ten thousand IPv6 addresses take the kernel half a minute.
            effects.systemd(NotifyState::ExtendTimeoutUsec(30_000_000));
        } else if age >= READY_PATIENCE {
            let text = format!("starting without {}: no gate there yet", missing.join(", "));
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

    /// Adds the gates' counters to each group's status.
    pub fn add_to(&self, status: &mut StatusReport, current: &Current) {
        for (group, configured) in status.groups.iter_mut().zip(&current.config.groups) {
            for Counters { reader, slots } in self.counters.iter().flatten() {
                let named = slots.get(&configured.key).map(|slot| reader.read(*slot).named());
                group.counters.extend(named.into_iter().flatten().map(|(name, count)| (name.to_owned(), count)));
            }
        }
    }
}
