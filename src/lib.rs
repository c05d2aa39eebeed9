//! vipair: two Linux servers, one service address. This page is the map of the code.
//!
//! Data goes one way: frame or datagram → `io` (stamped with its receive time) → `Event` → `engine`
//! → `Action` → hands. The result of each action comes back as an event. Nothing else calls upward:
//! a wing may use those below it and no others, and Cargo.toml of each wing makes sure of that.
//!
//! | wing | what it is | may use |
//! |---|---|---|
//! | [`cli`] | the command line: a file per subcommand | all |
//! | [`agent`] | `vipair run`: hot thread, slow side, gate | host, proto |
//! | [`witness`] | `vipair witness`: a voter that holds no address | host, proto |
//! | `vipair-proof` | simulator, model check, fuzzing, the rules of the house | all; simulator and model: proto |
//! | [`host`] | the machine: configuration, sockets, disk, control socket | proto |
//! | [`proto`] | the protocol, pure: `handle(now, event)` gives actions | nothing |
//!
//! Contributors begin at docs/house/README.md.

pub mod cli;

pub use vipair_agent as agent;
pub use vipair_host as host;
pub use vipair_proto as proto;
pub use vipair_witness as witness;

use agent::{flight, words};
use host::{config, control, io};
pub use proto::{timing, types, wire};
