//! SIGHUP and `vipair reload`: configuration and keys are read again, validated, and taken over
//! without missing a pulse.
//!
//! Owns: what the hot thread has been ordered to run with next, and whether another reload is
//! wanted. One reload at a time, in three steps: the hot thread changes over between two of its
//! turns and says so; from then on people see the new names, and the keeper changes gates and
//! addresses; when the keeper has begun, the reload is over, and what takes longer (addresses of
//! new groups) shows in `status`. A reload that is asked for meanwhile follows. Never does: take
//! over by parts. What cannot be taken over is told with all its errors, and nothing changes; as
//! long as file and agent differ, every status says so.

use super::calls::respond;
use super::current::{Current, Numbering};
use super::effects::{Effect, Effects};
use crate::config::{self, KeyFile, ReadFile, changes};
use crate::control::protocol::{MAX_RESPONSE_BYTES, Outcome, Response, Running, Severity, StatusReport};
use crate::control::server::Answer;
use crate::from_config;
use crate::io::local::{self, LocalAddress};
use crate::io::{clock, realtime};
use crate::options::RunOptions;
use crate::orders::{Order, Reconfigure};
use crate::types::MonoTime;
use sd_notify::NotifyState;
use tokio::sync::oneshot;

/// Reloads, wanted and under way.
pub(crate) struct Reload {
    options: RunOptions,
    /// Whether a reload is wanted that has not begun.
    wanted: bool,
    /// What has been ordered from the hot thread, which still runs with what was before.
    next: Option<Next>,
    /// Whether the keeper has yet to begin with the new configuration.
    waits_for_keeper: bool,
    /// Clients that want a reload that has not begun.
    asking: Vec<oneshot::Sender<Answer>>,
    /// Clients that wait for the end of the one that is under way.
    waiting: Vec<oneshot::Sender<Answer>>,
    /// What the reload that is under way has changed, as a sentence; empty before that.
    done: String,
    /// When the last reload was refused, and why; `None` if it was not.
    refused: Option<(MonoTime, String)>,
}

/// What the agent will run with, and the changes from what it runs with now.
struct Next {
    current: Current,
    changes: Vec<String>,
}

impl Reload {
    /// No reload is wanted yet. `options` say which files a reload reads.
    pub fn new(options: RunOptions) -> Reload {
        Reload {
            options,
            wanted: false,
            next: None,
            waits_for_keeper: false,
            asking: Vec::new(),
            waiting: Vec::new(),
            done: String::new(),
            refused: None,
        }
    }

    /// Whether hot thread and keeper have yet to agree on the groups.
    pub fn is_under_way(&self) -> bool {
        self.next.is_some() || self.waits_for_keeper
    }

    /// Numbers of the groups by which the hot thread will understand the next order.
    pub fn numbering<'c>(&'c self, current: &'c Current) -> Numbering<'c> {
        Numbering(&self.next.as_ref().map_or(current, |next| &next.current).config)
    }

    /// Notes that a reload is wanted.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Notes that a client wants a reload; it is answered when that is over.
    pub fn want_for(&mut self, client: oneshot::Sender<Answer>) {
        self.wanted = true;
        self.asking.push(client);
    }

    /// Whether a reload is wanted and can begin now. If so, the wish counts as fulfilled.
    pub fn take_wish(&mut self) -> bool {
        let begins = !self.is_under_way() && std::mem::take(&mut self.wanted);
        if begins {
            self.waiting.append(&mut self.asking);
        }
        begins
    }

    /// Tells systemd that a reload begins, if it has been told that the agent is ready.
    pub fn announce(&self, ready: bool) -> Effects {
        let mut effects = Effects::default();
        if ready {
            let now = NotifyState::monotonic_usec_now().ok();
            effects.push(Effect::Systemd([NotifyState::Reloading].into_iter().chain(now).collect()));
        }
        effects
    }

    /// Reads configuration and keys again, and orders the hot thread to change over. A reload that
    /// is refused or changes nothing is over at once.
    pub fn begin(&mut self, current: &Current, ready: bool) -> Effects {
        let mut effects = Effects::default();
        match realtime::at_ordinary_priority(|| self.read_again(current)) {
            Err(errors) => {
                let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
                let text = format!("reload refused, the old configuration goes on; {count}:\n{}", errors.join("\n"));
                self.refused = Some((clock::now(), text.clone()));
                effects.event(Severity::Error, "reload_refused", text.clone());
                self.tell_end((false, text), ready, &mut effects);
            }
            Ok(next) if next.changes.is_empty() => {
                self.refused = None;
                let text = "configuration read again: nothing changes".to_owned();
                effects.event(Severity::Info, "reload", text.clone());
                self.tell_end((true, text), ready, &mut effects);
            }
            Ok(next) => {
                let change = from_config::engine_reconfiguration(&next.current.config, &next.current.keys);
                let groups = from_config::hand_groups(&next.current.config);
                self.next = Some(next);
                effects.order(Order::Reconfigure(Box::new(Reconfigure { change, groups })));
            }
        }
        effects
    }

