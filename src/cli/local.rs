//! The addresses of this machine, by which a configuration finds out which node this is.

use std::net::IpAddr;

/// All addresses of all interfaces. Service addresses are among them; no link has one of those.
///
/// # Errors
/// The kernel refused to list them.
pub fn addresses() -> std::io::Result<Vec<IpAddr>> {
    let all = nix::ifaddrs::getifaddrs()?;
    Ok(all
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect())
}
