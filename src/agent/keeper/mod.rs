//! The keeper holds every client interface as the configuration wants it: first a closed gate, then
//! the addresses, then a packet socket. When someone or something undoes that, it does it again.
//!
//! Owns: one thread with a small runtime, the gates' slow ends and the two netlink sockets. Never
//! does: open a gate, or decide anything about a group. It learns of changes from rtnetlink within
//! a fraction of a millisecond, and looks at everything once a second in case an event was lost.
//! Where the kernel sends no event when somebody else's program comes before a gate (TCX), it
//! glances at the gate's place ten times a second.
//! Work with many addresses is done in steps of about 10 ms, with events in between. A failure is
//! reported once and tried again with the next look. An address that cannot be put in place is a
//! matter of its group alone: everything else on the interface goes on.
//!
//! What answers in the kernel goes by an interface's number. So does the keeper: a configured name is
//! looked up again and again, and when it means another interface, or none, the one that was guarded
//! is closed before anybody hears of that, and kept in hand until its addresses are gone (`stray`).
//! No interface is taken by a name before every name has let go of what it does not mean any more.
//!
//! Ending the keeper leaves gates and addresses as they are: the gates close by themselves, and
//! closed gates keep the addresses silent. An interface that leaves the configuration loses both.
//!
//! | file | noun |
//! |---|---|
//! | `event` | what is to be guarded, what is reported |
//! | `port` | one client interface: its gate, its addresses |
//! | `stray` | an interface that has lost the name by which it was guarded |
//! | `others` | the other interfaces: a guard on each |
//! | `plan` | which addresses to remove and add, in portions |
//! | `precedence` | which addresses stand where the kernel would choose them as a source |
//! | `placement` | how much of each group is in place, and what was reported of it |
//! | `tools` | kernel access and reporting, shared by all |
//! | `uplinks` | whether the cable behind a bridge has a signal |
//! | `inside` | machines inside this server on a bridge |
//! | `gateways` | gateways of default routes on the segment |

mod event;
mod gateways;
mod inside;
mod others;
mod placement;
mod plan;
mod port;
mod precedence;
mod stray;
mod tools;
mod uplinks;

pub use event::{GuardNews, Guarded, KeeperEvent, Placed, PlacedGroups};

use crate::gate::place::Place;
use crate::gate::{Former, Gate};
use crate::io::netlink::{NetlinkEvent, NetlinkEvents};
use crate::io::realtime;
use crate::types::{InterfaceId, Vip};
use futures_util::FutureExt;
use others::Others;
use port::Port;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use stray::Stray;
use tokio::sync::watch;
use tools::Tools;

/// Time between two looks at everything, events or not.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two glances at gates whose place sends no news when somebody else comes first.
const GLANCE: Duration = Duration::from_millis(100);
/// Number of events handed out before the ports act on them.
const EVENTS_AT_ONCE: usize = 4096;

/// Handle of the keeper's thread. Dropping it ends the keeper as [`KeeperHandle::stop`] does,
/// without waiting.
pub struct KeeperHandle {
    wanted: watch::Sender<Vec<Guarded>>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for KeeperHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeeperHandle").field("wanted", &self.wanted.borrow().len()).finish_non_exhaustive()
    }
}

impl KeeperHandle {
    /// Starts the keeper in the network namespace of the calling thread. `report` is called on the
    /// keeper's thread and must not block. `former`: what an earlier life left of its gates.
    ///
    /// # Errors
    /// When the process is out of threads, descriptors or memory.
    pub fn start(
        wanted: Vec<Guarded>,
        former: Former,
        report: impl FnMut(KeeperEvent) + Send + 'static,
    ) -> io::Result<KeeperHandle> {
        KeeperHandle::start_in(None, wanted, former, report)
    }

    /// Starts the keeper as [`KeeperHandle::start`] does, with its gates in this place; `None` is
    /// the best one of this kernel. Another one is for tests.
    fn start_in(
        place: Option<Place>,
        wanted: Vec<Guarded>,
        former: Former,
        report: impl FnMut(KeeperEvent) + Send + 'static,
    ) -> io::Result<KeeperHandle> {
        let (sender, receiver) = watch::channel(wanted);
        let (opened, result) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || {
            let _permitted = realtime::be_realtime(realtime::HELPER_PRIORITY);
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(cause) => return drop(opened.send(Err(cause))),
            };
            runtime.block_on(async {
                let (tools, events) = match Tools::open(Box::new(report), place, former) {
                    Ok(both) => both,
                    Err(cause) => return drop(opened.send(Err(cause))),
                };
                drop(opened.send(Ok(())));
                Keeper::new(tools, events, receiver).run().await;
            });
        })?;
        match result.recv() {
            Ok(Ok(())) => Ok(KeeperHandle { wanted: sender, thread }),
            Ok(Err(cause)) => Err(cause),
            Err(_) => Err(io::Error::other("the keeper's thread ended")),
        }
    }

    /// Replaces what is kept; never blocks. Interfaces are recognised by name. The hot thread must
    /// not use the slots of groups that go away any more: tell it first. Groups that stay keep
    /// their state; interfaces that go away lose their addresses and then their gate. What cannot
    /// be removed is reported as [`KeeperEvent::Failed`]; a gate stays if its addresses do.
    /// Removing 10,000 addresses takes seconds. [`KeeperEvent::Reconfigured`] tells when the change
    /// takes effect.
    pub fn reconfigure(&self, wanted: Vec<Guarded>) {
        self.wanted.send_replace(wanted);
    }

    /// Ends the keeper; gates and addresses stay. Waits for the running step: some 10 ms, at most
    /// the 100 ms or so that installing a gate takes.
    pub fn stop(self) {
        drop(self.wanted);
        // A keeper that panicked has told so on standard error, and is over as well.
        let _panicked = self.thread.join();
    }
}

