//! Ten thousand addresses in one group: how far apart the first and the last of them move.
//!
//! Owns: a listener in the clients' namespace that takes every claim with the kernel's receive time, as the clients'
//! neighbour table gets it. Never does: counting twice: an address has moved with the first claim of its new owner.

use super::figures::Goal::{Every, Median};
use super::figures::Unit::{Count, Milliseconds};
use super::figures::{Section, figure};
use super::pair::{around, ms, vanish};
use super::{Block, Topic, sample};
use crate::lab::config_text::{ConfigText, GroupText};
use crate::lab::{Lab, Port, Server, clock};
use crate::probe::frames::read;
use crate::probe::socket::{PacketSocket, program};
use crate::scene::{GROUP, Scene, Setup};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use vipair::types::{MacAddr, MonoTime};

/// One group of many addresses.
pub const TOPIC: Topic = Topic {
    blocks: &[Block::new("many", 20, run)],
    sections,
    configuration: |_| format!("For {COUNT} addresses the group has 10.1.0.1 to 10.1.39.250.\n"),
};

/// How many addresses.
pub const COUNT: u16 = 10_000;
/// Addresses that have not moved by then are missing.
const LIMIT: Duration = Duration::from_secs(3);

fn addresses() -> Vec<String> {
    let first = u32::from(Ipv4Addr::new(10, 1, 0, 0));
    (0..u32::from(COUNT)).map(|n| Ipv4Addr::from(first + n / 250 * 256 + n % 250 + 1).to_string()).collect()
}

/// Claims as they reach the clients' interface.
struct Listener(PacketSocket);

impl Listener {
    fn start(lab: &Lab) -> Listener {
        use libc::{BPF_ABS, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET};
        let arp = program(&[
            (BPF_LD | BPF_H | BPF_ABS, 0, 0, 12),
            (BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x0806),
            (BPF_RET | BPF_K, 0, 0, 64),
            (BPF_RET | BPF_K, 0, 0, 0),
        ]);
        Listener(lab.host(Port::Client).run(|| PacketSocket::open(Some("eth0"), &arp)))
    }

    /// Drops what was heard so far.
    fn forget(&self) {
        let mut buffer = [0; 64];
        while self.0.receive(&mut buffer).is_some() {}
        self.0.lost();
    }

    /// When each address was first claimed by `mac`; reads until all were, or the limit.
    fn moves(&self, mac: MacAddr) -> HashMap<IpAddr, MonoTime> {
        let (mut moved, mut buffer) = (HashMap::new(), [0; 64]);
        let until = clock::now() + LIMIT;
        while moved.len() < usize::from(COUNT) && clock::now() < until {
            let Some(arrival) = self.0.receive(&mut buffer) else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            if let Some(said) = read(&buffer[..arrival.length.min(64)]).filter(|said| said.mac == mac)
                && said.how.is_claim()
                && matches!(said.address, IpAddr::V4(a) if a.octets()[1] == 1)
            {
                moved.entry(said.address).or_insert(arrival.at);
            }
        }
        assert_eq!(self.0.lost(), 0, "the listener lost frames");
        moved
    }
}

fn report(key: &str, moved: &HashMap<IpAddr, MonoTime>) {
    let (first, last) = (moved.values().min(), moved.values().max());
    let (Some(first), Some(last)) = (first, last) else { panic!("{key}: no address moved") };
    sample(key, ms(last.since(*first)));
    let missing = usize::from(COUNT) - moved.len();
    sample("many-missing", u32::try_from(missing).expect("at most all").into());
}

/// A planned switch, then the loss of the new owner's host.
pub fn run() {
    let addresses = addresses();
    let names: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let config = ConfigText::pair("lan").group(GroupText::new(GROUP, &names));
    let mut scene = Scene::start(Setup::with(config).alone());
    scene.end_capture();
    scene.wait_answered_by(Server::Alpha);
    scene.wait_addresses(Server::Beta);
    // The announcements of the start end 5 s after it; they are alpha's and do not count, but they cost time.
    std::thread::sleep(Duration::from_millis(5_500));
    let listener = Listener::start(&scene.lab);
    scene.agent(Server::Alpha).command(&["switch", GROUP]).unwrap_or_else(|e| panic!("{e}"));
    report("many-switch", &listener.moves(Server::Beta.port().mac()));
    scene.wait_ready(Server::Alpha, GROUP);
    std::thread::sleep(Duration::from_millis(5_500));
    listener.forget();
    let (at, fault) = vanish(&scene.lab, Server::Beta);
    report("many-loss", &listener.moves(Server::Alpha.port().mac()));
    scene.wait_answered_by(Server::Alpha);
    std::thread::sleep(Duration::from_millis(100));
    sample("many-loss-gap", ms(scene.answers(around(at)).longest_gap().length()));
    scene.power_off(Server::Beta);
    assert!(scene.lab.lift(fault) > 0, "the fault did not strike");
}

fn sections() -> Vec<Section> {
    vec![
        Section {
 text: "*First to last address moved*: receive times at the client's interface of the first frame by which the new owner claims\neach address.".into(),
..Section::new("10,000 IPv4 addresses in one group (`lan`)", vec![
            figure("many-switch", "planned switch: first to last address moved", Milliseconds).goal(Median(120.0)),
            figure("many-loss", "host loss: first to last address moved", Milliseconds).goal(Median(120.0)),
            figure("many-loss-gap", "host loss: gap of the address that is asked for", Milliseconds),
            figure("many-missing", "addresses not announced within 3 s", Count).goal(Every(0.0)),
        ])},
    ]
}
