//! The oracle, and the parser of frames that feeds it, find what they are there for: they are shown
//! forged frames, without any lab.

use crate::lab::{Port, Server};
use crate::probe::capture::Heard;
use crate::probe::frames::{self, Claimed, How};
use crate::probe::openings::{Opening, Tenure, count_moves, read_openings};
use crate::probe::oracle::{Apart, Case, Expected};
use crate::scene::ADDRESS;
use std::net::IpAddr;
use std::time::Duration;
use vipair::types::{MacAddr, MonoTime};

/// Operation numbers of ARP (RFC 826).
const REQUEST: u8 = 1;
const REPLY: u8 = 2;

/// The address that all forged frames are about.
fn address() -> IpAddr {
    ADDRESS.parse().expect("an address")
}

/// An instant of the forged time.
fn instant(milliseconds: u64) -> MonoTime {
    MonoTime(milliseconds * 1_000_000)
}

/// A forged frame that claims the address in the way `how`, heard at `port` that many milliseconds
/// after the beginning.
fn heard_after(milliseconds: u64, port: Port, how: How) -> Heard {
    let said = Claimed { address: address(), how, mac: port.mac(), to: Port::Client.ipv4().into() };
    Heard { at: instant(milliseconds), port, said }
}

/// The oracle's verdict on frames when these owners were expected: the tenures, or what is wrong.
/// `apart` are the times in which a server was cut off.
fn check(heard: &[Heard], apart: &[Apart], expected: &Expected) -> Result<Vec<Tenure>, String> {
    Case { heard, history: &[], apart, drain: Duration::from_secs(1) }.check(address(), expected)
}

/// Frames of a clean move: alpha claims twice, then beta does.
fn move_to_beta() -> Vec<Heard> {
    vec![
        heard_after(0, Port::Alpha, How::AnnounceRequest),
        heard_after(10, Port::Alpha, How::Reply),
        heard_after(100, Port::Beta, How::AnnounceRequest),
        heard_after(110, Port::Beta, How::Reply),
    ]
}

#[test]
fn clean_move_is_accepted() {
    let tenures = check(&move_to_beta(), &[], &Expected::owner(Server::Alpha).takeover()).expect("nothing is wrong");
    assert_eq!(tenures.len(), 2);
    assert_eq!((tenures[1].server, tenures[1].claims), (Server::Beta, 2));
}

#[test]
fn single_late_claim_is_found() {
    for how in [How::Reply, How::AnnounceReply, How::Advertisement, How::Solicitation, How::Request] {
        let mut frames = move_to_beta();
        frames.push(heard_after(120, Port::Alpha, how));
        let verdict = check(&frames, &[], &Expected::owner(Server::Alpha).takeover());
        assert!(verdict.is_err_and(|text| text.contains("[Alpha, Beta, Alpha]")), "{how:?} went unnoticed");
    }
}

#[test]
fn move_that_nobody_expected_is_found() {
    assert!(check(&move_to_beta(), &[], &Expected::owner(Server::Alpha)).is_err());
    assert!(check(&move_to_beta()[..2], &[], &Expected::owner(Server::Alpha).takeover()).is_err());
}

#[test]
fn packet_without_a_lease_is_found_and_a_draining_one_is_not() {
    let mut frames = move_to_beta();
    frames.push(heard_after(300, Port::Alpha, How::Packet));
    assert!(check(&frames, &[], &Expected::owner(Server::Alpha).takeover()).is_err());
    check(&frames, &[], &Expected::owner(Server::Alpha).handover()).expect("within the drain time");
    frames.push(heard_after(1_200, Port::Alpha, How::Packet));
    assert!(check(&frames, &[], &Expected::owner(Server::Alpha).handover()).is_err());
}

#[test]
fn claim_on_another_network_is_found() {
    let mut frames = move_to_beta();
    frames.push(heard_after(120, Port::BetaSecondLink, How::Reply));
    assert!(check(&frames, &[], &Expected::owner(Server::Alpha).takeover()).is_err());
}

#[test]
fn claims_of_a_server_that_is_cut_off_are_no_fault_until_it_is_back() {
    let apart = [Apart { server: Server::Alpha, from: instant(50), until: instant(200) }];
    let mut frames = move_to_beta();
    frames.push(heard_after(150, Port::Alpha, How::Reply));
    frames.push(heard_after(190, Port::Beta, How::Reply));
    check(&frames, &apart, &Expected::owner(Server::Alpha).takeover()).expect("it reached nobody");
    frames.push(heard_after(201, Port::Alpha, How::Reply));
    assert!(check(&frames, &apart, &Expected::owner(Server::Alpha).takeover()).is_err());
}

/// A forged opening of a server with this counter of its own epochs.
fn opening(counter: u64, server: Server) -> Opening {
    Opening { epoch: (counter, server.port().ipv4().octets()[3]), server }
}

/// The oracle's verdict when these openings were logged, and these agents killed.
fn check_by_openings(
    frames: &[Heard],
    opened: &[Opening],
    kills: &[(Server, MonoTime)],
) -> Result<Vec<Tenure>, String> {
    let case = Case { heard: frames, history: &[], apart: &[], drain: Duration::from_secs(1) };
    case.check_by_openings(address(), opened, kills)
}

