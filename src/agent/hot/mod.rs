//! The hot thread: pulses, probes and the gate's stores, and nothing else.
//!
//! Owns: the engine, its hands, this end of the flight recorder, the poll and the timer. Never
//! does: take a lock, touch the disk, resolve a name, write a log.
//!
//! One turn: sleep until the engine's deadline or until something arrives, read the clock once,
//! hand everything that arrived to the engine, note it in the flight recorder, carry out the
//! engine's actions. When the thread fails to wake up, the kernel closes the gate at the lease's
//! end; when the thread panics, the process aborts, with the same result.

mod calm;
mod hands;
mod links;

use crate::engine::{Actions, Engine, Event};
use crate::flight::Recorder;
use crate::io::clock;
use crate::io::links::{LinkSocket, Received};
use crate::io::poll::{Poll, Ready};
use crate::io::timer::Timer;
use crate::orders::{Attach, HotEnd, Order, Reconfigure, Regrouped, Tale};
use crate::types::{InterfaceId, LinkId, LinkPath, MonoTime};
use crate::wire::frame;
use calm::Calm;
pub(crate) use hands::Hands;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Datagrams taken from one link's socket in one turn. A flood fills its socket's buffer, not our
/// time.
const TURN: usize = 64;
/// Frames taken from one packet socket in one turn.
const FRAMES: usize = 256;
/// Longest sleep while the timer cannot be armed.
const UNTIMED: Duration = Duration::from_millis(1);
/// Room for one datagram or frame, in bytes.
const BUFFER: usize = 2048;

/// Token of the timer.
const TIMER: u64 = 0;
/// Token of the slow side's orders.
const ORDERS: u64 = 1;
/// First token of a link's socket.
const LINKS: u64 = 1 << 8;
/// First token of an interface's packet socket.
const PACKETS: u64 = 1 << 16;

/// The hot thread's state: the engine, its hands, and what wakes it.
pub(crate) struct Hot {
    engine: Engine,
    hands: Hands,
    recorder: Recorder,
    end: HotEnd,
    poll: Poll,
    timer: Timer,
    /// Actions of the event at hand; empty between two events.
    out: Actions,
    /// Storm guard of each interface's packet socket.
    calm: Vec<Calm>,
    /// Whether the engine has stopped.
    stopped: bool,
}

impl Hot {
    /// The thread's state; [`Hot::run`] brings it to life.
    ///
    /// # Errors
    /// When the kernel has no room for a poll or a timer.
    pub fn new(engine: Engine, hands: Hands, recorder: Recorder, end: HotEnd) -> io::Result<Hot> {
        let poll = Poll::new()?;
        let timer = Timer::new()?;
        poll.add(&timer, TIMER)?;
        poll.add(&end.woken, ORDERS)?;
        let calm = vec![Calm::default(); hands.interfaces.len()];
        Ok(Hot { engine, hands, recorder, end, poll, timer, out: Actions::default(), calm, stopped: false })
    }

    /// Runs until the engine has stopped.
    ///
    /// # Errors
    /// When the kernel's poll fails, which leaves nothing to run with.
    pub fn run(mut self) -> io::Result<()> {
        let mut ready = Ready::new();
        // What was due while the agent was being put together is done first: no wake-up was late.
        let now = clock::now();
        self.hands.due = now;
        self.handle(now, Event::Tick);
        self.recorder.end_turn(now, &self.engine);
        while !self.stopped {
            let deadline = self.deadline();
            let armed = self.timer.arm(deadline);
            self.poll.wait(&mut ready, armed.is_err().then_some(UNTIMED))?;
            let now = clock::now();
            self.hands.due = deadline.min(now);
            self.note_turn(deadline, now, ready.tokens().any(|token| token == TIMER));
            self.check_gates(now);
            for token in ready.tokens() {
                match token {
                    TIMER => drop(self.timer.take()),
                    ORDERS => self.take_orders(now),
                    packet if packet >= PACKETS => self.take_packets(packet - PACKETS, now),
                    link => self.take_datagrams(link - LINKS, now),
                }
            }
            self.take_resting(now);
            self.handle(now, Event::Tick);
            self.tell_too_large(now);
            self.let_go_of_failed(now);
            self.end.catch_up();
            self.recorder.end_turn(now, &self.engine);
        }
        Ok(())
    }

    /// When the thread must wake up although nothing arrives.
    fn deadline(&self) -> MonoTime {
        let resting = self.calm.iter().filter_map(Calm::due).min();
        self.engine.next_deadline().min(resting.unwrap_or(MonoTime::FOREVER))
    }

    /// Counts a turn, and its lateness if the timer woke the thread.
    fn note_turn(&self, deadline: MonoTime, now: MonoTime, timed: bool) {
        let vital = &self.end.vital;
        vital.turns.fetch_add(1, Ordering::Relaxed);
        if timed {
            let late = u64::try_from(now.since(deadline).as_nanos()).unwrap_or(u64::MAX);
            vital.lateness.note(late);
        }
    }

