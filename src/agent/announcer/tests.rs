//! Tests of the announcer on a veth pair in a network namespace of their own; they need root.
//!
//! The announcer sends on `west`; the tests read the frames from `east`.

use super::socket::BATCH;
use super::*;
use crate::io::clock;
use crate::io::poll::{Poll, Ready};
use crate::io::segment::PacketSocket;
use crate::testing::netns::{self, in_netns, ip};
use crate::types::{GroupId, MacAddr, Vip};
use crate::wire::frame::{self, segment_filter};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0a]);
const GATEWAY: (Ipv4Addr, MacAddr) = (Ipv4Addr::new(10, 0, 0, 1), MacAddr([2, 0, 0, 0, 0, 1]));
const LONG: Duration = Duration::from_secs(60);

/// Starts an announcer; its reports arrive at the receiver.
fn start_announcer() -> (Announcer, Receiver<AnnounceReport>) {
    let (reports, received) = sync_channel(100);
    let announcer =
        Announcer::start(|| {}, move |report| reports.send(report).expect("the test waits")).expect("a thread");
    (announcer, received)
}

/// Makes the pair `west` and `east`; returns a socket that sees what arrives at `east`.
fn veth() -> PacketSocket {
    netns::veth("west", "east");
    listen("east")
}

/// A socket that sees what arrives at the interface `name`.
fn listen(name: &str) -> PacketSocket {
    PacketSocket::open(index(name), &segment_filter()).expect("a socket")
}

/// The kernel's number of the interface `name`.
fn index(name: &str) -> u32 {
    if_nametoindex(name).expect("exists")
}

/// An order to announce these addresses on `west`, without a gateway.
fn order(addresses: Vec<Vip>) -> AnnounceOrder {
    AnnounceOrder {
        group: GroupId(3),
        ifindex: index("west"),
        source: OWN,
        addresses: addresses.into(),
        gateway: None,
    }
}

/// The IPv4 address 10.1.x.y, where x and y are the bytes of `number`.
fn vip4(number: u16) -> Vip {
    let [high, low] = number.to_be_bytes();
    Vip::from([10, 1, high, low])
}

/// An IPv6 address, told apart from others by `number`.
fn vip6(number: u16) -> Vip {
    Vip::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number))
}

/// The next `count` frames sent from our hardware address; the kernel's own frames are left out.
fn heard(socket: &PacketSocket, count: usize) -> Vec<Vec<u8>> {
    let poll = Poll::new().expect("epoll");
    poll.add(socket, 0).expect("epoll");
    let mut frames = Vec::new();
    let patience = clock::now() + LONG;
    while frames.len() < count {
        assert!(clock::now() < patience, "{} of {count} frames heard", frames.len());
        let mut buffer = [0; 2000];
        match socket.recv(&mut buffer).expect("usable") {
            Some(length) if buffer[6..12] == OWN.0 => frames.push(buffer[..length].to_vec()),
            Some(_) => {}
            None => {
                let ready = poll.wait(&mut Ready::new(), Some(LONG));
                ready.expect("epoll");
            }
        }
    }
    frames
}

/// The frame that `build` writes.
fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::new();
    build(&mut frame);
    frame
}

#[test]
fn every_address_is_announced_in_every_form() {
    // HP-10
    in_netns(|| {
        let east = veth();
        let (announcer, reports) = start_announcer();
        let addresses = vec![vip4(1), vip6(2), vip4(3)];
        let with_gateway = AnnounceOrder { gateway: Some(GATEWAY), ..order(addresses) };
        announcer.handle().try_send(with_gateway).expect("room");
        let report = reports.recv_timeout(LONG).expect("a report");
        assert_eq!((report.group, report.frames, report.error), (GroupId(3), 7, None));
        let (a, b) = (Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 1, 0, 3));
        let Vip::V6(c) = vip6(2) else { panic!("IPv6") };
        let expected = vec![
            built(|out| frame::arp_announce_request(OWN, a, out)),
            built(|out| frame::na_announce(OWN, c, false, out)),
            built(|out| frame::arp_announce_request(OWN, b, out)),
            built(|out| frame::arp_announce_reply(OWN, a, out)),
            built(|out| frame::arp_announce_reply(OWN, b, out)),
            built(|out| frame::arp_request(OWN, a, GATEWAY.0, GATEWAY.1, out)),
            built(|out| frame::arp_request(OWN, b, GATEWAY.0, GATEWAY.1, out)),
        ];
        assert_eq!(heard(&east, 7), expected);
    });
}