// S1: a server that claims again after the other's takeover, without another opening, makes two at
// once
#[test]
fn claim_without_having_been_given_the_address_anew_is_found() {
    let opened = [opening(1, Server::Alpha), opening(2, Server::Beta)];
    let mut frames = move_to_beta();
    check_by_openings(&frames, &opened, &[]).expect("nothing is wrong");
    frames.push(heard_after(120, Port::Alpha, How::Reply));
    let verdict = check_by_openings(&frames, &opened, &[]);
    assert!(verdict.is_err_and(|text| text.contains("two at once")));
    let again = [opened[0], opened[1], opening(3, Server::Alpha)];
    assert_eq!(check_by_openings(&frames, &again, &[]).expect("given anew").len(), 3);
    // The former owner's last claim after that is one too many.
    frames.push(heard_after(121, Port::Beta, How::Reply));
    assert!(check_by_openings(&frames, &again, &[]).is_err());
    // An opening without a claim excuses nothing that comes before it in the order of epochs.
    let unheard = [opening(1, Server::Alpha), opening(2, Server::Alpha), opening(3, Server::Beta)];
    assert!(check_by_openings(&frames, &unheard, &[]).is_err());
}

#[test]
fn agent_that_was_killed_before_it_could_tell_is_excused_once() {
    let opened =
        [opening(1, Server::Alpha), opening(2, Server::Beta), opening(4, Server::Beta), opening(5, Server::Alpha)];
    let mut frames = move_to_beta();
    frames.extend(
        [150, 160, 170]
            .into_iter()
            .zip([Port::Alpha, Port::Beta, Port::Alpha])
            .map(|(t, p)| heard_after(t, p, How::Reply)),
    );
    check_by_openings(&frames, &opened, &[(Server::Alpha, instant(155))]).expect("the third tenure is nobody's lie");
    assert!(check_by_openings(&frames, &opened, &[(Server::Alpha, instant(140))]).is_err(), "it was killed before");
    assert!(check_by_openings(&frames, &opened, &[(Server::Beta, instant(155))]).is_err(), "it was another one");
    assert_eq!(
        count_moves(&check_by_openings(&frames, &opened, &[(Server::Alpha, instant(155))]).expect("as above")).0,
        4
    );
}

#[test]
fn openings_are_read_from_the_agents_logs() {
    let line = |change: &str| format!("2026-11-21T02:41:52.803123Z  INFO {change} kind=\"active\" group=\"web\"\n");
    let alpha = line("web: starting → active (epoch 7.1): nobody was active")
        + &line("web: active → handover (epoch 7.1): asked for")
        + &line("other: standby → active (epoch 9.1): handed over in order");
    let beta = line("web: standby → active (epoch 8.2): handed over in order");
    let found =
        read_openings("web", &[(Server::Alpha, alpha.clone()), (Server::Beta, beta)]).expect("no epoch twice");
    assert_eq!(found, [opening(7, Server::Alpha), opening(8, Server::Beta)]);
    // S2
    assert!(read_openings("web", &[(Server::Alpha, alpha.clone()), (Server::Beta, alpha)]).is_err());
}

#[test]
fn witness_that_claims_an_address_is_found() {
    let mut frames = move_to_beta();
    frames.push(heard_after(120, Port::WitnessSegment, How::Reply));
    assert!(check(&frames, &[], &Expected::owner(Server::Alpha).takeover()).is_err());
}

#[test]
fn each_frame_tells_which_address_it_claims_and_how() {
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    let read = |frame: &[u8]| frames::read(frame).map(|s| (s.address, s.how));
    let (own, other) = ("10.0.0.9".parse().expect("an address"), "10.0.0.100".parse().expect("an address"));
    assert_eq!(read(&frames::arp(REQUEST, mac, own, other)), Some((own.into(), How::Request)));
    assert_eq!(read(&frames::arp(REQUEST, mac, other, other)), Some((other.into(), How::AnnounceRequest)));
    assert_eq!(read(&frames::arp(REPLY, mac, other, own)), Some((other.into(), How::Reply)));
    assert_eq!(read(&frames::arp(REPLY, mac, other, other)), Some((other.into(), How::AnnounceReply)));
    // An ARP probe claims no address.
    assert_eq!(read(&frames::arp(REQUEST, mac, std::net::Ipv4Addr::UNSPECIFIED, other)), None);
    let (from, to): (IpAddr, IpAddr) = ("2001:db8::9".parse().expect("v6"), "2001:db8::64".parse().expect("v6"));
    assert_eq!(read(&frames::question(mac, from, to)), Some((from, How::Solicitation)));
    let datagram = frames::datagram((mac, mac), (own, other), 7811, b"pulse");
    assert_eq!(frames::payload(&datagram, 7811), Some(&b"pulse"[..]));
    assert_eq!(read(&datagram), Some((own.into(), How::Packet)));
    assert_eq!(read(&frames::echo((mac, mac), (own, other))), Some((own.into(), How::Packet)));
    for length in 0..datagram.len() {
        // A frame that is cut short claims nothing, or what the whole frame claims.
        assert!(read(&datagram[..length]).is_none_or(|said| said == (own.into(), How::Packet)));
    }
}
