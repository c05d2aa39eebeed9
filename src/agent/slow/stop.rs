//! How the agent ends: told to stop, it hands over and its process ends; told to leave, it hands over
//! and its process stays.
//!
//! Owns: that order. Never does: hand over by itself; the engine does, within its own bounds. A node
//! that has left opens nothing until it is started again.

use super::calls::respond;
use super::{Slow, TICK};
use crate::control::protocol::{Outcome, Response};
use crate::control::server::Answer;
use crate::engine::Command;
use crate::io::clock;
use crate::io::systemd::notify;
use crate::orders::Order;
use crate::signals::Signals;
use sd_notify::NotifyState;
use tokio::sync::oneshot;

impl Slow {
    /// Has the agent stop: the engine hands over what is active here, then the process ends.
    pub fn stop(&mut self) {
        notify(&[NotifyState::Stopping]);
        // Clients that wait for a leave read that the agent is stopping.
        self.leaving.clear();
        self.stop_engine("stopping");
    }

    /// Has this node leave: like a stop, but that the process stays, so that whatever is ordered
    /// before or after the agent's unit goes on as it is.
    pub fn leave(&mut self, client: oneshot::Sender<Answer>) {
        // One that is stopping ends; its client reads that.
        if !self.stopping || !self.leaving.is_empty() {
            self.leaving.push(client);
            self.stop_engine("leaving");
        }
    }

    /// Orders the engine to stop, once; it hands over what is active here.
    fn stop_engine(&mut self, what: &str) {
        if !std::mem::replace(&mut self.stopping, true) {
            tracing::info!("{what}: handing over what is active here");
            self.end.order(Order::Command { id: 0, command: Command::Stop });
        }
    }

    /// Answers those who wanted this node to leave, and waits to be told to end. The gates are closed,
    /// and nothing opens them.
    pub async fn stay_away(&mut self, signals: &mut Signals) {
        let message = "left: every group was handed over or closed here, until the agent is started again".to_owned();
        tracing::warn!("{message}");
        for client in self.leaving.drain(..) {
            respond(client, Response::Outcome(Outcome { ok: true, message: message.clone() }));
        }
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                // Nothing is left that a reload could change.
                _ = signals.hangup.recv() => {}
                Some(call) = self.calls.arriving.recv() => {
                    let said = Outcome { ok: false, message: "this node has left: `systemctl restart vipair`".to_owned() };
                    respond(call.answer, Response::Outcome(said));
                }
                _ = tick.tick() => notify(&[NotifyState::Watchdog]),
            }
        }
    }

    /// Brings to an end what still runs when the hot thread has ended: a recording, hooks, the
    /// keeper.
    pub async fn finish(&mut self) {
        let effects = self.flight.finish(clock::now());
        self.carry_out(effects);
        self.hooks.finish().await;
        while let Ok(ended) = self.hooks.ends.try_recv() {
            self.handle_hook_ended(ended);
        }
        self.ports.finish();
    }
}
