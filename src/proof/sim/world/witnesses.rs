//! Witnesses: their questions and answers, and how they begin, stop and end.

use super::{Due, RECORDED, Sim};
use crate::sim::names::{key, ms, witness_id};
use crate::sim::oracle::Oracle;
use crate::sim::witness::BACKLOG;
use crate::types::MacAddr;
use crate::voter::{CheckSetup, Output, Voter, VoterSetup};
use std::sync::Arc;
use std::time::Duration;

/// Number of results of a check in a row that change a verdict.
const RESULTS: u32 = 2;

impl Sim {
    /// The end of the wire to a witness, as the net numbers it.
    pub fn end_of(&self, witness: usize) -> usize {
        self.nodes.len() + witness
    }

    /// Sends a node's datagram to a witness, and perhaps records it.
    pub(super) fn ask_witness(&mut self, from: usize, witness: usize, bytes: &[u8]) {
        if self.records && self.random.chance(2) {
            let place = self.random.below(RECORDED);
            let recording = (witness, from, bytes.to_vec());
            match self.asked.get_mut(place) {
                Some(old) => *old = recording,
                None => self.asked.push(recording),
            }
        }
        let (to, wire) = (self.end_of(witness), self.net.witness_wire());
        let link = self.link(from, to, wire);
        if !self.is_carried(from, link, (to, wire), MacAddr::ZERO, bytes.len()) {
            return;
        }
        for delay in self.net.arrivals(from, to, wire, &mut self.random).into_iter().flatten() {
            let bytes = self.buffer(bytes);
            self.schedule(Due::Asked { witness, from, bytes }, delay);
        }
    }

    /// Takes a datagram in at the machine of a witness.
    pub fn reach_witness(&mut self, witness: usize, from: usize, bytes: Vec<u8>) {
        let machine = &mut self.witnesses[witness];
        if !machine.powered || machine.frozen {
            return;
        }
        if let Some(backlog) = &mut machine.pause {
            if backlog.len() < BACKLOG {
                backlog.push((from, bytes));
            }
            return;
        }
        if machine.voter.is_some() {
            self.handle_question(witness, from, &bytes);
            self.buffers.push(bytes);
            return;
        }
        let (end, wire) = (self.end_of(witness), self.net.witness_wire());
        for delay in self.net.arrivals(end, from, wire, &mut self.random).into_iter().flatten() {
            self.schedule(Due::Refused { to: from, from: end, wire }, delay);
        }
    }

    /// Lets a voter handle a datagram, and sends its answers.
    fn handle_question(&mut self, witness: usize, from: usize, bytes: &[u8]) {
        let local = self.witnesses[witness].clock.read(self.now);
        let mut out = Output::default();
        if let Some(voter) = self.witnesses[witness].voter.as_mut() {
            voter.handle(local, bytes, &mut out);
        }
        self.steps += 1;
        self.carry_out_output(witness, &out);
        let (end, wire) = (self.end_of(witness), self.net.witness_wire());
        for answer in out.datagrams() {
            Oracle::note_said(self, end, answer);
            if answer.len() > self.net.widest[wire] {
                self.coverage.too_long += 1;
                continue;
            }
            for delay in self.net.arrivals(end, from, wire, &mut self.random).into_iter().flatten() {
                let bytes = self.buffer(answer);
                self.schedule(Due::Datagram { to: from, from: end, wire, bytes }, delay);
            }
        }
    }

    /// Carries out what a voter wants beside its answers: notices, and a write to its disk.
    fn carry_out_output(&mut self, witness: usize, out: &Output) {
        for notice in &out.notices {
            self.note(|_| format!("witness {witness}: {notice:?}"));
        }
        if let (Some(version), Some(voter)) = (out.persist, &self.witnesses[witness].voter) {
            let memory = voter.memory();
            self.witnesses[witness].disk.wanted = Some((version, memory));
            self.begin_memory_write(witness);
        }
    }

    /// Begins to write the newest wanted memory, unless a write is under way.
    fn begin_memory_write(&mut self, witness: usize) {
        let machine = &mut self.witnesses[witness];
        if machine.disk.writing.is_some() {
            return;
        }
        let Some((version, memory)) = machine.disk.wanted.take() else { return };
        machine.disk.writing = Some((version, memory));
        let (life, latency) = (machine.life, machine.disk.latency);
        self.schedule(Due::Remembered { witness, life, version }, latency);
    }

