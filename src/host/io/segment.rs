//! The packet socket on a clients' segment: receives ARP, neighbour discovery and the segment
//! link's frames, and sends probes, announcements and segment pulses.
//!
//! Frames that are sent pass the egress gate (PACKET_QDISC_BYPASS is never set): the kernel drops
//! an announcement without a lease. Frames that are received were taken *before* the ingress gate.
//! The socket is not promiscuous. It is opened with protocol 0, given its filter, and only then
//! bound, so that no frame that the filter refuses is ever queued. When its interface goes away it
//! stays silent; the keeper opens another one for the new interface.

use nix::errno::Errno;
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Socket option of include/uapi/linux/if_packet.h, since Linux 4.20.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// Size of either buffer in bytes: room for a storm of some milliseconds, since the filter has
/// dropped what is not ours.
const BUFFER: usize = 1 << 20;
/// Most frames handed to one sendmmsg(2): 64 announcements take a fraction of a millisecond.
const BATCH: usize = 64;

/// A filtered, nonblocking AF_PACKET socket on one interface. Frames begin with the Ethernet
/// header.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    ifindex: u32,
}

impl PacketSocket {
    /// Opens a socket on the interface `ifindex` that receives what `filter` (classic BPF, over
    /// whole frames) accepts. Frames of other VLANs, whose tag the kernel has already taken off,
    /// are refused before `filter`.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, ENODEV when the interface is gone, EINVAL when the kernel refuses
    /// the filter.
    pub fn open(ifindex: u32, filter: &[libc::sock_filter]) -> io::Result<PacketSocket> {
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        let program: Vec<SockFilter> = untagged_filter()
            .into_iter()
            .chain(filter.iter().map(|op| SockFilter::new(op.code, op.jt, op.jf, op.k)))
            .collect();
        socket.attach_filter(&program)?;
        ignore_outgoing(&socket)?;
        let _best_effort = [socket.set_recv_buffer_size(BUFFER), socket.set_send_buffer_size(BUFFER)];
        socket.bind(&link_address(ifindex)?)?;
        Ok(PacketSocket { socket, ifindex })
    }

    /// Number of the interface that the socket was opened on.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Takes one frame and returns its length; `None` when no frame waits. A frame longer than
    /// `buffer` is cut. Never blocks.
    ///
    /// # Errors
    /// Only when the socket itself is unusable: open another.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let cause = match (&self.socket).read(buffer) {
                Ok(length) => return Ok(Some(length)),
                Err(cause) => cause,
            };
            match errno(&cause) {
                Errno::EINTR => {}
                // ENETDOWN is told once each time the interface goes down; links tell the keeper,
                // too.
                Errno::EAGAIN | Errno::ENETDOWN => return Ok(None),
                _ => return Err(cause),
            }
        }
    }

    /// Sends one whole frame, and returns whether it was sent; it is not if the queue is full or
    /// the interface down or gone (EAGAIN, ENOBUFS, ENETDOWN, ENXIO). A frame that the gate drops
    /// counts as sent. Never blocks.
    ///
    /// # Errors
    /// Only when the socket itself is unusable or the frame is longer than the MTU.
    pub fn send(&self, frame: &[u8]) -> io::Result<bool> {
        loop {
            let cause = match self.socket.send(frame) {
                Ok(_) => return Ok(true),
                Err(cause) => cause,
            };
            match errno(&cause) {
                Errno::EINTR => {}
                other if is_passing(other) => return Ok(false),
                _ => return Err(cause),
            }
        }
    }

    /// Sends whole frames in order, up to 64 with one system call, and returns how many of them
    /// were sent. Fewer than all means that the queue is full or the interface down: send the
    /// others later. Never blocks, but takes about 5 µs for each frame.
    ///
    /// # Errors
    /// Only when the socket itself is unusable or the next frame is longer than the MTU.
    pub fn send_batch<F: AsRef<[u8]>>(&self, frames: &[F]) -> io::Result<usize> {
        let mut done = 0;
        for chunk in frames.chunks(BATCH) {
            let sent = self.send_chunk(chunk)?;
            done += sent;
            if sent < chunk.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Sends at most [`BATCH`] frames, and returns how many of them were sent.
    fn send_chunk<F: AsRef<[u8]>>(&self, frames: &[F]) -> io::Result<usize> {
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: mmsghdr is plain data for which all zero bytes mean "no address, no buffers, no
        // control data".
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for ((part, message), frame) in parts.iter_mut().zip(&mut messages).zip(frames) {
            let bytes = frame.as_ref();
            *part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        let mut done = 0;
        while done < frames.len() {
            let rest = &mut messages[done..frames.len()];
            let count = libc::c_uint::try_from(rest.len()).unwrap_or(0);
            // SAFETY: `rest` has `count` initialised headers, each pointing into `parts` and from
            // there into `frames`; all three outlive the call, and the kernel only reads the
            // buffers.
            let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), rest.as_mut_ptr(), count, 0) };
            match usize::try_from(sent) {
                Ok(sent) => done += sent,
                Err(_) => match Errno::last() {
                    Errno::EINTR => {}
                    other if is_passing(other) => break,
                    cause => return Err(cause.into()),
                },
            }
        }
        Ok(done)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The error code of an operating system's error; 0 if it has none.
fn errno(cause: &io::Error) -> Errno {
    Errno::from_raw(cause.raw_os_error().unwrap_or(0))
}

/// Whether the error is a condition of the interface, which passes, and not of the socket.
fn is_passing(cause: Errno) -> bool {
    matches!(cause, Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::ENETDOWN | Errno::ENXIO | Errno::ENODEV)
}

/// The beginning of a filter, which refuses frames that arrived with a VLAN number other than 0:
/// the interface of that VLAN is another segment, and a packet socket on the underlying interface
/// sees its frames without their tag. For other frames the filter goes on after the last
/// instruction.
fn untagged_filter() -> [SockFilter; 4] {
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let mask = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    let code = |code: u32| u16::try_from(code).unwrap_or(0);
    // Offsets below zero address the kernel's notes on the frame: linux/filter.h, SKF_AD_OFF.
    let tag = (libc::SKF_AD_OFF + libc::SKF_AD_VLAN_TAG).cast_unsigned();
    [
        SockFilter::new(code(load), 0, 0, tag),
        SockFilter::new(code(mask), 0, 0, 0x0fff),
        SockFilter::new(code(equal), 1, 0, 0),
        SockFilter::new(code(give), 0, 0, 0),
    ]
}

/// Makes the socket ignore the frames that this machine sends.
fn ignore_outgoing(socket: &Socket) -> io::Result<()> {
    let yes: libc::c_int = 1;
    let (level, option) = (libc::SOL_PACKET, PACKET_IGNORE_OUTGOING);
    // SAFETY: the descriptor is open for the length of the call, and the option value is an int,
    // four bytes.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const yes).cast(), 4) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The address that binds a packet socket to every protocol of one interface.
fn link_address(ifindex: u32) -> io::Result<SockAddr> {
    let sll_ifindex = libc::c_int::try_from(ifindex).map_err(|_| io::Error::from(Errno::ENODEV))?;
    // SAFETY: the storage is zeroed and large enough for every address; the closure writes one
    // whole sockaddr_ll and states its length.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).unwrap_or(0);
            (*address).sll_protocol = u16::try_from(libc::ETH_P_ALL).unwrap_or(0).to_be();
            (*address).sll_ifindex = sll_ifindex;
            *length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or(0);
            Ok(())
        })?
    };
    Ok(address)
}

#[cfg(test)]
mod tests;
