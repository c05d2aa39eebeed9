//! Lines that `vipair replay` prints of a recording: those events, actions and news that explain
//! what happened.
//!
//! Owns: which of them are worth a line, and the severity of the line. Never does: send or log
//! anything; the lines are kept in the story. Counting the ordinary is left to `ordinary`, and
//! every detail (`vipair replay --all`) to `detail`.

use super::super::grounds::{News, ms, read};
use super::super::replay::Step;
use super::{Said, Story, detail};
use crate::control::protocol::Severity;
use crate::engine::{Action, Cause, Command, Event, GateAction, Notice};
use crate::wire::pulse::{Role, Row};
use crate::words;
use std::time::Duration;

impl Story<'_> {
    /// Adds a line for what began with a step of the recording, as `vipair replay` prints it.
    pub(super) fn report_news(&mut self, step: &Step<'_>, news: News) {
        let text = match news {
            News::Asks => {
                "nothing heard for too long: asks the peer on every link, and probes for the address".to_owned()
            }
            News::Claims(epoch) => format!("claims epoch {epoch}"),
            News::Offers(epoch) => format!("offers it for epoch {epoch}"),
            News::Refused(link) => format!("{}: the peer's kernel says that no agent listens", self.names.link(link)),
            News::Answered(address, mac) => format!("{mac} still answers for {address}"),
        };
        self.push_line(step, Some(Severity::Info), text);
    }

    /// Adds a line for an event that the engine was given, if people need to know of it.
    pub(super) fn report_event(&mut self, step: &Step<'_>, event: Event<'_>) {
        let info = Some(Severity::Info);
        match event {
            Event::Datagram { bytes, .. } if step.believed => self.report_rows(step, bytes),
            Event::Interface { interface, facts } => {
                let before = self.facts.insert(interface, facts);
                if before != Some(facts) {
                    let name = self.names.interface(interface);
                    let text = format!("{name}: {}", detail::facts_in_words(&facts));
                    self.push_line(step, info, text);
                }
            }
            Event::Link { link, open } => {
                let what = if open { "can be used" } else { "cannot be used" };
                let text = format!("{} {what}", self.names.link(link));
                self.push_line(step, info, text);
            }
            Event::TooLarge { link, bytes } => {
                let text = format!("{} does not take {bytes} bytes", self.names.link(link));
                self.push_line(step, info, text);
            }
            Event::Adopted { interface, open, .. } => {
                let name = self.names.interface(interface);
                let text = format!("{name}: a gate of an earlier run was found, {} groups open", open.len());
                self.push_line(step, info, text);
            }
            Event::LeaseRefused { interface } => {
                let name = self.names.interface(interface);
                let text = format!("{name}: the gate has refused a frame: the lease had run out");
                self.push_line(step, Some(Severity::Error), text);
            }
            Event::GateReplaced { interface } => {
                let text = format!("{}: the gate was replaced by a larger one", self.names.interface(interface));
                self.push_line(step, info, text);
            }
            Event::StoreFailed => {
                self.push_line(step, Some(Severity::Error), "the state could not be written".to_owned())
            }
            Event::Command { command, .. } => {
                let text = self.command_in_words(command);
                self.push_line(step, info, text);
            }
            Event::Health { group, health } => {
                let text = format!("{}: {}", self.names.group(group), words::health(health));
                self.push_line(step, info, text);
            }
            Event::Addresses { group, there } => {
                let text = format!("{}: {}", self.names.group(group), words::addresses(there));
                self.push_line(step, info, text);
            }
            Event::Lacks { group, lacks } => {
                let text = format!("{}: {}", self.names.group(group), words::lacks(lacks));
                self.push_line(step, info, text);
            }
            Event::Hook { group, hook, ok, .. } => {
                let end = if ok { "has ended well" } else { "has failed" };
                let text = format!("{}: {} {end}", self.names.group(group), words::hook(hook));
                self.push_line(step, info, text);
            }
            Event::Tick
            | Event::Datagram { .. }
            | Event::Refused { .. }
            | Event::Seen { .. }
            | Event::Anchor { .. }
            | Event::OwnMacs { .. }
            | Event::InsideMacs { .. }
            | Event::OwnAddresses { .. }
            | Event::Stored { .. } => {}
        }
    }

    /// What an operator, or the end of the agent, asks for.
    fn command_in_words(&self, command: Command) -> String {
        match command {
            Command::Switch(group) => format!("operator: switch {}", self.names.group(group)),
            Command::Pause(group) => format!("operator: pause {}", self.names.group(group)),
            Command::Resume(group) => format!("operator: resume {}", self.names.group(group)),
            Command::Stop => "the agent is told to stop".to_owned(),
            Command::Abandon => "operator: waits no longer".to_owned(),
        }
    }

    /// Adds a line for each row of a peer's datagram that says something new about a group.
    fn report_rows(&mut self, step: &Step<'_>, bytes: &[u8]) {
        let Some((header, rows)) = read(bytes) else { return };
        let changed: Vec<(Row, Option<Said>)> = rows
            .filter_map(|row| {
                let said = (row.role, row.reason, row.epoch, row.claim, row.consent);
                let before = self.said.insert((header.sender, row.group), said);
                (before != Some(said)).then_some((row, before))
            })
            .collect();
        for (row, before) in changed {
            let named = self.book.groups.iter().find(|(key, _)| *key == row.group);
            let group = named.map_or("?", |(_, name)| name.as_str());
            if let Some(text) = detail::row_in_words(&row, before) {
                let text = format!("{} says of {group}: {text}", self.names.node(header.sender));
                self.push_line(step, Some(Severity::Info), text);
            }
        }
    }

    /// Adds a line for an action of the engine, if people need to know of it; a takeover gets its
    /// grounds.
    pub(super) fn report_action(&mut self, step: &Step<'_>, action: &Action) {
        match action {
            Action::Notice(notice) => {
                let sentence = words::notice(&self.names, notice);
                self.push_line(step, Some(sentence.severity), sentence.text);
                if let Notice::Role { to: Role::Active, cause: Cause::Silence, epoch, .. } = notice
                    && let Some(line) = self.lines.last_mut()
                {
                    line.because = self.grounds.silence_in_words(&self.names, *epoch, step.now);
                }
            }
            Action::Gate(GateAction::Open { group, epoch }) => {
                let text = format!("gate: {} opens with epoch {epoch}", self.names.group(*group));
                self.push_line(step, Some(Severity::Info), text);
            }
            Action::Gate(GateAction::Close { group, carry_until }) => {
                let carried = carry_until.since(step.now);
                let drain =
                    if carried > Duration::ZERO { format!(", carries for {}", ms(carried)) } else { String::new() };
                let text = format!("gate: {} closes{drain}", self.names.group(*group));
                self.push_line(step, Some(Severity::Info), text);
            }
            Action::Reply { outcome, .. } => {
                let text = format!("answer to the operator: {}", words::outcome(*outcome).1);
                self.push_line(step, Some(Severity::Info), text);
            }
            Action::Stopped => self.push_line(step, Some(Severity::Info), "the engine has stopped".to_owned()),
            Action::Announce { group, address: Some(address) } => {
                let text = format!("{}: {address} is announced in defence", self.names.group(*group));
                self.push_line(step, Some(Severity::Info), text);
            }
            Action::Hook { group, hook, epoch, .. } => {
                let text = format!("{}: {} is run for epoch {epoch}", self.names.group(*group), words::hook(*hook));
                self.push_line(step, Some(Severity::Info), text);
            }
            Action::Announce { address: None, .. }
            | Action::Send { .. }
            | Action::Probe { .. }
            | Action::Persist { .. }
            | Action::Gate(GateAction::Begin { .. } | GateAction::Renew { .. } | GateAction::Forward { .. }) => {}
        }
    }
}