    /// Tells the engine which gates have refused our generation since the last turn.
    fn check_gates(&mut self, now: MonoTime) {
        for at in 0..self.hands.interfaces.len() {
            let interface = InterfaceId(u8::try_from(at).unwrap_or(u8::MAX));
            if self.hands.is_refused(at) {
                self.handle(now, Event::LeaseRefused { interface });
            }
        }
    }

    /// The one way of an event: to the engine, into the recorder, and its actions to the hands.
    fn handle(&mut self, now: MonoTime, event: Event<'_>) {
        self.out.clear();
        self.engine.handle(now, event, &mut self.out);
        self.recorder.note(now, event, self.engine.rejects().unopened(), &self.out.list);
        self.carry_out(now);
    }

    /// Has the hands carry out the actions of the event at hand, in their order.
    fn carry_out(&mut self, now: MonoTime) {
        for action in self.out.list.drain(..) {
            self.stopped |= self.hands.carry_out(now, action, &self.out.bytes, &mut self.end);
        }
    }

    /// Hands a link's datagrams to the engine, at most [`TURN`].
    fn take_datagrams(&mut self, at: u64, now: MonoTime) {
        let Ok(at) = usize::try_from(at) else { return };
        let mut buffer = [0; BUFFER];
        for _ in 0..TURN {
            let Some((link, received)) = self.hands.links.recv(at, &mut buffer) else { return };
            match received {
                Received::Datagram(length) => {
                    self.handle(now, Event::Datagram { link, bytes: &buffer[..length.min(BUFFER)] });
                }
                Received::Refused => self.handle(now, Event::Refused { link }),
                Received::Empty => return,
            }
        }
    }

    /// Tells the engine which links did not take a datagram because it was too long. It sends
    /// shorter ones at once, which may be too long again; each time they are half as long.
    fn tell_too_large(&mut self, now: MonoTime) {
        while let Some((link, bytes)) = self.hands.too_large.pop() {
            self.handle(now, Event::TooLarge { link, bytes });
        }
    }

    /// Lets go of link sockets that cannot be used any more, tells the engine that their links are
    /// not open, and has the slow side open others.
    fn let_go_of_failed(&mut self, now: MonoTime) {
        while let Some((link, socket, error)) = self.hands.links.take_failed() {
            if let Some(socket) = socket {
                let _gone = self.poll.remove(&socket);
            }
            self.handle(now, Event::Link { link, open: false });
            self.end.publish_failed_link(link, error);
        }
    }

    /// Hands a packet socket's frames to the engine; in a storm the socket rests from then on.
    fn take_packets(&mut self, at: u64, now: MonoTime) {
        let Ok(at) = usize::try_from(at) else { return };
        let taken = self.take_frames(at, now);
        if self.calm[at].note(taken, now)
            && let Some(socket) = self.hands.socket(at)
            && self.calm[at].rest(now)
        {
            // One that is not on the poll is taken off already.
            let _gone = self.poll.remove(socket);
        }
    }

    /// Hands the frames of resting sockets to the engine; sockets that have become quiet are polled
    /// again. One that the kernel does not take on the poll, for want of memory, rests on.
    fn take_resting(&mut self, now: MonoTime) {
        for at in 0..self.calm.len() {
            if self.calm[at].due().is_none() {
                continue;
            }
            let taken = self.take_frames(at, now);
            if self.calm[at].note(taken, now) {
                self.calm[at].rest(now);
            } else if let Some(socket) = self.hands.socket(at) {
                match self.poll.add(socket, PACKETS + at as u64) {
                    Ok(()) => self.calm[at].end(),
                    Err(_) => drop(self.calm[at].rest(now)),
                }
            }
        }
    }

    /// Hands an interface's frames to the engine, at most [`FRAMES`]; returns how many.
    fn take_frames(&mut self, at: usize, now: MonoTime) -> usize {
        let interface = InterfaceId(u8::try_from(at).unwrap_or(u8::MAX));
        let mut buffer = [0; BUFFER];
        for taken in 0..FRAMES {
            let Some(socket) = self.hands.socket(at) else { return taken };
            let Ok(Some(length)) = socket.recv(&mut buffer) else { return taken };
            let bytes = &buffer[..length.min(BUFFER)];
            if let Some(payload) = frame::segment_payload(bytes) {
                // The header names the sender. Until then the link only serves to count a rejected
                // frame.
                let link = LinkId { peer: self.hands.presumed_sender(), path: LinkPath::Segment(interface) };
                self.handle(now, Event::Datagram { link, bytes: payload });
            } else if let Some(sighting) = frame::sight(bytes) {
                self.handle(now, Event::Seen { interface, sighting });
            }
        }
        FRAMES
    }

