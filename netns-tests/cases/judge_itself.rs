//! The judge must find what it is there for: it is shown forged recordings, without any lab.

use crate::lab::{Port, Server};
use crate::probe::capture::Heard;
use crate::probe::frames::{self, How, Saying};
use crate::probe::oracle::{Apart, Case, Expected, Tenure};
use crate::scene::ADDRESS;
use std::net::IpAddr;
use std::time::Duration;
use vipair::types::{MacAddr, MonoTime};

fn address() -> IpAddr {
    ADDRESS.parse().expect("an address")
}

fn at(milliseconds: u64) -> MonoTime {
    MonoTime(milliseconds * 1_000_000)
}

fn heard(milliseconds: u64, port: Port, how: How) -> Heard {
    let said = Saying { address: address(), how, mac: port.mac(), to: Port::Client.ipv4().into() };
    Heard { at: at(milliseconds), port, said }
}

fn judge(heard: &[Heard], apart: &[Apart], expected: &Expected) -> Result<Vec<Tenure>, String> {
    Case { heard, journal: &[], apart, drain: Duration::from_secs(1) }.judge(address(), expected)
}

fn moved() -> Vec<Heard> {
    vec![
        heard(0, Port::Alpha, How::AnnounceRequest),
        heard(10, Port::Alpha, How::Reply),
        heard(100, Port::Beta, How::AnnounceRequest),
        heard(110, Port::Beta, How::Reply),
    ]
}

#[test]
fn clean_move_is_accepted() {
    let tenures = judge(&moved(), &[], &Expected::owner(Server::Alpha).takeover()).expect("nothing is wrong");
    assert_eq!(tenures.len(), 2);
    assert_eq!((tenures[1].server, tenures[1].claims), (Server::Beta, 2));
}

#[test]
fn single_late_claim_is_found() {
    for how in [How::Reply, How::AnnounceReply, How::Advertisement, How::Solicitation, How::Request] {
        let mut frames = moved();
        frames.push(heard(120, Port::Alpha, how));
        let verdict = judge(&frames, &[], &Expected::owner(Server::Alpha).takeover());
        assert!(verdict.is_err_and(|text| text.contains("[Alpha, Beta, Alpha]")), "{how:?} went unnoticed");
    }
}

#[test]
fn move_that_nobody_expected_is_found() {
    assert!(judge(&moved(), &[], &Expected::owner(Server::Alpha)).is_err());
    assert!(judge(&moved()[..2], &[], &Expected::owner(Server::Alpha).takeover()).is_err());
}

#[test]
fn packet_without_a_lease_is_found_and_a_draining_one_is_not() {
    let mut frames = moved();
    frames.push(heard(300, Port::Alpha, How::Packet));
    assert!(judge(&frames, &[], &Expected::owner(Server::Alpha).takeover()).is_err());
    judge(&frames, &[], &Expected::owner(Server::Alpha).handover()).expect("within the drain time");
    frames.push(heard(1_200, Port::Alpha, How::Packet));
    assert!(judge(&frames, &[], &Expected::owner(Server::Alpha).handover()).is_err());
}

#[test]
fn claim_on_another_network_is_found() {
    let mut frames = moved();
    frames.push(heard(120, Port::BetaHeartbeat, How::Reply));
    assert!(judge(&frames, &[], &Expected::owner(Server::Alpha).takeover()).is_err());
}

#[test]
fn claims_of_a_server_that_is_cut_off_are_no_fault_until_it_is_back() {
    let apart = [Apart { server: Server::Alpha, from: at(50), until: at(200) }];
    let mut frames = moved();
    frames.push(heard(150, Port::Alpha, How::Reply));
    frames.push(heard(190, Port::Beta, How::Reply));
    judge(&frames, &apart, &Expected::owner(Server::Alpha).takeover()).expect("it reached nobody");
    frames.push(heard(201, Port::Alpha, How::Reply));
    assert!(judge(&frames, &apart, &Expected::owner(Server::Alpha).takeover()).is_err());
}

#[test]
fn frames_are_read_as_they_are_meant() {
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    let read = |frame: &[u8]| frames::read(frame).map(|s| (s.address, s.how));
    let (own, other) = ("10.0.0.9".parse().expect("an address"), "10.0.0.100".parse().expect("an address"));
    assert_eq!(read(&frames::arp(1, mac, own, other)), Some((own.into(), How::Request)));
    assert_eq!(read(&frames::arp(1, mac, other, other)), Some((other.into(), How::AnnounceRequest)));
    assert_eq!(read(&frames::arp(2, mac, other, own)), Some((other.into(), How::Reply)));
    assert_eq!(read(&frames::arp(2, mac, other, other)), Some((other.into(), How::AnnounceReply)));
    // A probe claims nothing.
    assert_eq!(read(&frames::arp(1, mac, std::net::Ipv4Addr::UNSPECIFIED, other)), None);
    let (from, to): (IpAddr, IpAddr) = ("2001:db8::9".parse().expect("v6"), "2001:db8::64".parse().expect("v6"));
    assert_eq!(read(&frames::question(mac, from, to)), Some((from, How::Solicitation)));
    let datagram = frames::datagram((mac, mac), (own, other), 7811, b"pulse");
    assert_eq!(frames::payload(&datagram, 7811), Some(&b"pulse"[..]));
    assert_eq!(read(&datagram), Some((own.into(), How::Packet)));
    for length in 0..datagram.len() {
        // Cut frames say nothing, or what their whole says.
        assert!(read(&datagram[..length]).is_none_or(|said| said == (own.into(), How::Packet)));
    }
}
