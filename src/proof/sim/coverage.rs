//! What was seen: changes of role, actions, notices, outcomes, faults, and how often.

use super::oracle::Change;
use super::swarm::Fault;
use super::transitions;
use crate::engine::{Action, GateAction, Notice, Outcome};
use std::fmt::Write;

macro_rules! kinds {
    ($(#[$doc:meta])* $list:ident, $number:ident, $of:ty, $($pattern:pat => $name:literal,)*) => {
        $(#[$doc])*
        pub const $list: &[&str] = &[$($name),*];

        fn $number(what: &$of) -> usize {
            let name = match what { $($pattern => $name,)* };
            $list.iter().position(|known| *known == name).unwrap_or_default()
        }
    };
}

kinds! {
    /// Kinds of actions.
    ACTIONS, action_kind, Action,
    Action::Send { .. } => "send",
    Action::Gate(GateAction::Begin { .. }) => "gate begin",
    Action::Gate(GateAction::Renew { .. }) => "gate renew",
    Action::Gate(GateAction::Open { .. }) => "gate open",
    Action::Gate(GateAction::Close { .. }) => "gate close",
    Action::Gate(GateAction::Forward { .. }) => "gate forward",
    Action::Probe { .. } => "probe",
    Action::Announce { address: None, .. } => "announce",
    Action::Announce { address: Some(_), .. } => "defend",
    Action::Persist { .. } => "persist",
    Action::Notice(_) => "notice",
    Action::Reply { .. } => "reply",
    Action::Hook { .. } => "hook",
    Action::Stopped => "stopped",
}

kinds! {
    /// Kinds of notices.
    NOTICES, notice_kind, Notice,
    Notice::Role { .. } => "role",
    Notice::PeerUp { .. } => "peer up",
    Notice::PeerSilent { .. } => "peer silent",
    Notice::PeerLeft { .. } => "peer left",
    Notice::Link { heard: true, .. } => "link heard",
    Notice::Link { heard: false, .. } => "link silent",
    Notice::Veto { .. } => "veto",
    Notice::Isolated { .. } => "isolated",
    Notice::Reach { reached: false, .. } => "unreached",
    Notice::Reach { reached: true, .. } => "reached again",
    Notice::Conflict { won: true, .. } => "conflict won",
    Notice::Conflict { won: false, .. } => "conflict lost",
    Notice::Stranger { .. } => "stranger",
    Notice::LeaseLapsed { .. } => "lease lapsed",
    Notice::SameNumber { link: Some(_) } => "same number",
    Notice::SameNumber { link: None } => "same number no more",
    Notice::SameMac { interface: Some(_), .. } => "same mac",
    Notice::SameMac { interface: None, .. } => "same mac no more",
    Notice::TooLarge { .. } => "too large",
    Notice::StillAnswered { .. } => "still answered",
    Notice::Differs { differs: true, .. } => "differs",
    Notice::Differs { differs: false, .. } => "differs no more",
    Notice::StoreFailed => "store failed",
    Notice::StoreMended => "store mended",
    Notice::Stalled { .. } => "stalled",
    Notice::Hook { .. } => "hook",
    Notice::Unrest { .. } => "unrest",
    Notice::NoMajority { .. } => "no majority",
    Notice::WitnessLost { .. } => "witness lost",
    Notice::WitnessHeard { .. } => "witness heard",
    Notice::Alone { alone: true } => "alone",
    Notice::Alone { alone: false } => "alone no more",
}

/// Whether only a cluster with witnesses can show what has this name.
fn is_of_witnesses(name: &str) -> bool {
    const NOTICES: [&str; 5] = ["no majority", "witness lost", "witness heard", "alone", "alone no more"];
    let voted = name.ends_with("by NoMajority") || name.starts_with("fault Witness");
    voted || NOTICES.iter().any(|notice| name.strip_prefix("notice ") == Some(notice))
}

kinds! {
    /// Outcomes of commands.
    OUTCOMES, outcome_kind, Outcome,
    Outcome::Done => "done",
    Outcome::AlreadySo => "already so",
    Outcome::NoPeer => "no peer",
    Outcome::PeerNotReady(_) => "peer not ready",
    Outcome::NotReady(_) => "not ready",
    Outcome::TimedOut => "timed out",
    Outcome::Removed => "removed",
    Outcome::Busy => "busy",
}

/// Counts of one run or of many.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// Changes of role, in the order of [`transitions::LEGAL`].
    pub transitions: [u64; transitions::LEGAL.len()],
    /// Actions of engines, in the order of [`ACTIONS`].
    pub actions: [u64; ACTIONS.len()],
    /// Notices of engines, in the order of [`NOTICES`].
    pub notices: [u64; NOTICES.len()],
    /// Ends of commands, in the order of [`OUTCOMES`].
    pub outcomes: [u64; OUTCOMES.len()],
    /// Faults that struck, in the order of [`Fault::ALL`].
    pub faults: [u64; Fault::ALL.len()],
    /// Openings by another node than the last that nobody had planned.
    pub takeovers: u64,
    /// Openings by another node than the last, by plan.
    pub handovers: u64,
    /// Openings by the node that had the group last, or by the first of all.
    pub returns: u64,
    /// Cache entries of hosts that were looked at after an opening (L4).
    pub corrected: u64,
    /// Runs in which two nodes answered for a while, cut off from each other.
    pub divided: u64,
    /// Instants at which two nodes answered in a cluster with witnesses, one of them a guest that
    /// had been frozen (S1's exception).
    pub excused: u64,
    /// Datagrams that a wire did not carry because they were too long.
    pub too_long: u64,
    /// Openings while an answer of another node could not be told from our own, or from that of a
    /// stranger.
    pub unrecognised: u64,
    /// Instants at which two nodes of one number answered.
    pub one_number: u64,
    /// Runs that were counted.
    pub runs: u64,
    /// Events that engines handled.
    pub steps: u64,
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage {
            transitions: [0; transitions::LEGAL.len()],
            actions: [0; ACTIONS.len()],
            notices: [0; NOTICES.len()],
            outcomes: [0; OUTCOMES.len()],
            faults: [0; Fault::ALL.len()],
            takeovers: 0,
            handovers: 0,
            returns: 0,
            corrected: 0,
            divided: 0,
            excused: 0,
            too_long: 0,
            unrecognised: 0,
            one_number: 0,
            runs: 0,
            steps: 0,
        }
    }
}

