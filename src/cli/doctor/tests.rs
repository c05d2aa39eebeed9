//! Tests of the doctor on machines that are made of files: procfs, sysfs and systemd's directories
//! in a temporary place.

use super::*;
use crate::config::Config;

mod next_boot;
mod serving;
mod uplinks;

use tempfile::TempDir;

/// A machine made of files.
struct Machine {
    directory: TempDir,
    roots: Roots,
}

impl Machine {
    /// A healthy machine with one interface, `eth0`, that needs no repair.
    fn new() -> Machine {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let below = |name: &str| directory.path().join(name);
        let roots = Roots { proc: below("proc"), sys: below("sys"), root: below("root") };
        let machine = Machine { directory, roots };
        machine.proc("sys/kernel/osrelease", "6.1.0-13-amd64\n");
        machine.proc("self/status", "Name:\tvipair\nCapEff:\t000001ffffffffff\n");
        machine.proc("sys/net/ipv4/conf/all/arp_ignore", "0\n");
        machine.proc("sys/net/ipv4/conf/eth0/arp_announce", "2\n");
        machine.proc("sys/net/ipv6/conf/eth0/disable_ipv6", "0\n");
        machine.proc("net/route", ROUTES);
        machine.interface("eth0");
        machine
    }

    /// Writes a file, and the directories above it.
    fn write(&self, path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().expect("it has a parent")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }

    /// Writes a file below the machine's /proc.
    fn proc(&self, path: &str, text: &str) {
        self.write(&self.roots.proc.join(path), text);
    }

    /// Writes a file below the machine's /sys/class/net.
    fn sys(&self, path: &str, text: &str) {
        self.write(&self.roots.sys.join("class/net").join(path), text);
    }

    /// Adds an Ethernet interface that is up and has carrier, or makes it so again.
    fn interface(&self, name: &str) {
        self.sys(&format!("{name}/type"), "1\n");
        self.sys(&format!("{name}/flags"), "0x1003\n");
        self.sys(&format!("{name}/carrier"), "1\n");
    }

    /// What the doctor finds about the machine and about `eth0`.
    fn findings(&self) -> Vec<Finding> {
        let mut findings = machine::examine(&self.roots);
        findings.extend(interface::examine(&self.roots, &config(), "eth0"));
        findings
    }

    /// Asserts that exactly one finding is not well, that it has this level and contains `text`,
    /// and that it says what to do.
    #[track_caller]
    fn complains_only(&self, level: Level, text: &str) {
        let bad: Vec<Finding> = self.findings().into_iter().filter(|finding| finding.level != Level::Ok).collect();
        let expected = bad.len() == 1 && bad[0].level == level && bad[0].text.contains(text);
        assert!(expected && !bad[0].remedy.is_empty(), "expected {level:?} {text:?}, found {bad:#?}");
    }
}

/// The machine's routes as procfs shows them: one, over `eth0`.
const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
    eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

/// The configuration of a node with one group on `eth0`, which has an address of either family.
fn config() -> Config {
    let text = "cluster = \"c\"\nkey_file = \"k\"\n[[node]]\nname = \"a\"\nlinks = [\"10.0.0.1\"]\n[[node]]\nname = \"b\"\n\
        links = [\"10.0.0.2\"]\n[[group]]\nname = \"g\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.9\", \"fd00::9\"]\n";
    ClusterFile::parse(text, Path::new("v.toml")).expect("it is right").for_node(crate::types::NodeId(1))
}

#[test]
fn a_healthy_machine_gives_no_complaint() {
    let machine = Machine::new();
    let findings = machine.findings();
    assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    assert!(findings.len() > 5);
}

