//! Findings about other programs on the same interface: those that run before the gate can pass
//! frames around it.

use super::Finding;
use aya::programs::{SchedClassifier, TcAttachType};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;

/// Hooks of the gate with their handles: TC_H_CLSACT with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS of
/// linux/pkt_sched.h.
const HOOKS: [(&str, u32); 2] = [("ingress", 0xffff_fff2), ("egress", 0xffff_fff3)];
/// Beginning of the names of the gate's programs (build.rs names them).
pub(super) const OURS: &str = "vip_";
/// Most messages of one dump that are read: no sound interface has more filters.
const MAX_MESSAGES: usize = 4096;

/// Findings about the interface `name`.
pub(super) fn examine(name: &str) -> Vec<Finding> {
    let Ok(index) = nix::net::if_::if_nametoindex(name) else {
        return vec![Finding::warn(format!("{name} has just gone"), "run this command again")];
    };
    let mut findings = Vec::new();
    for (hook, parent) in HOOKS {
        match filters(index, parent) {
            Ok(filters) => findings.extend(filters.iter().filter(|filter| !filter.is_ours()).map(|filter| {
                let text = format!("another tc filter on {hook}: {}", filter.shown());
                Finding::warn(text, format!("see `tc filter show dev {name} {hook}`; it must run after the gate, and send nothing by itself"))
            })),
            Err(error) => findings.push(Finding::warn(format!("tc filters cannot be listed: {error}"), "run as root")),
        }
    }
    findings.extend(tcx(name));
    findings.extend(xdp(name, index));
    if findings.is_empty() {
        findings.push(Finding::ok("no other tc, TCX or XDP program"));
    }
    findings
}

/// A tc filter.
#[derive(PartialEq, Eq)]
struct Filter {
    /// Kind of the filter, such as `bpf` or `u32`.
    kind: String,
    /// Preference: filters run in rising order.
    priority: u32,
    /// Name of its BPF program, if it has one.
    program: Option<String>,
}

impl Filter {
    /// Whether the filter is the gate's.
    fn is_ours(&self) -> bool {
        self.program.as_deref().is_some_and(|program| program.starts_with(OURS))
    }

    /// The filter as printed.
    fn shown(&self) -> String {
        let program = self.program.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        format!("{}{program}, preference {}", self.kind, self.priority)
    }
}

/// Filters of the interface `index` at the hook with this handle.
fn filters(index: u32, parent: u32) -> io::Result<Vec<Filter>> {
    let mut request = TcMessage::default();
    request.header.index = i32::try_from(index).map_err(io::Error::other)?;
    request.header.parent = TcHandle::from(parent);
    let answers = dump(RouteNetlinkMessage::GetTrafficFilter(request))?;
    let mut filters = Vec::new();
    for answer in answers {
        let RouteNetlinkMessage::NewTrafficFilter(message) = answer else { continue };
        let kind = message.attributes.iter().find_map(|attribute| match attribute {
            TcAttribute::Kind(kind) => Some(kind.clone()),
            _ => None,
        });
        let program = message.attributes.iter().find_map(program_name);
        // A message without options is about the head of a list and no filter.
        let has_options = message.attributes.iter().any(|attribute| matches!(attribute, TcAttribute::Options(_)));
        if let (Some(kind), true) = (kind, has_options) {
            let filter = Filter { kind, priority: message.header.info >> 16, program };
            // A filter of kind u32 is listed once for its hash table and once for each entry.
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
    }
    Ok(filters)
}

/// The name of the BPF program that the options of a filter tell.
fn program_name(attribute: &TcAttribute) -> Option<String> {
    let TcAttribute::Options(options) = attribute else { return None };
    options.iter().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
        _ => None,
    })
}

/// Findings about programs attached by TCX (since Linux 6.6), which run before every classic
/// filter.
fn tcx(name: &str) -> Vec<Finding> {
    let hooks = [("ingress", TcAttachType::Ingress), ("egress", TcAttachType::Egress)];
    let mut findings = Vec::new();
    for (hook, attach_type) in hooks {
        // An error means that the kernel has no TCX, or that we may not ask: other findings tell
        // both.
        let Ok((_, programs)) = SchedClassifier::query_tcx(name, attach_type) else { continue };
        findings.extend(programs.iter().map(|program| {
            let program = program.name_as_str().unwrap_or("without a name").to_owned();
            let text = format!("TCX program {program} on {hook} runs before the gate");
            Finding::warn(text, "make sure that it neither answers ARP nor redirects frames of service addresses")
        }));
    }
    findings
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
