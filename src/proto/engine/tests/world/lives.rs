//! Lives of the world's agents: started with or without their gate, stopped, killed, lost with the
//! host.

use super::{ETH, Kernel, World};
use crate::engine::{Engine, Event, OwnAddress};
use crate::types::{Epoch, GroupId, LinkId, LinkPath};
use std::net::Ipv4Addr;
use std::time::Duration;

impl World {
    /// Starts the agent of a node. It finds its gate at once, and adopts what its kernel holds.
    pub fn start(&mut self, at: usize) {
        self.begin(at);
        self.find_gate(at, true);
        self.open_links(at);
    }

    /// Starts an agent that finds its gate after `pause`, as in reality: it hears its peer before.
    pub fn start_slowly(&mut self, at: usize, pause: Duration) {
        self.start_blind(at);
        self.run(pause);
        self.find_gate(at, true);
    }

    /// Starts an agent that hears its peer and does not find its gate.
    pub fn start_blind(&mut self, at: usize) {
        self.begin(at);
        self.open_links(at);
    }

    /// Builds the engine of a node's next life, from its disk and the world's configuration.
    fn begin(&mut self, at: usize) {
        self.nodes[at].lives += 1;
        let setup = self.setup(at);
        self.nodes[at].numbers = (0..self.groups).collect();
        self.nodes[at].lease = self.timing.lease;
        self.nodes[at].engine = Some(Engine::new(setup, self.now));
        self.nodes[at].exited = false;
    }

    /// Tells an engine what a former life left open in the kernel, then that the gate is ready.
    fn find_gate(&mut self, at: usize, carrier: bool) {
        let kernel = self.nodes[at].kernel.clone();
        if kernel.generation != 0 {
            // Groups have the numbers of the beginning: no test restarts an agent after a reload
            // that gave it other groups.
            let open: Vec<(GroupId, Epoch)> = kernel.open.iter().map(|(group, epoch)| (*group, *epoch)).collect();
            let refused = kernel.refused == kernel.generation;
            let (until, generation) = (kernel.until, kernel.generation);
            self.handle(at, Event::Adopted { interface: ETH, until, generation, refused, open: &open });
        }
        self.set_carrier(at, carrier);
        if self.own {
            let address = Ipv4Addr::new(10, 0, 0, u8::try_from(at).unwrap() + 201).into();
            self.handle(at, Event::OwnAddresses { interface: ETH, own: &[OwnAddress { address, prefix: 8 }] });
        }
    }

    /// Tells an engine that all its links are open, those to witnesses included.
    fn open_links(&mut self, at: usize) {
        for path in [LinkPath::Udp(0), LinkPath::Udp(1), LinkPath::Segment(ETH)] {
            self.handle(at, Event::Link { link: LinkId { peer: self.other(at), path }, open: true });
        }
        self.open_witness_links(at);
    }

    /// Starts an agent whose interface and links are not there.
    pub fn start_without_interface(&mut self, at: usize) {
        let setup = self.setup(at);
        self.nodes[at].numbers = (0..self.groups).collect();
        self.nodes[at].lease = self.timing.lease;
        self.nodes[at].engine = Some(Engine::new(setup, self.now));
    }

    /// Starts an agent whose interface has a gate and no carrier; its links stay closed.
    pub fn start_without_carrier(&mut self, at: usize) {
        self.begin(at);
        self.find_gate(at, false);
    }

    /// Kills the agent of a node (SIGKILL): its kernel and disk stay.
    pub fn kill(&mut self, at: usize) {
        self.nodes[at].engine = None;
    }

    /// Takes a node's power: its agent and kernel are gone, its disk stays.
    pub fn crash(&mut self, at: usize) {
        self.kill(at);
        self.nodes[at].kernel = Kernel::default();
    }

    /// Suspends the agent of a node (SIGSTOP): datagrams wait for it, up to its `backlog_limit`.
    pub fn suspend(&mut self, at: usize) {
        self.nodes[at].stopped = true;
    }

    /// Lets a suspended agent go on (SIGCONT): it first reads the datagrams that have waited.
    pub fn resume(&mut self, at: usize) {
        self.nodes[at].stopped = false;
        for (link, bytes) in std::mem::take(&mut self.nodes[at].backlog) {
            self.handle(at, Event::Datagram { link, bytes: &bytes });
        }
        self.handle(at, Event::Tick);
    }
}
