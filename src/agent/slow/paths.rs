//! The sockets of UDP links: opened as soon as they can be, and anew where they have come to begin at the wrong place.
//!
//! Owns: which link has a socket, and the address it begins at. A link between nodes begins at the address of the
//! configuration, for good. One to a witness begins where the kernel's routes say, and those change: an address goes away,
//! another interface takes over. So the kernel is asked again and again where it would begin now. Never does: send or
//! receive. A socket that cannot be opened is tried again at the next look.

use crate::config::Config;
use crate::io::links::LinkSocket;
use crate::types::{LinkId, LinkPath};
use crate::wire::pulse::PORT;
use std::io;
use std::net::IpAddr;

/// So many looks in a row must find the same other beginning before a socket is given up: several routes of equal cost can
/// take turns.
const LOOKS: u8 = 4;

/// One link.
#[derive(Debug)]
struct Path {
    link: LinkId,
    /// Where its socket begins; `None` while it has none.
    begins: Option<IpAddr>,
    /// Where the kernel would begin instead, and how often in a row it said so.
    other: Option<(IpAddr, u8)>,
}

/// All UDP links.
#[derive(Debug, Default)]
pub(crate) struct Paths(Vec<Path>);

impl Paths {
    pub fn new(links: &[LinkId]) -> Paths {
        Paths(links.iter().map(|&link| Path { link, begins: None, other: None }).collect())
    }

    /// Every socket that is to be used from now on. `open` makes one and says where it begins.
    pub fn look<S>(&mut self, mut open: impl FnMut(LinkId) -> io::Result<(S, IpAddr)>) -> Vec<(LinkId, S)> {
        let wanting = self.0.iter_mut().filter(|path| path.begins.is_none() || path.link.peer.is_witness());
        wanting.filter_map(|path| Some((path.link, path.look(open(path.link).ok()?)?))).collect()
    }
}

impl Path {
    /// Takes `socket` if it is better than what there is.
    fn look<S>(&mut self, (socket, begins): (S, IpAddr)) -> Option<S> {
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

/// Opens the socket of a link, and says where it begins.
///
/// # Errors
/// See [`LinkSocket::open`] and [`LinkSocket::toward`]: try again later.
pub(crate) fn open(config: &Config, link: LinkId) -> io::Result<(LinkSocket, IpAddr)> {
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