    /// Ends a write to a witness's disk, or tries again later if the disk fails.
    pub(super) fn finish_memory_write(&mut self, witness: usize, life: u64, version: u64) {
        let machine = &mut self.witnesses[witness];
        let due = machine.disk.writing.as_ref().is_some_and(|(writing, _)| *writing == version);
        if machine.life != life || !due {
            return;
        }
        if machine.disk.fails || machine.frozen {
            self.schedule(Due::Remembered { witness, life, version }, ms(100));
            return;
        }
        let Some((_, memory)) = machine.disk.writing.take() else { return };
        machine.disk.put(memory);
        if let Some(voter) = machine.voter.as_mut() {
            // A stopped process should hear of it later; the voter does nothing of its own accord
            // either way.
            voter.stored(version);
        }
        self.begin_memory_write(witness);
    }

    /// Starts the process of a witness, and the machine first if it has no power.
    pub fn start_witness(&mut self, witness: usize) {
        if !self.witnesses[witness].powered {
            self.witnesses[witness].powered = true;
            self.witnesses[witness].clock = self.draw_clock();
        }
        self.witnesses[witness].life += 1;
        let disk = &mut self.witnesses[witness].disk;
        disk.former = disk.slots.clone();
        let machine = &self.witnesses[witness];
        let groups = 0..self.plan.groups.len();
        let setup = VoterSetup {
            me: witness_id(witness),
            cluster: 7,
            keys: Arc::clone(&self.keys),
            session: (witness as u64 + 1) << 48 | machine.life,
            drift_ppm: self.plan.drift_ppm,
            nodes: self.nodes.len(),
            loaded: machine.disk.load(),
            checks: groups.map(|group| CheckSetup { group: key(group), fall: RESULTS, rise: RESULTS }).collect(),
            mutants: self.mutants,
        };
        self.note(|_| format!("witness {witness}: starts with {:?}", setup.loaded));
        let local = self.witnesses[witness].clock.read(self.now);
        let machine = &mut self.witnesses[witness];
        machine.voter = Some(Box::new(Voter::new(setup, local)));
        machine.pause = None;
        machine.disk.wanted = None;
        machine.disk.writing = None;
        self.touched = true;
    }

    /// Starts a witness after `delay`, unless its life ends before.
    pub fn start_witness_later(&mut self, witness: usize, delay: Duration) {
        let life = self.witnesses[witness].life;
        self.schedule(Due::WitnessStart { witness, life }, delay);
    }

    /// Kills the process of a witness.
    pub fn kill_witness(&mut self, witness: usize) {
        self.note(|_| format!("witness {witness}: killed"));
        let machine = &mut self.witnesses[witness];
        machine.voter = None;
        machine.pause = None;
        self.touched = true;
    }

    /// Takes the power of a witness away. A write under way has arrived or not, and may have
    /// damaged its place.
    pub fn lose_witness(&mut self, witness: usize) {
        self.note(|_| format!("witness {witness}: power lost"));
        self.kill_witness(witness);
        let fate = self.random.below(3);
        let disk = &mut self.witnesses[witness].disk;
        if let Some((_, memory)) = disk.writing.take().filter(|_| fate > 0) {
            disk.put(memory);
            if fate == 2 {
                disk.damage(false);
            }
        }
        disk.wanted = None;
        self.witnesses[witness].powered = false;
        self.witnesses[witness].frozen = false;
    }

    /// Stops a witness's process for `span`, with the whole machine and its clock if `frozen`.
    pub fn stop_witness(&mut self, witness: usize, span: Duration, frozen: bool) {
        self.note(|_| format!("witness {witness}: stops for {span:?}, its clock too: {frozen}"));
        let now = self.now;
        let machine = &mut self.witnesses[witness];
        machine.pause = Some(Vec::new());
        machine.frozen = frozen;
        if frozen {
            machine.clock.freeze(now);
        }
        self.schedule(Due::WitnessResume { witness }, span);
    }

    /// Lets a stopped witness go on and take what waits.
    pub fn resume_witness(&mut self, witness: usize) {
        let now = self.now;
        let machine = &mut self.witnesses[witness];
        machine.frozen = false;
        machine.clock.thaw(now);
        for (from, bytes) in machine.pause.take().unwrap_or_default() {
            self.handle_question(witness, from, &bytes);
        }
    }

    /// Gives a voter as many equal results of a group's check as its verdict needs.
    pub fn check_service(&mut self, witness: usize, group: usize, healthy: bool) {
        self.note(|_| format!("witness {witness}: service of group {group} is healthy: {healthy}"));
        for _ in 0..RESULTS {
            let mut out = Output::default();
            if let Some(voter) = self.witnesses[witness].voter.as_mut() {
                voter.check(group, healthy, &mut out);
            }
            self.carry_out_output(witness, &out);
        }
    }
}
