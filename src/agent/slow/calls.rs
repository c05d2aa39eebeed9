//! Clients that wait until the hot thread has answered.
//!
//! Owns: the calls that have become orders, each under a number that comes back with the answer; and
//! those that are done but not yet durable. Never does: answer for the engine, or say "done" of what a
//! restart would forget. The order of a client that goes away, or has waited as long as it said, is given
//! up at the next tick.

use super::Slow;
use super::current::Numbering;
use super::effects::Effects;
use crate::control::protocol::{Outcome as Answered, Request, Response, StatusReport};
use crate::control::server::{Answer, Call};
use crate::engine::{Command, Outcome};
use crate::io::clock;
use crate::orders::Order;
use crate::store::WriteError;
use crate::types::{GroupId, MonoTime};
use crate::words;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Longest wait for the disk to take in what an order has changed.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// All calls under way.
pub(crate) struct Calls {
    /// Requests of clients, from the control socket.
    pub arriving: mpsc::Receiver<Call>,
    waiting: HashMap<u64, Waiting>,
    /// Clients whose order is carried out and not durable yet.
    unstored: Vec<Unstored>,
    /// Number of the newest order that a client waits for.
    newest: u64,
}

/// A client that waits.
struct Waiting {
    /// The group that a command is about, and what has been done when it succeeds; both are empty
    /// for other requests.
    group: String,
    done: String,
    /// Whether it has to be durable before it is done.
    durable: bool,
    /// Until when the client waits, if it has told.
    until: Option<MonoTime>,
    answer: oneshot::Sender<Answer>,
}

/// A client that waits for the disk.
struct Unstored {
    /// Version of the state that has the change; `None` until that was sent to the disk.
    version: Option<u64>,
    until: MonoTime,
    /// What is done, as a sentence.
    done: String,
    answer: oneshot::Sender<Answer>,
}

impl Unstored {
    /// Says that it is done, or done and not durable because of `trouble`.
    fn answer(self, trouble: Option<&str>) {
        let message = trouble.map_or_else(
            || self.done.clone(),
            |trouble| {
                format!("{}, but that is not on the disk ({trouble}): a restart of the agent forgets it", self.done)
            },
        );
        respond(self.answer, Response::Outcome(Answered { ok: trouble.is_none(), message }));
    }
}

/// What an operator wants done with a group.
pub(crate) struct Wish {
    /// The group's name.
    pub group: String,
    pub command: fn(GroupId) -> Command,
    /// What has been done when the command succeeds.
    pub done: String,
    /// Whether it has to be durable before it is done.
    pub durable: bool,
    /// Until when the client waits, if it has told.
    pub until: Option<MonoTime>,
}

impl Calls {
    /// No client waits yet; requests come from `arriving`.
    pub fn new(arriving: mpsc::Receiver<Call>) -> Calls {
        Calls { arriving, waiting: HashMap::new(), unstored: Vec::new(), newest: 0 }
    }

    /// Orders the engine's report for a client.
    pub fn handle_status(&mut self, answer: oneshot::Sender<Answer>) -> Effects {
        let (group, done) = (String::new(), String::new());
        let id = self.add_waiting(Waiting { group, done, durable: false, until: None, answer });
        Effects::of_order(Order::Report { id })
    }

    /// Orders an operator's command; the name of an unknown group is refused at once.
    pub fn handle_wish(&mut self, wish: Wish, answer: oneshot::Sender<Answer>, numbering: Numbering<'_>) -> Effects {
        match numbering.named(&wish.group) {
            Err(message) => {
                respond(answer, Response::Outcome(Answered { ok: false, message }));
                Effects::default()
            }
            Ok(group) => {
                let Wish { group: name, done, durable, until, .. } = wish;
                let id = self.add_waiting(Waiting { group: name, done, durable, until, answer });
                Effects::of_order(Order::Command { id, command: (wish.command)(group) })
            }
        }
    }

    /// Lets a client wait; returns the number that the order carries and the answer brings back.
    fn add_waiting(&mut self, waiting: Waiting) -> u64 {
        self.newest += 1;
        self.waiting.insert(self.newest, waiting);
        self.newest
    }

