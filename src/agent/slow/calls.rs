//! Clients that wait until the hot thread has answered.
//!
//! Owns: the calls that have become orders, each under a number that comes back with the answer.
//! Never does: answer for the engine. A client that goes away is forgotten at the next tick.

use super::current::Numbering;
use super::effects::Effects;
use crate::control::protocol::{Outcome as Answered, Response, StatusReport};
use crate::control::server::{Answer, Call};
use crate::engine::{Command, Outcome};
use crate::orders::Order;
use crate::types::GroupId;
use crate::words;
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};

/// All calls under way.
pub(crate) struct Calls {
    /// Requests of clients, from the control socket.
    pub arriving: mpsc::Receiver<Call>,
    waiting: HashMap<u64, Waiting>,
    /// Number of the newest order that a client waits for.
    newest: u64,
}

/// A client that waits.
struct Waiting {
    /// The group that a command is about, and what has been done when it succeeds; both are empty
    /// for other requests.
    group: String,
    done: String,
    answer: oneshot::Sender<Answer>,
}

/// What an operator wants done with a group.
pub(crate) struct Wish {
    /// The group's name.
    pub group: String,
    pub command: fn(GroupId) -> Command,
    /// What has been done when the command succeeds.
    pub done: String,
}

impl Calls {
    /// No client waits yet; requests come from `arriving`.
    pub fn new(arriving: mpsc::Receiver<Call>) -> Calls {
        Calls { arriving, waiting: HashMap::new(), newest: 0 }
    }

    /// Orders the engine's report for a client.
    pub fn handle_status(&mut self, answer: oneshot::Sender<Answer>) -> Effects {
        let id = self.add_waiting(Waiting { group: String::new(), done: String::new(), answer });
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
                let id = self.add_waiting(Waiting { group: wish.group, done: wish.done, answer });
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

    /// Answers the client of a command: each sentence names the group.
    pub fn handle_reply(&mut self, id: u64, outcome: Outcome) {
        let Some(Waiting { group, done, answer }) = self.waiting.remove(&id) else { return };
        let (ok, message) = words::outcome(outcome);
        let message = format!("{group}: {}", if outcome == Outcome::Done { done } else { message });
        respond(answer, Response::Outcome(Answered { ok, message }));
    }

    /// Answers the client who asked for the status.
    pub fn handle_status_ready(&mut self, id: u64, status: StatusReport) {
        let Some(Waiting { answer, .. }) = self.waiting.remove(&id) else { return };
        respond(answer, Response::Status(Box::new(status)));
    }

    /// Forgets clients that have gone away.
    pub fn handle_tick(&mut self) {
        self.waiting.retain(|_, waiting| !waiting.answer.is_closed());
    }
}

/// Sends a client its only response.
pub(crate) fn respond(answer: oneshot::Sender<Answer>, response: Response) {
    // The client may have gone away; nobody else wants the answer.
    let _gone = answer.send(Answer::One(Box::new(response)));
}
