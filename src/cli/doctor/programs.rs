//! Findings about the gate's place, and about other programs on the same interface: whoever decides
//! before the gate can let frames pass that it never sees.

use super::Finding;
use crate::agent::gate::place::{Direction, Occupant, Place, Site};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;

/// Beginning of the names of the gate's programs (build.rs names them).
pub(super) const OURS: &str = "vip_";
/// Beginning of the name of a guard's program.
const GUARD: &str = "vipg_";
/// Most messages of one dump that are read.
const MAX_MESSAGES: usize = 4096;

/// Findings about the interface `name`.
pub(super) fn examine(name: &str) -> Vec<Finding> {
    let Ok(index) = nix::net::if_::if_nametoindex(name) else {
        return vec![Finding::warn(format!("{name} has just gone"), "run this command again")];
    };
    let site = Site { ifindex: index, name };
    let mut lines = Vec::new();
    for direction in Direction::BOTH {
        match line(site, direction) {
            Ok(line) => lines.push((direction, line)),
            Err(error) => {
                return vec![Finding::warn(
                    format!("who decides on {name} cannot be listed: {error}"),
                    "run as root",
                )];
            }
        }
    }
    let mut findings = match Place::best(site).and_then(|place| place.check(site)) {
        Ok(()) => judge(name, &lines),
        Err(error) => {
            vec![Finding::fail(error.to_string(), format!("see `tc qdisc show dev {name}`, and who added it"))]
        }
    };
    findings.extend(xdp(name, index));
    findings
}

/// All that decide in one direction, in their order.
fn line(site: Site<'_>, direction: Direction) -> io::Result<Vec<Occupant>> {
    let mut all = Vec::new();
    for place in Place::ALL {
        all.extend(place.occupants(site, direction).map_err(io::Error::other)?);
    }
    Ok(all)
}

/// Whether a guard is on the way out of an interface.
pub(super) fn is_guarded(name: &str) -> bool {
    decides(name, Direction::Egress, GUARD)
}

/// Whether a gate is on the way out of an interface.
pub(super) fn is_gated(name: &str) -> bool {
    decides(name, Direction::Egress, OURS)
}

/// Whether a program whose name begins so is at a hook of an interface.
fn decides(name: &str, direction: Direction, beginning: &str) -> bool {
    let Ok(index) = nix::net::if_::if_nametoindex(name) else { return false };
    let line = line(Site { ifindex: index, name }, direction).unwrap_or_default();
    line.iter().any(|occupant| occupant.name.as_deref().is_some_and(|name| name.starts_with(beginning)))
}

/// Whether somebody at a hook is a gate.
fn is_gate(occupant: &Occupant) -> bool {
    occupant.name.as_deref().is_some_and(|name| name.starts_with(OURS))
}

/// What the order of those who decide means, in both directions.
pub(super) fn judge(name: &str, lines: &[(Direction, Vec<Occupant>)]) -> Vec<Finding> {
    let gated = lines.iter().any(|(_, line)| line.iter().any(is_gate));
    let mut findings: Vec<Finding> =
        lines.iter().flat_map(|(direction, line)| in_one_direction(name, *direction, line, gated)).collect();
    if findings.is_empty() {
        let text = if gated { "the gate decides first, and nothing after it" } else { "no tc or TCX program" };
        findings.push(Finding::ok(text));
    } else if gated && findings.iter().all(|finding| finding.level == super::Level::Ok) {
        findings.insert(0, Finding::ok("the gate decides first"));
    }
    findings
}

/// What the order in one direction means; `gated`: there is a gate in one of them.
fn in_one_direction(name: &str, direction: Direction, line: &[Occupant], gated: bool) -> Vec<Finding> {
    let on = direction.name();
    let first = line.iter().position(is_gate);
    if gated && first.is_none() {
        let remedy = "restart the agent, and find out who takes the gate away";
        return vec![Finding::fail(format!("{name} has half a gate: none on {on}"), remedy)];
    }
    let judged = line.iter().enumerate().filter(|(at, _)| Some(*at) != first);
    judged
        .map(|(at, occupant)| match first {
            // A gate that is not there yet.
            None => Finding::ok(format!("{} on {on}: the gate will be put before it", occupant.text)),
            Some(gate) if at < gate => Finding::fail(
                format!("{} decides before the gate on {on}: what it lets pass is never gated", occupant.text),
                "a running agent goes first within a second: is it running, and what does its log say? If that comes \
                 again and again, detach the other program",
            ),
            Some(_) if is_gate(occupant) => Finding::fail(
                format!("{} on {on} stands behind the gate: an earlier gate, which never opens again", occupant.text),
                "stop the agent, run `vipair run` once by hand as root, which takes it away, and start the agent",
            ),
            Some(_) => Finding::ok(format!("{} on {on} decides after the gate", occupant.text)),
        })
        .collect()
}

/// A finding if an XDP program is attached to the interface.
fn xdp(name: &str, index: u32) -> Option<Finding> {
    let answers = dump(RouteNetlinkMessage::GetLink(LinkMessage::default())).ok()?;
    let attached = answers.iter().any(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) if link.header.index == index => link.attributes.iter().any(has_program),
        _ => false,
    });
    attached.then(|| {
        let remedy = "make sure that it neither answers ARP nor redirects frames of service addresses";
        Finding::warn(format!("an XDP program on {name} runs before the gate"), remedy)
    })
}

/// Whether an attribute of an interface tells of an XDP program.
fn has_program(attribute: &LinkAttribute) -> bool {
    let LinkAttribute::Xdp(xdp) = attribute else { return false };
    xdp.iter().any(|part| matches!(part, LinkXdp::ProgId(id) if *id != 0))
}

/// Sends one dump request and collects the answers, at most [`MAX_MESSAGES`].
fn dump(request: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.header.sequence_number = 1;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let mut answers = Vec::new();
    while answers.len() < MAX_MESSAGES {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            let length = usize::try_from(message.header.length).map_err(io::Error::other)?.next_multiple_of(4);
            match message.payload {
                NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                _ => return Ok(answers),
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    Ok(answers)
}
