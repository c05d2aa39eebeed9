//! The connections' thread: it sleeps until something arrives or is due, and lets each part do what
//! can be done at once.
//!
//! Owns: all parts of this room, and the order of their turns. Never does: wait for one of them. A
//! part that fails is reported, and the others go on.

mod moves;
mod report;

use super::caller::Caller;
use super::figures::Figures;
use super::list::Lister;
use super::listener::Listener;
use super::mirrored::Mirrored;
use super::resets::Resets;
use super::tickler::{Done, Tickler};
use super::{Event, Order, Setup};
use crate::io::clock;
use crate::io::poll::{Poll, Ready, Waker};
use crate::io::realtime::at_ordinary_priority;
use crate::types::{GroupKey, MonoTime};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Token of every descriptor in the poll: each turn looks at all of them.
const TOKEN: u64 = 0;
/// Pause while the kernel does not take what is to be sent to the peer.
const SOON: Duration = Duration::from_millis(5);

/// A group that was handed over to us and whose former active still carries connections.
struct Drain {
    group: GroupKey,
    /// Instant at which the connections are taken that are left.
    take_at: MonoTime,
    /// Instant at which their clients are first tickled.
    begins: MonoTime,
}

/// State of the connections' thread.
pub(super) struct Worker {
    setup: Setup,
    orders: Receiver<Order>,
    waker: Waker,
    poll: Poll,
    /// Position of each group in the setup.
    places: HashMap<GroupKey, usize>,
    figures: Arc<Mutex<Figures>>,
    report: Box<dyn Fn(Event) + Send>,
    /// Open groups, each with the end of listing its connections.
    open: BTreeMap<GroupKey, MonoTime>,
    drains: Vec<Drain>,
    lister: Lister,
    caller: Caller,
    listener: Listener,
    mirrored: Mirrored,
    tickler: Tickler,
    resets: Resets,
    /// Packets sent to clients, and connections reset, of each group.
    counts: HashMap<GroupKey, (u64, u64)>,
    /// Instant of the last publication of figures.
    published: MonoTime,
    /// Instants of the last complaints: about the kernel, and about callers.
    complained: [MonoTime; 2],
    /// Whether the lister does not know the present open groups yet.
    lister_is_stale: bool,
    ended: bool,
}

impl Worker {
    /// A worker that listens on the setup's links; no group is open yet.
    ///
    /// # Errors
    /// When the system has no room for a descriptor.
    pub fn new(
        setup: Setup,
        orders: Receiver<Order>,
        waker: Waker,
        figures: Arc<Mutex<Figures>>,
        report: Box<dyn Fn(Event) + Send>,
    ) -> io::Result<Worker> {
        let poll = Poll::new()?;
        poll.add(&waker, TOKEN)?;
        let now = clock::now();
        let mut listener = Listener::new();
        listener.restart(&setup, now);
        let places = places(&setup);
        let mut resets = Resets::default();
        // An earlier life may have left connections, and a drain may be going on.
        setup.groups.iter().for_each(|group| resets.plan_when_peer_has(group.key, group.drain, now));
        Ok(Worker {
            setup,
            orders,
            waker,
            poll,
            places,
            figures,
            report,
            open: BTreeMap::new(),
            drains: Vec::new(),
            lister: Lister::default(),
            caller: Caller::new(now),
            listener,
            mirrored: Mirrored::default(),
            tickler: Tickler::new(),
            resets,
            counts: HashMap::new(),
            published: MonoTime::ZERO,
            complained: [MonoTime::ZERO; 2],
            lister_is_stale: false,
            ended: false,
        })
    }

    /// Runs until all handles are gone, or the kernel's poll fails, without which the thread cannot
    /// go on.
    pub fn run(&mut self) {
        let mut ready = Ready::new();
        while !self.ended {
            let now = clock::now();
            let timeout = self.due(now).since(now);
            if let Err(cause) = self.poll.wait(&mut ready, Some(timeout)) {
                (self.report)(Event::Failed { what: format!("waiting for connections: {cause}") });
                return;
            }
            let _woken = self.waker.take();
            let now = clock::now();
            self.take_orders(now);
            self.turn(now);
        }
    }

