use super::*;
use crate::io::poll::{Poll, Ready};
use crate::testing::netns::{self, SETTLING, in_netns, ip};
use nix::net::if_::if_nametoindex;
use std::time::Duration;

const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];

/// Accepts one ethertype.
fn only(ethertype: u32) -> [libc::sock_filter; 4] {
    [
        libc::sock_filter { code: 0x28, jt: 0, jf: 0, k: 12 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: ethertype },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x4_0000 },
        libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 },
    ]
}

fn open(name: &str) -> PacketSocket {
    PacketSocket::open(if_nametoindex(name).unwrap(), &only(0x88b5)).unwrap()
}

fn veth() -> (PacketSocket, PacketSocket) {
    netns::veth("west", "east");
    (open("west"), open("east"))
}

fn hear(socket: &PacketSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2_000];
    let length = socket.recv(&mut buffer).unwrap()?;
    Some(buffer[..length].to_vec())
}

fn frame(ethertype: [u8; 2], text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend(ethertype);
    frame.extend(text);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// Nothing but frames of [`netns::settle`] is there.
fn is_silent(socket: &PacketSocket) -> bool {
    std::iter::from_fn(|| hear(socket)).all(|frame| frame[14..].starts_with(SETTLING))
}

/// The next frame that is not of [`netns::settle`].
fn next(socket: &PacketSocket) -> Vec<u8> {
    let poll = Poll::new().unwrap();
    poll.add(socket, 0).unwrap();
    for _ in 0..1_000 {
        poll.wait(&mut Ready::new(), Some(Duration::from_secs(5))).unwrap();
        match hear(socket) {
            Some(frame) if frame[14..].starts_with(SETTLING) => {}
            Some(frame) => return frame,
            // An error of the interface was all there was.
            None => {}
        }
    }
    panic!("no frame");
}

#[test]
fn frames_cross_and_own_ones_are_not_heard() {
    in_netns(|| {
        let (a, b) = veth();
        let sent = frame(EXPERIMENTAL, b"hello");
        // A socket never hears itself; this host's other sockets are the question.
        assert!(open("west").send(&sent).unwrap());
        assert_eq!(next(&b), sent);
        assert!(is_silent(&a));
        assert!(is_silent(&b));
    });
}

#[test]
fn the_filter_refuses_everything_else() {
    in_netns(|| {
        let (a, b) = veth();
        a.send(&frame([0x08, 0x06], b"arp")).unwrap();
        // Tagged with VLAN 5, and then with the priority tag 0, which is the untagged segment.
        a.send(&frame([0x81, 0x00], &[0, 5, 0x88, 0xb5, 1])).unwrap();
        a.send(&frame([0x81, 0x00], &[0xc0, 0, 0x88, 0xb5, 2])).unwrap();
        let heard = next(&b);
        assert_eq!(&heard[12..15], [0x88, 0xb5, 2]);
        assert!(is_silent(&b));
    });
}

#[test]
fn a_batch_arrives_whole_and_in_order() {
    in_netns(|| {
        let (a, b) = veth();
        let frames: Vec<_> = (0..200u8).map(|n| frame(EXPERIMENTAL, &[n])).collect();
        assert_eq!(a.send_batch(&frames).unwrap(), 200);
        for n in 0..200u8 {
            assert_eq!(next(&b)[14], n);
        }
    });
}

#[test]
fn an_interface_that_is_down_or_gone_is_no_error() {
    in_netns(|| {
        let (a, b) = veth();
        ip("link set east down");
        assert!(!b.send(&frame(EXPERIMENTAL, b"x")).unwrap());
        assert_eq!(b.send_batch(&[frame(EXPERIMENTAL, b"x")]).unwrap(), 0);
        assert!(is_silent(&b));
        ip("link set east up");
        netns::settle("west", "east");
        a.send(&frame(EXPERIMENTAL, b"x")).unwrap();
        assert_eq!(next(&b)[14], b'x');
        ip("link del west");
        assert!(!b.send(&frame(EXPERIMENTAL, b"x")).unwrap());
        assert!(is_silent(&b));
    });
}

#[test]
fn a_missing_interface_is_an_error_that_says_so() {
    let cause = PacketSocket::open(0x7fff_fff0, &only(0x88b5)).unwrap_err();
    assert_eq!(cause.raw_os_error(), Some(libc::ENODEV));
}
