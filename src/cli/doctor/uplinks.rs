//! Findings about the ports of a bridge: which of them lead out of this machine.

use super::Finding;
use crate::io::netlink::{BridgePort, Netlink};
use std::io;

/// Most names in one line.
const MAX_SHOWN: usize = 5;

/// The findings about the bridge that the interface `name` is, or has the frames of; none if there is
/// no bridge, and none is expected. `named`: the uplinks of the configuration.
pub(super) fn examine(name: &str, named: &[String]) -> Vec<Finding> {
    match ports(name) {
        Ok(Some(ports)) => judge(name, named, &ports),
        Ok(None) if named.is_empty() => Vec::new(),
        Ok(None) => {
            let text = format!("{name} is no bridge, and the configuration names uplinks for it");
            vec![Finding::warn(text, "remove `uplinks`, or correct `interface`")]
        }
        Err(cause) => {
            vec![Finding::warn(format!("the kernel does not tell the ports of {name}: {cause}"), "ask as root")]
        }
    }
}

/// The ports of the interface's bridge; `None` if there is none.
fn ports(name: &str) -> io::Result<Option<Vec<BridgePort>>> {
    let mut netlink = Netlink::open()?;
    let Some(link) = netlink.interface(name)? else { return Ok(None) };
    let Some(bridge) = netlink.bridge_below(link.index)? else { return Ok(None) };
    netlink.bridge_ports(bridge).map(Some)
}

/// What it means that a bridge has these ports.
pub(super) fn judge(name: &str, named: &[String], ports: &[BridgePort]) -> Vec<Finding> {
    let is_port = |uplink: &&String| ports.iter().any(|port| port.name == **uplink);
    let mut findings = Vec::new();
    let missing: Vec<String> = named.iter().filter(|uplink| !is_port(uplink)).cloned().collect();
    if !missing.is_empty() {
        let text = format!("named as uplinks of {name}, but no ports of its bridge: {}", shown(&missing));
        findings.push(Finding::fail(text, "correct `uplinks`, or put them there: ip link set NAME master BRIDGE"));
    }
    let by_name = missing.len() < named.len();
    let leads_out = |port: &&BridgePort| if by_name { named.contains(&port.name) } else { port.is_uplink() };
    let (outer, inner): (Vec<&BridgePort>, Vec<&BridgePort>) = ports.iter().partition(leads_out);
    let names = |ports: &[&BridgePort]| shown(&ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>());
    if outer.is_empty() && inner.is_empty() {
        return findings;
    }
    if outer.is_empty() {
        let text = format!("no port of {name} leads out by its kind: {} might be virtual machines", names(&inner));
        findings.push(Finding::warn(text, "name the ports that lead out of this server: uplinks = [\"…\"]"));
        return findings;
    }
    let how = if by_name { "as the configuration says" } else { "by their kind" };
    let inside = if inner.is_empty() { String::new() } else { format!("; behind {} is this server", names(&inner)) };
    findings.push(Finding::ok(format!("uplinks of {name}, {how}: {}{inside}", names(&outer))));
    if outer.iter().all(|port| !port.carrier) {
        let text = format!("no uplink of {name} has carrier, whatever its other ports have");
        findings.push(Finding::fail(text, "look at cable and switch port"));
    }
    findings
}

/// The first of some names, and how many more there are.
fn shown(names: &[String]) -> String {
    let hidden = names.len().saturating_sub(MAX_SHOWN);
    let more = if hidden > 0 { format!(" and {hidden} more") } else { String::new() };
    format!("{}{more}", names[..names.len() - hidden].join(", "))
}
