//! The machine that a node or a witness stands on: its configuration, its clocks and sockets, its disk, its operators.
//!
//! Owns: every reading of a clock, a file or a socket that more than one wing needs. Never does: decide anything about a
//! group. What goes wrong out there becomes a value: an error with the operation, the object and the cause.
//!
//! | room | noun |
//! |---|---|
//! | [`config`] | the file, validated |
//! | [`io`] | the operating system |
//! | [`store`] | what survives a restart |
//! | [`control`] | what operators ask, and what they are answered |

pub mod config;
pub mod control;
pub mod io;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use vipair_proto::{durable, timing, types, wire};
