//! One client interface: how it is and what is done about it.
//!
//! The order is what keeps the promise that no frame claims an address behind an open door: gate before addresses, and
//! addresses away when the gate is.

mod addresses;

use super::anchors::Anchors;
use super::plan::Plan;
use super::{Guarded, KeeperEvent, Tools};
use crate::gate::{Gate, Update};
use crate::io::netlink::{InterfaceInfo, NetlinkEvent};
use crate::io::segment::PacketSocket;
use crate::io::{clock, systemd};
use crate::types::{GroupKey, MonoTime, Vip};
use crate::wire::frame::segment_filter;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Time for taking addresses away before a lost gate is replaced. Usually all are gone in less; with thousands of them
/// the new gate closes sooner than the last could be removed.
const EXPOSURE: Duration = Duration::from_millis(30);
/// The kernel may fail to say whether the gate is there this often before it counts as lost.
const UNREADABLE: u8 = 3;
/// Pause after a failed installation of the gate; it doubles with each failure …
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Looks between two looks at gateways and neighbours.
const ANCHOR_PERIOD: u8 = 5;

pub(super) struct Port {
    wanted: Guarded,
    vips: HashSet<Vip>,
    link: Option<InterfaceInfo>,
    gate: Option<Gate>,
    /// `Attached` was told of the present gate.
    attached: bool,
    /// The gate does not know the present groups yet.
    regroup: bool,
    unreadable: u8,
    retry_at: MonoTime,
    pause: Duration,
    plan: Plan,
    /// Some step of the present plan failed.
    flawed: bool,
    /// `AddressesReady` was told and holds.
    ready: bool,
    /// The configuration changed since: it is to be told again.
    changed: bool,
    /// Addresses that the configuration gained since. That they are missing takes nothing from groups that serve.
    novel: HashSet<Vip>,
    /// The present plan adds nothing else.
    harmless: bool,
    rounds: u8,
    /// Addresses that went missing after they had been there.
    lost: HashSet<Vip>,
    failures: HashMap<&'static str, String>,
    /// Something may have changed: look.
    dirty: bool,
    /// Nothing is known to have changed; a second has passed.
    casual: bool,
    /// Before that a casual look leaves the addresses out.
    addresses_due: MonoTime,
    anchors: Anchors,
    anchor_countdown: u8,
}

