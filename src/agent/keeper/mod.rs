//! Keeps every client interface as the configuration wants it: a closed gate first, then the addresses, then a packet
//! socket; and again whenever someone or something undoes that.
//!
//! Owns: one thread with a small runtime, the gates' slow ends and the two netlink sockets. Never does: open a gate, or
//! decide anything about a group. Changes are learned from rtnetlink within a fraction of a millisecond, and by looking at
//! everything once a second in case an event was lost. Work with many addresses is done in steps of about
//! 10 ms, with events in between. When something fails it is told once and tried again with the next look; until then
//! the interface is not ready, and that is all that happens.
//!
//! Ending leaves gates and addresses as they are: the gates close by themselves, and closed gates keep the addresses
//! silent. [`KeeperHandle::release`] takes both away.

mod anchors;
mod plan;
mod port;

use crate::gate::{CounterReader, GateHandle};
use crate::io::netlink::{Netlink, NetlinkEvent, NetlinkEvents};
use crate::io::realtime;
use crate::io::segment::PacketSocket;
use crate::types::{GroupKey, InterfaceId, MacAddr, Vip};
use futures_util::FutureExt;
use port::Port;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Everything is looked at this often, events or not.
const LOOK: Duration = Duration::from_secs(1);
/// Events taken in one go before acting on them.
const EVENTS_AT_ONCE: usize = 4096;

/// One client interface and what it shall guard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guarded {
    /// What events call it.
    pub interface: InterfaceId,
    /// Its name in the system.
    pub name: String,
    /// Groups and their addresses.
    pub groups: Vec<(GroupKey, Vec<Vip>)>,
}

/// What the keeper tells, in the order in which it happened.
#[derive(Debug)]
pub enum KeeperEvent {
    /// The gate is in place and a packet socket is open. Replaces an earlier one of the same interface. The addresses
    /// follow.
    Attached {
        /// Which interface.
        interface: InterfaceId,
        /// Its number in the kernel.
        ifindex: u32,
        /// Its hardware address.
        mac: MacAddr,
        /// The pulse thread's end of the gate.
        gate: GateHandle,
        /// Where the gate has each group.
        slots: Vec<(GroupKey, u16)>,
        /// What the gate does, for people; `None` when it cannot be read.
        counters: Option<CounterReader>,
        /// The gate was running before this process, and a lease may be open in it.
        adopted: bool,
        /// For probes, announcements and segment pulses.
        socket: PacketSocket,
    },
    /// A change of the configuration has reached the gate. All slots may be others.
    Regrouped {
        /// Which interface.
        interface: InterfaceId,
        /// The pulse thread's end of the gate.
        gate: GateHandle,
        /// Where the gate has each group.
        slots: Vec<(GroupKey, u16)>,
        /// What the gate does, for people; `None` when it cannot be read.
        counters: Option<CounterReader>,
        /// The gate is a new, closed one: earlier handles switch nothing any more.
        replaced: bool,
    },
    /// The interface exists, and this is its state; told whenever it changes.
    State {
        /// Which interface.
        interface: InterfaceId,
        /// It is switched on.
        up: bool,
        /// It is switched on and has a signal.
        carrier: bool,
        /// Its hardware address.
        mac: MacAddr,
    },
    /// All addresses are there, guarded. Told when it becomes true, and once after every
    /// [`KeeperEvent::Reconfigured`].
    AddressesReady {
        /// Which interface.
        interface: InterfaceId,
    },
    /// Some addresses are missing and could not be put back.
    AddressesMissing {
        /// Which interface.
        interface: InterfaceId,
    },
    /// The gate was taken away by someone else. The addresses are being removed; a new, closed gate follows as
    /// `Attached`.
    GateLost {
        /// Which interface.
        interface: InterfaceId,
    },
    /// The interface does not exist any more. Its gate and socket are of no use.
    Gone {
        /// Which interface.
        interface: InterfaceId,
    },
    /// An address that someone else had removed is back.
    AddressRestored {
        /// Which interface.
        interface: InterfaceId,
        /// Which address.
        address: Vip,
    },
    /// The gateway of a default route, told when it or its hardware address changes.
    Gateway {
        /// Which interface.
        interface: InterfaceId,
        /// Its address.
        ip: IpAddr,
        /// Its hardware address, if the kernel knows it.
        mac: Option<MacAddr>,
    },
    /// Another neighbour that the kernel knows; at most eight per look.
    Neighbour {
        /// Which interface.
        interface: InterfaceId,
        /// Its address.
        ip: IpAddr,
        /// Its hardware address.
        mac: MacAddr,
    },
    /// Something could not be done. Told once per cause; it is tried again.
    Failed {
        /// Which interface.
        interface: InterfaceId,
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        cause: String,
    },
    /// From here on interfaces are numbered as in the newest [`KeeperHandle::reconfigure`].
    Reconfigured,
}

/// The way to the keeper. Dropping it ends the keeper as [`KeeperHandle::stop`] does, without waiting.
pub struct KeeperHandle {
    wanted: watch::Sender<Vec<Guarded>>,
    release: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for KeeperHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeeperHandle").field("wanted", &self.wanted.borrow().len()).finish_non_exhaustive()
    }
}

