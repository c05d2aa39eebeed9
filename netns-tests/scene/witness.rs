//! The witnesses of a scene.

use super::{PATIENCE, Scene, clock};
use crate::lab::witness::Witness;
use crate::lab::{Lab, Server};
use std::time::Instant;
use vipair::types::MonoTime;

impl Scene {
    /// Starts all witnesses; returns when they listen.
    pub fn start_witnesses(&mut self) {
        for witness in &mut self.witnesses {
            witness.start(&self.lab);
        }
    }

    /// The witness `number`, from 1, and the lab that its methods take.
    pub fn witness(&mut self, number: usize) -> (&mut Witness, &Lab) {
        (&mut self.witnesses[number - 1], &self.lab)
    }

    /// Kills the only witness with SIGKILL.
    pub fn kill_witness(&mut self) -> MonoTime {
        let (witness, lab) = self.witness(1);
        witness.kill(lab)
    }

    /// Starts the only witness again; returns when it listens.
    pub fn start_witness(&mut self) -> MonoTime {
        let (witness, lab) = self.witness(1);
        witness.start(lab)
    }

    /// Text of `vipair status --json` of a server; empty without an answer.
    pub fn status_text(&self, server: Server) -> String {
        self.agent(server).status().map(|status| status.0.to_string()).unwrap_or_default()
    }

    /// Waits until the status of both servers contains `words`.
    pub fn wait_both_say(&mut self, words: &str) -> MonoTime {
        self.wait(&format!("both to say \"{words}\""), |s| {
            Server::BOTH.iter().all(|server| s.status_text(*server).contains(words))
        })
    }

    /// Waits until both servers answer and neither's status contains `words`.
    pub fn wait_neither_says(&mut self, words: &str) -> MonoTime {
        self.wait(&format!("nobody to say \"{words}\""), |s| {
            Server::BOTH.iter().all(|server| {
                let text = s.status_text(*server);
                !text.is_empty() && !text.contains(words)
            })
        })
    }

    /// Waits until no server has answered for the first address for `quiet`, at any port.
    pub fn wait_unanswered(&mut self, quiet: std::time::Duration) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let last = Server::BOTH.iter().filter_map(|server| self.last_claim(*server)).max();
            if last.is_none_or(|last| clock::now().since(last) > quiet) {
                return;
            }
            assert!(Instant::now() < limit, "somebody still answers");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
