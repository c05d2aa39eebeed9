//! Everything that may wait: interfaces, sockets that cannot be opened yet, the disk, people, systemd.
//!
//! One task on a tokio runtime of its own. It learns from the hot thread through one ring and orders through the
//! other; whatever happens here, pulses go on.

pub(crate) mod connections;
pub(crate) mod events;
pub(crate) mod flight;
mod paths;
mod ports;
pub(crate) mod reload;
pub(crate) mod service;
mod status;

use crate::announcer::AnnounceReport;
use crate::config::{Config, KeyFile};
use crate::control::protocol::{Outcome as Answered, Request, Response, Severity};
use crate::control::server::{Answer, Call};
use crate::durable::Durable;
use crate::engine::{Command, InterfaceFacts, Outcome};
use crate::gate::CounterReader;
use crate::io::systemd::notify;
use crate::io::{clock, realtime};
use crate::keeper::{KeeperEvent, KeeperHandle};
use crate::options::RunOptions;
use crate::orders::{Order, SlowEnd, Tale, Vital};
use crate::store::{self, StoreHandle, WriteError};
use crate::types::{GroupId, GroupKey, LinkId, MonoTime};
use crate::words::{self, Names, Told};
use events::Journal;
use flight::Flight;
use paths::Paths;
use reload::Reload;
use sd_notify::NotifyState;
use service::ServiceSide;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// How often links that could not be opened are tried again, and the hot thread's pulse is felt.
const TICK: Duration = Duration::from_millis(250);

/// What reaches the slow side from other threads.
#[derive(Debug)]
pub(crate) enum Word {
    /// From the store's thread.
    Stored { version: u64, result: Result<(), WriteError> },
    /// From the announcer's thread.
    Announced(AnnounceReport),
    /// From the thread that writes a recording.
    Recorded(Result<PathBuf, WriteError>),
    /// From the thread that looks after connections.
    Connections(crate::connections::Event),
    /// The hot thread has ended, in order or not.
    HotEnded(io::Result<()>),
}

/// What the slow side is made of.
pub(crate) struct Slow {
    pub config: Config,
    /// What `config` was read from.
    pub text: String,
    pub keys: KeyFile,
    pub options: RunOptions,
    pub reload: Reload,
    pub names: Names,
    pub end: SlowEnd,
    pub vital: Arc<Vital>,
    pub journal: Journal,
    pub store: StoreHandle,
    pub keeper: Option<KeeperHandle>,
    pub started: MonoTime,
    pub warnings: Vec<String>,
    pub words: mpsc::Receiver<Word>,
    pub keeper_events: mpsc::Receiver<KeeperEvent>,
    pub calls: mpsc::Receiver<Call>,
    pub service: ServiceSide,
    pub flight: Flight,
    pub connections: crate::connections::Connections,
    pub state: State,
}

/// Counters of a gate, and the slots of its groups.
type Counting = (CounterReader, HashMap<GroupKey, u16>);

/// What the slow side remembers.
#[derive(Default)]
pub(crate) struct State {
    pub facts: Vec<InterfaceFacts>,
    /// Counters of each interface's gate, and the slots of its groups.
    pub counters: Vec<Option<Counting>>,
    /// Orders that found the ring full.
    backlog: VecDeque<Order>,
    /// Who waits for an answer, and what to say of it when it is good.
    waiting: HashMap<u64, (String, oneshot::Sender<Answer>)>,
    next_call: u64,
    paths: Paths,
    pub ready_told: bool,
    last_turns: u64,
    pub stop_asked: bool,
}

impl State {
    pub fn new(interfaces: usize, links: &[LinkId]) -> State {
        State {
            facts: vec![InterfaceFacts::default(); interfaces],
            counters: (0..interfaces).map(|_| None).collect(),
            paths: Paths::new(links),
            next_call: 1,
            ..State::default()
        }
    }
}

