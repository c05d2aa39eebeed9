//! The inputs with which a search of the voter begins: histories of a cluster, step by step.

/// First byte of an input: a voter with a memory, on a disk that writes at once; leases never
/// change.
const READY: u8 = 6;
/// Upper bits of a step's kind: the datagram is delivered, and so are the answers.
const HEARD: u8 = 0x30;

/// A step after `ms` milliseconds in which a node of the first cluster says something else; `how`
/// is what [`super::Scene::change`] takes.
fn say(ms: u8, node: u8, how: u8) -> Vec<u8> {
    vec![ms, HEARD, node << 1, how]
}

/// A step after `ms` milliseconds in which a node says what it said before.
fn pulse(ms: u8, node: u8) -> Vec<u8> {
    vec![ms, HEARD | 6, node << 1]
}

// Changes of what a node says, to which the counter of an epoch is added.
const CLAIMS: u8 = 0x00;
const OPENS: u8 = 0x10;
const CLOSES: u8 = 0x20;
const RESERVES: u8 = 0x50;

/// The steps until two nodes are known, and the first one is active with the counter 2.
fn active() -> Vec<Vec<u8>> {
    let known = [say(255, 0, RESERVES | 2), say(1, 1, RESERVES | 3), pulse(255, 0), pulse(1, 1)];
    [known.as_slice(), &[say(10, 0, CLAIMS | 2), pulse(10, 0), say(10, 0, OPENS | 2), pulse(50, 0)]].concat()
}

/// The steps of a takeover: the second node claims and opens once the first is not heard any more.
fn takeover() -> Vec<Vec<u8>> {
    let silent = [pulse(50, 1), pulse(50, 1), pulse(50, 1), say(50, 1, CLAIMS | 3), pulse(20, 1), pulse(20, 1)];
    [active().as_slice(), &silent, &[say(10, 1, OPENS | 3), pulse(50, 1)]].concat()
}

/// The steps in which the first node is granted the counter 9, the witness is restarted, and the
/// second node, which has not heard of that, claims with the counter 3.
fn high_then_low() -> Vec<Vec<u8>> {
    let high = [say(255, 0, RESERVES | 9), pulse(255, 0), say(10, 0, CLAIMS | 9), pulse(10, 0)];
    let low = [say(255, 1, RESERVES | 3), pulse(255, 1), say(20, 1, CLAIMS | 3), pulse(20, 1), pulse(20, 1)];
    [high.as_slice(), &[vec![5, 14, 0]], &low].concat()
}

/// Histories of the clusters, each with one thing happening.
pub(in crate::fuzz) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let play = |first: u8, steps: &[Vec<Vec<u8>>]| [vec![first], steps.concat().concat()].concat();
    let claims = || vec![say(10, 1, CLAIMS | 3), pulse(20, 1), pulse(20, 1)];
    let restart = |how: u8, bits: &[u8]| vec![[&[5, how << 4 | 14, 0], bits].concat()];
    let attack = |how: u8, number: u16, bytes: &[u8]| {
        let [high, low] = number.to_be_bytes();
        vec![[&[3, 10, 0, how, high, low], bytes].concat()]
    };
    let lies = |how: u8| vec![[&[3, 9, 2, how], [7; 200].as_slice()].concat()];
    let handover = vec![say(10, 0, CLOSES), say(10, 1, CLAIMS | 3), say(10, 1, OPENS | 3), pulse(50, 1)];
    let other = [[5, HEARD, 1, CLAIMS | 2], [5, HEARD, 3, CLAIMS | 3]].map(|step| step.to_vec()).to_vec();
    vec![
        ("nothing", Vec::new()),
        ("first-start", play(4, &[active(), vec![vec![0, 12, 0xff]], claims()])),
        ("one-active", play(READY, &[active()])),
        ("takeover", play(READY, &[takeover()])),
        ("claim-while-another-holds", play(READY, &[active(), claims()])),
        ("handover", play(READY, &[active(), handover.clone()])),
        ("slow-disk", play(2, &[active(), vec![vec![5, 13, 0]], vec![pulse(5, 0)], claims()])),
        ("restart", play(READY, &[active(), restart(0, &[]), claims(), vec![pulse(200, 1)], claims()])),
        ("low-claim-after-a-restart", play(READY, &[high_then_low()])),
        ("low-claim-before-the-disk-knew", play(2, &[high_then_low()])),
        ("restart-torn", play(2, &[active(), restart(4, &[0, 90]), claims(), vec![pulse(200, 1)], claims()])),
        ("slot-damaged", play(READY, &[active(), restart(8, &[1, 7]), claims(), vec![pulse(200, 0)], takeover()])),
        ("both-slots-damaged", play(READY, &[active(), restart(9, &[1, 7]), claims(), takeover()])),
        ("memory-gone", play(READY, &[active(), restart(10, &[]), claims(), takeover()])),
        ("memory-put-back", play(READY, &[takeover(), restart(11, &[]), claims(), vec![pulse(200, 0)], takeover()])),
        ("node-restarts", play(READY, &[active(), vec![vec![5, 0x37, 0]], claims(), vec![pulse(255, 1)], claims()])),
        ("two-clusters", play(READY, &[active(), other, claims()])),
        ("leases-change", play(READY | 1, &[active(), vec![say(5, 0, 0x3f), pulse(20, 0)], claims()])),
        ("noise", play(READY, &[active(), attack(0, 30, &[7; 30]), attack(1, 196, &[9; 196]), claims()])),
        (
            "recordings",
            play(READY, &[active(), attack(2, 0, &[]), attack(3, 2, &[9]), attack(4, 0, &[]), takeover()]),
        ),
        ("of-the-other-cluster", play(READY, &[active(), attack(5, 3, &[]), claims()])),
        ("lies", play(READY, &[active(), lies(0), lies(1), lies(6), claims()])),
        ("held-back", play(READY, &[active(), vec![vec![5, 0xb6, 0], pulse(5, 0), vec![200, 8, 0]], claims()])),
    ]
}