/// The keeper's thread: all ports, and what wakes it.
struct Keeper {
    tools: Tools,
    events: NetlinkEvents,
    ports: Vec<Port>,
    /// Interfaces that have lost the name by which they were guarded.
    strays: Vec<Stray>,
    /// The interfaces that are no client interfaces, and those that are, as far as others' groups go.
    others: Others,
    wanted: watch::Receiver<Vec<Guarded>>,
}

/// Reason of a wake-up of the loop.
enum Wake {
    Stop,
    Reconfigure,
    Event(io::Result<NetlinkEvent>),
    Look,
    Glance,
    Work,
}

impl Keeper {
    /// Ports for all interfaces that are wanted now; none has been looked at.
    fn new(tools: Tools, events: NetlinkEvents, mut wanted: watch::Receiver<Vec<Guarded>>) -> Keeper {
        let ports = wanted.borrow_and_update().iter().cloned().map(Port::new).collect();
        Keeper { tools, events, ports, strays: Vec::new(), others: Others::new(), wanted }
    }

    /// Guards the interfaces until the handle is dropped: waits for a reason to act, acts, and lets
    /// every port put right what is wrong.
    async fn run(mut self) {
        self.find_strays();
        let mut look = tokio::time::interval(LOOK);
        let mut glance = tokio::time::interval(GLANCE);
        for ticks in [&mut look, &mut glance] {
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            let busy = self.ports.iter().any(Port::has_work)
                || self.strays.iter().any(Stray::has_work)
                || self.others.has_work();
            let silent = self.ports.iter().any(Port::is_silent);
            let wake = tokio::select! {
                biased;
                changed = self.wanted.changed() => if changed.is_ok() { Wake::Reconfigure } else { Wake::Stop },
                event = self.events.next() => Wake::Event(event),
                _ = look.tick() => Wake::Look,
                _ = glance.tick(), if silent => Wake::Glance,
                // Yielding lets the runtime see which sockets are ready: without it, work would
                // hide events.
                () = tokio::task::yield_now(), if busy => Wake::Work,
            };
            match wake {
                Wake::Stop => break,
                Wake::Reconfigure => self.reconfigure(),
                Wake::Event(event) => self.handle_events(event).await,
                Wake::Glance => self.ports.iter_mut().for_each(Port::glance),
                Wake::Look => self.begin_period(),
                // Of thousands of addresses, one portion after the other.
                Wake::Work => {
                    realtime::at_ordinary_priority(|| {
                        self.ports.iter_mut().for_each(|port| port.work(&mut self.tools));
                        self.strays.iter_mut().for_each(|stray| stray.work(&mut self.tools));
                    });
                }
            }
            self.attend();
        }
    }

    /// Begins another second.
    fn begin_period(&mut self) {
        self.ports.iter_mut().for_each(Port::begin_period);
        self.strays.iter_mut().for_each(Stray::begin_period);
        self.others.begin_period();
        self.tools.uplinks.begin_period();
    }

    /// Lets every port and every stray interface put right what is wrong, and then the guards of
    /// other interfaces. Gates are adopted before anything else is done; addresses wait for the
    /// guards.
    fn attend(&mut self) {
        self.others.look(&mut self.tools);
        self.attend_ports();
        let before = self.tools.guarded;
        self.others.attend(&mut self.tools, &self.ports);
        if self.tools.guarded && !before {
            self.ports.iter_mut().for_each(Port::look_soon);
            self.attend_ports();
        }
        self.strays.retain_mut(|stray| stray.attend(&mut self.tools));
        self.tools.look_at_uplinks(&mut self.events);
    }

    /// Lets every port put right what is wrong. All names are looked up before any port takes an
    /// interface: two names may have been exchanged.
    fn attend_ports(&mut self) {
        self.look_up_names();
        if self.ports.iter().any(Port::has_news) {
            // The port that guards the interface until now may have no reason of its own to look.
            self.ports.iter_mut().for_each(Port::look_soon);
            self.look_up_names();
        }
        for at in 0..self.ports.len() {
            let found = self.ports[at].found_index();
            let holds = |(other, port): &(usize, &Port)| *other != at && found.is_some() && port.index() == found;
            let taken = self.ports.iter().enumerate().find(holds).map(|(_, port)| port.name().to_owned());
            let is_it = |stray: &Stray| taken.is_none() && Some(stray.index()) == found;
            let stray = self.strays.iter().position(is_it).map(|stray| self.strays.swap_remove(stray));
            self.ports[at].attend(&mut self.tools, stray, taken.as_deref());
        }
    }

