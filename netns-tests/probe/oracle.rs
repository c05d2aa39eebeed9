//! The oracle: reads the frames that left the servers and says whether a promise was broken.
//!
//! Owns: the rules S1, S3 and S8 as they show on the wire. A tenure is a run of claims from one
//! server. Tenures must follow one another exactly as the test says, so a single claim from a
//! closed server breaks the order and is found, whenever it was sent. Where chance decides who owns
//! the address, `openings` says what a server was given. Never does: guessing. A verdict against
//! the product comes with the timeline of the address.

use super::capture::Heard;
use super::frames::How;
use super::openings::{self, Opening, Tenure};
use crate::lab::wiring::{Port, SEGMENT, Server};
use crate::lab::{Entry, agent::boot_seconds};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;
use vipair::types::MonoTime;

/// The way in which an address goes from one server to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Unplanned: the former owner says nothing any more.
    Takeover,
    /// Planned: the former owner carries open connections for the drain time.
    Handover,
}

/// The owners that an address is to have, one after the other.
#[derive(Clone, Debug)]
pub struct Expected {
    first: Server,
    changes: Vec<Change>,
}

impl Expected {
    /// Owned by `first`, and by no other server until a change is added.
    pub fn owner(first: Server) -> Expected {
        Expected { first, changes: Vec::new() }
    }

    /// Adds the other server as next owner, unplanned.
    pub fn takeover(mut self) -> Expected {
        self.changes.push(Change::Takeover);
        self
    }

    /// Adds the other server as next owner, planned.
    pub fn handover(mut self) -> Expected {
        self.changes.push(Change::Handover);
        self
    }

    /// The owners in order; two neighbours always differ.
    pub fn owners(&self) -> Vec<Server> {
        let mut owners = vec![self.first];
        owners.extend(self.changes.iter().scan(self.first, |owner, _| {
            *owner = owner.other();
            Some(*owner)
        }));
        owners
    }
}

/// A time in which a server's frames on the clients' segment reach neither the clients nor the
/// other server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Apart {
    /// The server that is cut off.
    pub server: Server,
    /// When the cable was pulled.
    pub from: MonoTime,
    /// When the cable was in again, plus the two pulses that S8 allows.
    pub until: MonoTime,
}

/// The evidence of a scene, for a verdict.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// All frames that left the servers and speak for a watched address.
    pub heard: &'a [Heard],
    /// All that the lab did, in order.
    pub history: &'a [Entry],
    /// Times in which servers were cut off: claims then are not held against them.
    pub apart: &'a [Apart],
    /// How long a former owner carries open connections after a handover.
    pub drain: Duration,
}

/// Room for a frame that was on its way when the next owner was heard.
const IN_FLIGHT: Duration = Duration::from_millis(1);

