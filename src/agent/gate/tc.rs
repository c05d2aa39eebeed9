//! The part of rtnetlink's traffic control that a gate needs: the clsact qdisc, one filter per
//! direction.
//!
//! Owns: the bytes of these requests. Never does: keep a socket; each call opens one, in the
//! network namespace of the calling thread, so that a gate works wherever its thread is. Calls
//! block: the kernel answers at once, but takes the RTNL lock, so nothing here is for the hot
//! thread. An error carries the kernel's errno and its own words.

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::error::GateError;

/// Direction of frames, as seen from the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// `<linux/pkt_sched.h>`: TC_H_CLSACT's major with TC_H_MIN_INGRESS or TC_H_MIN_EGRESS.
    fn parent(self) -> u32 {
        match self {
            Direction::Ingress => 0xffff_fff2,
            Direction::Egress => 0xffff_fff3,
        }
    }

    /// Handle of our filter: the agent's port number, so that people recognise it in `tc filter
    /// show`.
    fn handle(self) -> u32 {
        match self {
            Direction::Ingress => 0x7811,
            Direction::Egress => 0x7812,
        }
    }

    /// Name of the direction in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

/// Priority of our filter: before every other one.
const PRIORITY: u32 = 1;
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
const NLMSGERR_ATTR_MSG: u16 = 1;
const ATTRIBUTE_TYPE: u16 = 0x3fff;
const ALIGN: usize = 4;
const HEADER: usize = 16;
const TCMSG: usize = 20;
const SEQUENCE: u32 = 1;
const ARPHRD_ETHER: u16 = 1;

/// A request under construction: netlink header, fixed part, attributes.
struct Request(Vec<u8>);

impl Request {
    /// A request of this kind without a body; its length is filled in by `finish`.
    fn new(kind: u16, flags: i32) -> Request {
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).expect("netlink flags are 16 bits");
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&SEQUENCE.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Request(bytes)
    }

    /// Appends `struct tcmsg`.
    fn traffic(mut self, ifindex: u32, handle: u32, parent: u32, info: u32) -> Request {
        self.0.extend_from_slice(&[0; 4]);
        for word in [ifindex, handle, parent, info] {
            self.0.extend_from_slice(&word.to_ne_bytes());
        }
        self
    }

    /// Appends an attribute, padded to four bytes.
    fn attribute(mut self, kind: u16, value: &[u8]) -> Request {
        let length = u16::try_from(4 + value.len()).expect("attributes of ours are short");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        self
    }

    /// The bytes of the request, with its length at the beginning.
    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("requests of ours are short");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// Number of 16 bits at an offset; `None` beyond the end.
fn number16(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

/// Number of 32 bits at an offset; `None` beyond the end.
fn number32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// Value of the first attribute of type `kind` in `bytes`.
fn find_attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    while bytes.len() >= 4 {
        let length = usize::from(number16(bytes, 0)?);
        let value = bytes.get(4..length)?;
        if number16(bytes, 2)? & ATTRIBUTE_TYPE == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or(&[]);
    }
    None
}

/// Refusal by the kernel: errno and the kernel's explanation, which may be empty.
struct Refusal {
    source: io::Error,
    detail: String,
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Refusal {
        Refusal { source, detail: String::new() }
    }
}

/// Sends a request over a socket of its own, and waits for the acknowledgement or the end of the
/// dump. Returns type and payload of each answer.
fn exchange(request: Request) -> Result<Vec<(u16, Vec<u8>)>, Refusal> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    // Best effort: without these an error has no explanation.
    let _ = socket.set_cap_ack(true);
    let _ = socket.set_ext_ack(true);
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request.finish(), 0)?;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        if read_datagram(&datagram, &mut answers)? {
            return Ok(answers);
        }
    }
}

/// Collects the payloads of one datagram of answers; true when the exchange is over.
fn read_datagram(mut bytes: &[u8], answers: &mut Vec<(u16, Vec<u8>)>) -> Result<bool, Refusal> {
    let short = || Refusal::from(io::Error::new(io::ErrorKind::InvalidData, "truncated netlink answer"));
    while bytes.len() >= HEADER {
        let length = number32(bytes, 0).and_then(|n| usize::try_from(n).ok()).ok_or_else(short)?;
        let payload = bytes.get(HEADER..length).ok_or_else(short)?;
        let kind = number16(bytes, 4).ok_or_else(short)?;
        match i32::from(kind) {
            libc::NLMSG_ERROR => {
                let errno = number32(payload, 0).ok_or_else(short)?.cast_signed();
                if errno == 0 {
                    return Ok(true);
                }
                // After the error number comes the header of our request (only that:
                // NETLINK_CAP_ACK).
                let text =
                    payload.get(4 + HEADER..).and_then(|rest| find_attribute(rest, NLMSGERR_ATTR_MSG)).unwrap_or(&[]);
                let detail = String::from_utf8_lossy(text).trim_end_matches('\0').to_owned();
                return Err(Refusal { source: io::Error::from_raw_os_error(-errno), detail });
            }
            libc::NLMSG_DONE => return Ok(true),
            _ => answers.push((kind, payload.to_vec())),
        }
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or(&[]);
    }
    Ok(false)
}

/// `tcm_info` of our filter: its priority, and all ethertypes.
fn filter_info() -> u32 {
    let protocol = u16::try_from(libc::ETH_P_ALL).expect("an ethertype").to_be();
    (PRIORITY << 16) | u32::from(protocol)
}