    /// Answers the client of a command: each sentence names the group. One whose change has to be
    /// durable waits for the disk.
    pub fn handle_reply(&mut self, id: u64, outcome: Outcome, now: MonoTime) {
        let Some(Waiting { group, done, durable, answer, .. }) = self.waiting.remove(&id) else { return };
        let (ok, message) = words::outcome(outcome);
        let message = format!("{group}: {}", if outcome == Outcome::Done { done } else { message });
        if durable && outcome == Outcome::Done {
            let until = now + DISK_PATIENCE;
            return self.unstored.push(Unstored { version: None, until, done: message, answer });
        }
        respond(answer, Response::Outcome(Answered { ok, message }));
    }

    /// A state goes to the disk: it has everything that was done so far.
    pub fn handle_persist(&mut self, version: u64) {
        self.unstored.iter_mut().for_each(|client| client.version = client.version.or(Some(version)));
    }

    /// The disk has taken a state in, or has not. Answers those who wait for that.
    pub fn handle_stored(&mut self, version: u64, result: &Result<(), WriteError>) {
        let trouble = result.as_ref().err().map(ToString::to_string);
        let of_version = |client: &mut Unstored| client.version.is_some_and(|waits| waits <= version);
        self.unstored.extract_if(.., of_version).for_each(|client| client.answer(trouble.as_deref()));
    }

    /// Answers the client who asked for the status.
    pub fn handle_status_ready(&mut self, id: u64, status: StatusReport) {
        let Some(Waiting { answer, .. }) = self.waiting.remove(&id) else { return };
        respond(answer, Response::Status(Box::new(status)));
    }

    /// Gives up the orders of clients that have gone away or have waited as long as they said, and tells
    /// those who wait for a disk that does not answer.
    pub fn handle_tick(&mut self, now: MonoTime) -> Effects {
        let mut effects = Effects::default();
        let over = |_: &u64, waiting: &mut Waiting| {
            waiting.answer.is_closed() || waiting.until.is_some_and(|until| now >= until)
        };
        for (id, waiting) in self.waiting.extract_if(over) {
            effects.order(Order::Command { id, command: Command::Abandon });
            let message = format!("{}: it was not done in time, and is given up", waiting.group);
            respond(waiting.answer, Response::Outcome(Answered { ok: false, message }));
        }
        let late = |client: &mut Unstored| now >= client.until;
        let trouble = "it does not answer";
        self.unstored.extract_if(.., late).for_each(|client| client.answer(Some(trouble)));
        effects
    }
}

/// Sends a client its only response.
pub(crate) fn respond(answer: oneshot::Sender<Answer>, response: Response) {
    // The client may have gone away; nobody else wants the answer.
    let _gone = answer.send(Answer::One(Box::new(response)));
}

impl Slow {
    /// Passes a client's request on to the part that answers it.
    pub fn handle_call(&mut self, call: Call) {
        let Call { request, until, answer } = call;
        if until.is_some_and(|until| clock::now() >= until) {
            // Its client has gone; it must not be carried out behind an operator's back.
            return tracing::warn!(?request, "a request came too late to be begun");
        }
        let numbering = self.reload.numbering(&self.current);
        let me = self.current.my_name();
        let effects = match request {
            Request::Status => self.calls.handle_status(answer),
            Request::Switch { group } => {
                let done = "switched".to_owned();
                let wish = Wish { group, command: Command::Switch, done, durable: false, until };
                self.calls.handle_wish(wish, answer, numbering)
            }
            Request::Pause { group } => {
                let done = format!("paused on {me}");
                let wish = Wish { group, command: Command::Pause, done, durable: true, until };
                self.calls.handle_wish(wish, answer, numbering)
            }
            Request::Resume { group } => {
                let done = format!("resumed on {me}");
                let wish = Wish { group, command: Command::Resume, done, durable: true, until };
                self.calls.handle_wish(wish, answer, numbering)
            }
            Request::Events { follow } => return self.events.handle_request(follow, answer),
            Request::Record => self.flight.handle_request(answer, clock::now()),
            Request::Running => return respond(answer, self.reload.running(&self.current)),
            Request::Reload => {
                self.reload.want_for(answer);
                return self.reload_if_wanted();
            }
            Request::Leave => return self.leave(answer),
        };
        self.carry_out(effects);
    }
}
