//! Findings about the witnesses: does a route lead there, and does the agent hear them?

use super::Finding;
use crate::config::{Config, Witness};
use crate::control::protocol::{LinkState, LinkStatus};
use crate::words::Names;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A finding for each witness, and one about them together. `begins` tells the source address that
/// the kernel would use on the way there; `links` is the agent's status, if it runs.
pub(super) fn examine(
    config: &Config,
    begins: impl Fn(SocketAddr) -> io::Result<IpAddr>,
    links: Option<&[LinkStatus]>,
) -> Vec<Finding> {
    let Some(witness) = &config.witness else { return Vec::new() };
    let names = Names::new(config);
    let mut findings = Vec::new();
    let mut heard = 0;
    for (id, remote) in config.witnesses() {
        let name = names.node(id);
        let from = match begins(remote) {
            Ok(from) => from,
            Err(error) => {
                let remedy = "see `ip route get`, or correct the address in [witness]";
                findings.push(Finding::warn(format!("no route leads to {name} at {remote}: {error}"), remedy));
                continue;
            }
        };
        let state = links.map(|links| links.iter().find(|link| link.peer == name).map(|link| link.state));
        findings.push(match state {
            None => Finding::ok(format!("a route leads to {name} at {remote}, from {from}")),
            Some(Some(LinkState::Up)) => {
                heard += 1;
                Finding::ok(format!("{name} is heard, at {remote} from {from}"))
            }
            Some(Some(LinkState::Silent | LinkState::Down)) => Finding::warn(
                format!("{name} at {remote} is not heard"),
                "does `vipair witness` run there, with this cluster and its key? does UDP pass there and back?",
            ),
            Some(None) => Finding::warn(
                format!("the agent does not know {name}"),
                "it runs with another configuration: `systemctl restart vipair`",
            ),
        });
    }
    if links.is_some() {
        findings.push(majority(witness, heard));
    }
    findings
}

/// The finding whether a node that is left alone has a majority: it has its own vote and needs
/// those of most witnesses.
fn majority(witness: &Witness, heard: usize) -> Finding {
    let count = witness.addresses.len();
    if heard * 2 > count {
        return Finding::ok(format!("{heard} of {count} witnesses heard: a node that is left alone has a majority"));
    }
    let text = format!("{heard} of {count} witnesses heard: a node that is left alone has no majority");
    if witness.strict {
        Finding::fail(
            format!("{text}, and nobody takes over"),
            "bring the witnesses back; strict = true waits for them",
        )
    } else {
        Finding::warn(format!("{text}; strict = false lets the pair alone decide"), "bring the witnesses back")
    }
}
