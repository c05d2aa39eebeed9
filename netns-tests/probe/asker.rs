//! A client that asks the segment who has an address, once every millisecond.
//!
//! Owns: one thread with one packet socket in the clients' namespace. Never does: trusting the
//! kernel's neighbour table. Every answer is seen and attributed to its question, so an answer from
//! two servers cannot hide. Gaps are counted between questions that were asked: a sampler that
//! slept reports fewer questions, not a longer gap.

use super::frames::{How, question, read};
use super::socket::{PacketSocket, become_real_time, bpf_program};
use crate::lab::clock::now;
use crate::lab::wiring::{ASKERS, FIRST_ASKER, Port, asker_address};
use crate::lab::{Lab, Server};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use vipair::types::{MacAddr, MonoTime};

/// One question and what came back.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// When the question was sent.
    pub at: MonoTime,
    /// The first answer: when, and from which hardware address.
    pub answer: Option<(MonoTime, MacAddr)>,
    /// An answer to the same question from another hardware address than the first's. There must be
    /// none.
    pub second: Option<(MonoTime, MacAddr)>,
    /// Number of answers in all, from any hardware address.
    pub answers: u8,
}

/// The running sampler.
#[derive(Debug)]
pub struct Asker {
    target: IpAddr,
    stop: Arc<AtomicBool>,
    questions: Arc<Mutex<Vec<Question>>>,
    thread: Option<JoinHandle<()>>,
}

/// Most questions: one per millisecond for an hour. More is a test that forgot to stop.
const MOST: usize = 3_600_000;

impl Asker {
    /// Starts asking for `target` every `pace`.
    pub fn start(lab: &Lab, target: IpAddr, pace: Duration) -> Asker {
        let stop = Arc::new(AtomicBool::new(false));
        let questions = Arc::new(Mutex::new(Vec::new()));
        let socket = lab.host(Port::Client).run(|| PacketSocket::open(Some("eth0"), &answer_filter(target)));
        let thread = {
            let (stop, questions) = (stop.clone(), questions.clone());
            std::thread::spawn(move || {
                become_real_time();
                ask_until_stopped(&socket, target, pace, &stop, &questions);
            })
        };
        Asker { target, stop, questions, thread: Some(thread) }
    }

    /// The address that is asked for.
    pub fn target(&self) -> IpAddr {
        self.target
    }

    /// The questions sent from `from` on, so far.
    pub fn since(&self, from: MonoTime) -> Answers {
        let questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let first = questions.partition_point(|q| q.at < from);
        Answers { target: self.target, questions: questions[first..].to_vec() }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by itself and shows as missing answers.
            let _ = thread.join();
        }
    }
}

/// Filter for frames that can be an answer to a question for `target`.
fn answer_filter(target: IpAddr) -> Vec<socket2::SockFilter> {
    use libc::{BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET};
    let (half, byte, equal, done) =
        (BPF_LD | BPF_H | BPF_ABS, BPF_LD | BPF_B | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K);
    match target {
        // Only replies wake the sampler: waking at every announcement would slow down the server
        // that announces.
        IpAddr::V4(_) => bpf_program(&[
            (half, 0, 0, 12),
            (equal, 0, 3, 0x0806),
            (half, 0, 0, 20),
            (equal, 0, 1, 2),
            (done, 0, 0, 128),
            (done, 0, 0, 0),
        ]),
        IpAddr::V6(_) => bpf_program(&[
            (half, 0, 0, 12),
            (equal, 0, 5, 0x86dd),
            (byte, 0, 0, 20),
            (equal, 0, 3, 58),
            (byte, 0, 0, 54),
            (equal, 0, 1, 136),
            (done, 0, 0, 128),
            (done, 0, 0, 0),
        ]),
    }
}

/// Asks at the pace and takes answers until `stop` is set. Questions that are late are left out.
fn ask_until_stopped(
    socket: &PacketSocket,
    target: IpAddr,
    pace: Duration,
    stop: &AtomicBool,
    questions: &Mutex<Vec<Question>>,
) {
    let mut next = now();
    let mut buffer = [0; 128];
    while !stop.load(Ordering::Relaxed) {
        let wait = TimeSpec::from_duration(next.since(now()));
        let mut polled = [PollFd::new(socket.descriptor(), PollFlags::POLLIN)];
        // A signal only shortens the wait.
        let _ = ppoll(&mut polled, Some(wait), None);
        while let Some(arrival) = socket.receive(&mut buffer) {
            note_answer(&buffer[..arrival.length], target, now(), questions);
        }
        let time = now();
        if time < next {
            continue;
        }
        let mut questions = questions.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(questions.len() < MOST, "a sampler ran for an hour");
        let turn = u8::try_from(questions.len() % usize::from(ASKERS)).expect("few askers");
        let frame = question(Port::Client.mac(), asker_address(target, turn), target);
        questions.push(Question { at: now(), answer: None, second: None, answers: 0 });
        drop(questions);
        // An interface that is down is a question without an answer.
        let _ = socket.send(&frame);
        next = if time.since(next) > pace { time + pace } else { next + pace };
    }
}

