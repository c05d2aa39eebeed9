//! The machine that a node or a witness stands on: its configuration, its clocks and sockets, its
//! disk, its operators.
//!
//! Owns: every reading of a clock, a file or a socket that more than one wing needs. Never does:
//! decide anything about a group. Each failure out there becomes a value: an error with the
//! operation, the object and the cause.
//!
//! | room | noun |
//! |---|---|
//! | [`config`] | the file, validated |
//! | [`io`] | the operating system |
//! | [`store`] | the state that survives a restart |
//! | [`control`] | requests of operators, and answers |

pub mod config;
pub mod control;
pub mod io;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use vipair_proto::{durable, timing, types, wire};