impl Port {
    pub(super) fn new(wanted: Guarded) -> Port {
        let vips = vips_of(&wanted);
        Port {
            wanted,
            vips,
            link: None,
            gate: None,
            attached: false,
            regroup: false,
            unreadable: 0,
            retry_at: MonoTime::ZERO,
            pause: FIRST_PAUSE,
            plan: Plan::empty(),
            flawed: false,
            ready: false,
            changed: false,
            novel: HashSet::new(),
            harmless: false,
            rounds: 0,
            lost: HashSet::new(),
            failures: HashMap::new(),
            dirty: true,
            casual: false,
            addresses_due: MonoTime::ZERO,
            anchors: Anchors::default(),
            anchor_countdown: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.wanted.name
    }

    /// There is a step of a plan to do.
    pub(super) fn has_work(&self) -> bool {
        !self.plan.is_empty()
    }

    /// The configuration changed.
    pub(super) fn change(&mut self, wanted: Guarded) {
        self.regroup |= self.wanted.groups != wanted.groups;
        let before = std::mem::replace(&mut self.vips, vips_of(&wanted));
        self.novel =
            self.vips.iter().filter(|vip| self.novel.contains(vip) || !before.contains(vip)).copied().collect();
        self.wanted = wanted;
        self.plan = Plan::empty();
        self.rounds = 0;
        self.lost.clear();
        self.stir();
        self.changed = true;
        // Told again under the new number.
        self.anchors = Anchors::default();
        self.failures.clear();
    }

    /// A second has passed: look at everything, and try again what failed.
    pub(super) fn begin_period(&mut self) {
        self.casual = !self.dirty;
        self.dirty = true;
        self.rounds = 0;
        self.anchor_countdown = self.anchor_countdown.saturating_sub(1);
    }

    /// There is a reason to look at everything.
    fn stir(&mut self) {
        (self.dirty, self.casual) = (true, false);
    }

    /// Takes a hint of the kernel's. Only a lost carrier is passed on at once; for everything else we look.
    pub(super) fn handle_event(&mut self, tools: &mut Tools, event: &NetlinkEvent) {
        let index = self.link.as_ref().map(|link| link.index);
        let concerns = match event {
            NetlinkEvent::Link(link) if Some(link.index) == index || link.name == self.wanted.name => {
                if Some(link.index) == index && link.name == self.wanted.name && !link.carrier {
                    self.see(tools, link.clone());
                }
                true
            }
            NetlinkEvent::LinkGone { index: gone, .. } => Some(*gone) == index,
            NetlinkEvent::AddressAdded { index: on, address }
            | NetlinkEvent::AddressRemoved { index: on, address } => {
                Some(*on) == index && self.vips.contains(address)
            }
            NetlinkEvent::FilterChanged { index: on } => Some(*on) == index,
            NetlinkEvent::Overrun => true,
            NetlinkEvent::Link(_) => false,
        };
        if concerns {
            self.stir();
        }
    }

    /// Looks, if there is a reason to, and sets right what is wrong.
    pub(super) fn attend(&mut self, tools: &mut Tools) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let found = match tools.netlink.interface(&self.wanted.name) {
            Ok(found) => found,
            Err(cause) => return self.fail(tools, "look at the interface", cause.to_string()),
        };
        self.failures.remove("look at the interface");
        let same = |link: &InterfaceInfo| found.as_ref().is_some_and(|found| found.index == link.index);
        if self.link.as_ref().is_some_and(|link| !same(link)) {
            self.leave(tools);
        }
        let Some(link) = found else { return };
        self.see(tools, link.clone());
        self.check_gate(tools, &link);
        self.install(tools, &link);
        self.attach(tools, &link);
        self.check_addresses(tools, &link);
        if self.anchor_countdown == 0 {
            self.anchor_countdown = ANCHOR_PERIOD;
            self.look_for_anchors(tools, &link);
        }
    }

    fn see(&mut self, tools: &mut Tools, link: InterfaceInfo) {
        if self.link.as_ref() == Some(&link) {
            return;
        }
        tools.tell(KeeperEvent::State {
            interface: self.wanted.interface,
            up: link.up,
            carrier: link.carrier,
            mac: link.mac,
        });
        if link.carrier {
            self.anchor_countdown = 0;
        }
        // A change of the interface is worth another try.
        (self.retry_at, self.pause) = (MonoTime::ZERO, FIRST_PAUSE);
        self.link = Some(link);
    }

    /// The interface is gone, and with it everything on it.
    fn leave(&mut self, tools: &mut Tools) {
        tools.tell(KeeperEvent::Gone { interface: self.wanted.interface });
        *self = Port { dirty: false, ..Port::new(self.wanted.clone()) };
    }

    fn check_gate(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        let Some(gate) = &self.gate else { return };
        let there = match gate.is_attached() {
            Ok(there) => {
                self.unreadable = 0;
                there
            }
            Err(cause) => {
                self.unreadable += 1;
                let text = cause.to_string();
                let patient = self.unreadable < UNREADABLE;
                self.fail(tools, "look at the gate", text);
                patient
            }
        };
        if there {
            return;
        }
        self.gate = None;
        (self.attached, self.ready, self.regroup, self.unreadable) = (false, false, false, 0);
        self.plan = Plan::empty();
        self.lost.clear();
        tools.tell(KeeperEvent::GateLost { interface: self.wanted.interface });
        self.strip(tools, link.index, Some(EXPOSURE));
    }

