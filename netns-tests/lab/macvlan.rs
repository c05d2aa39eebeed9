//! Macvlan devices that hand broadcasts on at once.
//!
//! Owns: one request to the kernel. Never does: anything for a kernel before 6.4, which knows no such
//! setting; there the device stays as it is.
//!
//! A macvlan leaves a broadcast that arrives to a worker of the kernel, which waits for its turn like
//! any process. A card does not, and where a macvlan stands for a card neither must it.

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkInfo, LinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Takes the queue of broadcasts away from a macvlan of the namespace that the calling thread is in.
pub fn take_queue_away(name: &str) {
    let index = nix::net::if_::if_nametoindex(name).unwrap_or_else(|cause| panic!("{name}: {cause}"));
    let mut link = LinkMessage::default();
    link.header.index = index;
    let never = InfoData::MacVlan(vec![InfoMacVlan::BcCutoff(-1)]);
    link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::MacVlan), LinkInfo::Data(never)]));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewLink(link));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE).expect("a socket");
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).expect("the kernel takes requests");
    let (answer, _) = socket.recv_from_full().expect("the kernel answers");
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).expect("an answer");
    let NetlinkPayload::Error(error) = answer.payload else { panic!("{name}: {answer:?}") };
    assert_eq!(error.code, None, "{name}: {error}");
}
