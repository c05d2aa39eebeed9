//! `vipair witness`: a voter for each cluster, behind one socket. Owns: the socket, and each cluster's keys, voter and
//! store. Never does: hold an address, speak unasked, or need a privilege.
//!
//! One thread waits for datagrams and answers each where it came from; nothing in it waits for a disk, a name or a
//! service. Beside it: a thread per cluster that makes promises durable, and one that tries the services. What they
//! find comes back through a queue. Nothing is owned that needs a privilege, and nothing is lost when it is killed: what
//! it must not forget is on the disk before it is said, and what it promised it waits for after a start.
//!
//! | file | noun |
//! |---|---|
//! | `courts` | the clusters: keys, voters, stores |
//! | `lend` | copies for the user that runs it |
//! | `probes` | service checks |
//! | `renewal` | the file read again |
//! | `reports` | what the threads beside the loop say |
//! | `run` | the loop |
//! | `state` | a voter's memory as the store keeps it |
//! | `words` | what people read |

mod courts;
mod lend;
mod options;
mod probes;
mod renewal;
mod reports;
mod run;
pub mod state;
mod words;

pub use lend::lend;
pub use options::{Options, RunError};
pub use run::{checked, run};

use vipair_host::{config, io, store};
use vipair_proto::{durable, mutant, types, voter, wire};