    fn install(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        if self.gate.is_some() || clock::now() < self.retry_at {
            return;
        }
        match Gate::install_with(link.index, &self.wanted.name, &self.wanted.groups, &tools.kept) {
            Ok(gate) => {
                keep(&self.wanted.name, &gate);
                self.gate = Some(gate);
                self.failures.remove("install the gate");
                (self.retry_at, self.pause) = (MonoTime::ZERO, FIRST_PAUSE);
            }
            Err(cause) => {
                self.fail(tools, "install the gate", cause.to_string());
                self.retry_at = clock::now() + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Tells the pulse thread of a new gate, or of new groups in the old one.
    fn attach(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        let interface = self.wanted.interface;
        let Some(gate) = &mut self.gate else { return };
        let mut replaced = false;
        if self.regroup {
            match gate.update_groups(&self.wanted.groups) {
                Ok(update) => {
                    replaced = update == Update::Replaced;
                    keep(&self.wanted.name, gate);
                }
                Err(cause) => {
                    let text = cause.to_string();
                    return self.fail(tools, "change the gate", text);
                }
            }
        }
        let slots = slots_of(gate, &self.wanted);
        if self.attached {
            if std::mem::take(&mut self.regroup) {
                self.failures.remove("change the gate");
                tools.tell(KeeperEvent::Regrouped {
                    interface,
                    gate: gate.handle(),
                    slots,
                    counters: gate.counter_reader().ok(),
                    replaced,
                });
                self.hold_addresses(tools);
            }
            return;
        }
        self.regroup = false;
        match PacketSocket::open(link.index, &segment_filter()) {
            Ok(socket) => {
                tools.tell(KeeperEvent::Attached {
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
                self.hold_addresses(tools);
            }
            Err(cause) => self.fail(tools, "open a packet socket", cause.to_string()),
        }
    }

    fn look_for_anchors(&mut self, tools: &mut Tools, link: &InterfaceInfo) {
        if !link.carrier {
            return;
        }
        match self.anchors.look(&mut tools.netlink, self.wanted.interface, link.index, &self.vips) {
            Ok(news) => {
                self.failures.remove("look for neighbours");
                news.into_iter().for_each(|event| tools.tell(event));
            }
            Err(cause) => self.fail(tools, "look for neighbours", cause.to_string()),
        }
    }

    /// Takes the addresses away and then the gate.
    pub(super) fn release(&mut self, tools: &mut Tools) {
        let found = tools.netlink.interface(&self.wanted.name);
        let Ok(Some(link)) = found else { return };
        // A gate of an earlier life knows which addresses to take away.
        self.install(tools, &link);
        if !self.strip(tools, link.index, None) {
            return;
        }
        if let Some(Err(cause)) = self.gate.take().map(Gate::remove) {
            self.fail(tools, "remove the gate", cause.to_string());
        }
    }

    /// Tells a failure unless it is the same as before.
    fn fail(&mut self, tools: &mut Tools, operation: &'static str, cause: String) {
        if self.failures.get(operation) == Some(&cause) {
            return;
        }
        self.failures.insert(operation, cause.clone());
        tools.tell(KeeperEvent::Failed { interface: self.wanted.interface, operation, cause });
    }
}

fn vips_of(wanted: &Guarded) -> HashSet<Vip> {
    wanted.groups.iter().flat_map(|(_, vips)| vips).copied().collect()
}

fn slots_of(gate: &Gate, wanted: &Guarded) -> Vec<(GroupKey, u16)> {
    wanted.groups.iter().filter_map(|(key, _)| Some((*key, gate.slot(*key)?))).collect()
}

/// Leaves what the next life needs to adopt this gate with the service manager.
fn keep(name: &str, gate: &Gate) {
    let descriptors = gate.descriptors().map(|(_, descriptor)| descriptor);
    systemd::keep(&format!("gate-{}", name.replace(':', "_")), &descriptors);
}
