//! A job: the programs and units of one step of a move, in their order.
//!
//! Owns: that order. An opening takes commands before units; a closing takes units before commands,
//! so that what was started last is stopped first. Never does: run anything. The first failure ends
//! a job before an opening or a planned closing; a job after a fact tries all of its parts.

use crate::config::{Command, OnFailure, ServicePlan};
use crate::types::{Epoch, GroupKey};
use std::sync::Arc;
use std::time::Duration;

/// Step of a move that hooks are run for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// The gate is about to open, and waits.
    BeforeOpen,
    /// The gate was to close and stays open: services stopped for that are started again.
    StayOpen,
    /// The gate has opened.
    AfterOpen,
    /// The gate is about to close in a planned handover, and waits.
    BeforeClose,
    /// The gate has closed.
    AfterClose,
    /// This node can no longer serve.
    OnFault,
}

impl Occasion {
    /// Name of the hook in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Occasion::BeforeOpen | Occasion::StayOpen => "before_open",
            Occasion::AfterOpen => "after_open",
            Occasion::BeforeClose => "before_close",
            Occasion::AfterClose => "after_close",
            Occasion::OnFault => "on_fault",
        }
    }

    /// Whether the engine waits for the job's end.
    #[must_use]
    pub fn is_waited_for(self) -> bool {
        matches!(self, Occasion::BeforeOpen | Occasion::BeforeClose)
    }
}

/// Hooks of one group to be run for one step of a move.
#[derive(Clone, Debug)]
pub struct Job {
    /// Group that moves.
    pub key: GroupKey,
    /// Name of the group.
    pub group: String,
    /// Step of the move.
    pub occasion: Occasion,
    /// Role that the node takes or has taken.
    pub role: &'static str,
    /// Epoch of the move: the fencing token.
    pub epoch: Epoch,
    /// Reason of the move, in a word.
    pub reason: &'static str,
    /// Name of the other node.
    pub peer: String,
    /// Configured hooks and units.
    pub service: Arc<ServicePlan>,
    /// Whether units are started or stopped, too.
    pub with_units: bool,
}

/// Part of a job: one program or one unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Run(Command),
    StartUnit(String),
    StopUnit(String),
}

impl Job {
    /// Parts of the job, in their order.
    pub(super) fn parts(&self) -> Vec<Part> {
        let hooks = &self.service.hooks;
        let run = |commands: &Vec<Command>| commands.iter().cloned().map(Part::Run).collect::<Vec<_>>();
        let units: &[String] = if self.with_units { &self.service.units } else { &[] };
        let start = || units.iter().cloned().map(Part::StartUnit);
        let stop = || units.iter().rev().cloned().map(Part::StopUnit);
        match self.occasion {
            Occasion::BeforeOpen | Occasion::StayOpen => run(&hooks.before_open).into_iter().chain(start()).collect(),
            Occasion::AfterOpen => start().chain(run(&hooks.after_open)).collect(),
            Occasion::BeforeClose => stop().chain(run(&hooks.before_close)).collect(),
            Occasion::AfterClose => stop().chain(run(&hooks.after_close)).collect(),
            Occasion::OnFault => run(&hooks.on_fault),
        }
    }

    /// Environment variables of the job's programs.
    pub(super) fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("VIPAIR_GROUP", self.group.clone()),
            ("VIPAIR_HOOK", self.occasion.name().to_owned()),
            ("VIPAIR_ROLE", self.role.to_owned()),
            ("VIPAIR_EPOCH", self.epoch.0.to_string()),
            ("VIPAIR_REASON", self.reason.to_owned()),
            ("VIPAIR_PEER", self.peer.clone()),
        ]
    }

    /// Time limit of one part.
    pub(super) fn patience(&self) -> Duration {
        self.service.hooks.timeout
    }

    /// Time limit of the whole job, from its posting; `None` if the engine does not wait for it.
    pub(super) fn patience_in_all(&self) -> Option<Duration> {
        match self.occasion {
            Occasion::BeforeOpen => self.service.before_open(),
            Occasion::BeforeClose => self.service.before_close(),
            Occasion::StayOpen | Occasion::AfterOpen | Occasion::AfterClose | Occasion::OnFault => None,
        }
    }

    /// Whether a failure counts as a success (`on_failure = "proceed"`).
    pub(super) fn proceeds(&self) -> bool {
        self.service.hooks.on_failure == OnFailure::Proceed
    }
}
