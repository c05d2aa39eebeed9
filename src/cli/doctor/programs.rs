//! Other programs on the same interface: those that run before the gate can pass frames around it.

use super::Finding;
use aya::programs::{SchedClassifier, TcAttachType};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;

/// linux/pkt_sched.h: TC_H_CLSACT with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS.
const HOOKS: [(&str, u32); 2] = [("ingress", 0xffff_fff2), ("egress", 0xffff_fff3)];
/// What the gate's filters are called begins with this (build.rs names them).
pub(super) const OURS: &str = "vip_";
/// Messages of one dump that are read; an interface with more filters than this has other worries.
const MAX_MESSAGES: usize = 4096;

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

/// A filter of another or of ours.
#[derive(PartialEq, Eq)]
struct Filter {
    kind: String,
    priority: u32,
    program: Option<String>,
}

impl Filter {
    fn is_ours(&self) -> bool {
        self.program.as_deref().is_some_and(|program| program.starts_with(OURS))
    }

    fn shown(&self) -> String {
        let program = self.program.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        format!("{}{program}, preference {}", self.kind, self.priority)
    }
}

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
        // A priority without options is the list's head and no filter.
        let has_options = message.attributes.iter().any(|attribute| matches!(attribute, TcAttribute::Options(_)));
        if let (Some(kind), true) = (kind, has_options) {
            let filter = Filter { kind, priority: message.header.info >> 16, program };
            // u32 shows its hash table and every entry of it.
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
    }
    Ok(filters)
}

fn program_name(attribute: &TcAttribute) -> Option<String> {
    let TcAttribute::Options(options) = attribute else { return None };
    options.iter().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
        _ => None,
    })
}

/// Programs attached by TCX (Linux 6.6) run before every classic filter. Older kernels have none.
fn tcx(name: &str) -> Vec<Finding> {
    let hooks = [("ingress", TcAttachType::Ingress), ("egress", TcAttachType::Egress)];
    let mut findings = Vec::new();
    for (hook, attach_type) in hooks {
        // An error means that the kernel has no TCX, or that we may not ask; both are told elsewhere.
        let Ok((_, programs)) = SchedClassifier::query_tcx(name, attach_type) else { continue };
        findings.extend(programs.iter().map(|program| {
            let program = program.name_as_str().unwrap_or("without a name").to_owned();
            let text = format!("TCX program {program} on {hook} runs before the gate");
            Finding::warn(text, "make sure that it neither answers ARP nor redirects frames of service addresses")
        }));
    }
    findings
}

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

fn has_program(attribute: &LinkAttribute) -> bool {
    let LinkAttribute::Xdp(xdp) = attribute else { return false };
    xdp.iter().any(|part| matches!(part, LinkXdp::ProgId(id) if *id != 0))
}

/// Sends one dump request and collects what comes.
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