#[test]
fn all_addresses_come_before_the_second_form_of_any() {
    in_netns(|| {
        let east = veth();
        let (announcer, reports) = start_announcer();
        let count = 3 * BATCH + 1;
        announcer.handle().try_send(order((0..193).map(vip4).collect())).expect("room");
        assert_eq!(reports.recv_timeout(LONG).expect("a report").frames, 2 * count);
        let operations: Vec<u8> = heard(&east, 2 * count).iter().map(|frame| frame[21]).collect();
        assert!(operations[..count].iter().all(|operation| *operation == 1));
        assert!(operations[count..].iter().all(|operation| *operation == 2));
    });
}

#[test]
fn groups_that_move_together_are_announced_as_one() {
    in_netns(|| {
        let east = veth();
        let (blocked, unblock) = sync_channel(0);
        let report = move |_| {
            let _nobody_waits_any_more = blocked.send(());
        };
        let announcer = Announcer::start(|| {}, report).expect("a thread");
        announcer.handle().try_send(order(vec![vip4(1000)])).expect("room");
        // The thread is busy with its first report while the other orders arrive.
        assert_eq!(heard(&east, 2).len(), 2);
        (0..100).for_each(|group| announcer.handle().try_send(order(vec![vip4(group)])).expect("room"));
        (0..101).for_each(|_| unblock.recv_timeout(LONG).expect("a report"));
        let operations: Vec<u8> = heard(&east, 200).iter().map(|frame| frame[21]).collect();
        assert!(operations[..100].iter().all(|operation| *operation == 1));
        assert!(operations[100..].iter().all(|operation| *operation == 2));
    });
}

#[test]
fn advertisements_say_router_exactly_while_the_interface_forwards() {
    in_netns(|| {
        let east = veth();
        let (announcer, _reports) = start_announcer();
        for (forwarding, flags) in [("0", 0x20), ("1", 0xa0), ("0", 0x20)] {
            std::fs::write("/proc/sys/net/ipv6/conf/west/forwarding", forwarding).expect("root");
            announcer.handle().try_send(order(vec![vip6(1)])).expect("room");
            assert_eq!(heard(&east, 1)[0][58], flags, "forwarding {forwarding}");
        }
    });
}

#[test]
fn a_re_created_interface_is_used_as_soon_as_an_order_names_it() {
    in_netns(|| {
        let _east = veth();
        let (announcer, reports) = start_announcer();
        let old = order(vec![vip4(1)]);
        announcer.handle().try_send(old.clone()).expect("room");
        assert_eq!(reports.recv_timeout(LONG).expect("a report").error, None);
        ip("link del west");
        let east = veth();
        for _attempt in 0..2 {
            announcer.handle().try_send(old.clone()).expect("room");
            let report = reports.recv_timeout(LONG).expect("a report");
            let error = report.error.expect("the old interface is gone");
            assert!([Errno::ENXIO, Errno::ENODEV].contains(&error.cause), "{error}");
            assert_eq!(report.frames, 0);
        }
        let new = order(vec![vip4(2)]);
        assert_ne!(new.ifindex, old.ifindex);
        announcer.handle().try_send(new).expect("room");
        assert_eq!(reports.recv_timeout(LONG).expect("a report").error, None);
        assert_eq!(heard(&east, 1)[0][28..32], [10, 1, 0, 2]);
    });
}

#[test]
fn an_interface_that_was_down_is_used_again() {
    in_netns(|| {
        let east = veth();
        let (announcer, reports) = start_announcer();
        announcer.handle().try_send(order(vec![vip4(9)])).expect("room");
        assert_eq!(reports.recv_timeout(LONG).expect("a report").error, None);
        assert_eq!(heard(&east, 2).len(), 2);
        ip("link set west down");
        announcer.handle().try_send(order(vec![vip4(1)])).expect("room");
        let report = reports.recv_timeout(LONG).expect("a report");
        assert_eq!(report.error.expect("down").cause, Errno::ENETDOWN);
        ip("link set west up");
        announcer.handle().try_send(order(vec![vip4(2)])).expect("room");
        assert_eq!(reports.recv_timeout(LONG).expect("a report").error, None);
        assert_eq!(heard(&east, 1)[0][28..32], [10, 1, 0, 2]);
    });
}

/// Limits the rate at which `west` sends, by the words of a queueing discipline of tc(8).
fn limit_rate(words: &str) {
    let tc = format!("qdisc add dev west root tbf {words}");
    let status = Command::new("tc").args(tc.split(' ')).status().expect("iproute2 is installed");
    assert!(status.success(), "tc {tc}");
}

