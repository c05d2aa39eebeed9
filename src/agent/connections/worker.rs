//! The thread: sleeps until something arrives or is due, and lets each part do what can be done at once.

use super::caller::Caller;
use super::figures::{Figures, GroupFigures};
use super::list::Lister;
use super::listener::Listener;
use super::mirrored::Mirrored;
use super::resets::{self, Resets};
use super::tickler::{self, Done, Tickler};
use super::{Closing, Event, Opening, Order, Setup, Watched};
use crate::io::clock;
use crate::io::poll::{Poll, Ready, Waker};
use crate::io::realtime::at_ordinary_priority;
use crate::types::{GroupKey, MonoTime};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const TOKEN: u64 = 0;
/// How often figures are told.
const PUBLISHED: Duration = Duration::from_millis(100);
/// A complaint is told once in this time.
const COMPLAINT: Duration = Duration::from_secs(60);
/// While the kernel does not take what is to be sent.
const SOON: Duration = Duration::from_millis(5);
/// After the end of the drain, for what the former active sent last.
const AFTER_DRAIN: Duration = Duration::from_millis(20);

/// An open group: until when its connections are listed.
#[derive(Clone, Copy, Debug)]
struct Open {
    until: MonoTime,
}

pub(super) struct Worker {
    setup: Setup,
    orders: Receiver<Order>,
    waker: Waker,
    poll: Poll,
    /// Where each group is in the setup.
    places: HashMap<GroupKey, usize>,
    figures: Arc<Mutex<Figures>>,
    tell: Box<dyn Fn(Event) + Send>,
    open: BTreeMap<GroupKey, Open>,
    /// Groups that were handed over to us: when to take what is left, and when to tell it.
    drains: Vec<(GroupKey, MonoTime, MonoTime)>,
    lister: Lister,
    caller: Caller,
    listener: Listener,
    mirrored: Mirrored,
    tickler: Tickler,
    resets: Resets,
    counts: HashMap<GroupKey, (u64, u64)>,
    published: MonoTime,
    complained: [MonoTime; 2],
    /// The open groups are others than the lister knows.
    stale: bool,
    ended: bool,
}

impl Worker {
    pub fn new(
        setup: Setup,
        orders: Receiver<Order>,
        waker: Waker,
        figures: Arc<Mutex<Figures>>,
        tell: Box<dyn Fn(Event) + Send>,
    ) -> io::Result<Worker> {
        let poll = Poll::new()?;
        poll.add(&waker, TOKEN)?;
        let now = clock::now();
        let mut listener = Listener::new();
        listener.restart(&setup, now);
        let places = places(&setup);
        let mut resets = Resets::default();
        // What an earlier life left; a drain may be going on.
        setup.groups.iter().for_each(|group| resets.when_lost(group.key, group.drain, now));
        Ok(Worker {
            setup,
            orders,
            waker,
            poll,
            places,
            figures,
            tell,
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
            stale: false,
            ended: false,
        })
    }

    /// Runs until all handles are gone, or the kernel's poll fails, which leaves nothing to run with.
    pub fn run(&mut self) {
        let mut ready = Ready::new();
        while !self.ended {
            let now = clock::now();
            let timeout = self.due(now).since(now);
            if let Err(cause) = self.poll.wait(&mut ready, Some(timeout)) {
                (self.tell)(Event::Failed { what: format!("waiting for connections: {cause}") });
                return;
            }
            let _woken = self.waker.take();
            let now = clock::now();
            self.take_orders(now);
            self.turn(now);
        }
    }

