//! Sentences about machines that cannot be told apart, and about links that are too narrow.

use super::{Names, Saying, saying};
use crate::control::protocol::Severity;
use crate::types::{InterfaceId, LinkId, NodeId};

/// What people are told when somebody authentic uses this node's number, or does no more.
pub fn same_number(names: &Names, link: Option<LinkId>) -> Saying {
    let Some(link) = link else {
        let text = "nobody else uses this node's number any more".to_owned();
        return saying(Severity::Info, "same_number", text);
    };
    let from = names.far_end(link);
    let text = format!(
        "another machine uses this node's number: it is heard from {from}; \
         compare the order of [[node]] in both files, and --node"
    );
    let mut event = saying(Severity::Error, "same_number", text);
    event.fields = vec![("from", from)];
    event
}

/// What people are told when a peer has a hardware address of ours, or has it no more.
pub fn same_mac(names: &Names, peer: NodeId, interface: Option<InterfaceId>) -> Saying {
    let name = names.node(peer);
    let Some(interface) = interface else {
        return saying(Severity::Info, "same_mac", format!("{name} has a hardware address of its own"));
    };
    let interface = names.interface(interface);
    let text = format!(
        "{name} has the hardware address of our {interface}: one is a copy of the other; clients reach either"
    );
    saying(Severity::Error, "same_mac", text)
}

/// What people are told when a link does not take a datagram of so many bytes.
pub fn too_large(names: &Names, link: LinkId, bytes: u16) -> Saying {
    let text = format!(
        "{} takes no datagram of {bytes} bytes (its MTU is small): what is to be told goes in smaller ones",
        names.link(link)
    );
    saying(Severity::Warning, "link_narrow", text)
}
