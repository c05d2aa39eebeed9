//! Rows for a peer that is not heard.

use super::{Letter, Post};
use crate::engine::action::Actions;
use crate::engine::peer::PeerAt;
use crate::types::LinkId;
use crate::wire::fit::FEW;

impl Post<'_> {
    /// Tells a few rows more in a short datagram, others each time. A peer that we do not hear may
    /// hear us, and cannot say that longer ones are lost on its path.
    pub(super) fn tell_unheard(&mut self, peer: PeerAt, link: LinkId, out: &mut Actions) {
        if self.groups.len() <= FEW || self.room(peer, link) <= FEW || !self.rules().minds_narrow_paths() {
            return;
        }
        let known = self.peers[peer].links.iter().find(|known| known.id == link);
        let base = known.map_or(0, |known| known.retold);
        self.outbox.choose(base, FEW, self.groups);
        let upto = self.outbox.excerpt.upto();
        let (echo, to) = (self.next_echo(peer), self.segment_mac(peer, link));
        self.send_datagram(
            &Letter { peer, link, to, query: false, echo, versions: (base, upto), rows: true, open: false },
            out,
        );
        if let Some(known) = self.peers[peer].link_mut(link) {
            known.retold = if upto >= self.outbox.table { 0 } else { upto };
        }
    }
}