#[test]
fn an_old_kernel_cannot_run_the_gate() {
    let machine = Machine::new();
    machine.proc("sys/kernel/osrelease", "5.7.19\n");
    machine.complains_only(Level::Fail, "kernel 5.7.19 is too old");
    machine.proc("sys/kernel/osrelease", "5.8.0-rc1\n");
    assert!(machine.findings().iter().all(|finding| finding.level == Level::Ok));
    machine.proc("sys/kernel/osrelease", "unheard of\n");
    machine.complains_only(Level::Warn, "of unknown version");
}

#[test]
fn missing_capabilities_are_named() {
    let machine = Machine::new();
    let without =
        |bit: u32| machine.proc("self/status", &format!("CapEff:\t{:016x}\n", 0x1ff_ffff_ffff_u64 & !(1 << bit)));
    without(12);
    machine.complains_only(Level::Fail, "no CAP_NET_ADMIN");
    without(23);
    machine.complains_only(Level::Warn, "no CAP_SYS_NICE");
    without(14);
    machine.complains_only(Level::Warn, "no CAP_IPC_LOCK");
    machine.proc("self/limits", "Max locked memory         unlimited            unlimited            bytes\n");
    assert!(machine.findings().iter().all(|finding| finding.level == Level::Ok), "no limit, no need");
    without(39);
    assert!(machine.findings().iter().all(|finding| finding.level == Level::Ok), "CAP_SYS_ADMIN contains CAP_BPF");
    machine.proc("self/status", &format!("CapEff:\t{:016x}\n", 0x1ff_ffff_ffff_u64 & !(1 << 39) & !(1 << 21)));
    machine.complains_only(Level::Fail, "no CAP_BPF");
}

#[test]
fn an_interface_must_exist_be_up_have_carrier_and_be_ethernet() {
    let machine = Machine::new();
    machine.sys("eth0/carrier", "0\n");
    machine.complains_only(Level::Fail, "eth0 has no carrier");
    machine.sys("eth0/flags", "0x1002\n");
    machine.complains_only(Level::Fail, "eth0 is down");
    machine.interface("eth0");
    machine.sys("eth0/type", "65534\n");
    machine.complains_only(Level::Fail, "eth0 is not an Ethernet interface");
    machine.interface("eth0");
    std::os::unix::fs::symlink("../br0", machine.roots.sys.join("class/net/eth0/master")).expect("it can be made");
    machine.complains_only(Level::Fail, "eth0 is a port of br0");
    std::fs::remove_dir_all(machine.roots.sys.join("class/net/eth0")).expect("it can be removed");
    machine.complains_only(Level::Fail, "there is no interface eth0");
}

#[test]
fn settings_that_keep_the_kernel_from_answering_are_found_in_either_place() {
    let machine = Machine::new();
    machine.proc("sys/net/ipv4/conf/eth0/arp_ignore", "8\n");
    machine.complains_only(Level::Fail, "arp_ignore is 8");
    machine.proc("sys/net/ipv4/conf/eth0/arp_ignore", "0\n");
    machine.proc("sys/net/ipv4/conf/all/arp_ignore", "2\n");
    machine.complains_only(Level::Warn, "arp_ignore is 2");
    machine.proc("sys/net/ipv4/conf/all/arp_ignore", "1\n");
    machine.proc("sys/net/ipv4/conf/eth0/arp_announce", "0\n");
    machine.complains_only(Level::Warn, "arp_announce is 0");
    machine.proc("sys/net/ipv4/conf/eth0/arp_announce", "2\n");
    machine.proc("sys/net/ipv6/conf/eth0/disable_ipv6", "1\n");
    machine.complains_only(Level::Fail, "IPv6 is disabled on eth0");
}