#[test]
fn a_slow_network_delays_frames_and_loses_none() {
    in_netns(|| {
        let east = veth();
        limit_rate("rate 20mbit burst 2000 limit 4000");
        let (announcer, reports) = start_announcer();
        announcer.handle().try_send(order((0..500).map(vip4).collect())).expect("room");
        let report = reports.recv_timeout(LONG).expect("a report");
        assert_eq!((report.frames, report.error), (1000, None));
        let last = heard(&east, 1000).pop().expect("1,000");
        assert_eq!(last[28..32], [10, 1, 1, 243]);
    });
}

#[test]
fn a_stalled_network_is_given_up_after_a_bounded_time() {
    for (limit, cause) in [("3000", Errno::ENOBUFS), ("30000000", Errno::EAGAIN)] {
        in_netns(|| {
            let _east = veth();
            limit_rate(&format!("rate 8kbit burst 2000 limit {limit}"));
            let (announcer, reports) = start_announcer();
            announcer.handle().try_send(order((0..5000).map(vip4).collect())).expect("room");
            let report = reports.recv_timeout(LONG).expect("a report");
            assert_eq!(report.error.expect("stalled").cause, cause);
            assert!(report.frames < 5000);
            assert!(report.took >= STALL_MAX);
        });
    }
}

/// An announcer that is busy with its first order until the returned sender is dropped.
fn busy() -> (Announcer, SyncSender<()>) {
    let (begun, reported) = sync_channel(1);
    let (release, released) = sync_channel::<()>(0);
    let report = move |_| {
        let _only_the_first_is_awaited = begun.try_send(());
        let _released = released.recv();
    };
    let announcer = Announcer::start(|| {}, report).expect("a thread");
    announcer.handle().try_send(order(vec![vip4(1)])).expect("room");
    reported.recv_timeout(LONG).expect("a first report");
    (announcer, release)
}

#[test]
fn a_full_queue_gives_the_order_back_at_once() {
    in_netns(|| {
        veth();
        let (announcer, release) = busy();
        let handle = announcer.handle();
        let taken = (0..=QUEUE).take_while(|_| handle.try_send(order(vec![vip4(1)])).is_ok()).count();
        assert_eq!(taken, QUEUE);
        let back = handle.try_send(order(vec![vip4(7)])).expect_err("full");
        assert_eq!(back.addresses[..], [vip4(7)]);
        drop(release);
    });
}

#[test]
fn dropping_the_announcer_ends_the_thread_with_orders_left() {
    in_netns(|| {
        veth();
        let (announcer, release) = busy();
        let handle = announcer.handle();
        for _ in 0..10 {
            handle.try_send(order(vec![vip4(1)])).expect("room");
        }
        drop(release);
        drop(announcer);
        assert!(handle.try_send(order(vec![vip4(1)])).is_err(), "nobody receives any more");
    });
}

#[test]
fn preparation_runs_on_the_thread_before_any_order() {
    let (names, received) = sync_channel(1);
    let prepare = move || names.send(std::thread::current().name().map(String::from)).expect("the test waits");
    let _announcer = Announcer::start(prepare, |_| {}).expect("a thread");
    assert_eq!(received.recv_timeout(LONG), Ok(Some("announcer".to_owned())));
}

/// A measurement, not a promise: `cargo test --release -- --ignored --nocapture ten_thousand`.
#[test]
#[ignore = "measures; needs a release build to mean something"]
fn ten_thousand_addresses_through_a_bridge() {
    in_netns(|| {
        ip("link add name br0 type bridge");
        ip("link set br0 up");
        for (near, far) in [("west", "port1"), ("east", "port2")] {
            ip(&format!("link add name {near} type veth peer name {far}"));
            ip(&format!("link set {far} master br0 up"));
            ip(&format!("link set {near} up"));
        }
        let east = listen("east");
        let (announcer, reports) = start_announcer();
        for (kind, addresses) in [
            ("IPv4, 2 frames each", (0..10_000).map(vip4).collect::<Vec<_>>()),
            ("IPv6, 1 frame each", (0..10_000).map(vip6).collect()),
        ] {
            for round in 0..5 {
                announcer.handle().try_send(order(addresses.clone())).expect("room");
                let report = reports.recv_timeout(LONG).expect("a report");
                let mut seen = 0;
                while east.recv(&mut [0; 200]).expect("usable").is_some() {
                    seen += 1;
                }
                println!("{kind}, round {round}: {} frames in {:?}, {seen} buffered", report.frames, report.took);
                assert_eq!(report.error, None);
            }
        }
    });
}
