//! A packet socket that only sends.
//!
//! Owns: the socket, bound to its interface with protocol 0: the kernel never queues a frame for
//! it, and other traffic does not pay for it. Never does: bypass the gate on egress;
//! PACKET_QDISC_BYPASS is never set. An error carries errno.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Most frames handed to one sendmmsg(2): a fraction of a millisecond.
pub(super) const BATCH: usize = 64;
/// Bytes of the send buffer: about a thousand small frames, each charged with 768 bytes by the
/// kernel.
const BUFFER: usize = 1 << 20;

/// Sending socket of one interface.
#[derive(Debug)]
pub(super) struct Sender {
    socket: Socket,
    ifindex: u32,
}

impl Sender {
    /// Opens the socket of an interface.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW, ENODEV when there is no such interface.
    pub(super) fn open(ifindex: u32) -> Result<Sender, Errno> {
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None).map_err(errno)?;
        // Best effort: without CAP_NET_ADMIN the usual size remains, and a full buffer means
        // waiting.
        let _usual_size = setsockopt(&socket, sockopt::SndBufForce, &BUFFER);
        socket.bind(&link_address(ifindex).map_err(errno)?).map_err(errno)?;
        Ok(Sender { socket, ifindex })
    }

    pub(super) fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Hands up to [`BATCH`] frames to the kernel; returns how many it took, at least one. Never
    /// blocks.
    pub(super) fn send_batch(&self, frames: &[Vec<u8>]) -> Result<usize, Errno> {
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: mmsghdr is plain data for which all zero bytes mean "no address, no buffers, no
        // control data".
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for ((part, message), frame) in parts.iter_mut().zip(&mut messages).zip(frames) {
            *part = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        let count = libc::c_uint::try_from(frames.len().min(BATCH)).unwrap_or(0);
        // SAFETY: the first `count` headers each point to one element of `parts`, and that to one
        // frame; all of them outlive the call, and the kernel only reads the frames.
        let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).map_err(|_| Errno::last())
    }

    /// Waits until the kernel has room again, for `longest` at most; may return early.
    pub(super) fn wait_writable(&self, longest: Duration) {
        // Rounded up to a millisecond, so that a wait always passes time.
        let millis = u16::try_from(longest.as_millis() + 1).unwrap_or(u16::MAX);
        let mut events = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        // The next attempt to send shows whether there is room.
        let _any = poll(&mut events, PollTimeout::from(millis));
    }
}

fn errno(cause: io::Error) -> Errno {
    Errno::from_raw(cause.raw_os_error().unwrap_or(0))
}

/// Address of an interface with protocol 0, which receives nothing.
fn link_address(ifindex: u32) -> io::Result<SockAddr> {
    let sll_ifindex = libc::c_int::try_from(ifindex).map_err(|_| io::Error::from(Errno::ENODEV))?;
    // SAFETY: the storage is zeroed and large enough for every address; the closure writes the
    // fields of one sockaddr_ll and states its length.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).unwrap_or(0);
            (*address).sll_ifindex = sll_ifindex;
            *length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or(0);
            Ok(())
        })?
    };
    Ok(address)
}
