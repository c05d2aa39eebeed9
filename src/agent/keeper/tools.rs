//! Kernel access and reporting, shared by all ports, strays and guards.
//!
//! Owns: the netlink socket for requests, and what all interfaces have in common. Never does: act on
//! an interface by itself. An error is the caller's to report.

use super::KeeperEvent;
use super::uplinks::Uplinks;
use crate::gate::Former;
use crate::gate::place::Place;
use crate::io::netlink::{Netlink, NetlinkEvents};
use std::io;

/// Kernel access and reporting, shared by all ports.
pub(super) struct Tools {
    pub(super) netlink: Netlink,
    pub(super) report: Box<dyn FnMut(KeeperEvent) + Send>,
    /// Where gates are attached; `None`: the best place of this kernel.
    pub(super) place: Option<Place>,
    /// What an earlier life left of its gates.
    pub(super) former: Former,
    pub(super) uplinks: Uplinks,
    /// Whether guards know all wanted addresses and are where they belong, so that addresses may be
    /// added.
    pub(super) guarded: bool,
}

impl Tools {
    /// Opens the event socket first, so that a change after the first look is reported.
    pub(super) fn open(
        report: Box<dyn FnMut(KeeperEvent) + Send>,
        place: Option<Place>,
        former: Former,
    ) -> io::Result<(Tools, NetlinkEvents)> {
        let events = NetlinkEvents::open()?;
        let (netlink, uplinks) = (Netlink::open()?, Uplinks::default());
        Ok((Tools { netlink, report, place, former, uplinks, guarded: false }, events))
    }

    /// Passes the state of the interface with the number `index` to the slow side. Of a bridge it
    /// tells the signal of the cable behind it. `named`: the uplinks that the configuration names.
    pub(super) fn report_state(&mut self, event: KeeperEvent, index: u32, named: &[String]) {
        let event = self.uplinks.adjust(&mut self.netlink, event, index, named);
        self.report(event);
    }

    /// Looks at the ports and tables of bridges, where they may have changed.
    pub(super) fn look_at_uplinks(&mut self, events: &mut NetlinkEvents) {
        self.uplinks.listen(events);
        self.uplinks.look(&mut self.netlink).into_iter().for_each(|event| self.report(event));
    }

    /// Passes an event to the slow side.
    pub(super) fn report(&mut self, event: KeeperEvent) {
        (self.report)(event);
    }
}