    /// Takes the slow side's orders, all that there are.
    fn take_orders(&mut self, now: MonoTime) {
        let _announced = self.end.woken.take();
        while let Ok(order) = self.end.orders.pop() {
            match order {
                Order::Attach(attach) => self.attach(*attach, now),
                Order::Facts { interface, facts } => {
                    if !facts.gate {
                        self.detach(interface, now);
                    }
                    if !facts.mac.is_zero() {
                        self.hands.note_mac(interface, facts.mac);
                    }
                    self.handle(now, Event::Interface { interface, facts });
                }
                Order::Link { link, socket } => self.set_link_socket(link, socket, now),
                Order::Anchor { interface, address, mac } => {
                    if let (IpAddr::V4(address), Some(mac)) = (address, mac) {
                        self.hands.note_gateway(interface, address, mac);
                    }
                    self.handle(now, Event::Anchor { interface, address, mac });
                }
                Order::OwnMacs(macs) => self.handle(now, Event::OwnMacs { macs: &macs }),
                Order::InsideMacs { interface, macs } => {
                    self.handle(now, Event::InsideMacs { interface, macs: &macs });
                }
                Order::OwnAddresses { interface, own } => {
                    self.handle(now, Event::OwnAddresses { interface, own: &own });
                }
                Order::Command { id, command } => self.handle(now, Event::Command { id, command }),
                Order::Report { id } => {
                    let report = Box::new(self.engine.report(now));
                    self.end.publish(Tale::Report { id, report });
                }
                Order::Neighbours { interface } => {
                    let addresses = self.engine.neighbours(interface).collect();
                    self.end.publish(Tale::Neighbours { interface, addresses });
                }
                Order::Reconfigure(change) => self.reconfigure(*change, now),
                Order::Regrouped(regrouped) => self.regroup(*regrouped, now),
                Order::Addresses { group, there } => self.handle(now, Event::Addresses { group, there }),
                Order::Segment => self.recorder.want_segment(),
                Order::Health { group, health } => self.handle(now, Event::Health { group, health }),
                Order::Lacks { group, lacks } => self.handle(now, Event::Lacks { group, lacks }),
                Order::Hook { group, hook, epoch, ok } => self.handle(now, Event::Hook { group, hook, epoch, ok }),
                Order::Stored { version } => self.handle(now, Event::Stored { version }),
                Order::StoreFailed => self.handle(now, Event::StoreFailed),
            }
        }
    }

    /// Changes over: groups that go away are closed in their present slots, then the tables are
    /// exchanged, then the first pulse of the new configuration goes out.
    fn reconfigure(&mut self, change: Reconfigure, now: MonoTime) {
        self.out.clear();
        self.engine.reconfigure(change.change.clone(), now, &mut self.out);
        self.recorder.note_reconfigured(now, change.change, &self.out.list);
        self.carry_out(now);
        self.hands.rearrange(change.groups);
        self.end.publish_reconfigured();
        self.handle(now, Event::Tick);
    }

    /// Uses a gate whose groups have changed.
    fn regroup(&mut self, regrouped: Regrouped, now: MonoTime) {
        let (interface, replaced) = (regrouped.interface, regrouped.replaced);
        self.hands.regroup(regrouped);
        if replaced {
            self.handle(now, Event::GateReplaced { interface });
        }
    }

    /// Uses a gate and a packet socket on an interface from now on. A socket that the kernel does
    /// not take on the poll rests as in a storm: it is read all the same, and tried again.
    fn attach(&mut self, attach: Attach, now: MonoTime) {
        let interface = attach.interface;
        self.detach(interface, now);
        let at = usize::from(interface.0);
        if self.poll.add(&attach.socket, PACKETS + at as u64).is_err() {
            self.calm[at].rest(now);
        }
        let adopted = attach.adopted;
        self.hands.attach(attach);
        if adopted && let Some((lease, open)) = self.hands.adopt_lease(at) {
            let event = Event::Adopted {
                interface,
                until: lease.until,
                generation: lease.generation,
                refused: lease.is_refused(),
                open: &open,
            };
            self.handle(now, event);
        }
        for link in self.hands.segment_links(interface) {
            self.handle(now, Event::Link { link, open: true });
        }
    }

    /// Closes the gate of an interface, lets go of it and of the packet socket, and tells the engine
    /// that its segment links are not open.
    fn detach(&mut self, interface: InterfaceId, now: MonoTime) {
        let at = usize::from(interface.0);
        if let Some(socket) = self.hands.socket(at) {
            // The descriptor is closed right after; an error here can only say that it is gone
            // already.
            let _gone = self.poll.remove(socket);
        }
        self.hands.detach(at);
        self.calm[at] = Calm::default();
        for link in self.hands.segment_links(interface) {
            self.handle(now, Event::Link { link, open: false });
        }
    }

    /// Uses another socket for a link from now on, and tells the engine so. A socket that cannot be
    /// waited for is as good as none: the slow side opens another.
    fn set_link_socket(&mut self, link: LinkId, socket: LinkSocket, now: MonoTime) {
        let Some(at) = self.hands.links.position(link) else { return };
        let added = self.poll.add(&socket, LINKS + at as u64);
        let open = added.is_ok();
        if let Some(old) = self.hands.links.replace(at, open.then_some(socket)) {
            let _gone = self.poll.remove(&old);
        }
        self.handle(now, Event::Link { link, open });
        if let Err(error) = added {
            self.end.publish_failed_link(link, error);
        }
    }
}
