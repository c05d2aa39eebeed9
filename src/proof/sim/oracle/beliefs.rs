//! S6: a process believes only what a holder of the key has said to this life of it, for the first
//! time, and not in an earlier life of the speaker.

use super::Oracle;
use crate::durable::Loaded;
use crate::engine::Event;
use crate::sim::clock::Real;
use crate::sim::names::witness_of;
use crate::sim::swarm::Fault;
use crate::sim::world::Sim;
use crate::types::MonoTime;
use std::collections::HashSet;
use std::time::Duration;

/// Time for which an adopted active may wait for a carrier that it has not seen yet.
pub(super) const DARK: Duration = Duration::from_millis(2_500);

/// The words that a process was told and believed, as far as the oracle must remember them.
#[derive(Default)]
pub struct Beliefs {
    /// Start of the process, by the node's clock.
    pub began: MonoTime,
    /// Whether its state was damaged at the start and no peer has told it everything since.
    pub untold: bool,
    /// By interface: since when the process knows that the carrier is lost.
    pub dark: Vec<Option<Real>>,
    /// Session and counter of every datagram that was believed.
    believed: HashSet<(u64, u64)>,
    /// Sessions of all lives of this node.
    sessions: Vec<u64>,
    /// By other node: its youngest life that was believed.
    youngest: Vec<usize>,
}

/// The number in eight bytes from `offset`; 0 if they are not there.
fn number(bytes: &[u8], offset: usize) -> u64 {
    let part = bytes.get(offset..offset + 8).and_then(|part| part.try_into().ok());
    part.map_or(0, u64::from_be_bytes)
}

impl Oracle {
    /// Notes that a process begins.
    pub fn begin_beliefs(sim: &mut Sim, node: usize) {
        let Some(engine) = &sim.nodes[node].engine else { return };
        let (session, began) = (engine.view_session(), sim.local(node));
        let (nodes, interfaces) = (sim.nodes.len(), sim.plan.interfaces);
        let untold = sim.nodes[node].disk.content == Loaded::Damaged;
        let beliefs = &mut sim.oracle.seen[node].beliefs;
        beliefs.began = began;
        beliefs.untold = untold;
        beliefs.dark = vec![None; interfaces];
        beliefs.believed.clear();
        beliefs.sessions.push(session);
        beliefs.youngest = vec![0; nodes];
    }

    /// Checks an event that a process has handled. It had believed `before` datagrams until then.
    pub fn check_beliefs(sim: &mut Sim, node: usize, event: &Event<'_>, before: u64) {
        if let Event::Interface { interface, facts } = event {
            let now = sim.now;
            let dark = &mut sim.oracle.seen[node].beliefs.dark[usize::from(interface.0)];
            *dark = if facts.carrier { None } else { dark.or(Some(now)) };
        }
        if let Event::Adopted { interface, .. } = event {
            // Whoever adopts waits for a carrier from then on.
            let dark = &mut sim.oracle.seen[node].beliefs.dark[usize::from(interface.0)];
            *dark = dark.map(|_| sim.now);
        }
        let Event::Datagram { link, bytes } = event else { return };
        let Some(engine) = &sim.nodes[node].engine else { return };
        if engine.view_believed() == before {
            return;
        }
        let own = engine.view_session();
        let local = sim.local(node);
        let told = (0..sim.nodes.len() - 1).all(|peer| {
            let (have, table) = engine.view_peer(peer, local).have;
            have == table && table != 0
        });
        sim.oracle.seen[node].beliefs.untold &= !told;
        let forged = sim.plan.has(&[Fault::Forge]) && sim.strict.open(bytes).is_err();
        let (session, counter, echo) = (number(bytes, 12), number(bytes, 20), number(bytes, 28));
        let voter = witness_of(link.peer);
        let from = if voter.is_some() { node } else { sim.known_as(node, link.peer) };
        let life = sim.oracle.seen[from].beliefs.sessions.iter().rposition(|known| *known == session);
        let beliefs = &mut sim.oracle.seen[node].beliefs;
        let twice = sim.plan.has(&[Fault::Replay]) && !beliefs.believed.insert((session, counter));
        let younger = if voter.is_some() { 0 } else { beliefs.youngest[from] };
        if voter.is_none() {
            beliefs.youngest[from] = younger.max(life.unwrap_or_default());
        }
        let oracle = &mut sim.oracle;
        oracle.hold(!forged, || format!("S6: node {node} believes what nobody with the key has said"));
        oracle.hold(echo == own, || format!("S6: node {node} believes what was said to an earlier life of it"));
        oracle.hold(!twice, || format!("S6: node {node} believes the same datagram twice"));
        oracle.hold(life.unwrap_or_default() >= younger, || {
            format!("S6: node {node} believes an earlier life of node {from} again")
        });
    }
}
