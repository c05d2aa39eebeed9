//! Tests of the packet socket between two interfaces, `west` and `east`, that are one cable.

use super::*;
use crate::io::poll::{Poll, Ready};
use crate::testing::netns::{self, SETTLING, in_netns, ip};
use nix::net::if_::if_nametoindex;
use std::time::Duration;

/// The segment link's ethertype, as it stands in a frame.
const SEGMENT: [u8; 2] = [0x88, 0xb5];
/// The same as a number.
const SEGMENT_NUMBER: u32 = 0x88b5;

/// A filter that accepts frames of one ethertype, and no others.
fn only(ethertype: u32) -> [libc::sock_filter; 4] {
    [
        libc::sock_filter { code: 0x28, jt: 0, jf: 0, k: 12 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: ethertype },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x4_0000 },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 },
    ]
}

/// A socket on the interface `name` that takes the segment link's frames alone.
fn open(name: &str) -> PacketSocket {
    PacketSocket::open(if_nametoindex(name).unwrap(), &only(SEGMENT_NUMBER)).unwrap()
}

/// Makes the interfaces `west` and `east`, and opens a socket on each, in this order.
fn open_both_ends() -> (PacketSocket, PacketSocket) {
    netns::veth("west", "east");
    (open("west"), open("east"))
}

/// The frame that waits at `socket`; `None` if none does.
fn waiting(socket: &PacketSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2_000];
    let length = socket.recv(&mut buffer).unwrap()?;
    Some(buffer[..length].to_vec())
}

/// A broadcast frame that carries `text` behind its header of 14 bytes, filled up with zeros to the
/// shortest length that Ethernet allows, 60 bytes.
fn frame(ethertype: [u8; 2], text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend(ethertype);
    frame.extend(text);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// Whether no frame waits but those of [`netns::settle`]. Takes them.
fn is_silent(socket: &PacketSocket) -> bool {
    std::iter::from_fn(|| waiting(socket)).all(|frame| frame[14..].starts_with(SETTLING))
}

/// Waits for the next frame that is not of [`netns::settle`], five seconds at most, and takes it.
fn next_frame(socket: &PacketSocket) -> Vec<u8> {
    let poll = Poll::new().unwrap();
    poll.add(socket, 0).unwrap();
    for _ in 0..1_000 {
        poll.wait(&mut Ready::new(), Some(Duration::from_secs(5))).unwrap();
        match waiting(socket) {
            Some(frame) if frame[14..].starts_with(SETTLING) => {}
            Some(frame) => return frame,
            // The poll woke up because of an error of the interface, not of a frame.
            None => {}
        }
    }
    panic!("no frame");
}

#[test]
fn frames_cross_and_own_ones_are_not_heard() {
    in_netns(|| {
        let (a, b) = open_both_ends();
        let sent = frame(SEGMENT, b"hello");
        // A second socket sends: no socket hears its own frames in any case, and `a` is not to hear
        // those of this host's other sockets either.
        assert!(open("west").send(&sent).unwrap());
        assert_eq!(next_frame(&b), sent);
        assert!(is_silent(&a));
        assert!(is_silent(&b));
    });
}

#[test]
fn the_filter_refuses_another_ethertype_and_another_vlan() {
    in_netns(|| {
        let (a, b) = open_both_ends();
        a.send(&frame([0x08, 0x06], b"arp")).unwrap();
        // The first is tagged with VLAN 5, the second with the priority tag of VLAN 0, which is the
        // untagged segment.
        a.send(&frame([0x81, 0x00], &[0, 5, 0x88, 0xb5, 1])).unwrap();
        a.send(&frame([0x81, 0x00], &[0xc0, 0, 0x88, 0xb5, 2])).unwrap();
        let heard = next_frame(&b);
        assert_eq!(&heard[12..15], [0x88, 0xb5, 2]);
        assert!(is_silent(&b));
    });
}

#[test]
fn a_batch_arrives_whole_and_in_order() {
    in_netns(|| {
        let (a, b) = open_both_ends();
        let frames: Vec<_> = (0..200u8).map(|n| frame(SEGMENT, &[n])).collect();
        assert_eq!(a.send_batch(&frames).unwrap(), 200);
        for n in 0..200u8 {
            assert_eq!(next_frame(&b)[14], n);
        }
    });
}

#[test]
fn sending_on_an_interface_that_is_down_or_gone_is_no_error() {
    in_netns(|| {
        let (a, b) = open_both_ends();
        ip("link set east down");
        assert!(!b.send(&frame(SEGMENT, b"x")).unwrap());
        assert_eq!(b.send_batch(&[frame(SEGMENT, b"x")]).unwrap(), 0);
        assert!(is_silent(&b));
        ip("link set east up");
        netns::settle("west", "east");
        a.send(&frame(SEGMENT, b"x")).unwrap();
        assert_eq!(next_frame(&b)[14], b'x');
        ip("link del west");
        assert!(!b.send(&frame(SEGMENT, b"x")).unwrap());
        assert!(is_silent(&b));
    });
}

#[test]
fn a_missing_interface_is_an_error_that_says_so() {
    let cause = PacketSocket::open(0x7fff_fff0, &only(SEGMENT_NUMBER)).unwrap_err();
    assert_eq!(cause.raw_os_error(), Some(libc::ENODEV));
}
