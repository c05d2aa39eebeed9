//! The slow side's ear for the keeper: what it tells of interfaces goes to the hot thread, to people and to systemd.

use super::Slow;
use crate::control::protocol::Severity;
use crate::engine::InterfaceFacts;
use crate::io::clock;
use crate::io::systemd::notify;
use crate::keeper::KeeperEvent;
use crate::orders::{Attach, Order, Regrouped};
use crate::types::InterfaceId;
use sd_notify::NotifyState;
use std::time::Duration;

/// How long systemd is kept waiting for an interface that has no gate yet.
const READY_PATIENCE: Duration = Duration::from_secs(10);

impl Slow {
    pub(crate) fn hear_keeper(&mut self, event: KeeperEvent) {
        match event {
            KeeperEvent::Attached { interface, ifindex, mac, gate, slots, counters, adopted, socket } => {
                self.state.counters[usize::from(interface.0)] =
                    counters.map(|reader| (reader, slots.iter().copied().collect()));
                let attach = Attach { interface, ifindex, mac, gate, slots, adopted, socket };
                self.order(Order::Attach(Box::new(attach)));
                self.change_facts(interface, |facts| {
                    facts.exists = true;
                    facts.gate = true;
                    facts.mac = mac;
                });
            }
            KeeperEvent::State { interface, up, carrier, mac } => self.change_facts(interface, |facts| {
                facts.exists = true;
                facts.carrier = up && carrier;
                facts.mac = mac;
            }),
            KeeperEvent::AddressesReady { interface } => {
                self.change_facts(interface, |facts| facts.addresses = true);
                // Until the keeper has changed over, its word is of the groups before.
                if !self.reload.is_under_way() {
                    self.order(Order::Installed { interface });
                    self.start_checks_on(interface);
                }
                self.tell_ready();
            }
            KeeperEvent::GateLost { interface } => {
                let text = format!("the gate on {} was removed by somebody", self.names.interface(interface));
                self.tell(Severity::Error, "gate_lost", text);
                self.change_facts(interface, |facts| {
                    facts.gate = false;
                    facts.addresses = false;
                });
            }
            KeeperEvent::Gone { interface } => {
                let text = format!("interface {} is gone", self.names.interface(interface));
                self.tell(Severity::Error, "interface_gone", text);
                self.change_facts(interface, |facts| *facts = InterfaceFacts::default());
            }
            KeeperEvent::AddressRestored { interface, address } => {
                let name = self.names.interface(interface);
                let text = format!("somebody removed {address} from {name}; it was added again");
                self.tell(Severity::Warning, "address_restored", text);
            }
            KeeperEvent::AddressesMissing { interface } => {
                let text = format!("addresses are missing on {}", self.names.interface(interface));
                self.tell(Severity::Error, "addresses_missing", text);
                self.change_facts(interface, |facts| facts.addresses = false);
            }
            KeeperEvent::Regrouped { interface, gate, slots, counters, replaced } => {
                self.state.counters[usize::from(interface.0)] =
                    counters.map(|reader| (reader, slots.iter().copied().collect()));
                self.order(Order::Regrouped(Box::new(Regrouped { interface, gate, slots, replaced })));
            }
            KeeperEvent::Reconfigured => self.hear_keeper_reconfigured(),
            KeeperEvent::Gateway { interface, ip, mac } => {
                self.order(Order::Anchor { interface, address: ip, mac });
            }
            KeeperEvent::Failed { interface, operation, cause } => {
                let text = format!("{}: {operation}: {cause}", self.names.interface(interface));
                self.tell(Severity::Error, "interface_error", text);
            }
        }
    }

    fn change_facts(&mut self, interface: InterfaceId, change: impl FnOnce(&mut InterfaceFacts)) {
        let facts = &mut self.state.facts[usize::from(interface.0)];
        let before = *facts;
        change(facts);
        let facts = *facts;
        if facts != before {
            self.order(Order::Facts { interface, facts });
        }
    }

    /// Ready for systemd once every interface has its closed gate and its addresses: services that are ordered after
    /// us find the addresses there.
    fn tell_ready(&mut self) {
        if !self.state.ready_told && self.state.facts.iter().all(|facts| facts.gate && facts.addresses) {
            self.state.ready_told = true;
            notify(&[NotifyState::Ready]);
            self.tell(Severity::Info, "ready", "gates installed, addresses configured".to_owned());
        }
    }

    /// An interface that is not there must not keep the others' services from starting for ever.
    pub(crate) fn tell_ready_anyway(&mut self) {
        if self.state.ready_told {
            return;
        }
        let missing: Vec<&str> = self
            .state
            .facts
            .iter()
            .enumerate()
            .filter(|(_, facts)| !facts.exists || !facts.gate)
            .filter_map(|(at, _)| u8::try_from(at).ok())
            .map(|at| self.names.interface(InterfaceId(at)))
            .collect();
        if missing.is_empty() {
            // Addresses are being added: ten thousand IPv6 addresses take the kernel half a minute.
            notify(&[NotifyState::ExtendTimeoutUsec(30_000_000)]);
        } else if clock::now().since(self.started) >= READY_PATIENCE {
            let text = format!("starting without {}: no gate there yet", missing.join(", "));
            self.state.ready_told = true;
            notify(&[NotifyState::Ready]);
            self.tell(Severity::Warning, "ready", text);
        }
    }
}
