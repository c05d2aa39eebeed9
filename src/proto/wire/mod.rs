//! Bytes ↔ values, and nothing else: no socket, no clock, no random source.
//!
//! `auth` seals and opens datagrams, `reject` counts those that are dropped, `session` decides which
//! of them are fresh, `pulse` is their content, `table` tells a table of many rows in datagrams of
//! few, `fit` how few, `frame` builds and reads ARP, neighbour discovery and the raw Ethernet frames of
//! the segment link. `mirror` is the stream that tells a standby of the active's TCP connections,
//! `tickle` the packet that tells their clients.
//! Every decoder treats its input as hostile: it returns a reason, never panics, and allocates
//! nothing before the input is authenticated.

pub mod auth;
pub mod fit;
pub mod frame;
pub mod mirror;
pub mod pulse;
mod reject;
mod rules;
pub mod session;
pub mod table;
pub mod tickle;
