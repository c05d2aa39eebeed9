//! The end of a scene: the frames are checked, and everything is told when something failed.
//!
//! Owns: the verdict over all addresses, and the description after a panic. Never does: deciding
//! what is right; the oracle does that.

use super::setup::addresses_of;
use super::{Scene, clock};
use crate::lab::Server;
use crate::lab::agent::Agent;
use crate::lab::witness::Witness;
use crate::probe::asker::Question;
use crate::probe::openings::{Tenure, count_moves, read_openings};
use crate::probe::oracle::{Case, Expected};
use std::net::IpAddr;
use std::time::Duration;
use vipair::types::MonoTime;

/// An answer takes a tenth of a millisecond here; one that took longer than this was held up.
const HELD_UP: Duration = Duration::from_millis(5);

impl Scene {
    /// Ends the scene and checks it: the owners of every address of the only group, as expected,
    /// and S1, S3, S8.
    pub fn finish(self, expected: &Expected) -> Vec<Tenure> {
        let group = self.setup.config.groups()[0].name.clone();
        self.finish_groups(&[(&group, expected)])
    }

    /// Ends a scene with several groups and checks it like [`Scene::finish`]; returns the tenures
    /// of the first address.
    pub fn finish_groups(mut self, expected: &[(&str, &Expected)]) -> Vec<Tenure> {
        self.verdict(expected)
    }

    /// Checks the scene so far, for one that goes on afterwards without an oracle; the capture ends
    /// here.
    pub fn verdict(&mut self, expected: &[(&str, &Expected)]) -> Vec<Tenure> {
        self.assert_no_question_answered_twice();
        let heard = self.capture.take().expect("it runs until here").finish().unwrap_or_else(|e| panic!("{e}"));
        let history = self.lab.history();
        let case = Case { heard: &heard, history: &history, apart: &self.apart, drain: Duration::from_secs(1) };
        let mut first = Vec::new();
        for group in self.setup.config.groups() {
            let (_, expected) =
                expected.iter().find(|(name, _)| *name == group.name).expect("every group has an expectation");
            for address in addresses_of(group) {
                let tenures = case.check(address, expected).unwrap_or_else(|verdict| panic!("{verdict}"));
                if first.is_empty() {
                    first = tenures;
                }
            }
        }
        first
    }

    /// Ends a scene with one group in which chance decided who owned it: no server claimed an
    /// address without having opened again, by the agents' logs (S1, S2), and no packet left
    /// without a lease (S3). Returns the tenures of the first address.
    pub fn finish_by_chance(mut self) -> Vec<Tenure> {
        self.assert_no_question_answered_twice();
        self.verdict_by_chance().unwrap_or_else(|verdict| panic!("{verdict}"))
    }

    /// Checks the scene like [`Scene::finish_by_chance`], for one that is expected to fail.
    pub fn verdict_by_chance(&mut self) -> Result<Vec<Tenure>, String> {
        let group = self.setup.config.groups()[0].clone();
        let heard = self.capture.take().expect("it runs until here").finish()?;
        let openings =
            read_openings(&group.name, &Server::BOTH.map(|server| (server, self.agent(server).log_text())))?;
        let history = self.lab.history();
        let case = Case { heard: &heard, history: &history, apart: &[], drain: Duration::from_secs(1) };
        let mut first = None;
        for address in addresses_of(&group) {
            let tenures = case.check_by_openings(address, &openings, &self.kills)?;
            first.get_or_insert(tenures);
        }
        Ok(first.unwrap_or_default())
    }

    /// Number of the first address's moves so far, and the shortest time between two of them.
    pub fn count_moves(&self) -> (usize, Option<Duration>) {
        let (heard, address) = (self.heard(), self.first_address());
        count_moves(&Case { heard: &heard, history: &[], apart: &[], drain: Duration::ZERO }.tenures(address))
    }

    /// When a server last claimed the first address at its own port, whether anybody could hear it
    /// or not.
    pub fn last_claim(&self, server: Server) -> Option<MonoTime> {
        let address = self.first_address();
        let of = |h: &&crate::probe::capture::Heard| {
            h.port == server.port() && h.said.address == address && h.said.how.is_claim()
        };
        self.heard().iter().filter(of).map(|h| h.at).max()
    }

    /// The first address of the first group.
    fn first_address(&self) -> IpAddr {
        addresses_of(&self.setup.config.groups()[0])[0]
    }

    /// Asserts that no question was answered by two servers, cut-off ones aside, and that the ports
    /// were asked often enough. A question that the machine held up for longer than [`HELD_UP`] may
    /// reach one server before a move and the other after it; that is said, and no fault.
    fn assert_no_question_answered_twice(&self) {
        for asker in &self.askers {
            let together = asker.since(MonoTime::ZERO).answered_twice();
            let together = together.iter().filter(|q| !self.apart.iter().any(|a| (a.from..a.until).contains(&q.at)));
            let answers = asker.since(MonoTime::ZERO);
            let (held_up, wrong): (Vec<&Question>, Vec<&Question>) =
                together.partition(|q| answers.was_held_up(q, HELD_UP));
            if !held_up.is_empty() {
                println!("the machine held questions up while an address moved: {held_up:?}");
            }
            let wrong = wrong.first();
            assert!(wrong.is_none(), "two servers answered one question: {wrong:?}");
        }
        if let Some(knocker) = &self.knocker {
            // Questions that were hardly asked would find nothing.
            let lasted = clock::now().since(self.began).as_millis();
            assert!(u128::from(knocker.rounds()) > lasted / 4, "{} rounds in {lasted} ms", knocker.rounds());
        }
    }

    /// Statuses, logs and the first address's timeline, to be printed after a failure.
    fn failure_text(&self) -> String {
        let mut text: String = self.agents.iter().map(Agent::failure_text).collect();
        text.extend(self.witnesses.iter().map(Witness::failure_text));
        let (heard, history) = (self.heard(), self.lab.history());
        let case = Case { heard: &heard, history: &history, apart: &self.apart, drain: Duration::ZERO };
        let address = self.setup.config.groups().first().and_then(|g| addresses_of(g).first().copied());
        if let Some(address) = address {
            text += &format!("--- {address} on the wire\n{}", case.timeline(address));
        }
        text
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.failure_text());
        }
    }
}
