//! Settings of an interface under /proc/sys/net that group addresses need.
//!
//! Owns: which settings those are. Never does: put an earlier value back: other software may rely
//! on the present one by then. What cannot be written is the caller's to tell.

use std::io;

/// Value of `arp_announce` with which the kernel asks for a neighbour with the best address of the
/// server, whatever the packet that waits has as its source.
const OWN_ADDRESS: &str = "2";

/// Makes an interface keep its IPv6 addresses while it is switched off (`keep_addr_on_down`).
/// Otherwise each "down" removes them, and they must be added again.
///
/// # Errors
/// ENOENT where IPv6 is not compiled in or the interface is gone, EROFS or EACCES where /proc/sys
/// may not be written.
pub fn hold_addresses_while_down(name: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/keep_addr_on_down"), "1")
}

/// Makes the kernel ask for IPv4 neighbours on an interface in the server's own name
/// (`arp_announce`). Otherwise a packet from a group's address makes it ask with that address, and
/// the gate of a standby drops the question, for which others may wait. True if it was set
/// differently before.
///
/// # Errors
/// ENOENT when the interface is gone, EROFS or EACCES where /proc/sys may not be written.
pub fn ask_with_own_address(name: &str) -> io::Result<bool> {
    let path = format!("/proc/sys/net/ipv4/conf/{name}/arp_announce");
    let differs = std::fs::read_to_string(&path)?.trim() != OWN_ADDRESS;
    if differs {
        std::fs::write(path, OWN_ADDRESS)?;
    }
    Ok(differs)
}

/// Makes an interface promote secondary addresses (kernel, ip-sysctl, `promote_secondaries`).
/// Otherwise removing the first IPv4 address of a network removes the others of that network.
///
/// # Errors
/// ENOENT where the interface is gone, EROFS or EACCES where /proc/sys may not be written.
pub fn promote_secondaries(name: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries"), "1")
}
