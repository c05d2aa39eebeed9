//! Hooks before an opening or a handover: when one is run, and what follows when it ends.
//!
//! A hook is run by somebody else, who reports its end. Meanwhile everything goes on: pulses,
//! claims, consents, votes. What permitted the opening is looked at again when the hook has ended.
//! Hooks delay their own group alone, and the engine waits for the hooks' own limit plus one
//! second.
//!
//! A hook may take long, and a guest may be frozen with its clock while it runs: what was said or
//! left unanswered before its end may be from another time without looking old. So when
//! `before_open` has ended everybody is asked once more, and the gate opens on what comes of that.
//!
//! Owns: which hook is waited for, and how long a node waits when one has failed. Never does: run
//! anything, or believe the end of a hook that was run for another epoch.

use super::Group;
use super::open::Claim;
use super::service::{End, Running};
use crate::engine::action::Action;
use crate::engine::around::{Around, Requests};
use crate::engine::event::Hook;
use crate::engine::notice::{Cause, HookEnd, Notice};
use crate::engine::peer::{PeerAt, Presence};
use crate::engine::timers::Timer;
use crate::rules::Rules;
use crate::rules::evidence::PROBES;
use crate::types::{Epoch, MonoTime};
use crate::wire::pulse::{Role, Row};
use std::time::Duration;

/// Added to the hook's limit, because its report needs time to arrive.
const GRACE: Duration = Duration::from_secs(1);
/// A node whose hook has failed does not try again for so long; the other may.
const RETRY: Duration = Duration::from_secs(10);

impl Group {
    /// Notes the end of a hook that was run for `epoch`. True if it was waited for.
    pub fn note_hook_end(&mut self, (hook, epoch): (Hook, Epoch), end: End, rules: Rules) -> bool {
        let asked = |running: &&mut Running| running.hook == hook && rules.is_same_hook(running.epoch, epoch);
        let Some(running) = self.service.hook.as_mut().filter(asked) else { return false };
        running.ended.get_or_insert(end);
        true
    }

    /// True if the hook before the opening has ended well, and the opening is permitted anew since.
    /// Begins the hook if it does not run; a failure withdraws the claim and is told once.
    pub(super) fn is_prepared(&mut self, cause: Cause, around: Around<'_>, requests: &mut Requests<'_>) -> bool {
        let limit = around.policy(self.id).before_open.filter(|_| around.rules.hook_comes_first());
        let Some(limit) = limit else { return true };
        let epoch = self.epochs.reserve;
        let done = self.wait_for(Hook::BeforeOpen, epoch, limit, cause, around, requests);
        if done == Some(false) {
            self.claim = Claim::NONE;
        } else if self.claim.epoch != epoch {
            // A peer that consented without a claim of ours sees by this claim that we will open.
            self.claim.make(epoch, around.now);
        }
        done == Some(true) && self.is_permitted_anew(around, requests)
    }

    /// True if what permits the opening was confirmed after the hook has ended: by answers of
    /// peers, by their silence, or by votes. Asks everybody if nothing was sent since.
    fn is_permitted_anew(&self, around: Around<'_>, requests: &mut Requests<'_>) -> bool {
        let ended = self.service.hook.and_then(|running| running.ended);
        let Some(end) = ended.filter(|_| around.rules.asks_after_hook()) else { return true };
        if around.counter < end.fresh_from {
            requests.ask_everybody();
        }
        let has_answered = |peer: PeerAt| around.peers[peer].echoed >= end.fresh_from;
        if around.votes_decide() {
            let voters = around.peers.all().filter(|peer| self.ballot.granted.contains(*peer));
            let answers = voters.filter(|peer| has_answered(*peer)).count();
            return answers >= around.peers.electorate().votes_of_others();
        }
        around.peers.nodes().all(|peer| has_answered(peer) || self.is_gone_still(peer, end, around))
    }

    /// True if a silent peer has left as many probes unanswered since the hook has ended as an
    /// opening without a hook needs, or has had the time for it where answers hold nothing back any
    /// more. A goodbye that still counts ([`Around::has_left_lately`]) is enough.
    fn is_gone_still(&self, peer: PeerAt, end: End, around: Around<'_>) -> bool {
        match around.presence(peer) {
            Presence::Left if around.has_left_lately(peer) => return true,
            Presence::Heard | Presence::Suspicious => return false,
            Presence::Left | Presence::Unknown | Presence::Silent => {}
        }
        let Some(watch) = around.evidence.watch(peer) else { return false };
        let probes = watch.on(self.interface);
        let enough = (PROBES + self.openable_by(peer, around)).max(probes.series);
        let since = probes.mature(around.now, around.timing().probe).saturating_sub(end.before(probes));
        let time = around.timing().probe * (enough + 1);
        since >= enough || around.outlasts_answers(peer, self.interface) && around.now >= end.when + time
    }

