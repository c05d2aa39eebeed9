//! SIGHUP: the configuration and the keys are read again, judged, and taken over without missing a pulse.
//!
//! One reload at a time, in three steps: the hot thread changes over between two of its turns and says so; from then
//! on people see the new names, and the keeper changes gates and addresses; when it has begun to, the reload is over,
//! and what takes longer (addresses of new groups) shows in `status`. A reload that is asked for meanwhile follows.
//! What cannot be taken over is told with all its errors, and nothing changes.

use super::Slow;
use crate::config::{self, Config, KeyFile, ReadFile, changes};
use crate::control::protocol::{MAX_RESPONSE_BYTES, Outcome, Response, Running, Severity};
use crate::from_config;
use crate::io::realtime;
use crate::io::systemd::notify;
use crate::orders::{Order, Reconfigure};
use crate::run::local_addresses;
use crate::words::Names;
use sd_notify::NotifyState;

/// A reload under way.
#[derive(Default)]
pub(crate) struct Reload {
    /// Ordered from the hot thread, which still runs with what was before.
    next: Option<Next>,
    /// The keeper has not begun with it yet.
    waits_for_keeper: bool,
    /// Asked for once more.
    again: bool,
}

struct Next {
    config: Config,
    text: String,
    keys: KeyFile,
    changes: Vec<String>,
}

impl Reload {
    /// True until everybody speaks of the same groups.
    pub fn is_under_way(&self) -> bool {
        self.next.is_some() || self.waits_for_keeper
    }
}

impl Slow {
    /// The configuration by which the hot thread will understand the next order.
    pub(crate) fn ordered_config(&self) -> &Config {
        self.reload.next.as_ref().map_or(&self.config, |next| &next.config)
    }

    /// Begins a reload.
    pub(crate) fn begin_reload(&mut self) {
        if self.state.stop_asked {
            return;
        }
        if self.reload.is_under_way() {
            self.reload.again = true;
            return;
        }
        if self.state.ready_told {
            let now = NotifyState::monotonic_usec_now().ok();
            let states: Vec<NotifyState<'_>> = [NotifyState::Reloading].into_iter().chain(now).collect();
            notify(&states);
        }
        match realtime::at_ordinary_priority(|| self.read_again()) {
            Err(errors) => {
                let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
                let text = format!("reload refused, the old configuration goes on; {count}:\n{}", errors.join("\n"));
                self.tell(Severity::Error, "reload_refused", text);
                self.end_reload();
            }
            Ok(next) if next.changes.is_empty() => {
                self.tell(Severity::Info, "reload", "configuration read again: nothing changes".to_owned());
                self.end_reload();
            }
            Ok(next) => {
                let change = from_config::reconfiguration(&next.config, &next.keys);
                let groups = from_config::hand_groups(&next.config);
                self.reload.next = Some(next);
                self.order(Order::Reconfigure(Box::new(Reconfigure { change, groups })));
            }
        }
    }

    /// What the agent runs with, for whoever wants to know what another file would change.
    pub(crate) fn running(&self) -> Response {
        let text = self.text.clone();
        if text.len() > MAX_RESPONSE_BYTES / 2 {
            let message = "the running configuration is too long to be told here; compare the files".to_owned();
            return Response::Outcome(Outcome { ok: false, message });
        }
        let file = std::path::absolute(&self.options.config).unwrap_or_else(|_| self.options.config.clone());
        Response::Running(Box::new(Running {
            file: file.display().to_string(),
            node: self.config.node(self.config.me).name.clone(),
            named: self.options.node.is_some(),
            text,
            keys: self.keys.prints(),
        }))
    }

    fn read_again(&self) -> Result<Next, Vec<String>> {
        let mut local =
            local_addresses().map_err(|error| vec![format!("reading this machine's addresses: {error}")])?;
        // An address that is away for a moment does not make us another node.
        local.extend(&self.config.node(self.config.me).links);
        let ReadFile { config, text } = config::load(&self.options.config, self.options.node.as_deref(), &local)
            .map_err(|found| {
                let mut errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                if found.omitted > 0 {
                    errors.push(format!("… and {} more", found.omitted));
                }
                errors
            })?;
        let refusals = changes::refusals(&self.config, &config);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let keys = KeyFile::load(&config.key_file).map_err(|error| vec![error.to_string()])?;
        let changes = changes::between((&self.config, &self.keys.prints()), (&config, &keys.prints()));
        Ok(Next { config, text, keys, changes })
    }

    /// The hot thread runs with the new configuration: it no longer uses the slots of groups that went away.
    pub(crate) fn hear_reconfigured(&mut self) {
        let Some(next) = self.reload.next.take() else { return };
        self.names = Names::new(&next.config);
        self.flight.learn(&next.config);
        self.config = next.config;
        self.text = next.text;
        self.keys = next.keys;
        self.connections.reconfigure(super::connections::setup(&self.config, &self.keys));
        self.begin_checks();
        if let Some(keeper) = &self.keeper {
            self.reload.waits_for_keeper = true;
            keeper.reconfigure(from_config::guarded(&self.config));
        }
        let text = format!("configuration read again: {}", next.changes.join("; "));
        self.tell(Severity::Info, "reload", text);
        if !self.reload.is_under_way() {
            self.end_reload();
        }
    }

    /// The keeper tells of the new groups from here on.
    pub(crate) fn hear_keeper_reconfigured(&mut self) {
        if std::mem::take(&mut self.reload.waits_for_keeper) {
            self.end_reload();
        }
    }

    fn end_reload(&mut self) {
        if self.state.ready_told {
            notify(&[NotifyState::Ready]);
        }
        if std::mem::take(&mut self.reload.again) {
            self.begin_reload();
        }
    }
}