    /// Instant of the next turn, even if nothing arrives.
    fn due(&self, now: MonoTime) -> MonoTime {
        let waiting = self.caller.stream().is_some_and(super::stream::Stream::is_waiting);
        let drains = self.drains.iter().map(|drain| drain.take_at);
        let closings = self.open.values().copied();
        [
            self.lister.due(),
            self.tickler.due(),
            self.resets.due(),
            if waiting { now + SOON } else { MonoTime::FOREVER },
        ]
        .into_iter()
        .chain((!self.setup.groups.is_empty()).then(|| self.caller.due().min(self.listener.due())))
        .chain((!self.setup.groups.is_empty()).then(|| self.published + self.pace()))
        .chain(drains)
        .chain(closings)
        .min()
        .unwrap_or(MonoTime::FOREVER)
    }

    /// Carries out all orders that have come; notes the end when all handles are gone.
    fn take_orders(&mut self, now: MonoTime) {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Setup(setup)) => self.reconfigure(*setup, now),
                Ok(Order::Opened(group, how, when)) => self.handle_opened(group, how, when),
                Ok(Order::Closed(group, how, when)) => self.handle_closed(group, how, when, now),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    /// Goes on with another configuration: former groups are forgotten, the peer is called again.
    fn reconfigure(&mut self, setup: Setup, now: MonoTime) {
        self.setup = setup;
        self.places = places(&self.setup);
        let is_ours = |group: GroupKey| self.places.contains_key(&group);
        self.mirrored.keep(is_ours);
        self.drains.retain(|drain| is_ours(drain.group));
        self.resets.keep(is_ours);
        self.caller.restart(now);
        self.listener.restart(&self.setup, now);
        self.lister_is_stale = true;
    }

    /// Lets every part do what is due now.
    fn turn(&mut self, now: MonoTime) {
        let due = self.resets.take_due(now);
        if !due.is_empty() {
            self.reset(&due, now);
        }
        while let Some(place) = self.drains.iter().position(|drain| drain.take_at <= now) {
            let Drain { group, begins, .. } = self.drains.swap_remove(place);
            self.tickle(group, begins);
        }
        let before = self.open.len();
        self.open.retain(|_, until| *until > now);
        // Once for all groups that opened and closed together.
        if std::mem::take(&mut self.lister_is_stale) || self.open.len() != before {
            self.watch_open_groups(clock::now());
        }
        let counts = &mut self.counts;
        match self.tickler.turn(now, |group, sent| counts.entry(group).or_default().0 += sent) {
            Ok(done) => done.into_iter().for_each(|Done { group, sent, failed, first_round }| {
                (self.report)(Event::Tickled { group, sent, failed, first_round });
            }),
            Err(cause) => self.complain(Event::Failed { what: format!("telling clients: {cause}") }, now),
        }
        let lister = &mut self.lister;
        let listed = if lister.is_long() { at_ordinary_priority(|| lister.turn(now)) } else { lister.turn(now) };
        if let Err(cause) = listed {
            self.complain(Event::Failed { what: format!("listing connections: {cause}") }, now);
        }
        if !self.setup.groups.is_empty() {
            self.mirror(now);
        }
        if now >= self.published + self.pace() {
            self.publish(now);
        }
    }

    /// Sends our lists to the peer and takes the peer's.
    fn mirror(&mut self, now: MonoTime) {
        let called = self.caller.turn(now, &self.setup, &self.lister);
        let taken = self.listener.turn(now, (&self.poll, TOKEN), &self.setup, &mut self.mirrored);
        for event in called.into_iter().chain(taken) {
            match event {
                Event::Refused { .. } => self.complain(event, now),
                other => (self.report)(other),
            }
        }
        for group in self.mirrored.take_begun() {
            self.resets.handle_peer_list(group, now);
        }
        for stream in self.listener.streams().chain(self.caller.stream()) {
            // Most are in the set already.
            let _known = self.poll.add(stream, TOKEN);
        }
    }
}

/// Position of each group in the setup.
fn places(setup: &Setup) -> HashMap<GroupKey, usize> {
    setup.groups.iter().enumerate().map(|(place, watched)| (watched.key, place)).collect()
}
