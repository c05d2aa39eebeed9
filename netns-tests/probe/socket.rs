//! Packet sockets for the probes, and a thread that wakes up on time.
//!
//! Owns: the few system calls that nix and socket2 have no safe form for. Never does: interpreting
//! a frame. A failing call panics: a probe without its socket measures nothing.

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::ClockId;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::ffi::c_int;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use vipair::types::MonoTime;

use crate::lab::clock::{nanos, now};
use crate::lab::confine::set_policy;

/// A raw packet socket that hears only frames that others send.
#[derive(Debug)]
pub struct PacketSocket(Socket);

/// A frame as it arrived.
#[derive(Debug)]
pub struct Arrival {
    /// When the kernel took the frame in.
    pub at: MonoTime,
    /// Index of the interface at which the frame came in.
    pub index: u32,
    /// Number of bytes of the frame in the buffer.
    pub length: usize,
}

impl PacketSocket {
    /// Opens a socket in the calling thread's namespace, on one interface or on all of them.
    pub fn open(interface: Option<&str>, filter: &[SockFilter]) -> PacketSocket {
        // Protocol 0: nothing is heard before the filter is attached and the address bound.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0))).expect("open a packet socket");
        socket.attach_filter(filter).expect("attach a filter");
        socket.set_nonblocking(true).expect("make a socket non-blocking");
        setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).expect("enlarge a receive buffer");
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("ask for time stamps");
        set_option(&socket, libc::PACKET_IGNORE_OUTGOING, 1);
        let index = interface.map_or(0, |name| {
            nix::net::if_::if_nametoindex(name).unwrap_or_else(|e| panic!("no interface {name}: {e}"))
        });
        bind_interface(&socket, index);
        PacketSocket(socket)
    }

    /// Descriptor for polling.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Sends a whole frame out of the interface that the socket is bound to.
    pub fn send(&self, frame: &[u8]) -> std::io::Result<()> {
        self.0.send(frame).map(|_| ())
    }

    /// Takes the next frame, `None` when there is none now. A frame longer than the buffer is cut.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<Arrival> {
        let mut space = cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(buffer)];
        let message =
            match recvmsg::<LinkAddr>(self.0.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_DONTWAIT) {
                Ok(message) => message,
                // The interface went down or away: frames are heard again if it returns.
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return None,
                Err(cause) => panic!("receive a frame: {cause}"),
            };
        let stamp = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|c| if let ControlMessageOwned::ScmTimestampns(t) = c { Some(t) } else { None })
        });
        let index = message.address.map_or(0, |a| a.ifindex());
        Some(Arrival {
            at: stamp.map_or_else(now, boot_time),
            index: u32::try_from(index).unwrap_or(0),
            length: message.bytes,
        })
    }

    /// Sends a whole frame out of the interface `index`, whichever the socket is bound to.
    pub fn send_out_of(&self, index: u32, frame: &[u8]) -> std::io::Result<()> {
        let address = interface_address(index);
        let length = libc::socklen_t::try_from(size_of_val(&address)).expect("a small size");
        // SAFETY: both pointers are to live values of the stated lengths; the descriptor is open.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                libc::MSG_DONTWAIT,
                (&raw const address).cast(),
                length,
            )
        };
        if sent < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Number of frames that the buffer had no room for since the last call.
    pub fn take_lost_count(&self) -> u32 {
        let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = libc::socklen_t::try_from(size_of_val(&stats)).expect("a small size");
        // SAFETY: the pointers are to live values of exactly the type and size PACKET_STATISTICS
        // fills.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0, "read packet statistics: {}", Errno::last());
        stats.tp_drops
    }
}

/// Sets an option of a packet socket that takes a number.
fn set_option(socket: &Socket, name: c_int, value: c_int) {
    let length = libc::socklen_t::try_from(size_of_val(&value)).expect("a small size");
    // SAFETY: the pointer is to a live c_int of the stated length, which these options take.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, (&raw const value).cast(), length) };
    assert_eq!(result, 0, "set packet option {name}: {}", Errno::last());
}

/// Packet socket address of all protocols on an interface; 0 stands for all interfaces.
fn interface_address(index: u32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).expect("a 16-bit family"),
        sll_protocol: u16::try_from(libc::ETH_P_ALL).expect("a 16-bit protocol").to_be(),
        sll_ifindex: i32::try_from(index).expect("interface indexes are positive ints"),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

/// Binds a packet socket to all protocols on an interface; 0 stands for all interfaces.
fn bind_interface(socket: &Socket, index: u32) {
    let address = interface_address(index);
    let length = libc::socklen_t::try_from(size_of_val(&address)).expect("a small size");
    // SAFETY: the pointer is to a live sockaddr_ll of the stated length.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    assert_eq!(result, 0, "bind a packet socket: {}", Errno::last());
}

/// Converts a kernel time stamp (CLOCK_REALTIME) into CLOCK_BOOTTIME by the present offset of the
/// clocks. Only a frame that waits in the buffer while the wall clock is stepped gets a wrong time.
fn boot_time(stamp: TimeSpec) -> MonoTime {
    let (wall, boot) = (nanos(ClockId::CLOCK_REALTIME), now());
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    let stamp = part(stamp.tv_sec()) * 1_000_000_000 + part(stamp.tv_nsec());
    MonoTime(boot.0.saturating_sub(wall.saturating_sub(stamp)))
}

/// A filter program of classic BPF in four columns: operation, jump if true, jump if false, value.
pub fn bpf_program(lines: &[(u32, u8, u8, u32)]) -> Vec<SockFilter> {
    lines
        .iter()
        .map(|(op, yes, no, value)| SockFilter::new(u16::try_from(*op).expect("operations fit"), *yes, *no, *value))
        .collect()
}

/// Filter that lets no frame through: for a socket that only sends.
pub fn deny_all() -> Vec<SockFilter> {
    bpf_program(&[(libc::BPF_RET | libc::BPF_K, 0, 0, 0)])
}

/// Gives the calling thread a real-time priority, so that a busy machine does not look like a gap.
/// A refusal is printed.
pub fn become_real_time() {
    if let Err(cause) = set_policy(0, libc::SCHED_FIFO, 5) {
        eprintln!("this thread has no real-time priority ({cause}): gaps may look longer than they are");
    }
}

/// Runs `body`, and the programs it starts, at real-time priority; the thread is ordinary
/// afterwards.
pub fn at_real_time<T>(body: impl FnOnce() -> T) -> T {
    become_real_time();
    let result = body();
    set_policy(0, libc::SCHED_OTHER, 0).expect("everybody may be ordinary");
    result
}