impl Slow {
    /// Runs until the hot thread has ended.
    ///
    /// # Errors
    /// When signals or the ring's descriptor cannot be watched, or the hot thread failed.
    pub async fn run(mut self) -> io::Result<()> {
        let woken = self.end.woken.for_tokio()?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        // Threads and programs begin at ordinary priority all the same. The hot thread has told if it is not permitted.
        let _permitted = realtime::be_realtime(realtime::HELPER_PRIORITY);
        self.begin_checks();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                ready = woken.readable() => {
                    let mut ready = ready?;
                    let _announced = self.end.woken.take();
                    ready.clear_ready();
                    self.hear_tales();
                }
                Some(event) = self.keeper_events.recv() => self.hear_keeper(event),
                Some(word) = self.words.recv() => match word {
                    Word::HotEnded(result) => {
                        self.hear_tales();
                        self.finish().await;
                        return result;
                    }
                    other => self.hear_word(other),
                },
                Some(verdict) = self.service.verdicts.recv() => self.hear_verdict(verdict),
                Some(ended) = self.service.hook_ends.recv() => self.hear_hook(ended),
                Some(call) = self.calls.recv() => self.hear_call(call),
                _ = terminate.recv() => self.stop(),
                _ = interrupt.recv() => self.stop(),
                _ = hangup.recv() => self.begin_reload(),
                _ = tick.tick() => self.on_tick(),
            }
        }
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.state.backlog.push_back(order);
        self.push_backlog();
    }

    fn push_backlog(&mut self) {
        while let Some(order) = self.state.backlog.pop_front() {
            if let Err(order) = self.end.order(order) {
                self.state.backlog.push_front(order);
                return;
            }
        }
    }

    fn stop(&mut self) {
        if !std::mem::replace(&mut self.state.stop_asked, true) {
            notify(&[NotifyState::Stopping]);
            tracing::info!("stopping: handing over what is active here");
            self.order(Order::Command { id: 0, command: Command::Stop });
        }
    }

    fn hear_tales(&mut self) {
        while let Ok(tale) = self.end.tales.pop() {
            match tale {
                Tale::Notice { at, notice } => {
                    self.pass_role_on(at, &notice);
                    self.run_what_follows(&notice);
                    self.flight.hear(at, at.since(self.started), &notice);
                    let told = words::notice(&self.names, &notice);
                    self.journal.note(at, told);
                }
                Tale::Reply { id, outcome } => {
                    let (ok, mut message) = words::outcome(outcome);
                    if let Some((good, _)) = self.state.waiting.get(&id).filter(|_| outcome == Outcome::Done) {
                        message.clone_from(good);
                    }
                    self.answer(id, Answer::One(Box::new(Response::Outcome(Answered { ok, message }))));
                }
                Tale::Persist { version, state } => self.persist(version, state),
                Tale::Report { id, report } => {
                    let mut status = status::status(&self.config, &self.names, &report, self.started);
                    status.warnings.extend(self.warnings.iter().cloned());
                    self.add_counters(&mut status);
                    self.add_connections(&mut status, &report);
                    self.add_checks(&mut status, &report);
                    self.answer(id, Answer::One(Box::new(Response::Status(Box::new(status)))));
                }
                Tale::Hook { group, hook, epoch, cause } => self.run_before(group, hook, epoch, cause),
                Tale::Reconfigured => self.hear_reconfigured(),
                Tale::Stopped => {}
            }
        }
    }

    fn add_counters(&self, status: &mut crate::control::protocol::StatusReport) {
        for (group, configured) in status.groups.iter_mut().zip(&self.config.groups) {
            for (reader, slots) in self.state.counters.iter().flatten() {
                let named = slots.get(&configured.key).map(|slot| reader.read(*slot).named());
                group.counters.extend(named.into_iter().flatten().map(|(name, count)| (name.to_owned(), count)));
            }
        }
        let vital = &self.vital;
        status.lateness_p999_ms = vital.lateness.p999().as_secs_f64() * 1e3;
        status.lateness_us = vital.lateness.histogram();
        status.renewal_us = vital.renewals.histogram();
        let late = Duration::from_nanos(vital.lateness.worst());
        status.worst_lateness_ms = late.as_secs_f64() * 1e3;
        if late > self.config.timing.pulse {
            let text = format!("the hot thread once woke up {:.1} ms late", late.as_secs_f64() * 1e3);
            status.warnings.push(text);
        }
        let dropped = vital.dropped.load(Ordering::Relaxed) + vital.announcements_dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            status.warnings.push(format!("{dropped} messages between threads were dropped"));
        }
    }

    fn answer(&mut self, id: u64, answer: Answer) {
        if let Some((_, waiting)) = self.state.waiting.remove(&id) {
            // The client may have gone away; nobody else wants the answer.
            let _gone = waiting.send(answer);
        }
    }

    fn persist(&mut self, version: u64, durable: Durable) {
        let cluster = store::cluster_hash(&self.config.cluster);
        let state = store::State { node: self.config.me, cluster, lease: durable.lease, groups: durable.groups };
        self.store.write(version, state);
    }

    fn hear_word(&mut self, word: Word) {
        match word {
            Word::Stored { version, result: Ok(()) } => self.order(Order::Stored { version }),
            Word::Stored { result: Err(error), .. } => {
                self.tell(Severity::Error, "store_error", error.to_string());
                self.order(Order::StoreFailed);
            }
            Word::Announced(report) => {
                tracing::debug!(?report, "announced");
                if let Some(error) = report.error {
                    self.tell(Severity::Warning, "announce_error", format!("announcing failed: {error}"));
                }
            }
            Word::Recorded(result) => self.hear_recorded(result),
            Word::Connections(event) => self.hear_connections(event),
            Word::HotEnded(_) => {}
        }
    }

    pub(crate) fn tell(&mut self, severity: Severity, kind: &'static str, text: String) {
        self.journal.note(clock::now(), Told { severity, kind, group: None, text, fields: Vec::new() });
    }

    fn hear_call(&mut self, call: Call) {
        let id = self.state.next_call;
        self.state.next_call += 1;
        let command = match &call.request {
            Request::Status => Ok(None),
            Request::Record => return self.begin_recording(call.answer),
            Request::Running => {
                let _gone = call.answer.send(Answer::One(Box::new(self.running())));
                return;
            }
            Request::Events { follow } => {
                let follow = follow.then(|| self.journal.follow());
                let _gone = call.answer.send(Answer::Events(self.journal.past(), follow));
                return;
            }
            Request::Switch { group } => self.find(group).map(|group| Some(Command::Switch(group))),
            Request::Pause { group } => self.find(group).map(|group| Some(Command::Pause(group))),
            Request::Resume { group } => self.find(group).map(|group| Some(Command::Resume(group))),
        };
        match command {
            Err(message) => {
                let refusal = Response::Outcome(Answered { ok: false, message });
                let _gone = call.answer.send(Answer::One(Box::new(refusal)));
            }
            Ok(command) => {
                let good = match &call.request {
                    Request::Switch { group } => format!("{group}: switched"),
                    Request::Pause { group } => format!("{group}: paused on {}", self.names.node(self.config.me)),
                    Request::Resume { group } => format!("{group}: resumed on {}", self.names.node(self.config.me)),
                    Request::Status | Request::Events { .. } | Request::Record | Request::Running => String::new(),
                };
                self.state.waiting.insert(id, (good, call.answer));
                self.order(match command {
                    None => Order::Report { id },
                    Some(command) => Order::Command { id, command },
                });
            }
        }
    }

    fn find(&self, name: &str) -> Result<GroupId, String> {
        let config = self.ordered_config();
        let at = config.groups.iter().position(|group| group.name == name);
        at.and_then(|at| u16::try_from(at).ok()).map(GroupId).ok_or_else(|| {
            let known: Vec<&str> = config.groups.iter().map(|group| group.name.as_str()).collect();
            format!("no group \"{name}\"; there is {}", known.join(", "))
        })
    }

    fn on_tick(&mut self) {
        self.push_backlog();
        self.open_links();
        self.tell_ready_anyway();
        self.look_at_flight();
        let turns = self.vital.turns.load(Ordering::Relaxed);
        // The watchdog is fed only while the hot thread lives: its pulse wakes it at least once a second.
        if turns != self.state.last_turns {
            self.state.last_turns = turns;
            notify(&[NotifyState::Watchdog]);
        }
        self.state.waiting.retain(|_, (_, waiting)| !waiting.is_closed());
    }

    /// Opens the sockets of links that can be opened now.
    fn open_links(&mut self) {
        let (config, names) = (&self.config, &self.names);
        let opened = self.state.paths.look(|link| {
            let tell =
                |error: &io::Error| tracing::debug!(%error, link = names.link(link), "link cannot be opened yet");
            paths::open(config, link).inspect_err(tell)
        });
        for (link, socket) in opened {
            self.order(Order::Link { link, socket: Some(socket) });
        }
    }

    async fn finish(&mut self) {
        self.finish_flight();
        self.finish_hooks().await;
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
    }
}