    /// Reads configuration and keys from their files, and compares them with what runs. Writes
    /// nothing.
    ///
    /// # Errors
    /// Sentences for people: what is wrong in the files, or what a reload cannot change.
    fn read_again(&self, current: &Current) -> Result<Next, Vec<String>> {
        let mut local =
            local::addresses().map_err(|error| vec![format!("reading this machine's addresses: {error}")])?;
        // An address that is away for a moment does not make this another node.
        let links = current.config.node(current.config.me).links.iter();
        local.extend(links.map(|link| LocalAddress::unplaced(*link)));
        let ReadFile { config, text } = config::load(&self.options.config, self.options.node.as_deref(), &local)
            .map_err(|found| {
                let mut errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                if found.omitted > 0 {
                    errors.push(format!("… and {} more", found.omitted));
                }
                errors
            })?;
        let refusals = changes::refusals(&current.config, &config);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let keys = KeyFile::load(&config.key_file).map_err(|error| vec![error.to_string()])?;
        let before = (&current.config, current.keys.prints());
        let changes = changes::between((before.0, &before.1), (&config, &keys.prints()));
        Ok(Next { current: Current::new(config, text, keys), changes })
    }

    /// What the hot thread runs with from now on, and how it differs from before; `None` if nothing
    /// was ordered. The hot thread no longer uses the slots of groups that went away.
    pub fn take_next(&mut self) -> Option<(Current, Vec<String>)> {
        self.next.take().map(|Next { current, changes }| (current, changes))
    }

    /// Every part of the slow side has taken over the new configuration. `keeper`: whether the
    /// keeper has been given it and will say when it begins.
    pub fn handle_taken_over(&mut self, changes: &[String], keeper: bool, ready: bool) -> Effects {
        self.waits_for_keeper |= keeper;
        self.refused = None;
        let mut effects = Effects::default();
        self.done = format!("configuration read again: {}", changes.join("; "));
        effects.event(Severity::Info, "reload", self.done.clone());
        if !self.is_under_way() {
            self.tell_done(ready, &mut effects);
        }
        effects
    }

    /// The keeper reports about the new groups from here on: the reload is over.
    pub fn handle_keeper_begun(&mut self, ready: bool) -> Effects {
        let mut effects = Effects::default();
        if std::mem::take(&mut self.waits_for_keeper) {
            self.tell_done(ready, &mut effects);
        }
        effects
    }

    /// Says that the reload under way is over, and what it has changed.
    fn tell_done(&mut self, ready: bool, effects: &mut Effects) {
        let text = std::mem::take(&mut self.done);
        self.tell_end((true, text), ready, effects);
    }

    /// Says that a reload is over: to systemd, if it has been told that the agent is ready, and to
    /// every client that waits, with `outcome`: whether it was carried out, and a sentence.
    fn tell_end(&mut self, outcome: (bool, String), ready: bool, effects: &mut Effects) {
        if ready {
            effects.systemd(NotifyState::Ready);
        }
        for client in self.waiting.drain(..) {
            let (ok, message) = outcome.clone();
            respond(client, Response::Outcome(Outcome { ok, message }));
        }
    }

    /// Adds to the status how the file differs from what runs.
    pub fn add_to(&self, status: &mut StatusReport, current: &Current) {
        let mut said: Vec<String> = Vec::new();
        if let Some((at, text)) = &self.refused {
            said.push(format!("{:.0} s ago: {text}", clock::now().since(*at).as_secs_f64()));
        }
        said.extend(self.difference(current));
        status.warnings.extend(said.iter().cloned());
        status.not_loaded = said;
    }

    /// A sentence if the file is not what was read from it.
    fn difference(&self, current: &Current) -> Option<String> {
        let path = self.options.config.display();
        match realtime::at_ordinary_priority(|| config::read_text(&self.options.config)) {
            Ok(text) if text == current.text => None,
            Ok(_) => Some(format!(
                "{path} was changed after it was read: `vipair check --against-running` tells what it would change, `systemctl \
                 reload vipair` takes it over"
            )),
            Err(error) => Some(format!("{error}; the next start would fail")),
        }
    }

    /// What the agent runs with, for a client that asks what another file would change.
    pub fn running(&self, current: &Current) -> Response {
        let text = current.text.clone();
        if text.len() > MAX_RESPONSE_BYTES / 2 {
            let message = "the running configuration is too long to be told here; compare the files".to_owned();
            return Response::Outcome(Outcome { ok: false, message });
        }
        let file = std::path::absolute(&self.options.config).unwrap_or_else(|_| self.options.config.clone());
        Response::Running(Box::new(Running {
            file: file.display().to_string(),
            node: current.config.node(current.config.me).name.clone(),
            named: self.options.node.is_some(),
            text,
            keys: current.keys.prints(),
        }))
    }
}
