//! The agent of a node: `vipair run`.
//!
//! Data goes one way: frame or datagram → `io` (stamped with its receive time) → `Event` → `engine`
//! → `Action` → hands. What the hands have done comes back as an event. Two threads matter, and two
//! bounded rings join them: the *hot* one pulses, probes and writes the gate; the *slow* side does
//! everything that can take time. When either fails, the kernel's gate closes by itself.
//!
//! | room | noun |
//! |---|---|
//! | `run` | start order and shutdown |
//! | `signals` | SIGTERM, SIGINT and SIGHUP, from the first moment on |
//! | `load` | reading the configuration |
//! | `from_config` | what the parts are built from |
//! | `hot` | the thread that pulses, and its hands |
//! | `orders`, `lateness` | the rings between the two, and the hot thread's figures |
//! | `slow` | everything that can take time, in parts |
//! | [`gate`] | the kernel program, its maps, its adoption |
//! | `keeper` | gates and addresses on the interfaces, kept in place |
//! | `readiness` | would clients be answered and reached here |
//! | `announcer` | gratuitous ARP and unsolicited advertisements |
//! | [`checks`], [`hooks`], [`launch`] | what is known of the services, and what is run for them |
//! | [`connections`] | clients' connections: told of a takeover, mirrored |
//! | [`flight`] | the recorder, its files, its replay |
//! | [`words`] | sentences for people |
//!
//! Owns: everything that `vipair run` starts, and the order in which it starts. Never does: decide
//! who is active, which is the engine's business, or open a gate but by an action of the engine.

mod announcer;
pub mod checks;
pub mod connections;
pub mod flight;
mod from_config;
pub mod gate;
pub mod hooks;
mod hot;
mod keeper;
mod lateness;
pub mod launch;
mod load;
mod options;
mod orders;
mod readiness;
mod run;
mod signals;
mod slow;
pub mod words;

pub use options::{RunError, RunOptions};
pub use run::run;

#[cfg(test)]
use vipair_host::testing;
use vipair_host::{config, control, io, store};
use vipair_proto::{durable, engine, mutant, rules, timing, types, wire};
