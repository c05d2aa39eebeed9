//! Whether clients would be answered and reached here, as the thread of that name reports it.
//!
//! Owns: the thread's handle, and when the hot thread is asked who was seen on the segments. Never
//! does: look itself. Without the thread everything goes on, and nothing is known to be lacking.

use super::current::Current;
use super::effects::{Effect, Effects};
use crate::control::protocol::Severity;
use crate::engine::Lacks;
use crate::from_config;
use crate::orders::Order;
use crate::readiness::{Readiness as Thread, Report};
use crate::types::InterfaceId;
use crate::words::Saying;
use std::net::IpAddr;

/// Ticks of the slow side between two questions to the hot thread: five seconds.
const TICKS: u32 = 20;

/// The thread, as the slow side knows it.
pub(crate) struct Readiness {
    /// `None` where it could not be started.
    thread: Option<Thread>,
    /// Ticks until the hot thread is asked again.
    wait: u32,
}

impl Readiness {
    /// Lets the thread look at what the agent runs with.
    pub fn new(thread: Option<Thread>, current: &Current) -> Readiness {
        let readiness = Readiness { thread, wait: 0 };
        readiness.reconfigure(current);
        readiness
    }

    /// Has the thread look at another configuration, and forget which ways back there were.
    pub fn reconfigure(&self, current: &Current) {
        let config = &current.config;
        let peers = config.peers().flat_map(|peer| peer.links.iter().copied()).collect();
        if let Some(thread) = &self.thread {
            thread.watch(from_config::guarded(config), peers);
        }
    }

    /// Asks the hot thread now and then who was seen on each segment.
    pub fn handle_tick(&mut self, current: &Current) -> Effects {
        let mut effects = Effects::default();
        if self.thread.is_none() || self.wait > 0 {
            self.wait = self.wait.saturating_sub(1);
            return effects;
        }
        self.wait = TICKS;
        let count = u8::try_from(current.config.interfaces().len()).unwrap_or(u8::MAX);
        (0..count).for_each(|at| effects.order(Order::Neighbours { interface: InterfaceId(at) }));
        effects
    }

    /// Tells the thread who was seen on a segment.
    pub fn handle_neighbours(&self, interface: InterfaceId, addresses: Box<[IpAddr]>) {
        if let Some(thread) = &self.thread {
            thread.set_clients(interface, addresses.into_vec());
        }
    }
}

/// What a report of the thread calls for: lacks, and one event.
pub(crate) fn handle_report(report: Report, current: &Current) -> Effects {
    let mut effects = Effects::default();
    let holds = report.why.is_some();
    let names: Vec<String> = report.groups.iter().map(|key| current.group_name(*key)).collect();
    for group in &report.groups {
        effects.push(Effect::Lack { group: *group, lack: report.lack, holds });
    }
    let (kind, over) = match report.lack {
        Lacks::ANSWER if holds => ("mute", ""),
        Lacks::ANSWER => ("answers", "clients would be answered again"),
        _ if holds => ("no_way_back", ""),
        _ => ("way_back", "nothing that was reached before is missed any more"),
    };
    let severity = if holds { Severity::Error } else { Severity::Info };
    let text = format!("{}: {}", some_of(&names), report.why.unwrap_or_else(|| over.to_owned()));
    let group = names.first().filter(|_| names.len() == 1).cloned();
    effects.event_of(Saying { severity, kind, group, text, fields: Vec::new() });
    effects
}

/// The first names of a list, and how many more there are.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