/// Adds the clsact qdisc if the interface has none.
///
/// # Errors
/// The kernel's refusal. An `ingress` qdisc in its place shows when a filter is attached to egress.
pub(super) fn ensure_clsact(ifindex: u32, name: &str) -> Result<(), GateError> {
    let request = Request::new(libc::RTM_NEWQDISC, libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL)
        .traffic(ifindex, CLSACT_HANDLE, CLSACT, 0)
        .attribute(TCA_KIND, b"clsact\0");
    match exchange(request) {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.source.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        Err(refusal) => Err(GateError::explained("add clsact qdisc", name, refusal.detail, refusal.source)),
    }
}

/// Attaches `program` as our filter. A filter in our place is replaced in one step: no frame passes
/// ungated.
///
/// # Errors
/// The kernel's refusal, for example when a filter of another kind has taken our priority.
pub(super) fn attach(
    ifindex: u32,
    name: &str,
    direction: Direction,
    program: std::os::fd::RawFd,
    program_name: &str,
) -> Result<(), GateError> {
    let label = [program_name.as_bytes(), b"\0"].concat();
    let options = Request(Vec::new())
        .attribute(TCA_BPF_FD, &program.to_ne_bytes())
        .attribute(TCA_BPF_NAME, &label)
        .attribute(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
    let request = Request::new(libc::RTM_NEWTFILTER, libc::NLM_F_ACK | libc::NLM_F_CREATE)
        .traffic(ifindex, direction.handle(), direction.parent(), filter_info())
        .attribute(TCA_KIND, b"bpf\0")
        .attribute(TCA_OPTIONS | 0x8000, &options.0);
    exchange(request).map(|_| ()).map_err(|refusal| {
        let object = format!("{name} {} priority {PRIORITY}", direction.name());
        GateError::explained("attach gate", object, refusal.detail, refusal.source)
    })
}

/// Takes our filter away; a missing filter is no error.
///
/// # Errors
/// The kernel's refusal.
pub(super) fn detach(ifindex: u32, name: &str, direction: Direction) -> Result<(), GateError> {
    let request = Request::new(libc::RTM_DELTFILTER, libc::NLM_F_ACK)
        .traffic(ifindex, direction.handle(), direction.parent(), filter_info())
        .attribute(TCA_KIND, b"bpf\0");
    match exchange(request) {
        Ok(_) => Ok(()),
        Err(refusal) if is_absence(&refusal.source) => Ok(()),
        Err(refusal) => Err(GateError::explained(
            "detach gate",
            format!("{name} {}", direction.name()),
            refusal.detail,
            refusal.source,
        )),
    }
}

/// Whether the kernel's error means that interface, qdisc or filter does not exist.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV))
}

/// Id of the program in our place (priority and handle), if there is one.
///
/// # Errors
/// The kernel's refusal; a missing interface or qdisc is `None`.
pub(super) fn attached_program(ifindex: u32, name: &str, direction: Direction) -> Result<Option<u32>, GateError> {
    let request =
        Request::new(libc::RTM_GETTFILTER, libc::NLM_F_DUMP).traffic(ifindex, 0, direction.parent(), filter_info());
    let answers = match exchange(request) {
        Ok(answers) => answers,
        Err(refusal) if is_absence(&refusal.source) => return Ok(None),
        Err(refusal) => {
            let object = format!("{name} {}", direction.name());
            return Err(GateError::explained("list filters", object, refusal.detail, refusal.source));
        }
    };
    Ok(answers.iter().find_map(|(kind, payload)| {
        let ours = *kind == libc::RTM_NEWTFILTER
            && number32(payload, 4) == Some(ifindex)
            && number32(payload, 8) == Some(direction.handle())
            && number32(payload, 16).is_some_and(|info| info >> 16 == PRIORITY);
        let options = find_attribute(payload.get(TCMSG..)?, TCA_OPTIONS).filter(|_| ours)?;
        let flags = find_attribute(options, TCA_BPF_FLAGS).and_then(|flags| number32(flags, 0))?;
        // Without direct action the verdicts would be ignored: such a filter is not a gate.
        find_attribute(options, TCA_BPF_ID)
            .and_then(|id| number32(id, 0))
            .filter(|_| flags & TCA_BPF_FLAG_ACT_DIRECT != 0)
    }))
}

/// Makes sure that the interface exists and carries Ethernet.
///
/// # Errors
/// [`GateError::NotEthernet`], or the kernel's refusal (ENODEV: no such interface).
pub(super) fn check_ethernet(ifindex: u32, name: &str) -> Result<(), GateError> {
    // A lookup has no end marker of its own: ask for the acknowledgement.
    let mut request = Request::new(libc::RTM_GETLINK, libc::NLM_F_ACK);
    // struct ifinfomsg: family, pad, type, index, flags, change
    request.0.extend_from_slice(&[0; 4]);
    request.0.extend_from_slice(&ifindex.to_ne_bytes());
    request.0.extend_from_slice(&[0; 8]);
    let failed = |refusal: Refusal| GateError::explained("look up interface", name, refusal.detail, refusal.source);
    let answers = exchange(request).map_err(failed)?;
    match answers.first().and_then(|(_, payload)| number16(payload, 2)) {
        Some(ARPHRD_ETHER) => Ok(()),
        Some(hardware) => Err(GateError::NotEthernet { interface: name.to_owned(), hardware }),
        None => Err(failed(io::Error::new(io::ErrorKind::InvalidData, "empty answer").into())),
    }
}