    /// Lets every port that has a reason to look find out what its name means.
    fn look_up_names(&mut self) {
        for port in &mut self.ports {
            self.strays.extend(port.look_up(&mut self.tools));
        }
    }

    /// Finds interfaces that an earlier life guarded under a name which means another one now: they
    /// have an address of ours, and something in the place of our gate. It is closed before any
    /// gate of this life is reported.
    fn find_strays(&mut self) {
        let groups: Vec<_> = self.ports.iter().flat_map(Port::groups).cloned().collect();
        let vips: HashSet<Vip> = groups.iter().flat_map(|(_, vips)| vips).copied().collect();
        let found = match self.tools.netlink.all_addresses() {
            Ok(found) => found,
            Err(cause) => return tracing::error!(%cause, "cannot look for addresses on other interfaces"),
        };
        let mut numbers: Vec<u32> =
            found.iter().filter(|(_, info)| vips.contains(&info.address)).map(|(index, _)| *index).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for index in numbers {
            if let Some(name) = self.stray_name(index) {
                let (interface, groups, uplinks) = (InterfaceId(u8::MAX), groups.clone(), Vec::new());
                let guarded = Guarded { interface, name, groups, uplinks };
                let gate =
                    Gate::install_in(self.tools.place, index, &guarded.name, &guarded.groups, &self.tools.former);
                tracing::error!(
                    interface = guarded.name,
                    "guarded by an earlier life under another name: it is closed, and its addresses are taken away"
                );
                self.strays.push(Stray::new(index, &guarded, gate.ok()));
            }
        }
    }

    /// Name of the interface with this number, if no configured name means it and a gate sits on it.
    fn stray_name(&mut self, index: u32) -> Option<String> {
        let link = self.tools.netlink.interface_at(index).ok().flatten()?;
        let meant = |port: &Port| self.tools.netlink.interface(port.name());
        let meant: Vec<u32> = self.ports.iter().map(meant).filter_map(|it| Some(it.ok()??.index)).collect();
        let is_stray = !meant.contains(&index) && Gate::is_on(index, &link.name, &self.tools.former).unwrap_or(true);
        is_stray.then_some(link.name)
    }

    /// Hands an event, and those that wait behind it, to all ports.
    async fn handle_events(&mut self, first: io::Result<NetlinkEvent>) {
        let mut next = Some(first);
        for _ in 0..EVENTS_AT_ONCE {
            match next {
                Some(Ok(event)) => {
                    self.tools.uplinks.handle_event(&event);
                    for port in &mut self.ports {
                        port.handle_event(&mut self.tools, &event);
                    }
                    self.strays.iter_mut().for_each(|stray| stray.handle_event(&event));
                    self.others.handle_event(&event);
                }
                Some(Err(cause)) => return self.reopen_events(&cause).await,
                None => return,
            }
            next = self.events.next().now_or_never();
        }
    }

    /// Opens another event socket, after a pause. Looks go on finding everything meanwhile, a
    /// second later.
    async fn reopen_events(&mut self, cause: &io::Error) {
        tracing::warn!(%cause, "the socket for network events failed, opening another");
        tokio::time::sleep(LOOK).await;
        match NetlinkEvents::open() {
            Ok(events) => self.events = events,
            Err(cause) => tracing::warn!(%cause, "cannot open a socket for network events"),
        }
        self.begin_period();
        self.others.look_soon();
        self.tools.uplinks.begin_anew();
    }

    /// Takes the newest configuration: ports of known names stay, others come or are cleared.
    fn reconfigure(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let mut old = std::mem::take(&mut self.ports);
        self.tools.report(KeeperEvent::Reconfigured);
        self.tools.guarded = false;
        self.others.look_soon();
        for guarded in wanted {
            match old.iter().position(|port| port.name() == guarded.name) {
                Some(position) => {
                    let mut port = old.swap_remove(position);
                    if let Some(index) = port.index() {
                        self.tools.uplinks.reconfigure(index, guarded.interface, &guarded.uplinks);
                    }
                    port.reconfigure(guarded);
                    self.ports.push(port);
                }
                None => self.ports.push(Port::new(guarded)),
            }
        }
        for mut port in old {
            port.index().into_iter().for_each(|index| self.tools.uplinks.forget(index));
            port.release(&mut self.tools);
        }
        let is_kept = |stray: &Stray| self.ports.iter().any(|port| port.name() == stray.name());
        self.strays.iter_mut().filter(|stray| !is_kept(stray)).for_each(Stray::release);
    }
}

#[cfg(test)]
mod tests;
