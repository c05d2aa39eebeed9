//! The part of rtnetlink that a gate needs: requests about traffic control and interfaces.
//!
//! Owns: the bytes of these requests. Never does: keep a socket; each call opens one, in the
//! network namespace of the calling thread, so that a gate works wherever its thread is. Calls
//! block: the kernel answers at once, but takes the RTNL lock, so nothing here is for the hot
//! thread. An error carries the kernel's errno and its own words.

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::error::GateError;

/// Length of `struct tcmsg`: attributes of an answer about traffic control come after it.
pub(super) const TCMSG: usize = 20;

const NLMSGERR_ATTR_MSG: u16 = 1;
const ATTRIBUTE_TYPE: u16 = 0x3fff;
const ALIGN: usize = 4;
const HEADER: usize = 16;
const SEQUENCE: u32 = 1;
const ARPHRD_ETHER: u16 = 1;

/// A request under construction: netlink header, fixed part, attributes.
pub(super) struct Request(Vec<u8>);

impl Request {
    /// A request of this kind without a body; its length is filled in by `finish`.
    pub(super) fn new(kind: u16, flags: i32) -> Request {
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).expect("netlink flags are 16 bits");
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&SEQUENCE.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Request(bytes)
    }

    /// Attributes without a request around them: the value of a nested attribute.
    pub(super) fn nested() -> Request {
        Request(Vec::new())
    }

    /// The bytes so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends `struct tcmsg`.
    pub(super) fn traffic(mut self, ifindex: u32, handle: u32, parent: u32, info: u32) -> Request {
        self.0.extend_from_slice(&[0; 4]);
        for word in [ifindex, handle, parent, info] {
            self.0.extend_from_slice(&word.to_ne_bytes());
        }
        self
    }

    /// Appends an attribute, padded to four bytes.
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Request {
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
pub(super) fn number32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// Value of the first attribute of type `kind` in `bytes`.
pub(super) fn find_attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
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
pub(super) struct Refusal {
    pub(super) source: io::Error,
    pub(super) detail: String,
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Refusal {
        Refusal { source, detail: String::new() }
    }
}

/// Sends a request over a socket of its own, and waits for the acknowledgement or the end of the
/// dump. Returns type and payload of each answer.
pub(super) fn exchange(request: Request) -> Result<Vec<(u16, Vec<u8>)>, Refusal> {
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

/// The answer to a look-up of an interface: `struct ifinfomsg` and its attributes.
fn look_up(ifindex: u32, name: &str) -> Result<Vec<u8>, GateError> {
    // A lookup has no end marker of its own: ask for the acknowledgement.
    let mut request = Request::new(libc::RTM_GETLINK, libc::NLM_F_ACK);
    // struct ifinfomsg: family, pad, type, index, flags, change
    request.0.extend_from_slice(&[0; 4]);
    request.0.extend_from_slice(&ifindex.to_ne_bytes());
    request.0.extend_from_slice(&[0; 8]);
    let failed = |refusal: Refusal| GateError::explained("look up interface", name, refusal.detail, refusal.source);
    let answers = exchange(request).map_err(failed)?;
    let answer = answers.into_iter().next().map(|(_, payload)| payload);
    answer.ok_or_else(|| failed(io::Error::new(io::ErrorKind::InvalidData, "empty answer").into()))
}

/// Makes sure that the interface exists and carries Ethernet.
///
/// # Errors
/// [`GateError::NotEthernet`], or the kernel's refusal (ENODEV: no such interface).
pub(super) fn check_ethernet(ifindex: u32, name: &str) -> Result<(), GateError> {
    match number16(&look_up(ifindex, name)?, 2) {
        Some(ARPHRD_ETHER) => Ok(()),
        hardware => {
            Err(GateError::NotEthernet { interface: name.to_owned(), hardware: hardware.unwrap_or_default() })
        }
    }
}

/// Whether the interface is switched on.
///
/// # Errors
/// The kernel's refusal (ENODEV: no such interface).
pub(super) fn is_up(ifindex: u32, name: &str) -> Result<bool, GateError> {
    let flags = number32(&look_up(ifindex, name)?, 8).unwrap_or_default();
    Ok(flags & libc::IFF_UP.cast_unsigned() != 0)
}