    fn due(&self, now: MonoTime) -> MonoTime {
        let waiting = self.caller.stream().is_some_and(super::stream::Stream::is_waiting);
        let drains = self.drains.iter().map(|(_, at, _)| *at);
        let closings = self.open.values().map(|open| open.until);
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

    fn take_orders(&mut self, now: MonoTime) {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Setup(setup)) => self.change(*setup, now),
                Ok(Order::Opened(group, how, at)) => self.opened(group, how, at),
                Ok(Order::Closed(group, how, at)) => self.closed(group, how, at, now),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    fn change(&mut self, setup: Setup, now: MonoTime) {
        self.setup = setup;
        self.places = places(&self.setup);
        let is_ours = |group: GroupKey| self.places.contains_key(&group);
        self.mirrored.keep(is_ours);
        self.drains.retain(|(group, ..)| is_ours(*group));
        self.resets.keep(is_ours);
        self.caller.restart(now);
        self.listener.restart(&self.setup, now);
        self.stale = true;
    }

    fn watched(&self, group: GroupKey) -> Option<&Watched> {
        self.setup.groups.get(*self.places.get(&group)?)
    }

    fn opened(&mut self, group: GroupKey, how: Opening, at: MonoTime) {
        self.open.insert(group, Open { until: MonoTime::FOREVER });
        self.drains.retain(|(waiting, ..)| *waiting != group);
        if let Some((drain, addresses)) = self.watched(group).map(|group| (group.drain, group.addresses.len())) {
            self.resets.opened(group, at, if how == Opening::HandedOver { drain } else { Duration::ZERO });
            match how {
                Opening::Adopted => {}
                Opening::HandedOver => {
                    // The former active resets what is left. A reset can be lost, and it may die meanwhile: whoever is
                    // there shortly before is told besides, and who knows already is not disturbed by that.
                    let begins = tickler::first_round(at, addresses).max(at + drain + AFTER_DRAIN);
                    self.drains.push((group, at + drain * 3 / 4, begins));
                }
                Opening::TakenOver => self.tickle(group, tickler::first_round(at, addresses)),
            }
        }
        self.stale = true;
    }

    fn tickle(&mut self, group: GroupKey, begins: MonoTime) {
        let connections = self.mirrored.take(group);
        if !connections.is_empty() {
            (self.tell)(Event::Tickling { group, connections: connections.len() });
            self.tickler.begin(group, &connections, begins);
        }
    }

    fn closed(&mut self, group: GroupKey, how: Closing, at: MonoTime, now: MonoTime) {
        self.tickler.cancel(group);
        self.drains.retain(|(waiting, ..)| *waiting != group);
        let Some(drain) = self.watched(group).map(|group| group.drain) else { return };
        match how {
            Closing::HandedOver => {
                // As many as there are of all groups: they may all be handed over at once.
                let known = self.lister.known.values().map(|list| list.len()).sum();
                self.resets.at_the_end_of(group, at, drain, known, self.lister.took);
                self.open.insert(group, Open { until: at + drain });
            }
            Closing::Lost => {
                self.resets.now(group, now);
                self.open.remove(&group);
            }
            Closing::Other => {
                self.resets.when_lost(group, Duration::ZERO, now);
                self.open.remove(&group);
            }
        }
        self.stale = true;
    }

    /// The open groups are others.
    fn watch(&mut self, now: MonoTime) {
        let open = &self.open;
        let watched = self.setup.groups.iter().filter(|group| open.contains_key(&group.key));
        self.lister.watch(watched.map(|group| (group.key, group.addresses.as_slice())), now);
    }

    fn turn(&mut self, now: MonoTime) {
        let due = self.resets.next(now);
        if !due.is_empty() {
            self.reset(&due, now);
        }
        while let Some(at) = self.drains.iter().position(|(_, at, _)| *at <= now) {
            let (group, _, begins) = self.drains.swap_remove(at);
            self.tickle(group, begins);
        }
        let before = self.open.len();
        self.open.retain(|_, open| open.until > now);
        // Once for all groups that came and went together.
        if std::mem::take(&mut self.stale) || self.open.len() != before {
            self.watch(clock::now());
        }
        let counts = &mut self.counts;
        match self.tickler.turn(now, |group, sent| counts.entry(group).or_default().0 += sent) {
            Ok(done) => done.into_iter().for_each(|Done { group, sent, failed, first_round }| {
                (self.tell)(Event::Tickled { group, sent, failed, first_round });
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

    fn mirror(&mut self, now: MonoTime) {
        let called = self.caller.turn(now, &self.setup, &self.lister);
        let heard = self.listener.turn(now, (&self.poll, TOKEN), &self.setup, &mut self.mirrored);
        for event in called.into_iter().chain(heard) {
            match event {
                Event::Refused { .. } => self.complain(event, now),
                other => (self.tell)(other),
            }
        }
        for group in self.mirrored.take_begun() {
            self.resets.peer_has(group, now);
        }
        for stream in self.listener.streams().chain(self.caller.stream()) {
            // Most are in the set already.
            let _known = self.poll.add(stream, TOKEN);
        }
    }

    fn reset(&mut self, groups: &[GroupKey], now: MonoTime) {
        match resets::reset(&self.setup, groups) {
            Ok(all) => all.into_iter().for_each(|(group, done)| {
                self.counts.entry(group).or_default().1 += u64::try_from(done.reset).unwrap_or(0);
                if done.reset + done.refused > 0 {
                    (self.tell)(Event::Reset { group, reset: done.reset, refused: done.refused });
                }
            }),
            Err(cause) => self.complain(Event::Failed { what: format!("resetting connections: {cause}") }, now),
        }
        self.stale = true;
    }

    fn complain(&mut self, event: Event, now: MonoTime) {
        let last = &mut self.complained[usize::from(matches!(event, Event::Refused { .. }))];
        if *last == MonoTime::ZERO || now >= *last + COMPLAINT {
            *last = now;
            (self.tell)(event);
        }
    }

    /// Time from one telling of figures to the next: for each group they cost a little.
    fn pace(&self) -> Duration {
        let hundreds = u32::try_from(self.setup.groups.len() / 100).unwrap_or(u32::MAX);
        PUBLISHED * hundreds.max(1)
    }

    fn publish(&mut self, now: MonoTime) {
        self.published = now;
        let of = |watched: &Watched| {
            let known = self.lister.known.get(&watched.key).map(|list| list.len());
            let (mirrored, mirrored_at) = self.mirrored.of(watched.key);
            let (tickled, reset) = self.counts.get(&watched.key).copied().unwrap_or_default();
            (watched.key, GroupFigures { known, mirrored, mirrored_at, tickled, reset })
        };
        let standing = &self.caller.standing;
        let figures = Figures {
            groups: self.setup.groups.iter().map(of).collect(),
            told_since: standing.since,
            untold_since: standing.lost,
            held: standing.held,
            held_at: standing.held_at,
            heard: self.listener.is_heard(),
            refused: self.listener.refused + standing.refused,
            left_out: self.lister.left_out,
            list_took: self.lister.took,
            list_every: self.lister.every,
        };
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

fn places(setup: &Setup) -> HashMap<GroupKey, usize> {
    setup.groups.iter().enumerate().map(|(at, watched)| (watched.key, at)).collect()
}
