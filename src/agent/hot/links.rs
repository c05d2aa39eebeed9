//! The sockets of UDP links, as the hot thread uses them.
//!
//! Owns: the socket of each link, and the failure of a socket that can no longer be used, until
//! the hot thread lets go of it. Never does: open a socket; the slow side does, once it has been
//! told. A datagram that the network does not take is lost, and the socket stays: the kernel looks
//! for a way anew with every datagram, and as long as there is none a new socket would find none
//! either, while this one still hears the peer.

use crate::io::links::{LinkSocket, Received, SendOutcome};
use crate::types::LinkId;
use std::io;

/// A link with its socket.
struct Link {
    id: LinkId,
    /// `None` while it cannot be opened, or after it failed.
    socket: Option<LinkSocket>,
    /// Why the socket cannot be used any more, until [`Links::take_failed`].
    failure: Option<io::Error>,
}

/// All UDP links.
pub(crate) struct Links(Vec<Link>);

impl Links {
    /// These links, none of which has a socket yet.
    pub fn new(links: Vec<LinkId>) -> Links {
        Links(links.into_iter().map(|id| Link { id, socket: None, failure: None }).collect())
    }

    /// Place of a link in the table; `None` if there is no such link.
    pub fn position(&self, id: LinkId) -> Option<usize> {
        self.0.iter().position(|link| link.id == id)
    }

    /// Uses another socket for the link at this place from now on, or none; returns the former
    /// one. A failure of the former one is forgotten.
    pub fn replace(&mut self, at: usize, socket: Option<LinkSocket>) -> Option<LinkSocket> {
        let link = &mut self.0[at];
        link.failure = None;
        std::mem::replace(&mut link.socket, socket)
    }

    /// Sends a datagram over a link. What cannot be sent is lost; the next pulse says the same
    /// again.
    pub fn send(&mut self, id: LinkId, datagram: &[u8]) -> SendOutcome {
        let Some(link) = self.0.iter_mut().find(|link| link.id == id) else { return SendOutcome::Unreachable };
        let Some(socket) = &link.socket else { return SendOutcome::Unreachable };
        socket.send(datagram).unwrap_or_else(|error| {
            link.failure = Some(error);
            SendOutcome::Unreachable
        })
    }

    /// Takes what waits at the link at this place: a datagram, or a refusal. `None` if nothing
    /// does.
    pub fn recv(&mut self, at: usize, buffer: &mut [u8]) -> Option<(LinkId, Received)> {
        let link = self.0.get_mut(at)?;
        match link.socket.as_ref()?.recv(buffer) {
            Ok(Received::Empty) => None,
            Ok(received) => Some((link.id, received)),
            Err(error) => {
                link.failure = Some(error);
                None
            }
        }
    }

    /// Gives up one socket that failed; returns it with its link and the cause. `None` when there
    /// is no other.
    pub fn take_failed(&mut self) -> Option<(LinkId, Option<LinkSocket>, io::Error)> {
        let link = self.0.iter_mut().find(|link| link.failure.is_some())?;
        let error = link.failure.take()?;
        Some((link.id, link.socket.take(), error))
    }
}

#[cfg(test)]
mod tests;
