//! Cost of the gate. Measurements, not promises: run with
//! `cargo test --release --lib gate::tests::cost -- --ignored --nocapture`.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::time::Instant;

use super::frames;
use super::lab::{Lab, SOON, VIP4, VIP6, WEB, now, open_web};
use crate::gate::place::Standing;
use crate::gate::{Gate, bpf};

/// Resident memory now and at its highest.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
        .collect::<Vec<_>>()
        .join(", ")
}

const RUNS: u32 = 1_000_000;

#[test]
#[ignore = "a measurement"]
fn what_it_costs() {
    let lab = Lab::new(2);
    let (node, client) = (lab.host(1), lab.host(2));
    let ifindex = node.ifindex();
    let groups = [(WEB, vec![VIP4.into(), VIP6.into()])];
    println!("before  {}", memory());
    let begin = Instant::now();
    let gate = node.inside(|| Gate::install(ifindex, "eth0", &groups)).expect("a gate");
    println!("install            {:?}", begin.elapsed());
    println!("after   {}", memory());
    let begin = Instant::now();
    let gate_again = node.inside(|| Gate::install(ifindex, "eth0", &groups)).expect("a gate");
    println!("adopt              {:?} ({})", begin.elapsed(), gate_again.adopted());
    let begin = Instant::now();
    node.inside(|| (0..1000).for_each(|_| assert_eq!(gate.standing().expect("an answer"), Standing::First)));
    println!("standing           {:?}", begin.elapsed() / 1000);

    let handle = open_web(&gate, 1, SOON);
    let until = now() + SOON;
    let begin = Instant::now();
    (0..RUNS).for_each(|_| std::hint::black_box(&handle).renew(std::hint::black_box(until)));
    println!("renew              {:?}", begin.elapsed() / RUNS);

    let other = Ipv4Addr::new(10, 7, 0, 77);
    let (from, to) = (client.mac(), node.mac());
    for (name, frame) in [
        ("other IPv4", frames::udp4(from, to, client.address4(), other)),
        ("other IPv6", frames::udp6(from, client.address6(), node.address6())),
        ("other ARP", frames::arp(frames::REQUEST, from, client.address4(), other)),
        ("IPv4 to the address", frames::udp4(from, to, client.address4(), VIP4)),
        ("IPv6 to the address", frames::udp6(from, client.address6(), VIP6)),
        ("ARP for the address", frames::arp(frames::REQUEST, from, client.address4(), VIP4)),
        ("NS for the address", frames::discovery(frames::SOLICITATION, from, client.address6(), VIP6)),
        ("neither IP nor ARP", frames::ethernet(to, from, 0x88b5, b"pulse")),
    ] {
        handle.renew(now() + SOON);
        for (way, program) in [("in", &gate.object.ingress), ("out", &gate.object.egress)] {
            let (verdict, each) = bpf::test_run(program.fd.as_fd(), &frame, RUNS).expect("a run");
            println!("{name:20} {way:3} {each:4} ns, verdict {verdict}");
        }
    }

    let first = u32::from(Ipv4Addr::new(10, 99, 0, 0));
    let many = (0..50_000).map(|n| IpAddr::from(Ipv4Addr::from(first + n))).collect();
    let begin = Instant::now();
    node.inside(|| Gate::install(ifindex, "eth0", &[(WEB, many)])).expect("a gate");
    println!("install of 50,000  {:?}", begin.elapsed());
}