impl KeeperHandle {
    /// Starts the keeper in the network namespace of the calling thread. `report` is called on the keeper's thread and
    /// must not block. `kept` holds descriptors of running gates, as [`crate::gate::Gate::install_with`] takes them.
    ///
    /// # Errors
    /// When the process is out of threads, descriptors or memory.
    pub fn start(
        wanted: Vec<Guarded>,
        kept: Vec<OwnedFd>,
        report: impl FnMut(KeeperEvent) + Send + 'static,
    ) -> io::Result<KeeperHandle> {
        let (sender, receiver) = watch::channel(wanted);
        let release = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&release);
        let (opened, result) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || {
            let _permitted = realtime::be_realtime(realtime::HELPER_PRIORITY);
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(cause) => return drop(opened.send(Err(cause))),
            };
            runtime.block_on(async {
                let events = match Tools::open(Box::new(report), kept) {
                    Ok(opened) => opened,
                    Err(cause) => return drop(opened.send(Err(cause))),
                };
                drop(opened.send(Ok(())));
                Keeper::new(events.0, events.1, receiver, shared).run().await;
            });
        })?;
        match result.recv() {
            Ok(Ok(())) => Ok(KeeperHandle { wanted: sender, release, thread }),
            Ok(Err(cause)) => Err(cause),
            Err(_) => Err(io::Error::other("the keeper's thread ended")),
        }
    }

    /// Replaces what is kept; never blocks. Interfaces are recognised by name. The pulse thread must not use the slots of
    /// groups that go away any more: tell it first. Groups that stay keep their state; interfaces that go away lose
    /// their addresses and then their gate. [`KeeperEvent::Reconfigured`] tells when it takes effect.
    pub fn reconfigure(&self, wanted: Vec<Guarded>) {
        self.wanted.send_replace(wanted);
    }

    /// Ends the keeper; gates and addresses stay. Waits for the step it is at: some 10 ms, at most the 100 ms or so that
    /// installing a gate takes.
    pub fn stop(self) {
        drop(self.wanted);
        // A keeper that panicked has told so on standard error, and is over as well.
        let _panicked = self.thread.join();
    }

    /// Removes all addresses, then the gates, and ends the keeper. What cannot be removed is told as
    /// [`KeeperEvent::Failed`]; a gate stays if its addresses do. Takes seconds with 10,000 addresses.
    pub fn release(self) {
        self.release.store(true, Ordering::Release);
        self.stop();
    }
}

/// What a port works with.
struct Tools {
    netlink: Netlink,
    report: Box<dyn FnMut(KeeperEvent) + Send>,
    /// Descriptors of gates from an earlier life, kept by the service manager.
    kept: Vec<OwnedFd>,
}

impl Tools {
    /// The events come first, so that what changes after the first look is told.
    fn open(report: Box<dyn FnMut(KeeperEvent) + Send>, kept: Vec<OwnedFd>) -> io::Result<(Tools, NetlinkEvents)> {
        let events = NetlinkEvents::open()?;
        Ok((Tools { netlink: Netlink::open()?, report, kept }, events))
    }

    fn tell(&mut self, event: KeeperEvent) {
        (self.report)(event);
    }
}

struct Keeper {
    tools: Tools,
    events: NetlinkEvents,
    ports: Vec<Port>,
    wanted: watch::Receiver<Vec<Guarded>>,
    release: Arc<AtomicBool>,
}

/// Why the loop woke up.
enum Wake {
    Stop,
    Reconfigure,
    Event(io::Result<NetlinkEvent>),
    Look,
    Work,
}

impl Keeper {
    fn new(
        tools: Tools,
        events: NetlinkEvents,
        mut wanted: watch::Receiver<Vec<Guarded>>,
        release: Arc<AtomicBool>,
    ) -> Keeper {
        let ports = wanted.borrow_and_update().iter().cloned().map(Port::new).collect();
        Keeper { tools, events, ports, wanted, release }
    }

    async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let busy = self.ports.iter().any(Port::has_work);
            let wake = tokio::select! {
                biased;
                changed = self.wanted.changed() => if changed.is_ok() { Wake::Reconfigure } else { Wake::Stop },
                event = self.events.next() => Wake::Event(event),
                _ = look.tick() => Wake::Look,
                // Yielding lets the runtime see which sockets are ready: without it, work would hide events.
                () = tokio::task::yield_now(), if busy => Wake::Work,
            };
            match wake {
                Wake::Stop => break,
                Wake::Reconfigure => self.reconfigure(),
                Wake::Event(event) => self.take_events(event).await,
                Wake::Look => self.ports.iter_mut().for_each(Port::begin_period),
                // Of thousands of addresses, one after the other.
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
        if self.release.load(Ordering::Acquire) {
            for port in &mut self.ports {
                port.release(&mut self.tools);
            }
        }
    }

    /// Hands out an event and those that wait behind it.
    async fn take_events(&mut self, first: io::Result<NetlinkEvent>) {
        let mut next = Some(first);
        for _ in 0..EVENTS_AT_ONCE {
            match next {
                Some(Ok(event)) => {
                    for port in &mut self.ports {
                        port.handle_event(&mut self.tools, &event);
                    }
                }
                Some(Err(cause)) => return self.reopen(&cause).await,
                None => return,
            }
            next = self.events.next().now_or_never();
        }
    }

    /// Another socket for events, after a pause; the looks go on finding everything meanwhile, a second later.
    async fn reopen(&mut self, cause: &io::Error) {
        tracing::warn!(%cause, "the socket for network events failed, opening another");
        tokio::time::sleep(LOOK).await;
        match NetlinkEvents::open() {
            Ok(events) => self.events = events,
            Err(cause) => tracing::warn!(%cause, "cannot open a socket for network events"),
        }
        self.ports.iter_mut().for_each(Port::begin_period);
    }

    fn reconfigure(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let mut old = std::mem::take(&mut self.ports);
        self.tools.tell(KeeperEvent::Reconfigured);
        for guarded in wanted {
            match old.iter().position(|port| port.name() == guarded.name) {
                Some(position) => {
                    let mut port = old.swap_remove(position);
                    port.change(guarded);
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