#[test]
fn another_card_answers_for_the_address_until_it_has_a_guard() {
    let machine = Machine::new();
    machine.interface("eth1");
    let says = |text: &str| machine.findings().iter().any(|finding| finding.text.contains(text));
    assert!(says("on eth1 the kernel answers ARP for service addresses as well"), "{:?}", machine.findings());
    machine.proc("sys/net/ipv4/conf/eth1/arp_ignore", "1\n");
    assert!(says("no other interface answers ARP"), "it keeps to its own addresses");

    let names = |count: usize| (0..count).map(|number| format!("eth{number}")).collect::<Vec<String>>();
    let finding = interface::flux(&names(7), &names(6), true);
    assert_eq!(finding.level, Level::Fail);
    assert!(finding.text.starts_with("eth0, eth1, eth2, eth3, eth4 and 1 more would answer ARP"), "{finding:?}");
    assert_eq!(interface::flux(&names(2), &[], true).level, Level::Ok);
    assert_eq!(interface::flux(&names(2), &names(2), false).level, Level::Ok, "before the first start");
}

#[test]
fn an_interface_without_a_route_cannot_answer_clients() {
    let machine = Machine::new();
    machine.proc("net/route", ROUTES.lines().next().expect("a header"));
    machine.complains_only(Level::Warn, "no IPv4 route leads over eth0");
}

#[test]
fn the_state_directory_must_be_writable_and_is_left_as_it_was() {
    let machine = Machine::new();
    assert_eq!(files::state_dir(machine.directory.path(), true).level, Level::Ok);
    let left: Vec<_> = std::fs::read_dir(machine.directory.path()).expect("it is there").flatten().collect();
    assert_eq!(left.len(), 2, "proc and sys: {left:?}");
    let missing = files::state_dir(&machine.directory.path().join("missing"), false);
    assert_eq!(missing.level, Level::Fail);
    assert!(missing.remedy.starts_with("install -d -m 700"), "{missing:?}");
}

#[test]
fn link_addresses_must_be_ours() {
    let local = ["10.0.0.1".parse().expect("an address")];
    let levels = |local: &[std::net::IpAddr]| -> Vec<Level> {
        interface::links(&config(), local).iter().map(|finding| finding.level).collect()
    };
    assert_eq!(levels(&local), [Level::Ok, Level::Warn], "it is ours, and the only one");
    assert_eq!(levels(&[]), [Level::Fail, Level::Warn]);
}

#[test]
fn findings_are_lines_with_what_to_do_below() {
    let sections = [("machine".to_owned(), vec![Finding::ok("kernel 6.1"), Finding::fail("no gate", "install one")])];
    assert_eq!(render(&sections, false), "machine\n  OK    kernel 6.1\n  FAIL  no gate\n        → install one\n");
    let Err(Failure::Failed(message)) = conclude(&sections, None) else { panic!("one finding failed") };
    assert_eq!(message, "one thing would stop a takeover");
}

#[test]
fn the_gate_is_not_taken_for_another_program() {
    for name in crate::agent::gate::PROGRAMS {
        assert!(name.starts_with(programs::OURS), "{name}");
    }
}

/// Somebody at a hook, by the name of its program.
fn occupant(name: &str) -> crate::agent::gate::place::Occupant {
    crate::agent::gate::place::Occupant {
        id: Some(1),
        name: Some(name.to_owned()),
        text: format!("TCX program {name}"),
    }
}

#[test]
fn the_gate_must_be_the_first_to_decide_in_both_directions() {
    use crate::agent::gate::place::Direction::{Egress, Ingress};
    let all = |names: &[&str]| names.iter().map(|name| occupant(name)).collect::<Vec<_>>();
    let told = |out: &[&str], inward: &[&str]| {
        let findings = programs::judge("eth0", &[(Egress, all(out)), (Ingress, all(inward))]);
        assert!(!findings.is_empty());
        let worst = findings.iter().map(|finding| finding.level).max();
        (worst, findings.into_iter().map(|finding| finding.text).collect::<Vec<_>>().join("; "))
    };
    let (out, inward) = ("vip_eg_1", "vip_in_1");
    for (level, words, line) in [
        (Level::Ok, "no tc or TCX program", told(&[], &[])),
        (Level::Ok, "the gate decides first", told(&[out], &[inward])),
        (Level::Ok, "other on ingress decides after the gate", told(&[out], &[inward, "other"])),
        (Level::Ok, "other on egress: the gate will be put before it", told(&["other"], &[])),
        (Level::Fail, "other decides before the gate on ingress", told(&[out], &["other", inward])),
        (Level::Fail, "other decides before the gate on egress", told(&["other", out], &[inward])),
        (Level::Fail, "half a gate: none on ingress", told(&[out], &["other"])),
        (Level::Fail, "vip_eg_0 on egress stands behind the gate", told(&[out, "vip_eg_0"], &[inward])),
    ] {
        assert_eq!(line.0, Some(level), "{}", line.1);
        assert!(line.1.contains(words), "{words:?} in {:?}", line.1);
    }
}

