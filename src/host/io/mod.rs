//! The operating system: sockets, packet taps, netlink, timers.
//!
//! Owns: every file descriptor that the agent reads or writes, and the only reading of the clocks.
//! Never does: decide anything. Each thing that happens out there becomes a value: a datagram, a
//! frame, a change of an interface, or an error with the operation, the object and the cause.

pub mod begin;
pub mod clock;
pub mod dial;
pub mod heap;
pub mod links;
pub mod local;
pub mod netlink;
pub mod pidfd;
pub mod poll;
pub mod rawip;
pub mod realtime;
pub mod segment;
pub mod shortage;
pub mod sockdiag;
pub mod systemd;
pub mod timer;
pub mod units;
