//! Tests of the findings about the next boot, and about addresses that nothing gates.

use super::*;
use crate::io::local::LocalAddress;

impl Machine {
    /// Writes a file below the machine's root.
    fn root(&self, path: &str, text: &str) {
        self.write(&self.roots.root.join(path), text);
    }
}

#[test]
fn an_agent_that_no_boot_starts_is_found_where_it_has_a_unit() {
    let machine = Machine::new();
    assert_eq!(boot::enabled(&machine.roots), None, "no unit, no systemd");
    machine.root("usr/lib/systemd/system/vipair.service", "[Unit]\n");
    let finding = boot::enabled(&machine.roots).expect("a finding");
    assert_eq!((finding.level, finding.remedy.as_str()), (Level::Warn, "systemctl enable vipair"));
    machine.root("etc/systemd/system/multi-user.target.wants/vipair.service", "");
    assert_eq!(boot::enabled(&machine.roots).expect("a finding").level, Level::Ok);
}

#[test]
fn a_state_directory_that_the_unit_makes_is_no_fault_before_the_first_start() {
    let machine = Machine::new();
    let missing = machine.directory.path().join("missing");
    assert_eq!(files::state_dir(&missing, true).level, Level::Ok);
    assert_eq!(files::state_dir(&missing, false).level, Level::Fail);
}

// S3: the network manager gives the address to this machine before there is a gate
#[test]
fn a_service_address_in_a_file_of_a_network_manager_is_found() {
    let cases = [
        ("etc/systemd/network/10-eth0.network", "[Network]\nAddress=10.0.0.9/24\n"),
        ("etc/systemd/network/10-eth0.network.d/more.conf", "[Address]\nAddress = fd00::9/64\n"),
        ("etc/network/interfaces.d/eth0", "iface eth0 inet static\n  address 10.0.0.9\n"),
        ("etc/netplan/50.yaml", "addresses: [\"10.0.0.1/24\", \"10.0.0.9/24\"]\n"),
        ("etc/netplan/51.yaml", "addresses:\n  - 10.0.0.9/24\n"),
        ("etc/NetworkManager/system-connections/eth0.nmconnection", "address1=10.0.0.9/24,10.0.0.254\n"),
        ("etc/sysconfig/network-scripts/ifcfg-eth0", "IPADDR=10.0.0.9\n"),
    ];
    for (path, text) in cases {
        let machine = Machine::new();
        machine.root(path, text);
        let found = boot::configured(&machine.roots, &config());
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert_eq!(found[0].level, Level::Fail);
        assert!(found[0].text.starts_with(&format!("/{path} has ")), "{}", found[0].text);
    }
}

#[test]
fn other_addresses_and_comments_in_such_files_are_nothing() {
    let machine = Machine::new();
    let text = "# Address=10.0.0.9/24\nAddress=10.0.0.90/24\nAddress=10.0.0.1/24\nGateway=110.0.0.9\n";
    machine.root("etc/systemd/network/10-eth0.network", text);
    assert_eq!(boot::configured(&machine.roots, &config()), []);
}

// S3
#[test]
fn a_service_address_on_an_interface_without_a_gate_is_found() {
    let local = |interface: &str, address: &str| LocalAddress {
        interface: interface.into(),
        address: address.parse().expect("an address"),
        prefix: 24,
    };
    let all =
        [local("eth0", "10.0.0.1"), local("eth0", "10.0.0.9"), local("eth1", "fd00::9"), local("lo", "10.0.0.9")];
    assert_eq!(boot::ungated(&config(), &all, |_| true), []);
    let found = boot::ungated(&config(), &all, |name| name == "eth1");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].level == Level::Fail && found[0].text.contains("10.0.0.9 is on eth0"), "{found:?}");
    assert!(found[0].remedy.contains("ip address del 10.0.0.9/24 dev eth0"), "{found:?}");
}
