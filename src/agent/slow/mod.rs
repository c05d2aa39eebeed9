//! The slow side: everything that may wait. Interfaces, sockets, the disk, programs, people,
//! systemd.
//!
//! One task on a tokio runtime of its own. It learns from the hot thread through one ring and
//! orders through the other; whatever happens here, pulses go on.
//!
//! Owns: the parts, and the order in which they learn of things. Each part is a type that writes
//! only its own state: a `handle_*` method reads what it is given and returns [`Effects`], which
//! `Slow` carries out before anything else happens.
//!
//! | part | what it owns |
//! |---|---|
//! | [`current`] | what the agent runs with: configuration, keys, names |
//! | [`reload`] | what the agent will run with next |
//! | [`ports`] | interfaces: facts, counters, the keeper |
//! | [`lacks`] | what this node lacks for each group, joined from what the parts say |
//! | [`addresses`] | how much of each group is in place |
//! | [`readiness`] | whether clients would be answered and reached here |
//! | [`paths`] | sockets of UDP links |
//! | [`checks`], [`hooks`] | verdicts on the services, programs around a move; on the [`service_thread`] |
//! | [`connections`] | the thread that looks after clients' connections |
//! | [`flight`] | recordings |
//! | [`events`] | what people are told |
//! | [`served`] | groups that nobody serves |
//! | [`calls`] | clients that wait for the hot thread |
//! | [`socket`] | the control socket that they come by |
//! | [`vitals`] | the hot thread's figures, and the watchdog |
//! | [`status`] | the sentences of `vipair status` |
//! | [`stop`] | how the agent ends, or leaves |
//! | [`message`], [`effects`] | what comes from other threads, what a part wants done |

pub(crate) mod addresses;
pub(crate) mod calls;
pub(crate) mod checks;
pub(crate) mod connections;
pub(crate) mod current;
mod effects;
pub(crate) mod events;
pub(crate) mod flight;
pub(crate) mod hooks;
pub(crate) mod lacks;
pub(crate) mod message;
pub(crate) mod paths;
pub(crate) mod ports;
pub(crate) mod readiness;
pub(crate) mod reload;
pub(crate) mod served;
pub(crate) mod service_thread;
pub(crate) mod socket;
mod status;
mod stop;
#[cfg(test)]
mod tests;
pub(crate) mod vitals;

use crate::control::protocol::{Severity, StatusReport};
use crate::control::server::Answer;
use crate::durable::Durable;
use crate::engine::{Notice, Report};
use crate::io::systemd::notify;
use crate::io::{clock, realtime};
use crate::keeper::KeeperEvent;
use crate::orders::{SlowEnd, Tale};
use crate::signals::Signals;
use crate::store::{self, StoreHandle};
use crate::types::MonoTime;
use crate::words;
use calls::Calls;
use checks::Checks;
use connections::Connections;
use current::Current;
use effects::{Effect, Effects};
use events::Events;
use flight::Flight;
use hooks::Hooks;
use lacks::LackTable;
use message::Message;
use paths::Paths;
use ports::Ports;
use readiness::Readiness;
use reload::Reload;
use served::Served;
use service_thread::ServiceThread;
use socket::ControlSocket;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use vitals::Vitals;

/// Interval at which what could not be opened is tried again, and the hot thread's life is felt.
const TICK: Duration = Duration::from_millis(250);

/// The slow side: its parts, and what only their order of work needs.
pub(crate) struct Slow {
    pub current: Current,
    pub started: MonoTime,
    /// Warnings of the start, shown in every status.
    pub warnings: Vec<String>,
    pub end: SlowEnd,
    /// Readable when the hot thread has published something.
    pub woken: AsyncFd<OwnedFd>,
    pub store: StoreHandle,
    pub messages: mpsc::Receiver<Message>,
    pub reload: Reload,
    pub ports: Ports,
    pub lacks: LackTable,
    pub readiness: Readiness,
    pub paths: Paths,
    pub checks: Checks,
    pub hooks: Hooks,
    /// The service thread, held so that it lives as long as the checks and hooks on it.
    pub _service_thread: ServiceThread,
    pub flight: Flight,
    pub connections: Connections,
    pub events: Events,
    pub served: Served,
    pub calls: Calls,
    pub socket: ControlSocket,
    pub vitals: Vitals,
    /// Whether the hot thread has been ordered to stop.
    pub stopping: bool,
    /// Clients that wait until this node has left; with one of them the process stays.
    pub leaving: Vec<oneshot::Sender<Answer>>,
}

