//! The gate of an interface: installed or adopted, changed with the groups, missed when it is gone.
//!
//! Owns: when to try again. Never does: open the gate. Where a gate is lost, the addresses are
//! taken away before another one is installed.

use super::super::{Guarded, KeeperEvent, Tools};
use super::Port;
use crate::gate::place::{Place, Standing};
use crate::gate::{Gate, Update};
use crate::io::netlink::InterfaceInfo;
use crate::io::segment::PacketSocket;
use crate::io::{clock, systemd};
use crate::types::{GroupKey, MonoTime};
use crate::wire::frame::segment_filter;
use std::time::Duration;

/// Time for taking addresses away before a lost gate is replaced. Usually all are gone in less;
/// with thousands of them the new gate closes sooner than the last could be removed.
const EXPOSURE: Duration = Duration::from_millis(30);
/// Times in a row that the kernel may fail to say whether the gate is there; then it counts as
/// lost.
const UNREADABLE: u8 = 3;
/// Pause after the first failed installation of the gate; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after a failed installation.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Pause after the next failed installation: [`FIRST_PAUSE`] doubled up to [`LONGEST_PAUSE`].
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Pause {
        Pause(FIRST_PAUSE)
    }
}

impl Port {
    /// Asks the kernel whether the gate is in its place, before all others; if not, reports its loss
    /// and removes the addresses.
    pub(super) fn check_gate(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        let Some(gate) = &self.gate else { return };
        let cause = match gate.standing() {
            Ok(Standing::First) => {
                self.unreadable = 0;
                return;
            }
            Ok(Standing::Absent) => "it was removed by somebody".to_owned(),
            Ok(Standing::Behind(cause)) => cause,
            Err(cause) => {
                self.unreadable += 1;
                let text = cause.to_string();
                self.fail(tools, "look at the gate", text.clone());
                if self.unreadable < UNREADABLE {
                    return;
                }
                text
            }
        };
        self.lose_gate(tools, link, cause);
    }

    /// Whether nothing tells us when somebody else comes before the gate: a program on TCX makes no
    /// event of rtnetlink.
    pub(in super::super) fn is_silent(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.place() == Place::Tcx)
    }

    /// Asks for a look if the gate may not be the first any more: two system calls.
    pub(in super::super) fn glance(&mut self) {
        let first = |gate: &Gate| gate.place() != Place::Tcx || gate.standing().ok() == Some(Standing::First);
        if !self.gate.as_ref().is_none_or(first) {
            self.look_soon();
        }
    }

    /// Reports that the gate is none any more, and removes the addresses.
    fn lose_gate(&mut self, tools: &mut Tools, link: &InterfaceInfo, cause: String) {
        self.lost_gate = self.gate.take();
        if self.attached {
            tools.report(KeeperEvent::GateLost { interface: self.wanted.interface, cause });
        } else {
            self.fail(tools, "hold the gate", cause);
        }
        (self.attached, self.ready, self.groups_changed, self.unreadable) = (false, false, false, 0);
        self.plan = super::Plan::empty();
        self.lost.clear();
        self.remove_addresses(tools, link.index, Some(EXPOSURE));
    }

    /// Installs or adopts the gate if there is none and the pause after a failure is over.
    pub(super) fn install_gate(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        if self.gate.is_some() || clock::now() < self.retry_at {
            return;
        }
        let installed = match &self.lost_gate {
            Some(lost) => lost.supersede(&self.wanted.groups),
            None => {
                let (name, groups) = (&self.wanted.name, &self.wanted.groups);
                Gate::install_in(tools.place, link.index, name, groups, &tools.former)
            }
        };
        match installed {
            Ok(gate) => {
                keep_descriptors(&self.wanted.name, &gate);
                (self.gate, self.lost_gate, self.proven) = (Some(gate), None, false);
                self.failures.remove("install the gate");
            }
            Err(cause) => {
                self.fail(tools, "install the gate", cause.to_string());
                self.pause_installing();
            }
        }
    }

    /// Puts off the next installation, each time twice as long.
    fn pause_installing(&mut self) {
        self.retry_at = clock::now() + self.pause.0;
        self.pause = Pause((self.pause.0 * 2).min(LONGEST_PAUSE));
    }

    /// Has a gate that is new here stop a frame, before anything relies on it; one that does not is
    /// lost. While the interface is switched off nothing can be tried, and nothing passes: that
    /// waits until it is switched on.
    pub(super) fn prove_gate(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        let Some(gate) = self.gate.as_mut().filter(|_| !self.proven && link.up) else { return };
        match gate.prove(link.mac) {
            Ok(proven) => {
                self.proven = proven;
                self.failures.remove("hold the gate");
                (self.retry_at, self.pause) = (MonoTime::ZERO, Pause::default());
            }
            Err(cause) => {
                let text = cause.to_string();
                self.lose_gate(tools, link, text);
                self.pause_installing();
            }
        }
    }

    /// Brings changed groups to the gate, and reports a new gate or new groups in the old one.
    pub(super) fn report_gate(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        let interface = self.wanted.interface;
        let Some(gate) = &mut self.gate else { return };
        let mut replaced = false;
        if self.groups_changed {
            match gate.update_groups(&self.wanted.groups) {
                Ok(update) => {
                    replaced = update == Update::Replaced;
                    keep_descriptors(&self.wanted.name, gate);
                }
                Err(cause) => {
                    let text = cause.to_string();
                    return self.fail(tools, "change the gate", text);
                }
            }
        }
        if replaced {
            self.proven = false;
            self.prove_gate(tools, link);
        }
        let Some(gate) = &self.gate else { return };
        let slots = slots_of(gate, &self.wanted);
        if self.attached {
            if std::mem::take(&mut self.groups_changed) {
                self.failures.remove("change the gate");
                tools.report(KeeperEvent::Regrouped {
                    interface,
                    gate: gate.handle(),
                    slots,
                    counters: gate.counter_reader().ok(),
                    replaced,
                });
                self.hold_addresses_while_down(tools);
            }
            return;
        }
        self.groups_changed = false;
        match PacketSocket::open(link.index, &segment_filter()) {
            Ok(socket) => {
                tools.report(KeeperEvent::Attached {
                    interface,
                    ifindex: link.index,
                    mac: link.mac,
                    gate: gate.handle(),
                    slots,
                    counters: gate.counter_reader().ok(),
                    adopted: gate.adopted(),
                    socket,
                });
                self.attached = true;
                self.failures.remove("open a packet socket");
                self.hold_addresses_while_down(tools);
            }
            Err(cause) => self.fail(tools, "open a packet socket", cause.to_string()),
        }
    }
}

/// Slot of each wanted group that the gate knows.
fn slots_of(gate: &Gate, wanted: &Guarded) -> Vec<(GroupKey, u16)> {
    wanted.groups.iter().filter_map(|(key, _)| Some((*key, gate.slot(*key)?))).collect()
}

/// Leaves the descriptors with the service manager that the next life needs to adopt this gate.
fn keep_descriptors(name: &str, gate: &Gate) {
    let descriptors = gate.descriptors().map(|(_, descriptor)| descriptor);
    systemd::keep(&format!("gate-{}", name.replace(':', "_")), &descriptors);
}
