//! Which links take no datagrams at present, and why.
//!
//! Owns: one small word for each UDP link, written by the hot thread and read by any other. Never
//! does: lock, or count for long. A datagram that the network does not take is lost and nothing
//! more; a link on which several in a row are lost is not up, whatever is heard on it.

use crate::io::links::SendOutcome;
use crate::types::LinkId;
use std::sync::atomic::{AtomicU8, Ordering};

/// Datagrams in a row that were not sent, from which on a link counts as down: one or two are lost
/// where a buffer is full for a moment.
const MANY: u8 = 3;
/// Place of the cause in the word, above the number of datagrams in a row.
const CAUSE: u8 = 16;

/// The words of all UDP links.
#[derive(Debug, Default)]
pub(super) struct Unsent(Vec<(LinkId, AtomicU8)>);

impl Unsent {
    /// Nothing is known of these links.
    pub fn new(links: &[LinkId]) -> Unsent {
        Unsent(links.iter().map(|&link| (link, AtomicU8::new(0))).collect())
    }

    /// Notes what became of a datagram on a link.
    pub fn note(&self, link: LinkId, outcome: SendOutcome) {
        let Some((_, word)) = self.0.iter().find(|(known, _)| *known == link) else { return };
        let cause = match outcome {
            SendOutcome::Sent | SendOutcome::SentAfterRefusal => return word.store(0, Ordering::Relaxed),
            SendOutcome::Busy => 0,
            SendOutcome::Unreachable => 1,
            SendOutcome::Forbidden => 2,
            SendOutcome::TooLarge => 3,
        };
        let count = (word.load(Ordering::Relaxed) % CAUSE + 1).min(MANY);
        word.store(cause * CAUSE + count, Ordering::Relaxed);
    }

    /// Why nothing can be sent on a link, as a phrase; `None` where the newest datagrams were sent.
    pub fn cause(&self, link: LinkId) -> Option<&'static str> {
        let (_, word) = self.0.iter().find(|(known, _)| *known == link)?;
        let word = word.load(Ordering::Relaxed);
        if word % CAUSE < MANY {
            return None;
        }
        Some(match word / CAUSE {
            0 => "buffers are full (ENOBUFS, ENOMEM)",
            1 => "there is no way there (ENETUNREACH, EHOSTUNREACH), or our own address is gone",
            2 => "a rule of this machine forbids it (EPERM)",
            _ => "the datagrams are too large (EMSGSIZE)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LinkPath, NodeId};

    #[test]
    fn link_is_down_after_several_lost_datagrams_in_a_row_and_up_with_the_first_that_is_sent() {
        let link = LinkId { peer: NodeId(2), path: LinkPath::Udp(0) };
        let unsent = Unsent::new(&[link]);
        for _ in 0..2 {
            unsent.note(link, SendOutcome::Forbidden);
            assert_eq!(unsent.cause(link), None);
        }
        unsent.note(link, SendOutcome::Unreachable);
        assert!(unsent.cause(link).is_some_and(|cause| cause.contains("ENETUNREACH")), "the newest cause counts");
        unsent.note(link, SendOutcome::Sent);
        assert_eq!(unsent.cause(link), None);
        let other = LinkId { peer: NodeId(3), ..link };
        unsent.note(other, SendOutcome::Busy);
        assert_eq!(unsent.cause(other), None);
    }
}
