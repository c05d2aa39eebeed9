//! Ports of a bridge.
//!
//! Owns: the question. Never does: change a port.

use super::message;
use super::requests::Netlink;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use std::io;

/// A port of a bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BridgePort {
    /// Number of the interface.
    pub index: u32,
    /// Kind of the device, such as `veth`; empty for a physical one.
    pub kind: String,
    /// Whether the port is switched on and has a signal.
    pub carrier: bool,
}

impl Netlink {
    /// The ports of the bridge with the number `index`; none if that is no bridge.
    ///
    /// # Errors
    /// When the kernel could not be asked.
    pub fn bridge_ports(&mut self, index: u32) -> io::Result<Vec<BridgePort>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::Controller(index));
        self.dump(RouteNetlinkMessage::GetLink(request), |answer| {
            (answer.kind == libc::RTM_NEWLINK).then(|| message::bridge_port(answer.payload, index)).flatten()
        })
    }
}
