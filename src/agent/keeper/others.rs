//! The other interfaces of the namespace, on each of which a guard lets no claim for a group's
//! address leave.
//!
//! Owns: the table of all interfaces, and the guard on those that need it. Never does: touch an
//! interface's addresses, or wait. The table follows the kernel's events and is read as a whole now
//! and then; an interface that appears has its guard a fraction of a millisecond later, long before
//! somebody can have switched it on and asked there. Some guards are looked at every second, in
//! turn, so that the cost does not grow with the number of interfaces. One that is missing is put
//! back. A failure is reported once per interface and cause, and tried again.
//!
//! A port of a bridge or bond has no guard: its frames are those of others, and of the interface
//! that it is a port of, and the kernel itself answers nobody there.

use super::port::Port;
use super::{GuardNews, KeeperEvent, Tools};
use crate::gate::place::{Site, Standing};
use crate::gate::{GateError, Guard, Held, Owner};
use crate::io::clock;
use crate::io::netlink::{InterfaceInfo, NetlinkEvent};
use crate::types::{InterfaceId, MacAddr, Vip};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Time for which guards are put in their places without a look at events: the kernel takes some
/// milliseconds for each (it waits until no packet is in the list that it changes).
const PORTION: Duration = Duration::from_millis(10);
/// Guards looked at in one second.
const AT_ONCE: usize = 16;
/// Seconds between two readings of the whole table of interfaces.
const READING_PERIOD: u8 = 16;
/// Seconds between two reports of what was held back.
const TELLING_PERIOD: u16 = 3600;
/// Most hardware addresses that are told as our own.
const MOST_OWN: usize = 256;

/// All interfaces, and the guards on them.
#[derive(Debug, Default)]
pub(super) struct Others {
    links: BTreeMap<u32, InterfaceInfo>,
    guard: Option<Guard>,
    /// Interfaces that the guard was put on.
    guarded: BTreeSet<u32>,
    /// Ethernet interfaces that need no guard, and have none of an earlier life either.
    bare: BTreeSet<u32>,
    /// Interfaces on which others came before the guard again after it had gone first: it stays
    /// behind them.
    outdone: BTreeSet<u32>,
    /// Interfaces that may have come to need a guard, or to need none any more.
    unsettled: BTreeSet<u32>,
    /// Interfaces whose guard is to be looked at.
    suspects: BTreeSet<u32>,
    /// Where the next look in turn begins.
    next: u32,
    /// Looks until the table is read again.
    countdown: u8,
    /// Looks until what was held back may be told again, and what was told.
    telling: u16,
    told: Held,
    /// Whether interfaces or wanted addresses may have changed.
    changed: bool,
    /// Whether the guard still knows addresses that are not wanted any more.
    stale: bool,
    /// The own hardware addresses as last reported.
    own: Vec<MacAddr>,
    /// Cause of each present failure, as reported; 0 is the guard's own.
    failures: HashMap<u32, String>,
}

impl Others {
    /// Nothing is known yet: the first look finds all.
    pub(super) fn new() -> Others {
        Others { changed: true, ..Others::default() }
    }

    /// Takes the kernel's event into the table.
    pub(super) fn handle_event(&mut self, event: &NetlinkEvent) {
        match event {
            NetlinkEvent::Link(link) => {
                let before = self.links.insert(link.index, link.clone());
                self.changed |= before.as_ref() != Some(link);
            }
            NetlinkEvent::LinkGone { index, .. } => self.forget(*index),
            NetlinkEvent::FilterChanged { index } => {
                if self.guarded.contains(index) {
                    self.suspects.insert(*index);
                }
            }
            NetlinkEvent::Overrun => self.countdown = 0,
            NetlinkEvent::AddressAdded { .. } | NetlinkEvent::AddressRemoved { .. } | NetlinkEvent::Learned(_) => {}
        }
    }

    /// Begins another second: some guards are looked at, and what failed is tried again.
    pub(super) fn begin_period(&mut self) {
        self.countdown = self.countdown.saturating_sub(1);
        self.telling = self.telling.saturating_sub(1);
        self.changed |= self.stale || !self.failures.is_empty();
        let in_turn = self.guarded.range(self.next..).chain(self.guarded.range(..self.next));
        self.suspects.extend(in_turn.take(AT_ONCE));
        let last = self.guarded.range(self.next..).chain(self.guarded.range(..self.next)).take(AT_ONCE).last();
        self.next = last.map_or(0, |last| last.saturating_add(1));
    }

    /// Notes that other groups or addresses are wanted, or that events were lost.
    pub(super) fn look_soon(&mut self) {
        (self.changed, self.countdown) = (true, 0);
    }