/// Attributes an answer to its question, by the address that the question came from.
fn note_answer(frame: &[u8], target: IpAddr, at: MonoTime, questions: &Mutex<Vec<Question>>) {
    let Some(said) = read(frame) else { return };
    let is_answer = matches!(said.how, How::Reply | How::Advertisement) && said.address == target;
    let Some(turn) = turn_of(said.to).filter(|_| is_answer) else { return };
    let mut questions = questions.lock().unwrap_or_else(PoisonError::into_inner);
    // The newest question of this asker: an answer comes long before the same asker's next turn.
    let last = questions.len();
    let behind = (last + usize::from(ASKERS) - 1 - usize::from(turn)) % usize::from(ASKERS);
    let Some(question) = last.checked_sub(behind + 1).and_then(|n| questions.get_mut(n)) else { return };
    question.answers = question.answers.saturating_add(1);
    match question.answer {
        None => question.answer = Some((at, said.mac)),
        Some((_, first)) if first != said.mac => question.second = Some((at, said.mac)),
        Some(_) => {}
    }
}

/// Number of the asker with this address; `None` if it is no asker's.
fn turn_of(asked_by: IpAddr) -> Option<u8> {
    let last = match asked_by {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    let turn = last.checked_sub(FIRST_ASKER).filter(|turn| *turn < ASKERS)?;
    (asker_address(asked_by, turn) == asked_by).then_some(turn)
}

/// Questions of a stretch of time and their answers.
#[derive(Clone, Debug)]
pub struct Answers {
    /// The address asked for.
    pub target: IpAddr,
    /// The questions in order.
    pub questions: Vec<Question>,
}

/// A stretch of time in which nobody answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// When the last question before the gap was sent that was answered.
    pub from: MonoTime,
    /// When the first question after the gap was sent that was answered, or else the last question
    /// of all.
    pub to: MonoTime,
}

impl Gap {
    /// Length of the gap.
    pub fn length(self) -> Duration {
        self.to.since(self.from)
    }
}

impl Answers {
    /// Questions that two hardware addresses answered.
    pub fn answered_twice(&self) -> Vec<Question> {
        self.questions.iter().filter(|q| q.second.is_some()).copied().collect()
    }

    /// Whether a question that two answered was only held up on its way while the address moved: the
    /// first answer took longer than `late`, and it was the last of its server and the first of the
    /// other's within `late`.
    pub fn was_held_up(&self, question: &Question, late: Duration) -> bool {
        let (Some((at, first)), Some((_, second))) = (question.answer, question.second) else { return false };
        let near =
            |other: &&Question| other.at.since(question.at) < late * 2 && question.at.since(other.at) < late * 2;
        let by = |other: &Question, mac| other.answer.is_some_and(|(_, answered)| answered == mac);
        let others = || self.questions.iter().filter(near).filter(|other| other.at != question.at);
        let after = others().filter(|other| other.at > question.at).any(|other| by(other, first));
        let before = others().filter(|other| other.at < question.at).any(|other| by(other, second));
        at.since(question.at) > late && !after && !before
    }

    /// The longest stretch without an answer; zero long when every question was answered.
    /// Unanswered questions of the last 20 ms are left out: their answers may still be on the way.
    pub fn longest_gap(&self) -> Gap {
        let last = self.questions.last().map_or(MonoTime::ZERO, |q| q.at);
        let settled = self.questions.iter().filter(|q| q.answer.is_some() || last.since(q.at).as_millis() > 20);
        let mut longest = Gap { from: last, to: last };
        let (mut before, mut silent, mut end) = (None, false, last);
        for question in settled {
            end = question.at;
            let start = *before.get_or_insert(question.at);
            if question.answer.is_none() {
                silent = true;
                continue;
            }
            let gap = Gap { from: start, to: question.at };
            if silent && gap.length() > longest.length() {
                longest = gap;
            }
            (before, silent) = (Some(question.at), false);
        }
        let open = Gap { from: before.unwrap_or(end), to: end };
        if silent && open.length() > longest.length() { open } else { longest }
    }

    /// Hardware addresses that answered, one entry for each change, with the instant of its first
    /// answer.
    pub fn answerers(&self) -> Vec<(MonoTime, MacAddr)> {
        let mut changes: Vec<(MonoTime, MacAddr)> = Vec::new();
        for (at, mac) in self.questions.iter().filter_map(|q| q.answer) {
            if changes.last().is_none_or(|(_, last)| *last != mac) {
                changes.push((at, mac));
            }
        }
        changes
    }

    /// Servers that answered, one entry for each change.
    pub fn servers(&self) -> Vec<Server> {
        let of = |mac| Server::BOTH.into_iter().find(|s| s.port().mac() == mac);
        self.answerers().into_iter().filter_map(|(_, mac)| of(mac)).collect()
    }

    /// Server of the last answer.
    pub fn last_server(&self) -> Option<Server> {
        let mac = self.questions.iter().rev().find_map(|q| q.answer)?.1;
        Server::BOTH.into_iter().find(|s| s.port().mac() == mac)
    }

    /// Server of the first answer.
    pub fn first_server(&self) -> Option<Server> {
        let mac = self.questions.iter().find_map(|q| q.answer)?.1;
        Server::BOTH.into_iter().find(|s| s.port().mac() == mac)
    }
}
