//! A node's side of the wire without an agent behind it, for cases about a witness alone: sends
//! what the test puts into its row, and tells whether the witness grants it, as docs/protocol.md
//! says.
//!
//! Owns: one connected socket and the state of its session. Never does: deciding anything.

use super::netns::Netns;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use vipair::host::config::digest;
use vipair::proto::mutant::Mutants;
use vipair::proto::rules::vote::ask;
use vipair::types::{Epoch, GroupKey, NodeId};
use vipair::wire::auth::KeyRing;
use vipair::wire::pulse::{Digests, Flags, Header, Reason, Role, Row, decode, encode};
use vipair::wire::session::{Sessions, Verdict};
use vipair::wire::table::{Admission, TableCopy};

/// Longest wait for an answer; later there is none.
const PATIENCE: Duration = Duration::from_millis(300);
/// The only group that a talker has a row of.
const GROUP: GroupKey = GroupKey(5);

/// A node that talks to a witness.
pub struct Talker {
    /// The node that the talker is.
    pub id: NodeId,
    cluster: u32,
    ring: KeyRing,
    /// The socket, connected to the witness.
    pub socket: UdpSocket,
    session: u64,
    /// Counter of the last datagram that was sent.
    counter: u64,
    /// What is known of the witness's sessions.
    sessions: Sessions,
    /// What is known of the witness's table.
    copy: TableCopy,
    /// The row that this node tells.
    row: Row,
    /// Version of this node's table.
    table: u64,
    /// Version of this node's table that the witness has acknowledged.
    acked: u64,
    lease: Duration,
    /// When the newest datagram was sent.
    pub sent: Instant,
    /// Version that the newest answer acknowledges.
    newest: Option<u64>,
}

impl Talker {
    /// A node of `cluster` that talks to `witness` from inside `netns`.
    pub fn new(netns: &Netns, witness: SocketAddr, cluster: (&str, u8), id: u8, lease: Duration) -> Talker {
        let socket = netns.run(|| {
            let socket = UdpSocket::bind((witness.ip(), 0)).expect("bind");
            socket.connect(witness).expect("connect");
            socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
            socket
        });
        let session = (u64::from(socket.local_addr().expect("bound").port()) << 32) + u64::from(id);
        let row = Row::new(GROUP, Role::Standby, Reason::None);
        Talker {
            id: NodeId(id),
            cluster: digest::cluster_number(cluster.0),
            ring: KeyRing::new(cluster.0, &[(1, [cluster.1; 32])]),
            socket,
            session,
            counter: 0,
            sessions: Sessions::new(session),
            copy: TableCopy::new(1),
            row,
            table: 1,
            acked: 0,
            lease,
            sent: Instant::now(),
            newest: None,
        }
    }

    /// Changes the row that this node tells of the group, from the next pulse on.
    pub fn change_row(&mut self, change: impl FnOnce(&mut Row)) {
        change(&mut self.row);
        self.table += 1;
    }

    /// Claims the group with an epoch above everything that the witness has told.
    pub fn claim(&mut self) {
        let told = self.copy.row(0).map_or(0, |row| row.epoch.max(row.reserve).max(row.consent).counter());
        let next = Epoch::new(told.max(self.row.reserve.counter()).max(1) + 1, self.id);
        self.change_row(|row| (row.role, row.reserve, row.claim) = (Role::Standby, next, next));
    }

    /// Claims again if the witness has told of an epoch that is not below the claim's.
    pub fn claim_higher(&mut self) {
        let told = self.copy.row(0).map_or(Epoch::NONE, |row| row.epoch.max(row.reserve));
        if self.row.claim == Epoch::NONE || told >= self.row.claim {
            self.claim();
        }
    }

    /// The next pulse, to be sent by the caller.
    pub fn next_pulse(&mut self) -> Vec<u8> {
        self.encode_pulse(None)
    }

    /// The next datagram, sealed; with `learned` it answers a session that is not proven yet, and
    /// carries the whole table.
    fn encode_pulse(&mut self, learned: Option<u64>) -> Vec<u8> {
        self.counter += 1;
        let echo = match learned {
            Some(learned) => self.sessions.answer(learned, self.counter),
            None => self.sessions.echo(self.counter),
        };
        let base = if learned.is_some() { self.table } else { self.acked };
        let header = Header {
            sender: self.id,
            receiver: NodeId::FIRST_WITNESS,
            cluster: self.cluster,
            session: self.session,
            counter: self.counter,
            echo_session: echo.session,
            echo_counter: echo.counter,
            flags: Flags::default(),
            pulse_us: 50_000,
            silence_us: 180_000,
            lease_us: u32::try_from(self.lease.as_micros()).expect("short"),
            digests: Digests { nodes: 1, groups: 1 },
            table_version: self.table,
            base_version: base,
            upto_version: self.table,
            ack_version: self.copy.have(),
        };
        let mut datagram = Vec::new();
        let rows = (base < self.table).then_some(self.row);
        encode(&self.ring, &header, rows.into_iter(), &mut datagram);
        self.sent = Instant::now();
        datagram
    }

    /// Sends a pulse and takes the answer; false if there is none.
    pub fn exchange(&mut self) -> bool {
        let mut pulse = self.next_pulse();
        let mut heard = false;
        // Three datagrams at most: introduction, proof, and the first that is believed.
        for _ in 0..3 {
            // A refusal of an earlier datagram (the witness is down) is reported here.
            let _refused = self.socket.send(&pulse);
            let mut buffer = [0; 1_300];
            let Ok(length) = self.socket.recv(&mut buffer) else { return heard };
            heard = true;
            match self.handle_datagram(&buffer[..length]) {
                Some(back) => pulse = back,
                None => return true,
            }
        }
        heard
    }

    /// Takes in a datagram of the witness; returns the datagram to be sent back, if there is one.
    fn handle_datagram(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let (header, rows) = decode(self.ring.open(datagram).expect("the witness has the key")).expect("a pulse");
        let new_session = match self.sessions.check(&header) {
            Verdict::Fresh { new_session } => new_session,
            Verdict::Unproven { learned } => return Some(self.encode_pulse(Some(learned))),
            Verdict::Rejected(_) => return None,
        };
        if new_session {
            self.copy.begin_session();
            self.acked = 0;
        }
        self.acked = header.ack_version.min(self.table);
        self.newest = Some(header.ack_version);
        if self.copy.admit(&header, Mutants::NONE) == Admission::Told {
            for row in rows.filter(|row| row.group == GROUP) {
                self.copy.take(0, row);
            }
            self.copy.settle();
        }
        new_session.then(|| self.next_pulse())
    }

    /// Row of the group in the witness's table, once it has told one.
    pub fn witness_row(&self) -> Option<Row> {
        self.copy.row(0).copied()
    }

    /// Whether the newest answer grants what this node asks for.
    pub fn is_granted(&self) -> bool {
        let Some(asked) = ask(self.id, &self.row) else { return false };
        let consented = self.copy.row(0).is_some_and(|row| row.consent == asked.epoch());
        self.copy.is_complete() && consented && self.newest.is_some_and(|ack| ack >= self.table)
    }
}