impl Slow {
    /// Runs until the hot thread has ended.
    ///
    /// # Errors
    /// When the runtime ends before the hot thread, or the hot thread failed.
    pub async fn run(mut self, mut signals: Signals) -> io::Result<()> {
        // Threads and programs start at ordinary priority all the same. The hot thread has already
        // said so if real-time priority is not permitted.
        let _permitted = realtime::be_realtime(realtime::HELPER_PRIORITY);
        self.configure_checks();
        // Whoever learns from the service manager that the agent is ready finds the socket there.
        let effects = self.socket.handle_tick(clock::now());
        self.carry_out(effects);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                ready = self.woken.readable() => {
                    let mut ready = ready?;
                    let _announced = self.end.woken.take();
                    ready.clear_ready();
                    self.handle_tales();
                }
                Some(report) = self.ports.reports.recv() => self.handle_keeper_report(report),
                Some(message) = self.messages.recv() => match message {
                    Message::HotEnded(result) => {
                        self.handle_tales();
                        self.finish().await;
                        if result.is_ok() && !self.leaving.is_empty() {
                            self.stay_away(&mut signals).await;
                        }
                        return result;
                    }
                    other => self.handle_message(other),
                },
                Some(verdict) = self.checks.verdicts.recv() => self.handle_verdict(verdict),
                Some(ended) = self.hooks.ends.recv() => self.handle_hook_ended(ended),
                Some(call) = self.calls.arriving.recv() => self.handle_call(call),
                _ = signals.terminate.recv() => self.stop(),
                _ = signals.interrupt.recv() => self.stop(),
                _ = signals.hangup.recv() => self.handle_hangup(),
                _ = tick.tick() => self.handle_tick(),
            }
        }
    }

    /// Carries out what a part wants done.
    fn carry_out(&mut self, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Order(order) => self.end.order(order),
                Effect::Event(saying) => self.events.record(clock::now(), saying),
                Effect::Systemd(states) => notify(&states),
                Effect::StartChecks(group) => self.checks.start_for(group),
                Effect::CheckAgain(group) => self.checks.try_again(group),
                Effect::Lack { group, lack, holds } => {
                    let numbering = self.reload.numbering(&self.current);
                    self.lacks
                        .note(group, lack, holds, numbering)
                        .into_iter()
                        .for_each(|order| self.end.order(order));
                }
            }
        }
    }

    /// Takes everything that the hot thread has published.
    fn handle_tales(&mut self) {
        while let Ok(tale) = self.end.tales.pop() {
            match tale {
                Tale::Notice { at, notice } => self.handle_notice(at, &notice),
                Tale::Reply { id, outcome } => self.calls.handle_reply(id, outcome, clock::now()),
                Tale::Persist { version, state } => {
                    self.calls.handle_persist(version);
                    self.persist(version, state);
                }
                Tale::Report { id: served::REPORT, report } => {
                    let effects = self.served.handle_report(&report, &self.current);
                    self.carry_out(effects);
                }
                Tale::Report { id, report } => {
                    let status = self.status(&report);
                    self.calls.handle_status_ready(id, status);
                }
                Tale::Hook { group, hook, epoch, cause } => {
                    let effects = self.hooks.handle_wanted(group, (hook, epoch, cause), &self.current);
                    self.carry_out(effects);
                }
                Tale::Neighbours { interface, addresses } => {
                    self.readiness.handle_neighbours(interface, addresses);
                }
                Tale::Reconfigured => self.handle_reconfigured(),
                Tale::LinkFailed { link, error } => {
                    let effects = self.paths.handle_failed(link, &error, &self.current, clock::now());
                    self.carry_out(effects);
                }
                Tale::Stopped => {}
            }
        }
    }

    /// Passes a notice on to every part that it concerns; people learn of it last.
    fn handle_notice(&mut self, at: MonoTime, notice: &Notice) {
        self.connections.handle_notice(at, notice, &self.current);
        self.hooks.handle_notice(notice, &self.current, self.ports.is_ready());
        self.served.handle_notice(at, notice);
        self.flight.handle_notice(at, at.since(self.started), notice);
        self.events.record(at, words::notice(&self.current.names, notice));
    }

    /// Has the store write a state of the engine.
    fn persist(&self, version: u64, durable: Durable) {
        let config = &self.current.config;
        let cluster = store::cluster_hash(&config.cluster);
        let state = store::State { node: config.me, cluster, lease: durable.lease, groups: durable.groups };
        self.store.write(version, state);
    }

    /// The whole status, put together from the parts.
    fn status(&self, report: &Report) -> StatusReport {
        let current = &self.current;
        let mut status = status::status(&current.config, &current.names, report, self.started);
        status.warnings.extend(self.warnings.iter().cloned());
        self.socket.add_to(&mut status);
        self.reload.add_to(&mut status, &self.current);
        status.warnings.extend(self.served.warnings());
        self.ports.add_to(&mut status, current);
        self.vitals.add_to(&mut status, current.config.timing.pulse);
        self.vitals.add_links_to(&mut status, report, &current.names);
        self.connections.add_to(&mut status, current, report);
        self.checks.add_to(&mut status, current, report);
        status
    }

    /// Passes a report of the keeper on. The report that the keeper has changed over ends a reload,
    /// and begins the next one if it is wanted.
    fn handle_keeper_report(&mut self, report: KeeperEvent) {
        let begun = matches!(report, KeeperEvent::Reconfigured);
        let effects = if begun {
            self.reload.handle_keeper_begun(self.ports.is_ready())
        } else {
            let (numbering, reloading) = (self.reload.numbering(&self.current), self.reload.is_under_way());
            self.ports.handle_report(report, &self.current, numbering, reloading)
        };
        self.carry_out(effects);
        if begun {
            self.reload_if_wanted();
        }
    }

    /// Passes a message of another thread on. The end of the hot thread is left to `run`.
    fn handle_message(&mut self, message: Message) {
        let effects = match message {
            Message::Stored { version, result } => {
                self.calls.handle_stored(version, &result);
                Effects::of_stored(version, result)
            }
            Message::Announced(report) => {
                tracing::debug!(?report, "announced");
                let mut effects = Effects::default();
                if let Some(error) = report.error {
                    effects.event(Severity::Warning, "announce_error", format!("announcing failed: {error}"));
                }
                effects
            }
            Message::Recorded(result) => self.flight.handle_recorded(result),
            Message::Readiness(report) => readiness::handle_report(report, &self.current),
            Message::Connections(event) => connections::handle_event(event, &self.current),
            Message::HotEnded(_) => Effects::default(),
        };
        self.carry_out(effects);
    }

    /// Passes the verdict of a check on.
    fn handle_verdict(&mut self, verdict: crate::checks::Verdict) {
        let numbering = self.reload.numbering(&self.current);
        let effects = self.checks.handle_verdict(verdict, &self.current, numbering, clock::now());
        self.carry_out(effects);
    }

    /// Carries out what the end of a hook calls for.
    fn handle_hook_ended(&mut self, ended: crate::hooks::Ended) {
        let effects = hooks::handle_ended(ended, &self.current, self.reload.numbering(&self.current));
        self.carry_out(effects);
    }

    /// Lets every part do what is due.
    fn handle_tick(&mut self) {
        let now = clock::now();
        self.end.push_backlog();
        let effects = self.socket.handle_tick(now);
        self.carry_out(effects);
        let effects = self.paths.handle_tick(&self.current);
        self.carry_out(effects);
        let effects = self.ports.handle_tick(&self.current.names, now.since(self.started));
        self.carry_out(effects);
        let effects = self.readiness.handle_tick(&self.current);
        self.carry_out(effects);
        let effects = self.flight.handle_tick(now);
        self.carry_out(effects);
        let effects = self.vitals.handle_tick();
        self.carry_out(effects);
        let effects = self.served.handle_tick(now);
        self.carry_out(effects);
        let effects = self.calls.handle_tick(now);
        self.carry_out(effects);
    }

    /// Notes the wish for a reload, which begins at once if none is under way.
    fn handle_hangup(&mut self) {
        self.reload.want();
        self.reload_if_wanted();
    }

    /// Begins the reload that is wanted, unless another one is under way.
    fn reload_if_wanted(&mut self) {
        if self.stopping || !self.reload.take_wish() {
            return;
        }
        // Whoever reloads accepts which routes there are, also if the file is what it was.
        self.readiness.reconfigure(&self.current);
        let ready = self.ports.is_ready();
        let effects = self.reload.announce(ready);
        self.carry_out(effects);
        let effects = self.reload.begin(&self.current, ready);
        self.carry_out(effects);
    }

    /// Takes over what the hot thread runs with from now on, part by part.
    fn handle_reconfigured(&mut self) {
        let Some((current, changes)) = self.reload.take_next() else { return };
        self.current = current;
        self.flight.reconfigure(&self.current.config);
        self.connections.reconfigure(&self.current);
        let orders = self.lacks.reconfigure(&self.current, self.reload.numbering(&self.current));
        orders.into_iter().for_each(|order| self.end.order(order));
        self.readiness.reconfigure(&self.current);
        self.configure_checks();
        let keeper = self.ports.reconfigure(&self.current.config);
        let effects = self.reload.handle_taken_over(&changes, keeper, self.ports.is_ready());
        self.carry_out(effects);
        self.reload_if_wanted();
    }

    /// Lets exactly the checks of the present configuration run.
    fn configure_checks(&mut self) {
        let numbering = self.reload.numbering(&self.current);
        let effects = self.checks.configure(&self.current, numbering, clock::now());
        self.carry_out(effects);
    }
}
