//! The lab must be able to see a broken promise: each probe is shown one, without any product in
//! between.

use crate::lab::process::Process;
use crate::lab::service::Service;
use crate::lab::voters::{ALPHA, BETA, WAYS, WITNESS, Way};
use crate::lab::wiring::Port;
use crate::lab::{Lab, Plan, Server, clock};
use crate::probe::asker::Asker;
use crate::probe::capture::Capture;
use crate::probe::frames::How;
use crate::probe::knock::Knocker;
use crate::probe::oracle::{Case, Expected};
use crate::probe::web::Web;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

const ADDRESS: &str = "10.0.0.100";
const ADDRESS6: &str = "2001:db8::100";

/// A text as an address.
fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Adds both addresses to a server, without any product.
fn give_addresses(lab: &Lab, server: Server) {
    lab.note(format!("addresses added on {}", server.name()));
    lab.server(server)
        .ip(&format!("address add {ADDRESS}/32 dev eth0\naddress add {ADDRESS6}/128 dev eth0 nodad noprefixroute"));
}

/// Deletes both addresses from a server.
fn take_addresses(lab: &Lab, server: Server) {
    lab.note(format!("addresses deleted on {}", server.name()));
    lab.server(server).ip(&format!("address del {ADDRESS}/32 dev eth0\naddress del {ADDRESS6}/128 dev eth0"));
}

/// Waits until a condition holds; panics when it does not within ten seconds.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < limit, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The evidence of a scene without cut-off servers and without a drain time.
fn oracle_case<'a>(heard: &'a [crate::probe::capture::Heard], history: &'a [crate::lab::Entry]) -> Case<'a> {
    Case { heard, history, apart: &[], drain: Duration::ZERO }
}

#[test]
fn sampler_and_oracle_see_two_servers_that_both_answer() {
    let lab = Lab::build(&Plan::default());
    let capture = Capture::start(&lab, &[ip(ADDRESS), ip(ADDRESS6)]);
    give_addresses(&lab, Server::Alpha);
    let askers = [ADDRESS, ADDRESS6].map(|a| Asker::start(&lab, ip(a), Duration::from_millis(1)));
    for asker in &askers {
        wait_for("alpha to answer", || {
            asker.since(vipair::types::MonoTime::ZERO).last_server() == Some(Server::Alpha)
        });
        assert_eq!(asker.since(vipair::types::MonoTime::ZERO).answered_twice().len(), 0);
    }
    give_addresses(&lab, Server::Beta);
    for asker in &askers {
        wait_for("both to answer", || asker.since(vipair::types::MonoTime::ZERO).answered_twice().len() > 10);
    }
    let (heard, history) = (capture.finish().expect("no frame lost"), lab.history());
    for address in [ADDRESS, ADDRESS6] {
        let verdict = oracle_case(&heard, &history).check(ip(address), &Expected::owner(Server::Alpha).takeover());
        assert!(verdict.is_err_and(|text| text.contains("owners were to be")), "two owners went unnoticed");
    }
}

#[test]
fn sampler_measures_the_gap_and_oracle_accepts_a_clean_move() {
    let lab = Lab::build(&Plan::default());
    let capture = Capture::start(&lab, &[ip(ADDRESS), ip(ADDRESS6)]);
    give_addresses(&lab, Server::Alpha);
    let asker = Asker::start(&lab, ip(ADDRESS), Duration::from_millis(1));
    let asker6 = Asker::start(&lab, ip(ADDRESS6), Duration::from_millis(1));
    std::thread::sleep(Duration::from_millis(200));
    take_addresses(&lab, Server::Alpha);
    let gone = clock::now();
    std::thread::sleep(Duration::from_millis(150));
    let back = clock::now();
    give_addresses(&lab, Server::Beta);
    std::thread::sleep(Duration::from_millis(200));
    let (heard, history) = (capture.finish().expect("no frame lost"), lab.history());
    for asker in [&asker, &asker6] {
        let answers = asker.since(vipair::types::MonoTime::ZERO);
        let gap = answers.longest_gap();
        assert!(gap.length() >= back.since(gone) && gap.length() < back.since(gone) + Duration::from_millis(100));
        assert_eq!(answers.answered_twice().len(), 0);
        assert_eq!(answers.last_server(), Some(Server::Beta));
        let verdict = oracle_case(&heard, &history).check(answers.target, &Expected::owner(Server::Alpha).takeover());
        verdict.unwrap_or_else(|text| panic!("{text}"));
    }
}