impl Case<'_> {
    /// Checks one address by the owners that were expected. The error is a verdict with the
    /// address's timeline.
    pub fn check(&self, address: IpAddr, expected: &Expected) -> Result<Vec<Tenure>, String> {
        let tenures = self.tenures(address);
        let owners: Vec<Server> = tenures.iter().map(|t| t.server).collect();
        if owners != expected.owners() {
            return Err(self.verdict(address, &format!("owners were to be {:?}, seen {owners:?}", expected.owners())));
        }
        self.check_frames(address, &tenures, |number| expected.changes.get(number) == Some(&Change::Handover))?;
        Ok(tenures)
    }

    /// Checks one address whose owners nobody can know beforehand, by the openings in the agents'
    /// logs.
    pub fn check_by_openings(
        &self,
        address: IpAddr,
        openings: &[Opening],
        kills: &[(Server, MonoTime)],
    ) -> Result<Vec<Tenure>, String> {
        let tenures = self.tenures(address);
        openings::permit_tenures(&tenures, openings, kills).map_err(|what| self.verdict(address, &what))?;
        // Any change may have been a handover.
        self.check_frames(address, &tenures, |_| true)?;
        Ok(tenures)
    }

    /// Checks every single frame for an address: it left by the clients' segment, and packets only
    /// under a lease (S3).
    fn check_frames(
        &self,
        address: IpAddr,
        tenures: &[Tenure],
        handed_over: impl Fn(usize) -> bool,
    ) -> Result<(), String> {
        for heard in self.frames_for(address) {
            let Some(server) = heard.port.server().filter(|_| heard.port.bridge() == SEGMENT) else {
                let what = format!("{:?} left by port {}", heard.said.how, heard.port.name());
                return Err(self.verdict(address, &what));
            };
            if heard.said.how == How::Packet && !self.may_send(server, heard.at, tenures, &handed_over) {
                let what = format!(
                    "{} sent a packet from it without a lease, at {}",
                    server.name(),
                    self.time_text(heard.at)
                );
                return Err(self.verdict(address, &what));
            }
        }
        Ok(())
    }

    /// The tenures of an address, in order, without the claims of servers that were cut off.
    pub fn tenures(&self, address: IpAddr) -> Vec<Tenure> {
        let mut tenures: Vec<Tenure> = Vec::new();
        for heard in self.frames_for(address).filter(|h| h.said.how.is_claim()) {
            // A claim of anybody but a server is found frame by frame.
            let Some(server) = heard.port.server() else { continue };
            match tenures.last_mut() {
                Some(tenure) if tenure.server == server => {
                    tenure.last = heard.at;
                    tenure.claims += 1;
                }
                Some(_) | None => tenures.push(Tenure { server, first: heard.at, last: heard.at, claims: 1 }),
            }
        }
        tenures
    }

    /// Frames that speak for an address, without those of servers that were cut off.
    fn frames_for(&self, address: IpAddr) -> impl Iterator<Item = &Heard> {
        self.heard.iter().filter(move |h| h.said.address == address && !self.is_apart(h))
    }

    /// Whether the frame's server was cut off from the clients' segment then.
    fn is_apart(&self, heard: &Heard) -> bool {
        let server = heard.port.server();
        heard.port.bridge() == SEGMENT
            && self.apart.iter().any(|a| Some(a.server) == server && (a.from..a.until).contains(&heard.at))
    }

    /// Whether S3 permits a packet: within a tenure, or within the drain time after a tenure that
    /// ended by a handover.
    fn may_send(
        &self,
        server: Server,
        at: MonoTime,
        tenures: &[Tenure],
        handed_over: &impl Fn(usize) -> bool,
    ) -> bool {
        tenures.iter().enumerate().filter(|(_, t)| t.server == server).any(|(number, tenure)| {
            let grace = if handed_over(number) { self.drain + Duration::from_millis(50) } else { IN_FLIGHT };
            let end = tenures.get(number + 1).map_or(MonoTime::FOREVER, |next| next.first + grace);
            at + IN_FLIGHT * 5 >= tenure.first && at <= end
        })
    }

    /// Text of a verdict against the product: what is wrong, and the address's timeline.
    fn verdict(&self, address: IpAddr, what: &str) -> String {
        format!("{address}: {what}\n{}", self.timeline(address))
    }

    /// The timeline of an address: what the lab did and which frames spoke for the address; the
    /// last 200 lines.
    pub fn timeline(&self, address: IpAddr) -> String {
        let mut lines: Vec<(MonoTime, String)> =
            self.history.iter().map(|e| (e.at, format!("* {}", e.what))).collect();
        lines.extend(self.frame_runs(address));
        lines.sort_by_key(|(at, _)| *at);
        let mut text = String::new();
        let skipped = lines.len().saturating_sub(200);
        for (at, line) in lines.iter().skip(skipped) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {}  {line}", self.time_text(*at));
        }
        text
    }

    /// Runs of frames from one port, broken where another port speaks or the lab did something.
    fn frame_runs(&self, address: IpAddr) -> Vec<(MonoTime, String)> {
        let done: BTreeSet<MonoTime> = self.history.iter().map(|e| e.at).collect();
        let mut runs: Vec<(MonoTime, String)> = Vec::new();
        let mut run: Vec<&Heard> = Vec::new();
        for heard in self.heard.iter().filter(|h| h.said.address == address) {
            let breaks = run.last().is_some_and(|last| {
                last.port != heard.port
                    || self.is_apart(last) != self.is_apart(heard)
                    || last.at < heard.at && done.range(last.at..heard.at).next().is_some()
            });
            if breaks {
                runs.extend(self.run_line(&run));
                run.clear();
            }
            run.push(heard);
        }
        runs.extend(self.run_line(&run));
        runs
    }

    /// Line of the timeline for a run of frames, with the instant of its first frame.
    fn run_line(&self, run: &[&Heard]) -> Option<(MonoTime, String)> {
        let (first, last) = (run.first()?, run.last()?);
        let kinds: BTreeSet<String> = run.iter().map(|h| format!("{:?}", h.said.how)).collect();
        let kinds: Vec<String> = kinds.into_iter().collect();
        let apart = if self.is_apart(first) { " (cut off)" } else { "" };
        let text = format!(
            "{:<8} {} × {} until {}{apart}",
            first.port.name(),
            run.len(),
            kinds.join(", "),
            self.time_text(last.at)
        );
        Some((first.at, text))
    }

    /// Seconds since the first deed of the history, for people.
    fn time_text(&self, at: MonoTime) -> String {
        let start = self.history.first().map_or(MonoTime::ZERO, |e| e.at);
        format!("{:+.4} s", boot_seconds(at) - boot_seconds(start))
    }
}

/// Whether the server behind a port claimed any watched address from `from` until `until`.
pub fn has_claimed(heard: &[Heard], port: Port, from: MonoTime, until: MonoTime) -> bool {
    heard.iter().any(|h| h.port == port && h.said.how.is_claim() && (from..until).contains(&h.at))
}
