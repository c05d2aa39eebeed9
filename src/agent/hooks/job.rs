//! What is run for one step of a move, in its order.
//!
//! Opening: commands, then units. Closing: units, then commands, so that what was put up last goes first. The first failure
//! ends an opening or a planned closing; what comes after a fact (it is open, it is closed) is all tried.

use crate::config::{Command, OnFailure, ServicePlan};
use crate::types::{Epoch, GroupKey};
use std::sync::Arc;
use std::time::Duration;

/// Which step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// The gate is about to open, and waits.
    BeforeOpen,
    /// It was to close and stays open: what was taken down for that is put up again.
    StayOpen,
    /// It has opened.
    AfterOpen,
    /// It is about to close in a planned handover, and waits.
    BeforeClose,
    /// It has closed.
    AfterClose,
    /// This node can no longer serve.
    OnFault,
}

impl Occasion {
    /// Its name in the configuration.
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

    /// True if the engine waits for it.
    #[must_use]
    pub fn is_waited_for(self) -> bool {
        matches!(self, Occasion::BeforeOpen | Occasion::BeforeClose)
    }
}

/// One step to be taken.
#[derive(Clone, Debug)]
pub struct Job {
    /// Of which group.
    pub key: GroupKey,
    /// Its name.
    pub group: String,
    /// Which step.
    pub occasion: Occasion,
    /// What the node becomes or has become.
    pub role: &'static str,
    /// The epoch it is about: the fencing token.
    pub epoch: Epoch,
    /// Why, in a word.
    pub reason: &'static str,
    /// The other node.
    pub peer: String,
    /// What is configured.
    pub service: Arc<ServicePlan>,
    /// Units are started or stopped with it.
    pub with_units: bool,
}

/// One thing that a job does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Run(Command),
    StartUnit(String),
    StopUnit(String),
}

impl Job {
    /// What is to be done, in its order.
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

    /// What every program of it is told.
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

    /// How long one part may take.
    pub(super) fn patience(&self) -> Duration {
        self.service.hooks.timeout
    }

    /// How long all of it may take from the moment it was asked for; without a bound if nobody waits for it.
    pub(super) fn patience_together(&self) -> Option<Duration> {
        match self.occasion {
            Occasion::BeforeOpen => self.service.before_open(),
            Occasion::BeforeClose => self.service.before_close(),
            Occasion::StayOpen | Occasion::AfterOpen | Occasion::AfterClose | Occasion::OnFault => None,
        }
    }

    /// A failure counts as a success.
    pub(super) fn proceeds(&self) -> bool {
        self.service.hooks.on_failure == OnFailure::Proceed
    }
}