#[test]
fn web_client_reaches_nginx_and_counts_what_is_lost() {
    let lab = Lab::build(&Plan::default());
    give_addresses(&lab, Server::Alpha);
    let _service = Service::start(&lab, Server::Alpha, &[ip(ADDRESS), ip(ADDRESS6)]);
    let web = Web::start(&lab, &[ip(ADDRESS), ip(ADDRESS6)], 1_000);
    std::thread::sleep(Duration::from_secs(1));
    let requests = web.finish();
    assert!(requests.0.len() > 100, "only {} requests in a second", requests.0.len());
    assert_eq!(requests.answered_by(Server::Alpha), requests.0.len());
    eprintln!("gap {:?} slowest {:?}", requests.longest_gap(), requests.slowest());
    let web = Web::start(&lab, &[ip(ADDRESS)], 100);
    std::thread::sleep(Duration::from_millis(100));
    lab.cut(&[Port::Alpha]);
    std::thread::sleep(Duration::from_millis(300));
    take_addresses(&lab, Server::Alpha);
    lab.join(&[Port::Alpha]);
    let requests = web.finish();
    assert!(!requests.lost().is_empty(), "requests to an absent server were not missed");
}

#[test]
fn server_that_is_cut_off_is_asked_and_heard_all_the_same() {
    let lab = Lab::build(&Plan::default());
    let capture = Capture::start(&lab, &[ip(ADDRESS), ip(ADDRESS6)]);
    let knocker = Knocker::start(&lab, &[ip(ADDRESS), ip(ADDRESS6)]);
    let claims = |port: Port, address: &str| {
        let heard = capture.heard_so_far();
        heard.iter().filter(|h| h.port == port && h.said.address == ip(address) && h.said.how.is_claim()).count()
    };
    give_addresses(&lab, Server::Alpha);
    lab.cut(&[Port::Alpha]);
    wait_for("alpha to answer", || claims(Port::Alpha, ADDRESS) > 50 && claims(Port::Alpha, ADDRESS6) > 50);
    wait_for("alpha to carry", || {
        capture.heard_so_far().iter().any(|h| h.port == Port::Alpha && h.said.how == How::Packet)
    });
    give_addresses(&lab, Server::Beta);
    wait_for("beta to answer beside it", || claims(Port::Beta, ADDRESS) > 50 && claims(Port::Beta, ADDRESS6) > 50);
    assert!(knocker.rounds() > 50);
    // Both servers, asked in the same moment, answer in turns: the probe sees even the shortest
    // time in which both do.
    let (heard, history) = (capture.finish().expect("no frame lost"), lab.history());
    assert!(oracle_case(&heard, &history).tenures(ip(ADDRESS)).len() > 50);
}

/// Ways between the voters on which a datagram is heard, on the voters' network.
fn heard_ways(lab: &Lab) -> Vec<Way> {
    let parties = [(ALPHA, Port::AlphaVoters), (BETA, Port::BetaVoters), (WITNESS, Port::Witness)];
    let sockets = parties.map(|(party, port)| {
        let socket = lab.host(port).run(|| UdpSocket::bind((port.ipv4(), 7)).expect("open a socket"));
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a limit that is not zero");
        (party, port, socket)
    });
    let mut ways = Vec::new();
    for (from, _, socket) in &sockets {
        for (to, port, receiver) in sockets.iter().filter(|(to, ..)| to != from) {
            socket.send_to(b"?", (port.ipv4(), 7)).expect("a way to it");
            if receiver.recv_from(&mut [0; 8]).is_ok() {
                ways.push((*from, *to));
            }
        }
    }
    ways
}

#[test]
fn way_between_two_that_vote_is_severed_in_its_direction_only() {
    let lab = Lab::build(&Plan { witness: true, ..Plan::default() });
    let sorted = |mut ways: Vec<Way>| {
        ways.sort_by_key(|way| WAYS.iter().position(|known| known == way));
        ways
    };
    assert_eq!(sorted(heard_ways(&lab)), WAYS);
    // The servers' other networks play no part here; the witness is reached by its own network
    // alone.
    for way in [(ALPHA, WITNESS), (WITNESS, BETA)] {
        let fault = lab.sever(&[way]);
        let left: Vec<Way> = WAYS.into_iter().filter(|known| *known != way).collect();
        assert_eq!(sorted(heard_ways(&lab)), left);
        assert!(lab.lift(fault) > 0);
    }
    assert_eq!(sorted(heard_ways(&lab)), WAYS);
}

#[test]
fn confined_process_gets_its_share_and_is_free_afterwards() {
    let lab = Lab::build(&Plan::default());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "while :; do :; done"]);
    let process = Process::start(lab.server(Server::Alpha), command, &lab.dir().join("spin.log"), false);
    let pid = process.pid().as_raw();
    let confinement = lab.confine(pid, 2);
    wait_for("the limit to strike", || confinement.throttle_count() > 2);
    drop(confinement);
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    assert!(!groups.contains(lab.prefix()), "{groups}");
}

#[test]
fn nothing_of_a_lab_stays_behind() {
    let (prefix, dir) = {
        let lab = Lab::build(&Plan::default());
        (lab.prefix().to_owned(), lab.dir().to_owned())
    };
    let left: Vec<_> = std::fs::read_dir("/run/netns").expect("readable").flatten().collect();
    assert!(!left.iter().any(|e| e.file_name().to_string_lossy().starts_with(&format!("{prefix}-"))));
    assert!(!dir.exists());
}