    /// Whether guards are left to be put in their places.
    pub(super) fn has_work(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Reads the table of interfaces if that is due, and reports the hardware addresses of this
    /// server if they have changed.
    pub(super) fn look(&mut self, tools: &mut Tools) {
        if self.countdown == 0 {
            self.read(tools);
        }
        if self.changed {
            self.report_own(tools);
        }
    }

    /// Brings guards and addresses to what is wanted, in portions. Costs next to nothing when
    /// nothing has changed. Says so when addresses may be added because all is in its place, or
    /// everything was tried.
    pub(super) fn attend(&mut self, tools: &mut Tools, ports: &[Port]) {
        if let Err(cause) = self.prepare(tools, ports) {
            // The next second tries again.
            (self.changed, tools.guarded) = (false, true);
            return self.fail(tools, 0, "every other interface", &cause);
        }
        self.failures.remove(&0);
        if std::mem::take(&mut self.changed) {
            self.unsettled.extend(self.links.keys());
        }
        let begin = clock::now();
        while let Some(index) = self.unsettled.pop_first() {
            self.settle(tools, ports, index);
            if clock::now().since(begin) >= PORTION {
                break;
            }
        }
        tools.guarded |= self.unsettled.is_empty();
        let suspects = std::mem::take(&mut self.suspects);
        if !suspects.is_empty() && self.telling == 0 {
            self.tell_held(tools);
        }
        suspects.into_iter().for_each(|index| self.examine(tools, ports, index));
    }

    /// Reports what the guard has held back, if that is more than was told.
    fn tell_held(&mut self, tools: &mut Tools) {
        let held = self.guard.as_ref().map(Guard::held).unwrap_or_default();
        if held != self.told && held != Held::default() {
            (self.told, self.telling) = (held, TELLING_PERIOD);
            tools.report(KeeperEvent::Guard(GuardNews::Held(held)));
        }
    }

    /// Reads the whole table of interfaces.
    fn read(&mut self, tools: &mut Tools) {
        match tools.netlink.interfaces() {
            Ok(found) => {
                let found: BTreeMap<u32, InterfaceInfo> = found.into_iter().map(|link| (link.index, link)).collect();
                let gone: Vec<u32> = self.links.keys().filter(|index| !found.contains_key(index)).copied().collect();
                gone.into_iter().for_each(|index| self.forget(index));
                self.changed |= self.links != found;
                (self.links, self.countdown) = (found, READING_PERIOD);
            }
            // Another look tries again; until then events keep the table.
            Err(cause) => tracing::warn!(%cause, "cannot list the interfaces"),
        }
    }

    /// Forgets an interface that is gone.
    fn forget(&mut self, index: u32) {
        self.changed |= self.links.remove(&index).is_some();
        self.forget_guard(index);
    }

    /// Forgets what was known of the guard of an interface.
    fn forget_guard(&mut self, index: u32) {
        for set in [&mut self.guarded, &mut self.bare, &mut self.outdone, &mut self.suspects] {
            set.remove(&index);
        }
        self.failures.remove(&index);
    }

    /// Reports the hardware addresses of this server, if they have changed.
    fn report_own(&mut self, tools: &mut Tools) {
        let usable = |link: &&InterfaceInfo| link.is_ethernet && !link.mac.is_zero() && !link.mac.is_multicast();
        let mut links: Vec<&InterfaceInfo> = self.links.values().filter(usable).collect();
        // Ports come last: nobody answers there.
        links.sort_by_key(|link| link.port_of.is_some());
        let mut own: Vec<MacAddr> = Vec::new();
        for link in links {
            if own.len() < MOST_OWN && !own.contains(&link.mac) {
                own.push(link.mac);
            }
        }
        own.sort_unstable();
        if own != self.own {
            self.own.clone_from(&own);
            tools.report(KeeperEvent::OwnMacs { macs: own });
        }
    }

    /// Brings owners and addresses to the guard, and loads it if there is none that has room.
    fn prepare(&mut self, tools: &mut Tools, ports: &[Port]) -> Result<(), GateError> {
        if self.changed {
            self.prepare_addresses(tools, ports)?;
        }
        let Some(guard) = &mut self.guard else { return Ok(()) };
        for port in ports {
            let named = || self.links.values().find(|link| link.name == port.name());
            let link = port.index().map_or_else(named, |index| self.links.get(&index));
            let owner = link.map(|link| Owner { ifindex: link.index, mac: link.mac, lower: link.lower.unwrap_or(0) });
            guard.set_owner(port.interface(), owner.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Brings the addresses to the guard. Those that a gate still knows are held back until they
    /// are off its interface.
    fn prepare_addresses(&mut self, tools: &mut Tools, ports: &[Port]) -> Result<(), GateError> {
        let mut all: HashMap<Vip, InterfaceId> = HashMap::new();
        for port in ports {
            all.extend(port.vips().map(|vip| (vip, port.interface())));
        }
        let wanted = all.len();
        for port in ports {
            for vip in port.gate().into_iter().flat_map(|gate| gate.addresses()) {
                all.entry(vip).or_insert(port.interface());
            }
        }
        self.stale = all.len() > wanted;
        let six = all.keys().filter(|vip| vip.is_ipv6()).count();
        let four = all.len() - six;
        if self.guard.as_ref().is_none_or(|guard| !guard.holds(four, six)) && !all.is_empty() {
            // The one before stays until this one is in its place.
            self.guard = Some(Guard::load(tools.place, four, six, &tools.former)?);
            self.guarded.clear();
            self.bare.clear();
        }
        match &mut self.guard {
            Some(guard) => guard.set_addresses(&all),
            None => Ok(()),
        }
    }

    /// Puts the guard on an interface that needs it, and takes it away from one that does not.
    fn settle(&mut self, tools: &mut Tools, ports: &[Port], index: u32) {
        let (Some(guard), Some(link)) = (&self.guard, self.links.get(&index)) else { return };
        let link = link.clone();
        let site = Site { ifindex: link.index, name: &link.name };
        let needed = needs_guard(&link, ports) && !self.is_below_a_port(link.index);
        let settled = if needed { &self.guarded } else { &self.bare };
        if !link.is_ethernet || settled.contains(&link.index) {
            return;
        }
        let result = if needed { guard.attach(site, gate_on(link.index, ports)) } else { guard.detach(site) };
        match result {
            Ok(()) if needed => {
                self.guarded.insert(link.index);
                self.bare.remove(&link.index);
                self.failures.remove(&link.index);
            }
            Ok(()) => {
                self.forget_guard(link.index);
                self.bare.insert(link.index);
            }
            Err(cause) => self.fail(tools, link.index, &link.name, &cause),
        }
    }

    /// Looks whether the guard of an interface is in its place, and puts it back if not.
    fn examine(&mut self, tools: &mut Tools, ports: &[Port], index: u32) {
        let (Some(guard), Some(link)) = (&self.guard, self.links.get(&index)) else { return };
        if !self.guarded.contains(&index) {
            return;
        }
        let (site, gate) = (Site { ifindex: index, name: &link.name }, gate_on(index, ports));
        let name = link.name.clone();
        let cause = match guard.standing(site, gate) {
            Ok(Standing::First) => return,
            Ok(Standing::Absent) => "somebody took it away".to_owned(),
            // Two who both want to be first would go on for ever.
            Ok(Standing::Behind(_)) if self.outdone.contains(&index) => return,
            Ok(Standing::Behind(other)) => {
                self.outdone.insert(index);
                format!("{other} had come before it")
            }
            Err(cause) => return self.fail(tools, index, &name, &cause),
        };
        match guard.attach(site, gate) {
            Ok(()) => tools.report(KeeperEvent::Guard(GuardNews::Restored { name, cause })),
            Err(cause) => {
                self.guarded.remove(&index);
                self.fail(tools, index, &name, &cause);
            }
        }
    }

    /// Reports that an interface has no guard, unless that was reported before. An interface that
    /// has just gone needs none.
    fn fail(&mut self, tools: &mut Tools, index: u32, name: &str, cause: &GateError) {
        let gone = matches!(cause, GateError::System { source, .. } if source.raw_os_error() == Some(libc::ENODEV));
        let text = cause.to_string();
        if gone || self.failures.get(&index) == Some(&text) {
            return;
        }
        self.failures.insert(index, text.clone());
        tools.report(KeeperEvent::Guard(GuardNews::Missing { name: name.to_owned(), cause: text }));
    }
}

impl Others {
    /// Whether an interface carries the frames of another one that is a port of a bridge or bond, as
    /// the parent of a macvlan does: what the bridge claims leaves through it as it is.
    fn is_below_a_port(&self, index: u32) -> bool {
        self.links.values().any(|link| link.lower == Some(index) && link.port_of.is_some())
    }
}

/// Whether an interface needs a guard: it could claim an address that is another one's.
fn needs_guard(link: &InterfaceInfo, ports: &[Port]) -> bool {
    let of_another = |port: &Port| port.index() != Some(link.index) && port.name() != link.name;
    link.is_ethernet && link.port_of.is_none() && ports.iter().any(of_another)
}

/// Number of our gate's program on the way out of an interface.
fn gate_on(index: u32, ports: &[Port]) -> Option<u32> {
    let port = ports.iter().find(|port| port.index() == Some(index))?;
    port.gate().map(crate::gate::Gate::egress)
}