    /// Whether what must be done before the group is handed over is done; `None` while it is being
    /// done.
    pub(super) fn is_released(&mut self, around: Around<'_>, requests: &mut Requests<'_>) -> Option<bool> {
        let Some(limit) = around.policy(self.id).before_close else { return Some(true) };
        let (epoch, cause) = (self.epochs.own, self.cause);
        let done = self.wait_for(Hook::BeforeClose, epoch, limit, cause, around, requests);
        let until = self.service.hook.map_or(around.now, |running| running.until);
        if let Some(offer) = self.offer.as_mut() {
            offer.until = offer.until.max(until);
        }
        if around.commands.stopping.is_some() {
            requests.wishes.stop_not_before = Some(until + around.timing().patience.offer);
            // A node that stops leaves whether the hook ended well or not.
            return done.map(|_| true);
        }
        done
    }

    /// Whether a hook has ended well; `None` while it runs. Begins it if it was not run for `epoch`
    /// yet.
    fn wait_for(
        &mut self,
        hook: Hook,
        epoch: Epoch,
        limit: Duration,
        cause: Cause,
        around: Around<'_>,
        requests: &mut Requests<'_>,
    ) -> Option<bool> {
        let (now, group) = (around.now, self.id);
        let known = self.service.hook.filter(|running| running.hook == hook && running.epoch == epoch);
        let running = known.unwrap_or_else(|| {
            requests.push(Action::Hook { group, hook, epoch, cause });
            Running { hook, epoch, until: now + limit + GRACE, ended: None }
        });
        self.service.hook = Some(running);
        let end = match running.ended.map(|end| end.ok) {
            Some(true) => return Some(true),
            None if now < running.until => {
                self.timers.set(Timer::Hook, running.until);
                return None;
            }
            Some(false) => HookEnd::Failed,
            None => HookEnd::Late,
        };
        self.service.hook = None;
        self.service.failed = Some((hook, now + RETRY));
        self.timers.set(Timer::Retry, now + RETRY);
        requests.notice(Notice::Hook { group, hook, epoch, end });
        Some(false)
    }

    /// Forgets a failure whose time is over, and a hook that is of no use any more, once it has
    /// ended or its time is over; people are told how it ended.
    pub(super) fn note_hook(&mut self, now: MonoTime, requests: &mut Requests<'_>) {
        match self.service.failed {
            Some((_, until)) if now >= until => self.service.failed = None,
            Some((_, until)) => self.timers.set(Timer::Retry, until),
            None => {}
        }
        let Some(running) = self.service.hook else { return };
        let Running { hook, epoch, until, ended } = running;
        let wanted = self.is_hook_wanted(&running, now);
        let end = match ended.map(|end| end.ok) {
            _ if wanted => {
                if now < until {
                    self.timers.set(Timer::Hook, until);
                }
                return;
            }
            Some(true) => HookEnd::Unused,
            Some(false) => HookEnd::Failed,
            None if now >= until => HookEnd::Late,
            None => return self.timers.set(Timer::Hook, until),
        };
        self.service.hook = None;
        requests.notice(Notice::Hook { group: self.id, hook, epoch, end });
    }

    /// True while a hook is of use: what it was run for may still come.
    fn is_hook_wanted(&self, running: &Running, now: MonoTime) -> bool {
        match running.hook {
            // Between a peer's last words and the time when its silence counts, nothing is claimed:
            // a hook that has ended well is kept through that.
            Hook::BeforeOpen => {
                let kept = self.has_reserve() && running.ended.is_some_and(|end| end.ok) && now < running.until;
                let same = self.epochs.reserve == running.epoch;
                self.role == Role::Standby && same && (self.claim.epoch == running.epoch || kept)
            }
            Hook::BeforeClose => self.role == Role::Handover && self.epochs.own == running.epoch,
        }
    }

    /// True while a peer that has our consent and goes on claiming is given the time for its hook.
    pub(super) fn lets_prepare(&self, row: &Row, around: Around<'_>) -> bool {
        row.claim != Epoch::NONE && row.claim == self.consent && around.now < self.prepared_by(around)
    }

    /// When the time for the hook of a peer that has our consent is over.
    pub(super) fn prepared_by(&self, around: Around<'_>) -> MonoTime {
        let limit = around.policy(self.id).before_open.map_or(Duration::ZERO, |limit| limit + GRACE);
        self.candidate.hold + limit
    }

    /// How much longer hooks may make a handover, at most.
    pub(super) fn preparation(&self, around: Around<'_>) -> Duration {
        let policy = around.policy(self.id);
        [policy.before_close, policy.before_open].into_iter().flatten().map(|limit| limit + GRACE).sum()
    }
}
