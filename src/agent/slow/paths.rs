//! The sockets of UDP links: opened as soon as they can be, and again where the way has changed.
//!
//! Owns: which link has a socket, and the address at which that socket begins. A link between nodes
//! begins at the address of the configuration, for good. A link to a witness begins where the
//! kernel's routes say, and those change: an address goes away, another interface takes over. So
//! the kernel is asked at every tick where such a link would begin now. Never does: send or
//! receive. A socket that cannot be opened is tried again at the next tick.

use super::current::Current;
use super::effects::Effects;
use crate::config::Config;
use crate::io::links::LinkSocket;
use crate::orders::Order;
use crate::types::{LinkId, LinkPath};
use crate::wire::pulse::PORT;
use std::io;
use std::net::IpAddr;

/// Looks in a row that must find the same other beginning before a socket is replaced: several
/// routes of equal cost can take turns.
const LOOKS: u8 = 4;

/// One link.
#[derive(Debug)]
struct Path {
    link: LinkId,
    /// Address at which the link's socket begins; `None` while there is no socket.
    begins: Option<IpAddr>,
    /// Address at which the kernel would begin instead, and the number of looks in a row that found
    /// it.
    other: Option<(IpAddr, u8)>,
}

/// All UDP links.
#[derive(Debug, Default)]
pub(crate) struct Paths(Vec<Path>);

impl Paths {
    /// These links, none of which has a socket yet.
    pub fn new(links: &[LinkId]) -> Paths {
        Paths(links.iter().map(|&link| Path { link, begins: None, other: None }).collect())
    }

    /// Orders a socket for each link that can be opened now, or begins elsewhere now.
    pub fn handle_tick(&mut self, current: &Current) -> Effects {
        let opened = self.take_new_sockets(|link| {
            let log = |error: &io::Error| {
                tracing::debug!(%error, link = current.names.link(link), "link cannot be opened yet");
            };
            open(&current.config, link).inspect_err(log)
        });
        let mut effects = Effects::default();
        for (link, socket) in opened {
            effects.order(Order::Link { link, socket: Some(socket) });
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
