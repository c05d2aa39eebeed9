//! Findings about what the next boot of this machine does: whether it starts the agent, and whether it
//! gives somebody the service addresses before the agent has its gate in place.
//!
//! Never does: ask systemd or a network manager. Their files are read.

use super::services::UNIT_DIRECTORIES;
use super::{Finding, Roots};
use crate::config::Config;
use crate::io::local::LocalAddress;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Name of the agent's unit.
const UNIT: &str = "vipair.service";
/// Directories in which files for the network at boot lie: of systemd-networkd, ifupdown, netplan and
/// NetworkManager.
const NETWORK: [&str; 6] = [
    "etc/systemd/network",
    "usr/lib/systemd/network",
    "etc/network",
    "etc/netplan",
    "etc/NetworkManager/system-connections",
    "etc/sysconfig/network-scripts",
];
/// Longest file that is read: one for the network is short.
const LONGEST: u64 = 1 << 20;

/// The finding whether the agent is started at boot; none where there is no unit of it, as in a container.
pub(super) fn enabled(roots: &Roots) -> Option<Finding> {
    let places = || UNIT_DIRECTORIES.iter().map(|directory| roots.root.join(directory));
    places().find(|place| place.join(UNIT).exists())?;
    let wanted = places().flat_map(|place| subdirectories(&place)).any(|directory| {
        let name = directory.to_string_lossy();
        (name.ends_with(".wants") || name.ends_with(".requires")) && directory.join(UNIT).symlink_metadata().is_ok()
    });
    Some(if wanted {
        Finding::ok("the agent is started at boot")
    } else {
        Finding::warn("the agent is not started at boot", "systemctl enable vipair")
    })
}

/// The directories in a directory.
fn subdirectories(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// A finding for each file by which something else gives this machine a service address.
pub(super) fn configured(roots: &Roots, config: &Config) -> Vec<Finding> {
    let addresses: Vec<IpAddr> = config.groups.iter().flat_map(|group| group.addresses.iter().copied()).collect();
    let mut found = Vec::new();
    for path in NETWORK.iter().flat_map(|directory| files(&roots.root.join(directory))) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let named: Vec<IpAddr> = words(&text).filter(|address| addresses.contains(address)).collect();
        if let Some(address) = named.first() {
            let shown = Path::new("/").join(path.strip_prefix(&roots.root).unwrap_or(&path));
            found.push(Finding::fail(
                format!(
                    "{} has {address}: at each boot this machine answers for it until the agent runs",
                    shown.display()
                ),
                "take the address out of that file: the agent adds it behind its gate",
            ));
        }
    }
    found
}

/// The files in a directory and in those right below it, which hold drop-ins.
fn files(directory: &Path) -> Vec<PathBuf> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let is_short = |path: &PathBuf| path.metadata().is_ok_and(|about| about.is_file() && about.len() <= LONGEST);
        entries.map(|entry| entry.path()).filter(is_short).collect()
    };
    let drop_ins = subdirectories(directory).into_iter().filter(|path| path.extension().is_some_and(|e| e == "d"));
    let mut all: Vec<PathBuf> = drop_ins.flat_map(|directory| below(&directory)).collect();
    all.extend(below(directory));
    all.sort();
    all
}

/// The addresses that a text names outside of comments, with or without the length of a prefix.
fn words(text: &str) -> impl Iterator<Item = IpAddr> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "=,;[]\"'".contains(c))).filter_map(|word| {
        let bare = word.split_once('/').map_or(word, |(address, _)| address);
        bare.trim_start_matches("- ").parse().ok()
    })
}

/// A finding for each service address that an interface of this machine has although nothing gates it.
/// `is_gated` tells of an interface by its name.
pub(super) fn ungated(config: &Config, local: &[LocalAddress], is_gated: impl Fn(&str) -> bool) -> Vec<Finding> {
    let addresses = || config.groups.iter().flat_map(|group| &group.addresses);
    let bare = |one: &&LocalAddress| addresses().any(|address| *address == one.address) && !is_gated(&one.interface);
    let finding = |one: &LocalAddress| {
        let text = format!("{} is on {} without a gate: this machine answers for it", one.address, one.interface);
        let remedy = format!(
            "start the agent, or: ip address del {}/{} dev {}; find out who added it",
            one.address, one.prefix, one.interface
        );
        Finding::fail(text, remedy)
    };
    local.iter().filter(bare).filter(|one| one.interface != "lo").map(finding).collect()
}