impl Coverage {
    /// Counts an action, and what it carries: notice, change of role, outcome.
    pub fn count_action(&mut self, action: &Action) {
        self.actions[action_kind(action)] += 1;
        if let Action::Notice(notice) = action {
            self.notices[notice_kind(notice)] += 1;
            if let Notice::Role { from, to, cause, .. } = notice
                && let Some(place) = transitions::position(*from, *to, *cause)
            {
                self.transitions[place] += 1;
            }
        }
        if let Action::Reply { outcome, .. } = action {
            self.outcomes[outcome_kind(outcome)] += 1;
        }
    }

    /// Counts a fault that struck.
    pub fn count_fault(&mut self, fault: Fault) {
        let place = Fault::ALL.iter().position(|known| *known == fault).unwrap_or_default();
        self.faults[place] += 1;
    }

    /// Counts an opening by how it changed the active.
    pub fn count_change(&mut self, change: Change) {
        match change {
            Change::First | Change::Again => self.returns += 1,
            Change::Takeover => self.takeovers += 1,
            Change::Handover => self.handovers += 1,
        }
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Coverage) {
        let add = |sum: &mut [u64], more: &[u64]| sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        add(&mut self.transitions, &other.transitions);
        add(&mut self.actions, &other.actions);
        add(&mut self.notices, &other.notices);
        add(&mut self.outcomes, &other.outcomes);
        add(&mut self.faults, &other.faults);
        self.takeovers += other.takeovers;
        self.handovers += other.handovers;
        self.returns += other.returns;
        self.corrected += other.corrected;
        self.divided += other.divided;
        self.excused += other.excused;
        self.too_long += other.too_long;
        self.unrecognised += other.unrecognised;
        self.one_number += other.one_number;
        self.runs += other.runs;
        self.steps += other.steps;
    }

    /// Every count, with its name.
    fn counts(&self) -> Vec<(String, u64)> {
        let mut all: Vec<(String, u64)> = Vec::new();
        let changes = transitions::LEGAL.iter().zip(self.transitions);
        for ((from, to, cause), count) in changes.filter(|(change, _)| !transitions::RARE.contains(change)) {
            all.push((format!("{from:?} → {to:?} by {cause:?}"), count));
        }
        let named = |kind: &str, names: &[&str], counts: &[u64]| -> Vec<(String, u64)> {
            names.iter().zip(counts).map(|(name, count)| (format!("{kind} {name}"), *count)).collect()
        };
        all.extend(named("action", ACTIONS, &self.actions));
        all.extend(named("notice", NOTICES, &self.notices));
        all.extend(named("outcome", OUTCOMES, &self.outcomes));
        let unkind = [self.too_long, self.unrecognised, self.one_number];
        all.extend(named("seen", &["too long", "unrecognised", "one number"], &unkind));
        all.extend(Fault::ALL.iter().zip(self.faults).map(|(fault, count)| (format!("fault {fault:?}"), count)));
        all
    }

    /// Names of what was never seen, of all that a cluster without witnesses can show.
    pub fn missing(&self) -> Vec<String> {
        let unseen = self.counts().into_iter().filter(|(name, count)| *count == 0 && !is_of_witnesses(name));
        unseen.map(|(name, _)| name).collect()
    }

    /// Names of what was never seen, of all that only a cluster with witnesses can show.
    #[cfg(test)]
    pub fn missing_of_witnesses(&self) -> Vec<String> {
        let unseen = self.counts().into_iter().filter(|(name, count)| *count == 0 && is_of_witnesses(name));
        unseen.map(|(name, _)| name).collect()
    }

    /// All counts, a line each.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (name, count) in self.counts() {
            let _ = writeln!(text, "{count:>12}  {name}");
        }
        text
    }
}