#[test]
fn a_witness_is_routed_to_and_heard_or_the_doctor_says_what_that_means() {
    use crate::control::protocol::{LinkState, LinkStatus};
    use std::net::{IpAddr, SocketAddr};
    let text = |lines: &str| {
        format!(
            "cluster = \"c\"\nkey_file = \"k\"\n[witness]\n{lines}\n[[node]]\nname = \"a\"\nlinks = [\"10.0.0.1\"]\n\
            [[node]]\nname = \"b\"\nlinks = [\"10.0.0.2\"]\n[[group]]\nname = \"g\"\ninterface = \"eth0\"\naddresses = [\"10.0.0.9\"]\n"
        )
    };
    let read = |lines: &str| {
        ClusterFile::parse(&text(lines), Path::new("v.toml")).expect("it is right").for_node(crate::types::NodeId(1))
    };
    let routed = |_: SocketAddr| Ok("10.0.0.1".parse::<IpAddr>().expect("an address"));
    let cut = |_: SocketAddr| Err(std::io::ErrorKind::NetworkUnreachable.into());
    let link = |peer: &str, state| LinkStatus { peer: peer.to_owned(), state, ..LinkStatus::default() };
    let seen = |findings: Vec<Finding>| findings.into_iter().map(|f| (f.level, f.text)).collect::<Vec<_>>();
    let one = read("address = \"10.0.9.9\"");
    assert_eq!(seen(witness::examine(&config(), routed, None)), [], "a bare pair has none");
    let found = seen(witness::examine(&one, routed, None));
    assert_eq!(found, [(Level::Ok, "a route leads to witness at 10.0.9.9:7811, from 10.0.0.1".to_owned())]);
    let found = seen(witness::examine(&one, cut, None));
    assert!(
        found[0].0 == Level::Warn && found[0].1.starts_with("no route leads to witness at 10.0.9.9:7811: "),
        "{found:?}"
    );
    let found =
        seen(witness::examine(&one, routed, Some(&[link("b", LinkState::Up), link("witness", LinkState::Silent)])));
    assert_eq!(found.iter().map(|(level, _)| *level).collect::<Vec<_>>(), [Level::Warn, Level::Fail], "{found:?}");
    let found = seen(witness::examine(&one, routed, Some(&[link("b", LinkState::Up)])));
    assert!(found[0].1.contains("the agent does not know witness"), "{found:?}");
    let three = read("addresses = [\"10.0.9.1\", \"10.0.9.2\", \"10.0.9.3\"]\nstrict = false");
    let mut links = ["witness 1", "witness 2", "witness 3"].map(|name| link(name, LinkState::Up));
    links[1].state = LinkState::Down;
    let found = seen(witness::examine(&three, routed, Some(&links)));
    assert!(found[3].0 == Level::Ok && found[3].1.starts_with("2 of 3 witnesses heard"), "{found:?}");
    links[2].state = LinkState::Silent;
    let found = seen(witness::examine(&three, routed, Some(&links)));
    assert!(found[3].0 == Level::Warn && found[3].1.contains("strict = false"), "{found:?}");
}
