//! An order to announce a group's addresses, and the report on it.
//!
//! Owns: the nouns that the announcer shares with the hot thread and the slow side. Never does:
//! anything.

use crate::types::{GroupId, MacAddr, MonoTime, Vip};
use nix::errno::Errno;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// Order to announce one group's addresses once.
#[derive(Clone, Debug)]
pub struct AnnounceOrder {
    /// Group that has the addresses; comes back in the report.
    pub group: GroupId,
    /// Kernel's number of the interface that has the gate. Its setting for forwarding IPv6 decides
    /// the R flag.
    pub ifindex: u32,
    /// Hardware address of the interface, the source of all frames.
    pub source: MacAddr,
    /// Addresses to announce.
    pub addresses: Arc<[Vip]>,
    /// Gateway that also gets an ordinary request for each IPv4 address, because some routers
    /// ignore announcements.
    pub gateway: Option<(Ipv4Addr, MacAddr)>,
}

/// Result of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnounceReport {
    /// Group of the order.
    pub group: GroupId,
    /// Interface of the order.
    pub ifindex: u32,
    /// Number of frames handed to the kernel, with those that the gate dropped.
    pub frames: usize,
    /// Instant at which the thread began with the order.
    pub started: MonoTime,
    /// Time from there to the last frame.
    pub took: Duration,
    /// Error that kept frames from being sent.
    pub error: Option<AnnounceError>,
}

/// Error of an order: the network took no frame, or the interface does not exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{operation} on interface {ifindex}: {cause}")]
pub struct AnnounceError {
    /// Operation that failed: `open socket` or `announce`.
    pub operation: &'static str,
    /// Kernel's number of the interface.
    pub ifindex: u32,
    /// Error of the kernel. ENXIO and ENODEV: the interface is gone; ENETDOWN: it is down; EAGAIN
    /// and ENOBUFS: it took no frame for [`super::STALL_MAX`]; ECANCELED: the announcer was
    /// stopped.
    pub cause: Errno,
}

/// Entry of the queue to the thread.
#[derive(Debug)]
pub(super) enum Message {
    Announce(AnnounceOrder),
    Stop,
}
