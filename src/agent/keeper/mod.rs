//! The keeper holds every client interface as the configuration wants it: first a closed gate, then
//! the addresses, then a packet socket. When someone or something undoes that, it does it again.
//!
//! Owns: one thread with a small runtime, the gates' slow ends and the two netlink sockets. Never
//! does: open a gate, or decide anything about a group. It learns of changes from rtnetlink within
//! a fraction of a millisecond, and looks at everything once a second in case an event was lost.
//! Where the kernel sends no event when somebody else's program comes before a gate (TCX), it
//! glances at the gate's place ten times a second.
//! Work with many addresses is done in steps of about 10 ms, with events in between. A failure is
//! reported once and tried again with the next look; until then the interface is not ready, and
//! that is all that happens.
//!
//! Ending the keeper leaves gates and addresses as they are: the gates close by themselves, and
//! closed gates keep the addresses silent. An interface that leaves the configuration loses both.
//!
//! | file | noun |
//! |---|---|
//! | `event` | what is to be guarded, what is reported |
//! | `port` | one client interface: its gate, its addresses |
//! | `plan` | which addresses to remove and add, in portions |
//! | `gateways` | gateways of default routes on the segment |

mod event;
mod gateways;
mod plan;
mod port;

pub use event::{Guarded, KeeperEvent};

use crate::gate::Former;
use crate::gate::place::Place;
use crate::io::netlink::{Netlink, NetlinkEvent, NetlinkEvents};
use crate::io::realtime;
use futures_util::FutureExt;
use port::Port;
use std::fmt;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

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

/// Kernel access and reporting, shared by all ports.
struct Tools {
    netlink: Netlink,
    report: Box<dyn FnMut(KeeperEvent) + Send>,
    /// Where gates are attached; `None`: the best place of this kernel.
    place: Option<Place>,
    /// What an earlier life left of its gates.
    former: Former,
}

impl Tools {
    /// Opens the event socket first, so that a change after the first look is reported.
    fn open(
        report: Box<dyn FnMut(KeeperEvent) + Send>,
        place: Option<Place>,
        former: Former,
    ) -> io::Result<(Tools, NetlinkEvents)> {
        let events = NetlinkEvents::open()?;
        Ok((Tools { netlink: Netlink::open()?, report, place, former }, events))
    }

    /// Passes an event to the slow side.
    fn report(&mut self, event: KeeperEvent) {
        (self.report)(event);
    }
}

/// The keeper's thread: all ports, and what wakes it.
struct Keeper {
    tools: Tools,
    events: NetlinkEvents,
    ports: Vec<Port>,
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
        Keeper { tools, events, ports, wanted }
    }

    /// Guards the interfaces until the handle is dropped: waits for a reason to act, acts, and lets
    /// every port put right what is wrong.
    async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        let mut glance = tokio::time::interval(GLANCE);
        for ticks in [&mut look, &mut glance] {
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            let busy = self.ports.iter().any(Port::has_work);
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
                Wake::Look => self.ports.iter_mut().for_each(Port::begin_period),
                // Of thousands of addresses, one portion after the other.
                Wake::Work => {
                    realtime::at_ordinary_priority(|| {
                        self.ports.iter_mut().for_each(|port| port.work(&mut self.tools))
                    });
                }
            }
            for port in &mut self.ports {
                port.attend(&mut self.tools);
            }
        }
    }

    /// Hands an event, and those that wait behind it, to all ports.
    async fn handle_events(&mut self, first: io::Result<NetlinkEvent>) {
        let mut next = Some(first);
        for _ in 0..EVENTS_AT_ONCE {
            match next {
                Some(Ok(event)) => {
                    for port in &mut self.ports {
                        port.handle_event(&mut self.tools, &event);
                    }
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
        self.ports.iter_mut().for_each(Port::begin_period);
    }

    /// Takes the newest configuration: ports of known names stay, others come or are cleared.
    fn reconfigure(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let mut old = std::mem::take(&mut self.ports);
        self.tools.report(KeeperEvent::Reconfigured);
        for guarded in wanted {
            match old.iter().position(|port| port.name() == guarded.name) {
                Some(position) => {
                    let mut port = old.swap_remove(position);
                    port.reconfigure(guarded);
                    self.ports.push(port);
                }
                None => self.ports.push(Port::new(guarded)),
            }
        }
        for mut port in old {
            port.release(&mut self.tools);
        }
    }
}

#[cfg(test)]
mod tests;
