//! The sockets of UDP links: opened as soon as they can be, and again where the way has changed.
//!
//! Owns: which link has a socket, and the address at which that socket begins. A link between nodes
//! begins at the address of the configuration, for good. A link to a witness begins where the
//! kernel's routes say, and those change: an address goes away, another interface takes over. So
//! the kernel is asked at every tick where such a link would begin now. Never does: send or
//! receive. A socket that cannot be opened is tried again at the next tick.
//!
//! A socket can fail for good: an administrator destroys it (`ss -K`). The hot thread has let go of
//! it then, and another one is opened at once, because a link without a socket hears nobody. One
//! that fails again soon is opened at the next tick only, and without a word.

use super::current::Current;
use super::effects::Effects;
use crate::config::Config;
use crate::control::protocol::Severity;
use crate::io::links::LinkSocket;
use crate::orders::Order;
use crate::types::{LinkId, LinkPath, MonoTime};
use crate::wire::pulse::PORT;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Looks in a row that must find the same other beginning before a socket is replaced: several
/// routes of equal cost can take turns.
const LOOKS: u8 = 4;
/// Time after a failure of a link's socket in which people are not told of another one: a socket
/// that fails again and again would fill the log.
const QUIET: Duration = Duration::from_secs(60);

/// One link.
#[derive(Debug)]
struct Path {
    link: LinkId,
    /// Address at which the link's socket begins; `None` while there is no socket.
    begins: Option<IpAddr>,
    /// Address at which the kernel would begin instead, and the number of looks in a row that found
    /// it.
    other: Option<(IpAddr, u8)>,
    /// When people were told last that the link's socket had failed; `None` before the first time.
    told: Option<MonoTime>,
}

/// All UDP links.
#[derive(Debug, Default)]
pub(crate) struct Paths(Vec<Path>);

impl Paths {
    /// These links, none of which has a socket yet.
    pub fn new(links: &[LinkId]) -> Paths {
        Paths(links.iter().map(|&link| Path { link, begins: None, other: None, told: None }).collect())
    }

    /// Orders a socket for each link that can be opened now, or begins elsewhere now.
    pub fn handle_tick(&mut self, current: &Current) -> Effects {
        let mut effects = Effects::default();
        for (link, socket) in self.take_new_sockets(|link| open_or_log(current, link)) {
            effects.order(Order::Link { link, socket });
        }
        effects
    }

    /// Notes that a link has lost its socket to `error`, tells people, and orders another one at
    /// once. Within [`QUIET`] of the last failure told, the next tick opens it, and nobody is told.
    pub fn handle_failed(&mut self, link: LinkId, error: &io::Error, current: &Current, now: MonoTime) -> Effects {
        let name = current.names.link(link);
        let mut effects = Effects::default();
        let Some(path) = self.0.iter_mut().find(|path| path.link == link) else { return effects };
        if !path.note_failed(now) {
            tracing::debug!(%error, link = name, "the socket of the link failed again");
            return effects;
        }
        let text = format!("the socket of {name} failed ({error}): another one is opened");
        effects.event(Severity::Warning, "link_socket_failed", text);
        if let Some(socket) = open_or_log(current, link).ok().and_then(|opened| path.accept(opened)) {
            effects.order(Order::Link { link, socket });
        }
        effects
    }

    /// Links that get another socket now, each with that socket. `open` opens a link's socket and
    /// says at which address the socket begins. Links between nodes that have a socket are left
    /// out.
    fn take_new_sockets<S>(&mut self, mut open: impl FnMut(LinkId) -> io::Result<(S, IpAddr)>) -> Vec<(LinkId, S)> {
        let wanting = self.0.iter_mut().filter(|path| path.begins.is_none() || path.link.peer.is_witness());
        wanting.filter_map(|path| Some((path.link, path.accept(open(path.link).ok()?)?))).collect()
    }
}

impl Path {
    /// Notes that the link has no socket any more. Returns whether people are told and another one
    /// is opened at once: no failure was told within [`QUIET`].
    fn note_failed(&mut self, now: MonoTime) -> bool {
        (self.begins, self.other) = (None, None);
        let is_news = self.told.is_none_or(|told| now.since(told) >= QUIET);
        if is_news {
            self.told = Some(now);
        }
        is_news
    }

    /// Returns the socket if the link is to use it from now on, and notes where it begins. `None`:
    /// the link's present socket stays, because it begins at the same address, or because the other
    /// address was found fewer than [`LOOKS`] times in a row.
    fn accept<S>(&mut self, (socket, begins): (S, IpAddr)) -> Option<S> {
        if self.begins == Some(begins) {
            self.other = None;
            return None;
        }
        let seen = self.other.filter(|(other, _)| *other == begins).map_or(1, |(_, seen)| seen + 1);
        if self.begins.is_some() && seen < LOOKS {
            self.other = Some((begins, seen));
            return None;
        }
        (self.begins, self.other) = (Some(begins), None);
        Some(socket)
    }
}

/// As [`open`]; a failure is logged.
fn open_or_log(current: &Current, link: LinkId) -> io::Result<(LinkSocket, IpAddr)> {
    let log = |error: &io::Error| {
        tracing::debug!(%error, link = current.names.link(link), "link cannot be opened yet");
    };
    open(&current.config, link).inspect_err(log)
}

/// Opens the socket of a UDP link; returns it with the address at which it begins.
///
/// # Errors
/// See [`LinkSocket::open`] and [`LinkSocket::toward`]: try again later.
fn open(config: &Config, link: LinkId) -> io::Result<(LinkSocket, IpAddr)> {
    let LinkPath::Udp(index) = link.path else { return Err(io::ErrorKind::Unsupported.into()) };
    let witness = config.witnesses().find(|(id, _)| *id == link.peer);
    let socket = match witness {
        Some((_, remote)) => LinkSocket::toward(remote)?,
        None => {
            let end = |node| config.node(node).links[usize::from(index)];
            LinkSocket::open(end(config.me), end(link.peer), PORT)?
        }
    };
    let begins = socket.local()?;
    Ok((socket, begins))
}

#[cfg(test)]
mod tests;
