//! Figures that the hot thread keeps about itself, as the slow side reads them.
//!
//! Owns: the number of turns at which the watchdog was last fed. Never does: write a figure. A hot
//! thread that hangs leaves the watchdog unfed, and systemd restarts the agent.

use super::effects::Effects;
use crate::control::protocol::{LinkState, StatusReport};
use crate::engine::Report;
use crate::orders::Vital;
use crate::words::Names;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The hot thread's figures, read.
pub(crate) struct Vitals {
    vital: Arc<Vital>,
    /// Turns of the hot thread when the watchdog was last fed.
    fed_at: u64,
}

impl Vitals {
    /// The figures in `vital`; the watchdog was not fed yet.
    pub fn new(vital: Arc<Vital>) -> Vitals {
        Vitals { vital, fed_at: 0 }
    }

    /// Feeds the watchdog if the hot thread has turned: it does so at least once a second.
    pub fn handle_tick(&mut self) -> Effects {
        let mut effects = Effects::default();
        let turns = self.vital.turns.load(Ordering::Relaxed);
        if turns != self.fed_at {
            self.fed_at = turns;
            effects.systemd(NotifyState::Watchdog);
        }
        effects
    }

    /// Takes back that links are up on which nothing can be sent, and says why.
    pub fn add_links_to(&self, status: &mut StatusReport, report: &Report, names: &Names) {
        let links = report.peers.iter().flat_map(|peer| &peer.links);
        for (shown, link) in status.links.iter_mut().zip(links) {
            let Some(cause) = self.vital.unsent.cause(link.id).filter(|_| link.open) else { continue };
            shown.state = LinkState::Down;
            status.warnings.push(format!("{}: nothing can be sent: {cause}", names.link(link.id)));
        }
    }

    /// Adds lateness and losses to the status. `pulse`: the span between two pulses.
    pub fn add_to(&self, status: &mut StatusReport, pulse: Duration) {
        let vital = &self.vital;
        status.lateness_p999_ms = vital.lateness.p999().as_secs_f64() * 1e3;
        status.lateness_us = vital.lateness.histogram();
        status.renewal_us = vital.renewals.histogram();
        let late = Duration::from_nanos(vital.lateness.worst());
        status.worst_lateness_ms = late.as_secs_f64() * 1e3;
        if late > pulse {
            let text = format!("the hot thread once woke up {:.1} ms late", late.as_secs_f64() * 1e3);
            status.warnings.push(text);
        }
        let dropped = vital.dropped.load(Ordering::Relaxed) + vital.announcements_dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            status.warnings.push(format!("{dropped} messages between threads were dropped"));
        }
    }
}
