//! The lab: a switch, two servers, clients and a neighbour, each a network namespace of its own.
//!
//! Owns: everything that stands outside of the product, faults included. Never does: giving a
//! verdict on what it sees (see `probe`), or touching the machine's own interfaces. Any failure of
//! the lab panics. Dropping a lab removes all of it, panic included; what a killed process left
//! behind, the next start removes.

pub mod agent;
pub mod clock;
pub mod config_text;
pub mod confine;
pub mod conntrackd;
pub mod faults;
pub mod files;
pub mod home;
pub mod injector;
pub mod intruder;
pub mod machine;
pub mod macvlan;
pub mod netns;
pub mod pauses;
pub mod process;
pub mod program;
pub mod service;
pub mod talker;
pub mod turn;
pub mod voters;
pub mod wiring;
pub mod witness;

use clock::now;
use netns::Netns;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use turn::Turn;
use vipair::types::MonoTime;
pub use wiring::{Port, Server};

/// Longest wait for a condition: L5 says 10 s, a busy machine may take longer to tell.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Number of labs that this process has built so far.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The parts and rules of a lab that is to be built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether no other lab of this process may stand at the same time: for measuring.
    pub alone: bool,
    /// Whether the clients' segment has IPv4 at all.
    pub ipv4: bool,
    /// Whether there is a host for witnesses, and a network on which the servers reach it.
    pub witness: bool,
    /// Whether that host has a port on the clients' segment as well.
    pub witness_on_segment: bool,
    /// Fixed prefix and directory of a lab that is to be found again (`scripts/demo --keep`) and
    /// outlives this process.
    pub keep_as: Option<(String, PathBuf)>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { alone: false, ipv4: true, witness: false, witness_on_segment: false, keep_as: None }
    }
}

/// A lab that stands, until it is dropped or left standing.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    hosts: BTreeMap<&'static str, Netns>,
    switch: Netns,
    ipv4: bool,
    history: RefCell<Vec<Entry>>,
    faults: RefCell<faults::Counter>,
    dir: PathBuf,
    /// Whether the lab may be left standing.
    keep: bool,
    /// Whether the lab has been left standing, so that nothing is removed.
    left: bool,
    _turn: Turn,
}

/// One deed in the lab's history.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Instant just before it was done.
    pub at: MonoTime,
    /// What was done, in words.
    pub what: String,
}

impl Lab {
    /// Builds the lab, after waiting for its turn.
    pub fn build(plan: &Plan) -> Lab {
        assert!(nix::unistd::geteuid().is_root(), "the lab is made of network namespaces: run it as root");
        let turn = if plan.alone { Turn::alone() } else { Turn::shared() };
        netns::sweep();
        machine::sweep();
        confine::sweep();
        let (prefix, dir) = plan.keep_as.clone().unwrap_or_else(|| {
            let prefix = format!("vp{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let dir = std::env::temp_dir().join(&prefix);
            (prefix, dir)
        });
        // Refuses a directory that exists: where everybody can write, it could be somebody else's.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&dir);
        made.unwrap_or_else(|e| panic!("make {}: {e}", dir.display()));
        let mut lab = Lab {
            switch: Netns::create(&format!("{prefix}-switch")),
            prefix,
            hosts: BTreeMap::new(),
            ipv4: plan.ipv4,
            history: RefCell::new(Vec::new()),
            faults: RefCell::default(),
            dir,
            keep: plan.keep_as.is_some(),
            left: false,
            _turn: turn,
        };
        // The switch itself has no address in these networks.
        lab.switch.sysctl("ipv6/conf/default/disable_ipv6", "1");
        lab.switch.ip(&wiring::bridge_lines());
        for port in
            [Port::Alpha, Port::AlphaSecondLink, Port::Beta, Port::BetaSecondLink, Port::Client, Port::Gateway]
        {
            lab.plug(port);
        }
        if plan.witness {
            [Port::AlphaVoters, Port::BetaVoters, Port::Witness].into_iter().for_each(|port| lab.plug(port));
        }
        if plan.witness_on_segment {
            lab.plug(Port::WitnessSegment);
        }
        lab
    }

    /// Ports of a server that are plugged in, in this lab.
    pub fn ports(&self, server: Server) -> Vec<Port> {
        let mut ports = vec![server.port(), server.second_link()];
        if self.hosts.contains_key(Port::Witness.host()) {
            ports.push(server.voters());
        }
        ports
    }

    /// Makes the cable of `port`, and the host behind it if that does not exist.
    pub fn plug(&mut self, port: Port) {
        let prefix = &self.prefix;
        let host =
            self.hosts.entry(port.host()).or_insert_with(|| Netns::create(&format!("{prefix}-{}", port.host())));
        wiring::plug(&self.switch, host, port, self.ipv4);
    }

    /// Makes the cable of `port` again; its host exists.
    pub fn replug(&self, port: Port) {
        wiring::plug(&self.switch, self.host(port), port, self.ipv4);
    }

    /// Name of all namespaces of this lab, up to the last dash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Directory of this lab's files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Namespace of the switch.
    pub fn switch(&self) -> &Netns {
        &self.switch
    }

    /// Namespace of the host behind `port`; panics when it is not plugged in.
    pub fn host(&self, port: Port) -> &Netns {
        self.hosts.get(port.host()).unwrap_or_else(|| panic!("{} is not plugged in", port.host()))
    }

    /// Namespace of a server.
    pub fn server(&self, server: Server) -> &Netns {
        self.host(server.port())
    }

    /// Whether children are to outlive this process.
    pub fn is_kept(&self) -> bool {
        self.keep
    }

    /// Adds to the history what is about to be done; the timeline of a failure shows it between the
    /// frames. Returns the instant.
    pub fn note(&self, what: impl Into<String>) -> MonoTime {
        let at = now();
        self.history.borrow_mut().push(Entry { at, what: what.into() });
        at
    }

    /// All that was done so far, in order.
    pub fn history(&self) -> Vec<Entry> {
        self.history.borrow().clone()
    }

    /// Leaves namespaces and files standing when this process ends.
    pub fn leave_standing(&mut self) {
        assert!(self.keep, "only a lab built to be kept can be left");
        self.left = true;
        self.switch.leave_standing();
        self.hosts.values_mut().for_each(Netns::leave_standing);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        // Namespaces remove themselves. A directory that stays is a nuisance, but no reason to
        // abort while unwinding.
        if let Err(cause) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("remove {}: {cause}", self.dir.display());
        }
    }
}
